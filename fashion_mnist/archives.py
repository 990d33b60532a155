"""Zip archives whose members stand in them as they are: none is larger than the file."""

import os
import zipfile
from pathlib import Path

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
