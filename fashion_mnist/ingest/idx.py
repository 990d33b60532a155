"""Read and write IDX files of uint8, the big-endian format of MNIST (yann.lecun.com/exdb/mnist)."""

import math
import struct
from pathlib import Path

import numpy as np

from fashion_mnist.errors import InputError

UINT8 = 0x08


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
