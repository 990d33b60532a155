"""Where the data comes from, and that what came is what was asked for."""

import contextlib
import hashlib
import os
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic

from fashion_mnist.errors import InputError, first_sentence, why
from fashion_mnist.files import sha256
from fashion_mnist.params import File

CONNECT_SECONDS, READ_SECONDS, FILE_SECONDS = 5.0, 20.0, 600.0
CHUNK = 2**20
GZIP_MAGIC = b"\x1f\x8b"


class SourceError(Exception):
    """Why a source cannot give a file."""


def fetch(
    sources: Sequence[str],
    files: Mapping[str, File],
    destination: Path,
    say: Callable[[str], None],
    *,
    progress: bool = False,
    connect_seconds: float = CONNECT_SECONDS,
    read_seconds: float = READ_SECONDS,
) -> None:
    """Bring all files to `destination`, uncompressed, each verified before it has its name.

    Args:
        sources: tried in order: `$NAME` (an environment variable that names a directory),
            a directory, an http(s) address under which the files stand, or
            `apt:PACKAGE` (a Debian package, downloaded and unpacked, not installed).
        files: what the uncompressed files must be, by name.
        destination: a directory; made if need be.
        say: told which source is used, and of each that is not, with the reason.
        progress: whether downloads draw a bar.
        connect_seconds, read_seconds: how long a server may be silent.

    Raises:
        InputError: no source has all files, or the destination cannot be written.
    """
    try:
        destination.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make {destination}: {why(error)}") from None
    missing = [name for name in files if not _is_there(destination / name, files[name])]
    reasons = []
    for source in sources if missing else ():
        try:
            with _opened(source, progress, (connect_seconds, read_seconds)) as copy:
                for name in list(missing):
                    _take(copy, name, files[name], destination)
                    missing.remove(name)
        except SourceError as error:
            reasons.append(f"{source}: {error}")
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
        self._part = path.with_name(f".{path.name}.part")
        self._path = path
        self._expected = expected
        self._digest = hashlib.sha256()
        self._taken = self._written = 0
        self._start = b""
        self._unzip: zlib._Decompress | None = None
        self._deadline = monotonic() + FILE_SECONDS

    def __enter__(self) -> "_Verified":
        with self._blaming_destination():
            self._file = self._part.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        if monotonic() > self._deadline:
            raise SourceError(f"sends too slowly: over {FILE_SECONDS:.0f} s for a file")
        if self._taken < len(GZIP_MAGIC):
            self._start += chunk
            self._taken += len(chunk)
            if self._taken < len(GZIP_MAGIC):
                return
            chunk, self._taken = self._start, 0
            if chunk.startswith(GZIP_MAGIC):
                self._unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self._taken += len(chunk)
        if self._taken > self._expected.bytes + CHUNK:
            raise SourceError(f"sends more than the {self._expected.bytes:,} bytes of the file")
        if self._unzip is None:
            self._keep(chunk)
            return
        while chunk and not self._unzip.eof:
            self._keep(self._unzip.decompress(chunk, CHUNK))
            chunk = self._unzip.unconsumed_tail

    def flush(self) -> None:
        """For pooch, which flushes after every chunk; the file is flushed once, at its end."""

    def _keep(self, data: bytes) -> None:
        self._written += len(data)
        if self._written > self._expected.bytes:
            raise SourceError(f"holds more than the {self._expected.bytes:,} bytes of the file")
        self._digest.update(data)
        with self._blaming_destination():
            self._file.write(data)

    def accept(self) -> None:
        """Give the file its name, if it is the right one."""
        if self._start.lstrip()[:1] == b"<":
            raise SourceError("gives a web page in place of the file")
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
    raise SourceError(f"has no {name}, gzipped or not")


@contextlib.contextmanager
def _opened(source: str, progress: bool, timeout: tuple[float, float]) -> Iterator[Copy]:
    """What copies a file from `source`."""
    if source.startswith("$"):
        folder = os.environ.get(source[1:])
        if not folder:
            raise SourceError("this environment variable is not set")
        yield _from_directory(Path(folder))
    elif source.startswith(("http://", "https://")):
        yield _from_server(source, progress, timeout)
    elif source.startswith("apt:"):
        with tempfile.TemporaryDirectory() as folder:
            yield _from_directory(_unpacked(source.removeprefix("apt:"), Path(folder)))
    else:
        yield _from_directory(Path(source).expanduser())


def _from_directory(folder: Path) -> Copy:
    if not folder.is_dir():
        raise SourceError(f"there is no directory {folder}")

    def copy(name: str, target: _Verified) -> bool:
        if not (folder / name).is_file():
            return False
        try:
            with (folder / name).open("rb") as file:
                while chunk := file.read(CHUNK):
                    target.write(chunk)
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror}") from None
        return True

    return copy


def _from_server(address: str, progress: bool, timeout: tuple[float, float]) -> Copy:
    # Here, because they take a quarter of a second to load.
    import pooch
    import requests

    download = pooch.HTTPDownloader(progressbar=progress, timeout=timeout, chunk_size=CHUNK // 8)

    def copy(name: str, target: _Verified) -> bool:
        try:
            download(f"{address.rstrip('/')}/{name}", target, None)
        except requests.HTTPError as error:
            if str(error).startswith("404"):
                return False
            raise SourceError(f"the server answers {str(error).partition(' for url')[0]}") from None
        except requests.ConnectTimeout:
            raise SourceError(f"no connection within {timeout[0]:g} s") from None
        except requests.Timeout:
            raise SourceError(f"the server is silent for {timeout[1]:g} s") from None
        except requests.exceptions.SSLError:
            raise SourceError("no secure connection: its certificate is not valid") from None
        except requests.TooManyRedirects:
            raise SourceError("the server redirects in circles") from None
        except requests.ConnectionError as error:
            silent = "timed out" in str(error)
            reason = f"the server is silent for {timeout[1]:g} s" if silent else "no connection"
            raise SourceError(reason) from None
        except requests.RequestException as error:
            raise SourceError(f"the transfer broke off: {first_sentence(error)[:120]}") from None
        return True

    return copy


def _unpacked(package: str, folder: Path) -> Path:
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
        *("-o", f"Acquire::http::Timeout={CONNECT_SECONDS:.0f}"),
        *("-o", "Acquire::Retries=1"),
    ]
    for command in ([*apt, "update"], [*apt, "download", package]):
        _run(command, folder)
    archive = next(folder.glob("*.deb"), None)
    if archive is None:
        raise SourceError(f"apt-get brings no package {package}")
    _run(["dpkg-deb", "-x", str(archive), "unpacked"], folder)
    found = next((folder / "unpacked").rglob("*-ubyte*"), None)
    if found is None:
        raise SourceError(f"the package {package} holds no IDX files")
    return found.parent


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=FILE_SECONDS
        )
    except FileNotFoundError:
        raise SourceError(f"there is no {command[0]} on this machine") from None
    except subprocess.TimeoutExpired:
        raise SourceError(f"{command[0]} takes over {FILE_SECONDS:.0f} s") from None
    except subprocess.CalledProcessError as error:
        said = [line for line in error.stderr.splitlines() if line.startswith("E:")]
        raise SourceError(said[0] if said else f"{command[0]} fails") from None


def _is_there(path: Path, expected: File) -> bool:
    """Whether the verified file is already in its place."""
    if not path.is_file() or path.stat().st_size != expected.bytes:
        return False
    return sha256(path) == expected.sha256
