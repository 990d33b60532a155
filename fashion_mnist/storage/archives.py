"""Read and write zip archives and npz files whose members are not compressed.

A member therefore never takes more memory than the file takes on the disk.
"""

import io
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fashion_mnist.errors import first_sentence
from fashion_mnist.storage import files


def read(path: str | Path, *names: str) -> list[bytes]:
    """Read the named members of a zip archive.

    Raises:
        ValueError: the file is not a zip archive or is damaged, or a member is missing
            or compressed.
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                size = os.fstat(file.fileno()).st_size
                return [_member(archive, name, size) for name in names]
        except Exception as error:  # zipfile raises many kinds of errors for damaged files
            raise ValueError(first_sentence(error) or type(error).__name__) from None


def _member(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size > size:
        raise ValueError(f"{name} must be stored uncompressed")
    return archive.read(member)


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return the content of an npz file; the same arrays always give the same bytes."""
    archive = io.BytesIO()
    np.savez(archive, allow_pickle=False, **arrays)
    return archive.getvalue()


def write_arrays(path: str | Path, **arrays: np.ndarray) -> None:
    """Write an npz file, without a copy of the arrays in memory.

    Raises:
        OSError: the file cannot be written; its old content is still there.
    """
    with files.writing(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_arrays(path: str | Path, *names: str) -> list[np.ndarray]:
    """Read the named arrays of an npz file, read-only and without a second copy in memory.

    Raises:
        ValueError: the file is damaged, or an array is missing, holds objects or is not
            in C order.
        OSError: the file cannot be read.
    """
    return [_array(npy) for npy in read(path, *(f"{name}.npy" for name in names))]


def read_shape(path: str | Path, name: str) -> tuple[int, ...]:
    """The shape of an array of an npz file, whose header alone is read.

    Raises:
        ValueError, OSError: see `read_arrays`.
    """
    with Path(path).open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as member:
                np.lib.format.read_magic(member)
                shape, _, _ = np.lib.format.read_array_header_1_0(member)
        except Exception as error:  # zipfile and numpy raise many kinds of errors
            raise ValueError(first_sentence(error) or type(error).__name__) from None
    if not 3 <= len(shape) <= 4:
        raise ValueError(f"its header declares {name} of the shape {shape}")
    return shape


def _array(npy: bytes) -> np.ndarray:
    """View the content of an npy file as an array; ValueError if its header does not fit."""
    file = io.BytesIO(npy)
    try:
        np.lib.format.read_magic(file)
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    except Exception as error:  # numpy has Python parse the header
        raise ValueError(first_sentence(error)) from None
    start = file.tell()
    size = len(npy) - start
    if (
        fortran_order
        or dtype.hasobject
        or size != dtype.itemsize * math.prod(shape)
        or max(shape, default=0) > len(npy)  # beside a 0, any number makes the same product
    ):
        raise ValueError(
            f"its header declares {dtype} {shape}, which is not what {size:,} bytes hold"
        )
    return np.frombuffer(npy, dtype, offset=start).reshape(shape)
