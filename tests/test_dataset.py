"""The npz files between the stages, and the count of duplicates."""

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.errors import InputError
from fashion_mnist.ingest import duplicates
from fashion_mnist.storage import dataset
from fashion_mnist.storage.dataset import Labelled
from tests.conftest import tiny_set
from tests.jobs import FASHION

IMAGES, LABELS = tiny_set(20, seed=0)
NAMES = FASHION.classes


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path):
    for name in ("a.npz", "b.npz"):
        dataset.write(tmp_path / name, Labelled(IMAGES, LABELS, NAMES))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


REFUSED = [
    (IMAGES[..., np.newaxis], LABELS, r"images must be uint8 \(N, height, width\) or \(N, "),
    (IMAGES.astype(float), LABELS, r"images must be uint8 .* not float64"),
    (IMAGES, LABELS[:5], "not 5 labels for 20 images"),
    (IMAGES[:0], LABELS[:0], "at least one"),
    (IMAGES, LABELS + 1, "labels must lie in 0-9, but label 9 is 10"),
    (IMAGES, LABELS.astype(int), r"labels must be uint8 \(N,\), not int64"),
]


def test_anything_else_is_refused(tmp_path: Path, subtests: pytest.Subtests):
    for images, labels, message in REFUSED:
        dataset.write(tmp_path / "a.npz", Labelled(images, labels, NAMES))
        with subtests.test(message), pytest.raises(InputError, match=message):
            dataset.read(tmp_path / "a.npz")


def test_a_damaged_file_is_told_with_what_makes_it_again(tmp_path: Path, subtests: pytest.Subtests):
    with_pickles = io.BytesIO()
    np.savez(with_pickles, images=np.array([object()]), labels=LABELS)
    damaged = (b"", b"PK\x03\x04broken", b"text", b"\x93NUMPY", with_pickles.getvalue())
    for content in damaged:
        (tmp_path / "a.npz").write_bytes(content)
        with (
            subtests.test(repr(content[:20])),
            pytest.raises(InputError, match=r"is damaged.*`dvc repro preprocess` makes it again"),
        ):
            dataset.read(tmp_path / "a.npz")


def stored(images: bytes, labels: np.ndarray = LABELS, **how: int) -> bytes:
    """An npz file whose array of images is these bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **how) as archive:
        archive.writestr("images.npy", images)
        for name, array in (("labels", labels), ("classes", np.array(NAMES))):
            with archive.open(f"{name}.npy", "w") as member:
                np.save(member, array)
    return file.getvalue()


def npy(shape: tuple[int, ...], data: bytes = b"", descr: str = "|u1") -> bytes:
    """An array's file that declares `shape`, whatever it holds."""
    file = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


OVERSIZED = [
    (stored(npy((2**40, 28, 28))), "is not what 0 bytes hold"),
    (stored(npy((0, 2**80, 28))), "is damaged"),
    (stored(npy((-1, -784), bytes(784))), "is damaged"),
    (stored(npy((20,), bytes(160), "|O"), np.zeros(20)), "is not what 160 bytes hold"),
    (
        stored(bytes(2**20), compression=zipfile.ZIP_DEFLATED),
        "images.npy must be stored uncompressed",
    ),
]


def test_no_file_makes_the_reader_allocate_more_than_its_own_size(
    tmp_path: Path, subtests: pytest.Subtests
):
    for content, message in OVERSIZED:
        (tmp_path / "a.npz").write_bytes(content)
        with subtests.test(message, size=len(content)):
            tracemalloc.start()
            with pytest.raises(InputError, match=message):
                dataset.read(tmp_path / "a.npz")
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < len(content) + 2**18


def test_arrays_are_read_without_a_second_copy(tmp_path: Path):
    images, labels = tiny_set(10_000, seed=0)
    dataset.write(tmp_path / "a.npz", Labelled(images, labels, NAMES))
    tracemalloc.start()
    dataset.read(tmp_path / "a.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * images.nbytes


def test_copies_are_counted_within_and_across_sets():
    once, one = duplicates.contents(IMAGES), duplicates.contents(IMAGES[1:2])
    twice = [*once, *once[:3]]
    assert duplicates.repeated(twice) == 3
    assert duplicates.repeated(once) == 0
    assert duplicates.also_in(twice, one).nonzero()[0].tolist() == [1, 21]
    assert duplicates.in_two_classes(twice, np.append(LABELS, LABELS[:3])) == 0
    assert duplicates.in_two_classes(twice, np.append(LABELS, [0, 9, 9])) == 4
