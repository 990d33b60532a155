"""Classify pictures with the best model, or any other."""

import argparse
import contextlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from fashion_mnist.commands import models
from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.pictures import decoding, garments, plain
from fashion_mnist.storage import records
from fashion_mnist.talk import console

if TYPE_CHECKING:
    from fashion_mnist.model_files import loading

Prepare = Callable[[BinaryIO], garments.Picture]
EXAMPLE = "python -m fashion_mnist predict --show answers.png shirt.jpg photos/"
STANDARD_INPUT = "-"
MOST_DRAWN = 240  # more would take minutes, and make a picture that few programs open
NO_PREVIEW = np.empty((0, 0, 3), np.uint8)  # in place of 59 kB
NAME_WIDTH = 26  # leaves room for the answer in 80 columns


class Named(NamedTuple):
    """A picture and the file it comes from."""

    name: str
    picture: garments.Picture


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="a PNG, JPEG, WebP, GIF, BMP or TIFF file, a folder of them, or - for standard input",
    )
    models.add_option(parser)
    models.add_range(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--show",
        type=Path,
        metavar="FILE.png",
        help="draw each picture beside the image that the model sees, with the answer",
    )
    _accept_names_with_a_dash(parser)


def run(arguments: argparse.Namespace) -> int:
    """Classify each picture that can be read; the exit code is 1 if any cannot.

    Raises:
        InputError: the model cannot be used, or the figure would replace a picture.
        OSError: the model cannot be read, or the figure cannot be written.
    """
    errors: list[str] = []
    if arguments.show:
        check_is_png(arguments.show)
    data_set, kind = models.data_set()
    loaded, prepare = None, garments.read
    if data_set.prepare == "plain":  # into the model's own frame; Keras takes seconds to load
        loaded = models.load(arguments.model, kind, arguments.range)
        frame = plain.Frame(loaded.kind.image_shape, data_set.background)
        prepare = partial(plain.read, frame=frame)
    found: list[Named] = []
    for named in read(arguments.images, errors, arguments.show, prepare):
        if not arguments.show or len(found) >= MOST_DRAWN:
            named = Named(named.name, named.picture._replace(preview=NO_PREVIEW))
        found.append(named)
    if not found:
        if arguments.json:
            say(json.dumps([]))
        return 1
    loaded = loaded or models.load(arguments.model, kind, arguments.range)
    classes = loaded.kind.classes
    probabilities = classify(arguments.model, loaded, found)
    listed = answers(found, probabilities, classes)
    if arguments.json:
        say(json.dumps(records.rounded(listed), indent=2))
    else:
        say(table(listed))
    if arguments.show:
        draw(arguments.show, found, probabilities, classes)
    return 1 if errors else 0


def read(
    images: Sequence[str], errors: list[str], target: Path | None, prepare: Prepare
) -> Iterator[Named]:
    """The pictures that can be read; the others are named on standard error.

    Raises:
        InputError: one of them, readable or not, is the file `target`.
    """
    for image in images:
        names: list[str] = []
        with reporting(image, errors):
            names = files_of(image)
        for name in names:
            if target:
                check_replaces_no(name, target)
            with reporting(name, errors):
                yield Named(name, picture(name, prepare))


@contextlib.contextmanager
def reporting(name: str, errors: list[str]) -> Iterator[None]:
    """Print in one line why `name` cannot be read, and go on."""
    try:
        yield
    except (InputError, OSError) as error:
        reason = getattr(error, "strerror", None) or first_sentence(error)
        errors.append(f"error: {printable(name)}: {reason}")
        print(errors[-1], file=sys.stderr, flush=True)


def files_of(image: str) -> list[str]:
    """The pictures in a folder, readable or not; any other path is returned as is."""
    folder = Path(image)
    if image == STANDARD_INPUT or not folder.is_dir():
        return [image]
    files = sorted(
        file
        for file in folder.iterdir()
        if not file.name.startswith(".") and decoding.is_picture(file)
    )
    if not files:
        raise InputError(f"this folder contains no {decoding.FORMAT_NAMES} file")
    return [str(file) for file in files]


def picture(name: str, prepare: Prepare) -> garments.Picture:
    """The picture in the file `name`."""
    if name != STANDARD_INPUT:
        with Path(name).open("rb") as file:
            return prepare(file)
    if sys.stdin is None:
        raise InputError("standard input is closed")
    return prepare(sys.stdin.buffer)


def check_is_png(path: Path) -> None:
    """Raise InputError if the figure's name is not a PNG's."""
    if path.suffix.lower() != ".png":
        raise InputError(f"--show {path}: the figure is a PNG: choose a name that ends in .png")


