"""Get a data set from the first source that has it, and verify it."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fashion_mnist.errors import InputError
from fashion_mnist.ingest import downloads, unpacking
from fashion_mnist.ingest.downloads import (
    CHUNK,
    PATIENCE,
    DownloadError,
    Patience,
    Progress,
    StatusError,
)
from fashion_mnist.ingest.schema import DataSet, File
from fashion_mnist.ingest.unpacking import ArchiveError
from fashion_mnist.storage import files

GZIP_MAGIC = b"\x1f\x8b"
IDX_MAGIC = b"\0\0"
ADDRESSES = ("http://", "https://")
GZIP_WINDOW = zlib.MAX_WBITS | 16
LARGEST_IDX = 2**31  # bytes of a file whose size is not given
SCRATCH = ".fetch-"  # begins the name of the folder where a source is unpacked
LARGEST = 2**40  # of an archive
LONGER = 36  # times as long as an IDX file, an archive may take

# Reads a file by its name, at most so many bytes of it; None if there is no such file.
Read = Callable[[str, int], bytes | None]


class SourceError(Exception):
    """Why a source cannot give a file."""


class UnreachableError(SourceError):
    """Why a source cannot give any file."""


def fetch(
    wanted: DataSet,
    destination: Path,
    say: Callable[[str], None],
    *,
    progress: Progress = lambda *_: contextlib.nullcontext(),
    patience: Patience = PATIENCE,
) -> None:
    """Put the data set's files into `destination`, uncompressed and verified, and no others.

    Args:
        wanted: the data set, with the sources to try in order: a directory, an environment
            variable that names one (`$NAME`), an archive, the http(s) address of either, or for
            IDX files a Debian package, which is unpacked but not installed (`apt:PACKAGE`).
        destination: a directory of its own; created if necessary.
        say: gets one line for the source that is used and one for each that fails.
        progress: makes a download's progress bar.
        patience: how long a source may take.

    Raises:
        InputError: no source has all files.
        OSError: a file cannot be written.
    """
    if wanted.format == "idx":
        _fetch_files(wanted, destination, say, progress, patience)
        return
    destination.parent.mkdir(parents=True, exist_ok=True)
    for left in destination.parent.glob(f"{SCRATCH}*"):  # by a run that was killed
        shutil.rmtree(left, ignore_errors=True)

    def take(source: str, scratch: Path) -> None:
        folder = scratch / "whole"
        _take_whole(wanted, source, scratch, folder, progress, patience)
        shutil.rmtree(destination, ignore_errors=True)
        folder.replace(destination)

    # Beside the destination, so that what is complete can take its place.
    _first(wanted, take, say, "a data set", destination.parent)


def _fetch_files(
    wanted: DataSet,
    destination: Path,
    say: Callable[[str], None],
    progress: Progress,
    patience: Patience,
) -> None:
    missing = {
        name: expected
        for name, expected in wanted.files.items()
        if not (path := destination / name).is_file() or files.sha256(path) != expected.sha256
    }

    def take(source: str, scratch: Path) -> None:
        read = _reader(source, scratch, progress, patience)
        for name, expected in list(missing.items()):
            files.write(destination / name, _verified(read, name, expected))
            del missing[name]

    if missing:
        _first(wanted, take, say, ", ".join(missing))
    else:
        say("all files are already there")
    for path in destination.iterdir():
        if path.name not in wanted.files:  # another data set's
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _first(
    wanted: DataSet,
    take: Callable[[str, Path], None],
    say: Callable[[str], None],
    what: str,
    beside: Path | None = None,
) -> None:
    """Take it from the first source that gives it.

    Raises:
        InputError: none does.
    """
    failures = []
    for source in wanted.sources:
        try:
            with tempfile.TemporaryDirectory(
                prefix=SCRATCH, dir=beside, ignore_cleanup_errors=True
            ) as scratch:
                take(source, Path(scratch))
        except (SourceError, ArchiveError) as error:
            failures.append(f"{source}: {error}")
            say(f"not from {failures[-1]}")
        else:
            say(f"from {source}")
            return
    variable = next((each[1:] for each in wanted.sources if each.startswith("$")), None)
    place = f"the environment variable {variable}" if variable else "`sources`"
    raise InputError(
        f"no source gives {what} (tried {'; '.join(failures)}): connect to the network, or put "
        f"the data into a directory and name it in {place}"
    )


def _take_whole(
    wanted: DataSet,
    source: str,
    scratch: Path,
    folder: Path,
    progress: Progress,
    patience: Patience,
) -> None:
    """Put all that a source holds into `folder`, unpacked.

    Raises:
        SourceError, ArchiveError: it cannot give that.
    """
    if source.startswith("apt:"):
        raise SourceError("a package is a source of IDX files only")
    path = _at_hand(source, scratch, progress, patience)
    is_npz = wanted.format == "npz"
    if path.is_dir():
        if wanted.sha256 or wanted.bytes:
            raise SourceError("is a folder: `bytes` and `sha256` are those of one file")
        if is_npz:
            path = next(iter(sorted(path.glob("*.npz"))), path / "*.npz")
        else:
            unpacking.copy(path, folder, progress)
            return
    if not path.is_file():
        raise SourceError(f"there is no {path}")
    _check(path, wanted)
    if is_npz:
        folder.mkdir()
        shutil.copyfile(path, folder / path.with_suffix(".npz").name)
    else:
        unpacking.unpack(path, folder, progress)


def _at_hand(source: str, scratch: Path, progress: Progress, patience: Patience) -> Path:
    """Where a folder or a file is on this machine, downloaded if necessary."""
    if not source.startswith(ADDRESSES):
        return Path(_expanded(source))
    path = scratch / (_name(source) or "data")
    try:
        with path.open("wb") as file:
            longer = patience._replace(file=LONGER * patience.file)
            if not downloads.save(source, file, LARGEST, progress, longer):
                raise SourceError("the server has no such file")
    except DownloadError as error:
        raise SourceError(str(error)) from None
    return path


def _name(source: str) -> str:
    """The last part of a path or an address."""
    return source.rstrip("/").rpartition("/")[2].partition("?")[0]


def _check(path: Path, expected: File) -> None:
    """Compare a file with what it must be."""
    size = path.stat().st_size
    if expected.bytes and size != expected.bytes:
        raise SourceError(f"has {size:,} bytes instead of {expected.bytes:,}")
    if expected.sha256 and (digest := files.sha256(path)) != expected.sha256:
        raise SourceError(f"is another file: its SHA-256 is {digest}")


def _verified(read: Read, name: str, expected: File) -> bytes:
    """Return the content of a file that may be gzipped and have any of its usual names."""
    dotted = name.replace("-idx", ".idx")
    failures = []
    for candidate in (f"{name}.gz", name, f"{dotted}.gz", dotted):
        try:
            data = read(candidate, (expected.bytes or LARGEST_IDX) + CHUNK)
            if data is not None:
                return _uncompressed(data, expected)
        except SourceError as error:  # some servers have other errors for a missing file
            failures.append(f"{candidate}: {error}")
            if isinstance(error, UnreachableError):
                break
    raise SourceError(failures[0] if failures else f"has no {name}, gzipped or not")


def _uncompressed(data: bytes, expected: File) -> bytes:
    if data.startswith(GZIP_MAGIC):
        try:
            # At most a byte more than expected: a gzip bomb may hold gigabytes.
            most = (expected.bytes or LARGEST_IDX) + 1
            data = zlib.decompressobj(GZIP_WINDOW).decompress(data, most)
        except zlib.error:
            raise SourceError("is damaged gzip") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest == expected.sha256:
        return data
    is_likely = data.startswith(IDX_MAGIC) and len(data) == (expected.bytes or len(data))
    if is_likely and expected.sha256 is None:
        return data
    if data.lstrip().startswith(b"<"):
        raise SourceError("is a web page instead of the file")
    if expected.sha256 is None and not expected.bytes:
        raise SourceError("is no IDX file")
    if expected.bytes and len(data) > expected.bytes:
        raise SourceError(f"is larger than {expected.bytes:,} bytes")
    if expected.bytes and len(data) < expected.bytes:
        raise SourceError(f"is truncated: {len(data):,} of {expected.bytes:,} bytes")
    raise SourceError(f"is another file: its SHA-256 is {digest}")


def _reader(source: str, scratch: Path, progress: Progress, patience: Patience) -> Read:
    """Return what reads the files of `source`."""
    if unpacking.is_archive(_name(source)):
        archive = _at_hand(source, scratch, progress, patience)
        if not archive.is_file():
            raise SourceError(f"there is no {archive}")
        unpacking.unpack(archive, scratch / "unpacked", progress)
        return partial(_read, _folder_of_idx_files(scratch / "unpacked", "the archive"))
    if source.startswith(ADDRESSES):
        return partial(_download, source.rstrip("/"), progress, patience)
    if source.startswith("apt:"):
        return partial(_read, _unpacked(source.removeprefix("apt:"), scratch, patience))
    folder = _expanded(source)
    if not os.path.isdir(folder):  # noqa: PTH112
        raise SourceError(f"there is no directory {folder}")
    return partial(_read, Path(folder))


def _expanded(source: str) -> str:
    """The path that a source names."""
    # Not pathlib, which raises errors: no such user, no right to look.
    path = os.path.expandvars(os.path.expanduser(source))  # noqa: PTH111
    if path.startswith("$"):
        raise SourceError("this environment variable is not set")
    return path


def _read(folder: Path, name: str, limit: int) -> bytes | None:
    try:
        if not (folder / name).is_file():
            return None
        with (folder / name).open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}") from None


def _download(
    address: str, progress: Progress, patience: Patience, name: str, limit: int
) -> bytes | None:
    try:
        return downloads.get(f"{address}/{name}", limit, progress, patience)
    except StatusError as error:
        raise SourceError(str(error)) from None
    except DownloadError as error:
        raise UnreachableError(str(error)) from None


def _unpacked(package: str, scratch: Path, patience: Patience) -> Path:
    """Download and unpack a Debian package; return the directory of the data set in it."""
    lists, cache = scratch / "lists", scratch / "cache"
    for private in (lists / "partial", cache / "archives" / "partial"):
        private.mkdir(parents=True)
    options = {
        "Dir::State::Lists": lists,
        "Dir::Cache": cache,
        "APT::Sandbox::User": "root",  # apt's own user may not write to our directory
        "Acquire::http::Timeout": f"{patience.connect:.0f}",
        "Acquire::Retries": 1,
    }
    apt = ["apt-get", "-qq", *(f"-o{option}={value}" for option, value in options.items())]
    _run([*apt, "update"], scratch, patience)
    _run([*apt, "download", package], scratch, patience)
    _run(["dpkg-deb", "-x", *map(str, scratch.glob("*.deb")), "unpacked"], scratch, patience)
    return _folder_of_idx_files(scratch / "unpacked", f"the package {package}")


def _folder_of_idx_files(folder: Path, what: str) -> Path:
    found = next(iter(sorted(folder.rglob("*-ubyte*"))), None)
    if found is None:
        raise SourceError(f"{what} holds no IDX files")
    return found.parent


def _run(command: list[str], folder: Path, patience: Patience) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, errors="replace", timeout=patience.file
        )
    except OSError as error:
        raise SourceError(f"{command[0]} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise SourceError(f"{command[0]} takes longer than {patience.file:g} s") from None
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "E:" in line or "error:" in line]
        raise SourceError(errors[0] if errors else f"{command[0]} fails")
