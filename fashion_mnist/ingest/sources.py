"""Where the data comes from, and that what came is what was asked for."""

import asyncio
import contextlib
import errno
import hashlib
import http.client
import os
import ssl
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fashion_mnist.errors import InputError, why
from fashion_mnist.ingest.schema import File
from fashion_mnist.running import console
from fashion_mnist.storage.files import sha256

CHUNK = 2**20
GZIP_MAGIC = b"\x1f\x8b"


class SourceError(Exception):
    """Why a source cannot give a file."""


class Patience(NamedTuple):
    """Seconds: to connect, for which a server may be silent, and for a whole file."""

    connect: float
    read: float
    file: float


PATIENCE = Patience(connect=5, read=20, file=600)


def fetch(
    sources: Sequence[str],
    files: Mapping[str, File],
    destination: Path,
    say: Callable[[str], None],
    *,
    patience: Patience = PATIENCE,
) -> None:
    """Bring all files to `destination`, uncompressed, each verified before it has its name.

    Args:
        sources: tried in order: `$NAME` (an environment variable that names a directory),
            a directory, an http(s) address under which the files stand, or
            `apt:PACKAGE` (a Debian package, downloaded and unpacked, not installed).
        files: what the uncompressed files must be, by name.
        destination: a directory; made if need be.
        say: told which source is used, and of each that is not, with the reason.
        patience: how long a source may take.

    Raises:
        InputError: no source has all files, or the destination cannot be written.
    """
    try:
        destination.mkdir(parents=True, exist_ok=True)
        for part in (_part(destination / name) for name in files):
            if part.exists():  # of a run that was killed
                part.unlink()
    except OSError as error:
        raise InputError(f"cannot write into {destination}: {why(error)}") from None
    missing = [name for name in files if not _is_there(destination / name, files[name])]
    reasons = []
    for source in sources if missing else ():
        try:
            with _opened(source, patience) as copy:
                for name in list(missing):
                    _take(copy, name, files[name], destination)
                    missing.remove(name)
        except (SourceError, OSError) as error:
            reason = why(error) if isinstance(error, OSError) else error
            reasons.append(f"{source}: {reason}")
            say(f"not from {reasons[-1]}")
        else:
            say(f"from {source}")
            return
    if missing:
        raise InputError(
            f"no source gives {', '.join(missing)} (tried {'; '.join(reasons)}): connect to the "
            "network, or put the four files of Fashion-MNIST into a directory and name it in "
            "the environment variable FASHION_MNIST_DIR"
        )
    say("all files are already there")


class _Verified:
    """Takes a file's bytes, gzipped or not, and writes the uncompressed ones.

    It never writes more than expected, so neither an endless body nor a gzip bomb can
    fill the disk.
    """

    def __init__(self, path: Path, expected: File) -> None:
        self._part = _part(path)
        self._path = path
        self._expected = expected
        self._digest = hashlib.sha256()
        self._taken = self._written = 0
        self._start = b""
        self._unzip: zlib._Decompress | None = None

    def __enter__(self) -> "_Verified":
        with self._blaming_destination():
            self._file = self._part.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # on a full disk it tries to write the rest again
            self._file.close()
        self._part.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        if self._taken < len(GZIP_MAGIC):
            self._start += chunk
            self._taken += len(chunk)
            if self._taken < len(GZIP_MAGIC):
                return
            chunk, self._taken = self._start, 0
            if chunk.startswith(GZIP_MAGIC):
                self._unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            elif chunk.lstrip().startswith(b"<"):
                raise SourceError("gives a web page in place of the file")
        self._taken += len(chunk)
        if self._taken > self._expected.bytes + CHUNK:
            raise SourceError(f"sends more than the {self._expected.bytes:,} bytes of the file")
        if self._unzip is None:
            self._keep(chunk)
            return
        while chunk and not self._unzip.eof:
            self._keep(self._unzip.decompress(chunk, CHUNK))
            chunk = self._unzip.unconsumed_tail

    def _keep(self, data: bytes) -> None:
        self._written += len(data)
        if self._written > self._expected.bytes:
            raise SourceError(f"holds more than the {self._expected.bytes:,} bytes of the file")
        self._digest.update(data)
        with self._blaming_destination():
            self._file.write(data)

    def accept(self) -> None:
        """Give the file its name, if it is the right one."""
        if self._written != self._expected.bytes:
            raise SourceError(
                f"gives {self._written:,} bytes in place of {self._expected.bytes:,}: truncated?"
            )
        if self._digest.hexdigest() != self._expected.sha256:
            raise SourceError(f"gives other bytes: SHA-256 {self._digest.hexdigest()}")
        with self._blaming_destination():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._path)

    @contextlib.contextmanager
    def _blaming_destination(self) -> Iterator[None]:
        """A full or read-only disk is no source's fault: the next would fail as well."""
        try:
            yield
        except OSError as error:
            raise InputError(f"cannot write {self._path}: {why(error)}") from None


def _part(path: Path) -> Path:
    """What a file is called until it is verified."""
    return path.with_name(f".{path.name}.part")


Copy = Callable[[str, _Verified], bool]  # False: there is no file of that name


def _take(copy: Copy, name: str, expected: File, destination: Path) -> None:
    """Get one file, under whichever of its usual names."""
    dotted = name.replace("-idx", ".idx")
    for candidate in (f"{name}.gz", name, f"{dotted}.gz", dotted):
        with _Verified(destination / name, expected) as target:
            try:
                if copy(candidate, target):
                    target.accept()
                    return
            except SourceError as error:
                raise SourceError(f"{candidate}: {error}") from None
            except zlib.error:
                raise SourceError(f"{candidate}: is damaged gzip") from None
            except OSError as error:
                raise SourceError(f"{candidate}: cannot be read: {error.strerror}") from None
    raise SourceError(f"has no {name}, gzipped or not")


