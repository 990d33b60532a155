"""Data sets as folders of pictures, one folder per class."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

import numpy as np

from fashion_mnist.errors import InputError, why
from fashion_mnist.ingest import splitting
from fashion_mnist.ingest.downloads import Progress
from fashion_mnist.ingest.schema import DataSet
from fashion_mnist.pictures import decoding, plain
from fashion_mnist.storage.dataset import Labelled

TEST = "test"
TRAINING = ("train", "val", "valid", "validation")
NO_DATA = {"__MACOSX", "Thumbs.db", "desktop.ini"}  # what file managers leave; so is what is hidden
LEAST = 2  # pictures of a class that train, so that a split has one for each of its parts
TOGETHER = 32  # pictures between two reports of progress


class Found(NamedTuple):
    """A picture of a class, and what orders the pictures: its path within the class's folder."""

    order: str
    label: int
    path: Path


def read(folder: Path, described: DataSet, progress: Progress) -> tuple[Labelled, Labelled]:
    """The training and test images of the pictures below `folder`.

    The names of the class folders, sorted, give the labels; the names of the pictures give the
    order of the images.

    Raises:
        InputError: the folders are not one per class, or pictures cannot be read.
    """
    root = _root(folder)
    parts = {path.name: path for path in _folders(root)}
    training = [parts[name] for name in TRAINING if name in parts]
    has_parts = "train" in parts and not set(parts) - {*TRAINING, TEST}
    if has_parts and TEST not in parts:
        raise InputError(f"{root} holds train/ without test/: add it, or move the classes up")
    names = _names(training if has_parts else [root])
    classes = tuple(described.classes or names)
    if len(classes) != len(names):
        raise InputError(
            f"classes: {len(classes)} names are given, and {root} holds {len(names)} classes: "
            f"{', '.join(names[:5])}{', ...' if names[5:] else ''}"
        )
    if has_parts:
        _check_names(parts[TEST], names, parts["train"])
        taught, tested = _pictures(training, names), _pictures([parts[TEST]], names)
    else:
        found = _pictures([root], names)
        if described.test_fraction is None:
            raise InputError(f"{root} has no train/ and test/: set test_fraction")
        labels = np.array([picture.label for picture in found])
        tests = splitting.test_images(labels, described.test_fraction)
        taught, tested = (
            [picture for picture, is_one in zip(found, chosen, strict=True) if is_one]
            for chosen in (~tests, tests)
        )
    counts = Counter(picture.label for picture in taught)
    for label, name in enumerate(names):
        if counts[label] < LEAST:
            raise InputError(
                f"{root}: the class {name} has {counts[label]} pictures to train with: "
                f"{LEAST} or more are needed"
            )
    return _decoded(taught, classes, described, progress), _decoded(
        tested, classes, described, progress
    )


def _root(folder: Path) -> Path:
    """The folder of the classes, or of train/ and test/; an archive may wrap it in others."""
    while len(inner := _folders(folder)) == 1 and _folders(inner[0]) and not _files(folder):
        folder = inner[0]
    return folder


def _listed(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if not path.name.startswith(".") and path.name not in NO_DATA
    )


def _folders(folder: Path) -> list[Path]:
    return [path for path in _listed(folder) if path.is_dir()]


def _files(folder: Path) -> list[Path]:
    return [path for path in _listed(folder) if decoding.is_picture(path)]


def _name(folder: Path) -> str:
    """A class's name; macOS takes an accent and its letter apart."""
    return normalize("NFC", folder.name)


def _names(roots: Sequence[Path]) -> list[str]:
    """The names of the classes, sorted."""
    names = sorted({_name(folder) for root in roots for folder in _folders(root)})
    if len(names) < 2:
        only = f", {names[0]}" if names else ""
        raise InputError(
            f"{roots[0]} holds {len(names) or 'no'} class{only}: "
            "two or more folders of pictures are needed, one for each class"
        )
    return names


def _check_names(test: Path, names: Sequence[str], train: Path) -> None:
    for folder in _folders(test):
        if _name(folder) not in names:
            raise InputError(f"{folder} is a class that {train} lacks: add it there, or remove it")


def _pictures(roots: Sequence[Path], names: Sequence[str]) -> list[Found]:
    """The pictures in all class folders of these roots, in their order."""
    found = []
    for root in roots:
        for folder in _folders(root):
            waiting, count = [folder], 0
            while waiting:
                inner = waiting.pop()
                waiting += [path for path in _folders(inner) if not path.is_symlink()]
                for path in _files(inner):
                    order = normalize("NFC", path.relative_to(folder).as_posix())
                    found.append(Found(order, names.index(_name(folder)), path))
                    count += 1
            if not count:
                raise InputError(f"{folder} holds no picture: put some in, or remove the folder")
    return sorted(found)


def _decoded(
    pictures: Sequence[Found], classes: tuple[str, ...], described: DataSet, progress: Progress
) -> Labelled:
    """Their images, decoded on all cores, and their labels."""
    if described.image is None:
        raise InputError("image: is missing: pictures are brought to this size")
    shape = (described.image.height, described.image.width, described.image.channels)
    frame = plain.Frame(shape, described.background)
    images = np.empty((len(pictures), *shape[: 2 if shape[2] == 1 else 3]), np.uint8)
    faults: dict[int, str] = {}

    def decode(start: int) -> int:
        some = range(start, min(start + TOGETHER, len(pictures)))
        for index in some:
            try:
                with pictures[index].path.open("rb") as file:
                    images[index] = plain.image(file.read(decoding.MOST_BYTES + 1), frame)
            except InputError as error:
                faults[index] = str(error)
            except OSError as error:
                faults[index] = f"cannot be read: {why(error)}"
        return len(some)

    pool = ThreadPoolExecutor(_cores())
    try:
        with progress(len(pictures), "pictures") as bar, decoding.quietly():
            for count in pool.map(decode, range(0, len(pictures), TOGETHER)):
                if bar is not None:
                    bar.update(count)
    finally:
        pool.shutdown(cancel_futures=True)
    if faults:
        first = min(faults)
        more = f" (and {len(faults) - 1} more cannot be read)" if len(faults) > 1 else ""
        raise InputError(f"{pictures[first].path} {faults[first]}{more}")
    labels = np.array([picture.label for picture in pictures])
    return Labelled(images, labels.astype(np.uint8 if len(classes) <= 256 else np.uint16), classes)


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
