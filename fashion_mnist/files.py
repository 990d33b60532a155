"""A file is written whole or not at all."""

import hashlib
import os
from pathlib import Path


def write(path: str | Path, data: bytes) -> None:
    """Put `data` into the file `path`, in a folder that is made if need be.

    Raises:
        OSError: it cannot be written, for want of room or of rights; what was there stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
