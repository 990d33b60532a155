"""Zip archives whose members stand in them as they are: none is larger than the file."""

import io
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fashion_mnist import files
from fashion_mnist.errors import first_sentence


def read(path: str | Path, *names: str) -> list[bytes]:
    """The members of these names, in no more memory than they take in the file.

    Raises:
        ValueError: it is no zip archive, is damaged, or lacks or compresses a member.
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                size = os.fstat(file.fileno()).st_size
                return [_member(archive, name, size) for name in names]
        except Exception as error:  # zipfile raises anything at all over damaged bytes
            raise ValueError(first_sentence(error) or type(error).__name__) from None


def _member(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size > size:
        raise ValueError(f"{name} is not stored as it is")
    return archive.read(member)


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The npz file with these; the same arrays, the same bytes."""
    archive = io.BytesIO()
    np.savez(archive, allow_pickle=False, **arrays)
    return archive.getvalue()


def write_arrays(path: str | Path, **arrays: np.ndarray) -> None:
    """Write what `pack` gives."""
    files.write(path, pack(arrays))


def read_arrays(path: str | Path, *names: str) -> list[np.ndarray]:
    """The arrays of these names in an npz file, not copied.

    Raises:
        ValueError: it is damaged, lacks an array, or has one that `write_arrays` would not write.
        OSError: it cannot be read.
    """
    return [_array(npy) for npy in read(path, *(f"{name}.npy" for name in names))]


def _array(npy: bytes) -> np.ndarray:
    """The array in the bytes of an npy file, not copied; ValueError if it is no such array."""
    file = io.BytesIO(npy)
    try:
        np.lib.format.read_magic(file)
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
    except Exception as error:  # numpy lets Python parse the header
        raise ValueError(first_sentence(error)) from None
    start = file.tell()
    if by_columns or dtype.hasobject or len(npy) - start != dtype.itemsize * math.prod(shape):
        raise ValueError(f"{shape} {dtype} is not what {len(npy) - start:,} bytes hold")
    if max(shape, default=0) > len(npy):
        raise ValueError(f"there is no shape {shape}")
    return np.frombuffer(npy, dtype, offset=start).reshape(shape)
