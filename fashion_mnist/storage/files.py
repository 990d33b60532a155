"""Write files whole or not at all."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def write(path: str | Path, data: bytes) -> None:
    """Write `data` to the file `path`, as `writing` does."""
    with writing(path) as file:
        file.write(data)


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """Gives a file that becomes `path` at the end; its folder is created if necessary.

    The data reaches the disk under a temporary name first, so whoever opens `path`
    finds the old content or the new one, never a part of it.

    Raises:
        OSError: the file cannot be written; its old content is still there.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        error.filename = str(path)  # the user does not know the temporary name
        raise
    finally:
        with contextlib.suppress(OSError):  # of a disk that can only be read
            part.unlink(missing_ok=True)


def sha256(path: str | Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
