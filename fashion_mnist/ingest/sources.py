"""Get the data set from the first source that has it, and verify every file."""

import contextlib
import hashlib
import os
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fashion_mnist.errors import InputError
from fashion_mnist.ingest import downloads
from fashion_mnist.ingest.downloads import CHUNK, PATIENCE, DownloadError, Patience, Progress
from fashion_mnist.ingest.schema import Fetch, File
from fashion_mnist.storage import files

GZIP_MAGIC = b"\x1f\x8b"
GZIP_WINDOW = zlib.MAX_WBITS | 16

# Reads a file by its name, at most so many bytes of it; None if there is no such file.
Read = Callable[[str, int], bytes | None]


class SourceError(Exception):
    """Why a source cannot give a file."""


def fetch(
    wanted: Fetch,
    destination: Path,
    say: Callable[[str], None],
    *,
    progress: Progress = lambda *_: contextlib.nullcontext(),
    patience: Patience = PATIENCE,
) -> None:
    """Put all files into `destination`, uncompressed and verified.

    Args:
        wanted: the files, and the sources to try in order: a directory, an environment
            variable that names one (`$NAME`), the http(s) address of one, or a Debian
            package, which is unpacked but not installed (`apt:PACKAGE`).
        destination: a directory; created if necessary.
        say: gets one line for the source that is used and one for each that fails.
        progress: makes a download's progress bar.
        patience: how long a source may take.

    Raises:
        InputError: no source has all files.
        OSError: a file cannot be written.
    """
    missing = {
        name: expected
        for name, expected in wanted.files.items()
        if not (path := destination / name).is_file() or files.sha256(path) != expected.sha256
    }
    if not missing:
        say("all files are already there")
        return
    failures = []
    for source in wanted.sources:
        try:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
                read = _reader(source, Path(scratch), progress, patience)
                for name, expected in list(missing.items()):
                    files.write(destination / name, _verified(read, name, expected))
                    del missing[name]
        except SourceError as error:
            failures.append(f"{source}: {error}")
            say(f"not from {failures[-1]}")
        else:
            say(f"from {source}")
            return
    raise InputError(
        f"no source gives {', '.join(missing)} (tried {'; '.join(failures)}): connect to the "
        "network, or put the four files of Fashion-MNIST into a directory and name it in the "
        "environment variable FASHION_MNIST_DIR"
    )


def _verified(read: Read, name: str, expected: File) -> bytes:
    """Return the content of a file that may be gzipped and have any of its usual names."""
    dotted = name.replace("-idx", ".idx")
    for candidate in (f"{name}.gz", name, f"{dotted}.gz", dotted):
        try:
            data = read(candidate, expected.bytes + CHUNK)
            if data is not None:
                return _uncompressed(data, expected)
        except SourceError as error:
            raise SourceError(f"{candidate}: {error}") from None
    raise SourceError(f"has no {name}, gzipped or not")


def _uncompressed(data: bytes, expected: File) -> bytes:
    if data.startswith(GZIP_MAGIC):
        try:
            # At most a byte more than expected: a gzip bomb may hold gigabytes.
            data = zlib.decompressobj(GZIP_WINDOW).decompress(data, expected.bytes + 1)
        except zlib.error:
            raise SourceError("is damaged gzip") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest == expected.sha256:
        return data
    if data.lstrip().startswith(b"<"):
        raise SourceError("is a web page instead of the file")
    if len(data) > expected.bytes:
        raise SourceError(f"is larger than {expected.bytes:,} bytes")
    if len(data) < expected.bytes:
        raise SourceError(f"is truncated: {len(data):,} of {expected.bytes:,} bytes")
    raise SourceError(f"is another file: its SHA-256 is {digest}")


def _reader(source: str, scratch: Path, progress: Progress, patience: Patience) -> Read:
    """Return what reads the files of `source`."""
    if source.startswith(("http://", "https://")):
        return partial(_download, source.rstrip("/"), progress, patience)
    if source.startswith("apt:"):
        return partial(_read, _unpacked(source.removeprefix("apt:"), scratch, patience))
    # Not pathlib, which raises errors: no such user, no right to look.
    folder = os.path.expandvars(os.path.expanduser(source))  # noqa: PTH111
    if folder.startswith("$"):
        raise SourceError("this environment variable is not set")
    if not os.path.isdir(folder):  # noqa: PTH112
        raise SourceError(f"there is no directory {folder}")
    return partial(_read, Path(folder))


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
    except DownloadError as error:
        raise SourceError(str(error)) from None


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
    found = next((scratch / "unpacked").rglob("*-ubyte*"), None)
    if found is None:
        raise SourceError(f"the package {package} holds no IDX files")
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
