"""Unpack an archive of any origin: only files, only below one folder, and not without end."""

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import IO

from fashion_mnist.errors import first_sentence
from fashion_mnist.ingest.downloads import CHUNK, Progress

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MOST_GROWTH = 100  # times the archive's size: pictures hardly shrink ...
LEAST_ALLOWED = 2**30  # ... and a small archive may grow to so many bytes

Member = tuple[str, AbstractContextManager[IO[bytes]] | None]  # None: a folder


class ArchiveError(Exception):
    """Why an archive cannot be unpacked."""


def is_archive(name: str) -> bool:
    """Whether it is an archive, by its name."""
    return name.lower().endswith(SUFFIXES)


def unpack(archive: Path, destination: Path, progress: Progress) -> None:
    """Put the archive's files below `destination`.

    Raises:
        ArchiveError: it is damaged, would write elsewhere, or holds too much.
        OSError: a file cannot be written.
    """
    left = max(LEAST_ALLOWED, MOST_GROWTH * archive.stat().st_size)
    try:
        with progress(None, f"unpack {archive.name}") as bar:
            for name, opened in _members(archive):
                path = destination.joinpath(*_parts(name))
                if opened is None:
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                with opened as source, path.open("wb") as file:
                    while chunk := source.read(CHUNK):
                        left -= len(chunk)
                        if left < 0:
                            raise ArchiveError(
                                f"unpacks to more than {MOST_GROWTH} times its size: refused"
                            )
                        file.write(chunk)
                        if bar is not None:
                            bar.update(len(chunk))
    except (ArchiveError, MemoryError):
        raise
    except OSError as error:
        if error.errno is None:  # tarfile's and zlib's own
            raise ArchiveError(f"is damaged: {first_sentence(error)}") from None
        raise
    except Exception as error:  # zipfile and tarfile raise many kinds of errors
        reason = first_sentence(error) or type(error).__name__
        raise ArchiveError(f"is damaged or no archive: {reason}") from None


def _parts(name: str) -> tuple[str, ...]:
    """The folders and the file in a member's name, which must not lead elsewhere."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name[1:2] or "\0" in name:
        raise ArchiveError(f"holds {name!a}, which would be written elsewhere: refused")
    return path.parts


def _members(archive: Path) -> Iterator[Member]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for each in zipped.infolist():
                if stat.S_ISLNK(each.external_attr >> 16):
                    raise ArchiveError(f"holds {each.filename!a}, a link: refused")
                yield each.filename, None if each.is_dir() else zipped.open(each)
        return
    with tarfile.open(archive) as file:
        for member in file:
            if member.isdir():
                yield member.name, None
            elif member.isreg():
                found = file.extractfile(member)
                assert found is not None  # noqa: S101 - it is a file
                yield member.name, found
            else:
                raise ArchiveError(f"holds {member.name!a}, a link or a device: refused")


def copy(source: Path, destination: Path, progress: Progress) -> None:
    """Copy a folder, except what is hidden; links are followed.

    Raises:
        ArchiveError: a link leads nowhere, or to a folder that it lies in.
        OSError: a file cannot be read or written.
    """
    with progress(None, f"copy {source.name}") as bar:
        waiting = [(source, destination, [source.resolve()])]
        while waiting:
            folder, target, above = waiting.pop()
            target.mkdir(parents=True, exist_ok=True)
            for path in sorted(folder.iterdir()):
                if path.name.startswith("."):
                    continue
                if path.is_dir():
                    real = path.resolve()
                    if real in above:
                        raise ArchiveError(f"holds {path}, a link to a folder that it lies in")
                    waiting.append((path, target / path.name, [*above, real]))
                elif path.is_file():
                    shutil.copyfile(path, target / path.name)
                    if bar is not None:
                        bar.update(path.stat().st_size)
                elif path.is_symlink():
                    raise ArchiveError(f"holds {path}, a link to nothing: remove it")
