"""Read and write IDX files of uint8, the big-endian format of MNIST (yann.lecun.com/exdb/mnist)."""

import math
import struct
from pathlib import Path

import numpy as np

from fashion_mnist.errors import InputError
from fashion_mnist.ingest import arrays
from fashion_mnist.ingest.schema import DataSet
from fashion_mnist.storage.dataset import Labelled

UINT8 = 0x08
QMNIST_LABELS = bytes([0, 0, 0x0C, 2])  # int32 (N, 8): the class, and who wrote the digit
TEST = ("t10k", "test")


def read_set(folder: Path, described: DataSet) -> tuple[Labelled, Labelled]:
    """The training and test images of the four files in `folder`, which are not yet checked.

    Raises:
        InputError: a file is missing, or is not one such array.
    """
    sets = []
    for is_test in (False, True):
        paths = [_path(folder, described, kind, is_test) for kind in ("images", "labels")]
        labels = arrays.to_labels(paths[1], _labels(paths[1]), described.first_label)
        classes = described.classes or list(map(str, range(int(labels.max()) + 1)))
        sets.append(Labelled(read(paths[0], dimensions=3), labels, tuple(classes)))
    return sets[0], sets[1]


def _path(folder: Path, described: DataSet, kind: str, is_test: bool) -> Path:
    """The file of images or labels, by what its name contains."""
    for name in described.files:
        if kind in name and any(part in name for part in TEST) == is_test:
            return folder / name
    part = "t10k or test" if is_test else "train"
    raise InputError(f"files: none has a name with {kind} and {part} in it")


def _labels(path: Path) -> np.ndarray:
    """Integers (N,)."""
    if path.is_file() and path.read_bytes()[:4] == QMNIST_LABELS:
        data = path.read_bytes()
        rows = np.frombuffer(data, ">i4", offset=12, count=(len(data) - 12) // 4)
        return rows[: len(rows) // 8 * 8].reshape(-1, 8)[:, 0]
    return read(path, dimensions=1)


def read(path: str | Path, dimensions: int) -> np.ndarray:
    """Read an array of uint8 with this number of dimensions; it cannot be changed in place.

    Raises:
        InputError: the file is missing, or is not exactly one such array.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} is missing: `dvc repro fetch` gets it") from None
    magic = bytes([0, 0, UINT8, dimensions])
    if data[:4] != magic:
        raise InputError(
            f"{path} is not an IDX file of uint8 with {dimensions} dimensions: it must begin "
            f"with the bytes {magic.hex(' ')}"
        )
    header_size = 4 + 4 * dimensions
    if len(data) < header_size:
        raise InputError(f"{path} ends within its header of {header_size} bytes")
    shape = struct.unpack_from(f">{dimensions}I", data, offset=4)
    if not all(shape):
        raise InputError(f"{path} is empty: its header declares {shape}")
    size = header_size + math.prod(shape)
    if len(data) != size:
        raise InputError(
            f"{path} must be {size:,} bytes long, as its header declares {shape}, not {len(data):,}"
        )
    return np.frombuffer(data, np.uint8, offset=header_size).reshape(shape)


def write(path: str | Path, array: np.ndarray) -> None:
    """Write an array of uint8 with any number of dimensions.

    Raises:
        TypeError: the array is not uint8.
        OSError: the file cannot be written.
    """
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, UINT8, array.ndim, *array.shape)
    Path(path).write_bytes(header + array.astype(np.uint8, casting="no").tobytes())
