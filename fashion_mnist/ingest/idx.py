"""The IDX file format, as Yann LeCun's MNIST page describes it: big-endian, uint8 only."""

import math
import struct
from pathlib import Path

import numpy as np

from fashion_mnist.errors import InputError

UINT8 = 0x08


def read(path: str | Path, dimensions: int) -> np.ndarray:
    """Read an array of uint8 with so many dimensions.

    Raises:
        InputError: the file is missing, or is not exactly one such array.
    """
    path = Path(path)
    header_size = 4 + 4 * dimensions
    try:
        with path.open("rb") as file:
            header = file.read(header_size)
            size = path.stat().st_size
            if len(header) < 4 or header[:2] != b"\0\0":
                raise InputError(f"{path} is not an IDX file: it must begin with two zero bytes")
            if header[2] != UINT8:
                raise InputError(f"{path} must hold uint8 (type 0x08), not type {header[2]:#04x}")
            if header[3] != dimensions:
                raise InputError(f"{path} must have {dimensions} dimensions, not {header[3]}")
            if len(header) < header_size:
                raise InputError(f"{path} ends within its header of {header_size} bytes")
            shape = struct.unpack(f">{dimensions}I", header[4:])
            if not all(shape):
                raise InputError(f"{path} is empty: its header declares {shape}")
            # Before anything is allocated: a header may declare more than any memory holds.
            if size != header_size + math.prod(shape):
                raise InputError(
                    f"{path} must be {header_size + math.prod(shape):,} bytes long, "
                    f"as its header declares {shape}, not {size:,}"
                )
            return np.frombuffer(file.read(), np.uint8).reshape(shape)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: `dvc repro fetch` gets it") from None


def write(path: str | Path, array: np.ndarray) -> None:
    """Write an array of uint8 with any number of dimensions."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, UINT8, array.ndim, *array.shape)
    Path(path).write_bytes(header + array.astype(np.uint8).tobytes())