@contextlib.contextmanager
def _opened(source: str, patience: Patience) -> Iterator[Copy]:
    """What copies a file from `source`."""
    if source.startswith("$"):
        folder = os.environ.get(source[1:])
        if not folder:
            raise SourceError("this environment variable is not set")
        yield _from_directory(Path(folder))
    elif source.startswith(("http://", "https://")):
        yield _from_server(source, patience)
    elif source.startswith("apt:"):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            yield _from_directory(_unpacked(source.removeprefix("apt:"), Path(folder), patience))
    else:
        # Not Path.expanduser, which raises where there is no such user.
        yield _from_directory(Path(os.path.expanduser(source)))  # noqa: PTH111


def _from_directory(folder: Path) -> Copy:
    if not folder.is_dir():
        raise SourceError(f"there is no directory {folder}")

    def copy(name: str, target: _Verified) -> bool:
        if not (folder / name).is_file():
            return False
        with (folder / name).open("rb") as file:
            while chunk := file.read(CHUNK):
                target.write(chunk)
        return True

    return copy


def _from_server(address: str, patience: Patience) -> Copy:
    # Here, because they take half a second to load.
    import aiohttp
    import certifi

    timeout = aiohttp.ClientTimeout(
        total=patience.file, connect=patience.connect, sock_read=patience.read
    )
    trusted = ssl.create_default_context()
    trusted.load_verify_locations(certifi.where())  # not every system brings its own

    async def transfer(name: str, target: _Verified) -> bool:
        async with (
            aiohttp.ClientSession(
                timeout=timeout,
                headers={"Accept-Encoding": "identity"},
                auto_decompress=False,  # gzip is recognized by its first bytes
                trust_env=True,
            ) as session,
            session.get(f"{address.rstrip('/')}/{name}", ssl=trusted) as response,
        ):
            if response.status == http.client.NOT_FOUND:
                return False
            if response.status != http.client.OK:
                meaning = http.client.responses.get(response.status, "")
                raise SourceError(f"the server answers {response.status} {meaning}".rstrip())
            with console.progress(response.content_length, name, "B", unit_scale=True) as bar:
                async for chunk in response.content.iter_any():
                    target.write(chunk)
                    bar.update(len(chunk))
        return True

    def copy(name: str, target: _Verified) -> bool:
        try:
            return asyncio.run(transfer(name, target))
        except aiohttp.ConnectionTimeoutError:
            reason = f"no connection within {patience.connect:g} s"
        except aiohttp.SocketTimeoutError:
            reason = f"the server is silent for {patience.read:g} s"
        except TimeoutError:
            reason = f"sends too slowly: over {patience.file:g} s for a file"
        except aiohttp.ClientConnectorCertificateError as error:
            objection = getattr(error.certificate_error, "verify_message", "its certificate is bad")
            reason = f"no secure connection: {objection}"
        except aiohttp.ClientSSLError:
            reason = "no secure connection"
        except aiohttp.ClientConnectorDNSError:
            reason = "no connection: the name of the server is not known"
        except aiohttp.ClientConnectorError as error:
            reason = f"no connection: {os.strerror(error.errno or errno.EHOSTUNREACH)}"
        except aiohttp.TooManyRedirects:
            reason = "the server redirects in circles"
        except aiohttp.RedirectClientError:
            reason = "the server redirects to what is no http(s) address"
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            reason = "this is no http(s) address"
        except aiohttp.ClientResponseError:
            reason = "what answers does not speak HTTP"
        except (aiohttp.ClientError, OSError):
            reason = "the transfer broke off"
        raise SourceError(reason)

    return copy


def _unpacked(package: str, folder: Path, patience: Patience) -> Path:
    """Where the data set lies in a Debian package that is downloaded into `folder`."""
    lists, cache = folder / "lists", folder / "cache"
    for private in (lists / "partial", cache / "archives" / "partial"):
        private.mkdir(parents=True)
    apt = [
        "apt-get",
        "-qq",
        *("-o", f"Dir::State::Lists={lists}"),
        *("-o", f"Dir::Cache={cache}"),
        *("-o", "APT::Sandbox::User=root"),  # apt's own user may not write to our folder
        *("-o", f"Acquire::http::Timeout={patience.connect:.0f}"),
        *("-o", "Acquire::Retries=1"),
    ]
    for command in ([*apt, "update"], [*apt, "download", package]):
        _run(command, folder, patience)
    archive = next(folder.glob("*.deb"), None)
    if archive is None:
        raise SourceError(f"apt-get brings no package {package}")
    _run(["dpkg-deb", "-x", str(archive), "unpacked"], folder, patience)
    found = next((folder / "unpacked").rglob("*-ubyte*"), None)
    if found is None:
        raise SourceError(f"the package {package} holds no IDX files")
    return found.parent


def _run(command: list[str], folder: Path, patience: Patience) -> None:
    try:
        subprocess.run(
            command,
            cwd=folder,
            check=True,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=patience.file,
        )
    except FileNotFoundError:
        raise SourceError(f"there is no {command[0]} on this machine") from None
    except OSError as error:
        raise SourceError(f"{command[0]} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise SourceError(f"{command[0]} takes over {patience.file:g} s") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.splitlines()
        said = [line for line in lines if line.startswith(("E:", "dpkg-deb: error:"))]
        raise SourceError(said[0] if said else f"{command[0]} fails") from None


def _is_there(path: Path, expected: File) -> bool:
    """Whether the verified file is already in its place."""
    try:
        return (
            path.is_file()
            and path.stat().st_size == expected.bytes
            and sha256(path) == expected.sha256
        )
    except OSError:
        return False
