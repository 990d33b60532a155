"""HDF5 files of any origin, read by a separate process that writes a plain copy.

The HDF5 library crashes or hangs on damaged files, and a file can make it open others. In this
process the library therefore reads only what the separate process has written.
"""

import contextlib
import io
import math
import os
import subprocess
import sys
from pathlib import Path

import h5py

from fashion_mnist.errors import first_sentence

MOST_SECONDS = 30
MOST_MEMORY = 4 * 2**30  # bytes, and four times the file; most of it is never touched
REFUSED = 3
CUT_OFF = "truncated file"  # in the HDF5 library's words


def plain(data: bytes) -> bytes:
    """A new HDF5 file with the groups, numbers and texts of the one in `data`.

    Raises:
        ValueError: it is not an HDF5 file, is damaged, or holds anything else.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "fashion_mnist.model_files.hdf5"],
            cwd=Path(__file__).parents[2],  # where the package is
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
            input=data,
            capture_output=True,
            timeout=MOST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"the HDF5 library takes over {MOST_SECONDS} s to read it") from None
    if done.returncode == REFUSED:
        raise ValueError(done.stderr.decode().strip())
    if done.returncode:
        raise ValueError("the HDF5 library crashes on it")
    return done.stdout


def copied(data: bytes) -> bytes:
    """What `plain` returns, but made in this process.

    Raises:
        ValueError: it holds something that is not plain.
        Exception: the bytes are damaged; the HDF5 library decides on the type.
    """
    memory = io.BytesIO()
    with h5py.File(io.BytesIO(data), "r") as source, h5py.File(memory, "w") as target:
        _Copy(len(data)).group("/", source, target)
    return memory.getvalue()


class _Copy:
    """Copies each object once, and no more bytes of arrays than the file has."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._seen: set[int] = set()

    def group(self, name: str, source: h5py.Group, target: h5py.Group) -> None:
        self._once(name, source)
        self._attributes(name, source, target)
        for inner in source:
            if "/" in inner or not isinstance(source.get(inner, getlink=True), h5py.HardLink):
                raise ValueError(f"{inner!r} in it leads elsewhere")
            found = source[inner]
            if isinstance(found, h5py.Group):
                self.group(inner, found, target.create_group(inner))
            elif isinstance(found, h5py.Dataset):
                self._dataset(inner, found, target)
            else:
                raise ValueError(f"{inner!r} in it is no group and no array")

    def _dataset(self, name: str, source: h5py.Dataset, target: h5py.Group) -> None:
        self._once(name, source)
        stored = source.id.get_create_plist()
        if stored.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT):
            raise ValueError(f"the array {name!r} in it is not stored in one piece")
        if stored.get_external_count():
            raise ValueError(f"the array {name!r} in it is stored elsewhere")
        if source.dtype.kind not in "fiub":
            raise ValueError(f"the array {name!r} in it does not hold numbers")
        self._take(name, source.shape, source.dtype.itemsize)
        self._attributes(name, source, target.create_dataset(name, data=source[()]))

    def _attributes(self, name: str, source: h5py.HLObject, target: h5py.HLObject) -> None:
        for key in source.attrs:
            attribute = source.attrs.get_id(key)
            text = h5py.check_string_dtype(attribute.dtype)
            if attribute.dtype.kind not in "fiub" and not text:
                raise ValueError(f"the attribute {key!r} of {name!r} in it is no text or number")
            self._take(key, attribute.shape, attribute.dtype.itemsize)
            target.attrs[key] = source.attrs[key]

    def _once(self, name: str, found: h5py.HLObject) -> None:
        address = h5py.h5o.get_info(found.id).addr
        if address in self._seen:
            raise ValueError(f"{name!r} in it is there under another name too")
        self._seen.add(address)

    def _take(self, name: str, shape: tuple[int, ...] | None, size: int) -> None:
        if shape is None:
            raise ValueError(f"{name!r} in it is empty")
        self._left -= math.prod(shape) * size
        if self._left < 0:
            raise ValueError(f"{name!r} in it declares a shape {shape} that the file cannot hold")


def main() -> int:
    """Copy standard input to standard output, or write to standard error why not."""
    data = sys.stdin.buffer.read()
    # Windows has no limits, and macOS takes none on memory.
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        most = MOST_MEMORY + 4 * len(data)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        clean = copied(data)
    except Exception as error:  # the library raises anything at all on damaged bytes
        print(ascii(first_sentence(error) or type(error).__name__)[1:-1], file=sys.stderr)
        return REFUSED
    sys.stdout.buffer.write(clean)
    return 0


if __name__ == "__main__":
    sys.exit(main())