def check_replaces_no(name: str, path: Path) -> None:
    """Raise InputError if the figure would replace the picture `name`."""
    try:
        replaces = name != STANDARD_INPUT and path.samefile(name)
    except OSError:  # there is no such file, or none that can be read
        return
    if replaces:
        raise InputError(
            f"--show {path}: would overwrite a picture to classify: choose another name"
        )


def classify(path: Path, loaded: "loading.Loaded", found: Sequence[Named]) -> np.ndarray:
    """Class probabilities float32 (N, classes).

    Raises:
        InputError: the model takes other images than the pictures were made to.
    """
    from fashion_mnist.learning import batches, prediction

    images = np.stack([named.picture.pixels for named in found])
    if (made := batches.with_channels(images).shape[1:]) != loaded.kind.image_shape:
        raise InputError(
            f"{path} takes images {loaded.kind.image_shape}, and `prepare: product` makes {made}"
        )
    return prediction.predict(loaded.model, images)


def answers(
    found: Sequence[Named], probabilities: np.ndarray, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """What is printed as JSON."""
    listed = []
    for named, given in zip(found, probabilities, strict=True):
        first, second = np.argsort(-given, kind="stable")[:2]
        listed.append(
            {
                "file": named.name,
                "class": classes[first],
                "probability": float(given[first]),
                "runner_up": {
                    "class": classes[second],
                    "probability": float(given[second]),
                },
                "probabilities": dict(zip(classes, map(float, given), strict=True)),
                "inverted": named.picture.inverted,
                "warnings": list(named.picture.warnings),
            }
        )
    return listed


def table(listed: Sequence[dict[str, Any]]) -> str:
    """One line per picture, at most 80 columns wide; a long name or a warning adds a line."""
    names = [printable(answer["file"]) for answer in listed]
    width = max(len(name) for name in ("picture", *names) if len(name) <= NAME_WIDTH)
    given = [name for answer in listed for name in (answer["class"], answer["runner_up"]["class"])]
    widest = max(len("runner-up"), *map(len, given), 11)
    row = f"{{:{width}}}  {{:{widest}}}  {{:>7}}  {{:{widest}}}  {{:>7}}  {{}}"
    lines = [row.format("picture", "class", "prob.", "runner-up", "prob.", "")]
    for name, answer in zip(names, listed, strict=True):
        if len(name) > NAME_WIDTH:
            lines.append(name)
            name = ""
        second = answer["runner_up"]
        inverted = "inverted" if answer["inverted"] else ""
        shares = [f"{given['probability']:.2%}" for given in (answer, second)]
        lines.append(
            row.format(name, answer["class"], shares[0], second["class"], shares[1], inverted)
        )
        lines += [f"    warning: {warning}" for warning in answer["warnings"]]
    return "\n".join(line.rstrip() for line in lines)


def draw(
    path: Path, found: Sequence[Named], probabilities: np.ndarray, classes: Sequence[str]
) -> None:
    """Write the figure, and its name on standard error."""
    from fashion_mnist.scoring import figures

    shown = found[:MOST_DRAWN]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the font lacks some characters of names
        figure = figures.answers(
            [named.picture.preview for named in shown],
            np.stack([named.picture.pixels for named in shown]),
            [printable(named.name) for named in shown],
            probabilities[:MOST_DRAWN],
            [named.picture.warnings for named in shown],
            classes,
        )
        figures.save(figure, path)
    some = f" with the first {len(shown)} of {len(found)} pictures" if found[MOST_DRAWN:] else ""
    print(f"wrote {path}{some}", file=sys.stderr, flush=True)


def printable(name: str) -> str:
    """The name on one line."""
    return name if name.isprintable() else ascii(name)[1:-1]


def say(text: str) -> None:
    """Print, even if the reader of a pipe has stopped reading."""
    try:
        console.say(text)
    except BrokenPipeError:
        console.discard_output()


def _accept_names_with_a_dash(parser: argparse.ArgumentParser) -> None:
    """Treat `-1.png` as a picture if that file exists: a shell may expand `*.png` to it."""
    parse = parser.parse_known_args

    def parse_known_args(args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        given = sys.argv[1:] if args is None else args
        return parse([_as_path(argument) for argument in given], namespace)

    parser.parse_known_args = parse_known_args  # type: ignore[method-assign, assignment]


def _as_path(argument: str) -> str:
    dashed = argument.startswith("-") and argument != STANDARD_INPUT
    path = Path(argument)
    return f"./{argument}" if dashed and path.exists() and decoding.is_picture(path) else argument
