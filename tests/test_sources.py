"""Fetching, from real servers, folders and packages, good ones and every kind of bad one."""

import contextlib
import gzip
import hashlib
import http.server
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from fashion_mnist.errors import InputError
from fashion_mnist.ingest import sources
from fashion_mnist.running import params
from tests.conftest import ROOT

NAME = "train-labels-idx1-ubyte"
BODY = bytes(range(256)) * 40
EXPECTED = {NAME: params.File(bytes=len(BODY), sha256=hashlib.sha256(BODY).hexdigest())}
PATIENCE = sources.Patience(connect=0.5, read=0.5, file=1.5)
HANG = 3  # seconds, longer than any patience
BOMB = gzip.compress(bytes(50_000_000))
DAMAGED = gzip.compress(BODY)[:50] + bytes(9) + gzip.compress(BODY)[59:]
FLIPPED = BODY[:50] + bytes([BODY[50] ^ 1]) + BODY[51:]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this")
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
DEBIAN = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no Debian, no Ubuntu")
Request = http.server.BaseHTTPRequestHandler
Answer = Callable[[Request], None]


def head(request: Request, *headers: tuple[str, object], status: int = 200) -> None:
    request.send_response(status)
    for name, value in headers:
        request.send_header(name, str(value))
    request.end_headers()


def body(data: bytes, status: int = 200, *headers: tuple[str, object]) -> Answer:
    def answer(request: Request) -> None:
        head(request, ("Content-Length", len(data)), *headers, status=status)
        request.wfile.write(data)

    return answer


def breaks_off(request: Request) -> None:
    head(request, ("Content-Length", len(BODY) + 100))
    request.wfile.write(BODY)


def endless(start: bytes = b"") -> Answer:
    def answer(request: Request) -> None:
        head(request)
        request.wfile.write(start)
        for _ in range(10_000):
            request.wfile.write(bytes(100_000))

    return answer


def silent(_: Request) -> None:
    time.sleep(HANG)


def stalling(request: Request) -> None:
    head(request, ("Content-Length", len(BODY)))
    request.wfile.write(BODY[:100])
    time.sleep(HANG)


def dripping(start: bytes) -> Answer:
    """A byte now and then, so that the server is never silent for long."""

    def answer(request: Request) -> None:
        request.wfile.write(start)
        for _ in BODY:
            request.wfile.write(b"x")
            time.sleep(0.05)

    return answer


def redirecting(location: str) -> Answer:
    return body(b"", 302, ("Location", location))


def redirecting_at_length(request: Request) -> None:
    head(request, ("Location", f"/data/there/{NAME}"), status=302)
    for _ in range(10_000):
        request.wfile.write(bytes(100_000))


def raw(data: bytes) -> Answer:
    return lambda request: request.wfile.write(data)  # type: ignore[return-value]


class Place:
    """Where sources are set up."""

    def __init__(self, folder: Path, environment: pytest.MonkeyPatch) -> None:
        self.path = folder
        self.environment = environment
        self._open = contextlib.ExitStack()

    def close(self) -> None:
        self._open.close()

    def server(
        self, answers: dict[str, Answer] | Answer, certificate: trustme.LeafCert | None = None
    ) -> str:
        """A server on loopback that answers each file name as told, and 404 otherwise."""
        if not isinstance(answers, dict):
            answers = {f"{NAME}.gz": answers}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                # A client that has seen enough hangs up.
                with contextlib.suppress(OSError):
                    answers.get(self.path.removeprefix("/data/"), body(b"none", 404))(self)

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self._open.callback(server.server_close)
        self._open.callback(server.shutdown)
        return f"http{'s' * bool(certificate)}://127.0.0.1:{server.server_port}/data"

    def busy_port(self) -> str:
        """Takes no more connections, and refuses none."""
        listener = self._open.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = self._open.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    def authority(self) -> trustme.CA:
        """Issues certificates that this machine trusts."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.path / "authority.pem"))
        self.environment.setenv("SSL_CERT_FILE", str(self.path / "authority.pem"))
        return authority

    def folder(self, content: bytes | Callable[[Path], object], name: str = NAME) -> str:
        """A folder whose one file has this content, or is made by a function."""
        folder = self.path / "folder"
        folder.mkdir()
        if callable(content):
            content(folder / name)
        else:
            (folder / name).write_bytes(content)
        return str(folder)

    def package(self, script: str, mode: int = 0o755) -> str:
        """A Debian package that a shell script in place of apt-get brings into its folder."""
        programs = self.path / "programs"
        programs.mkdir()
        apt = programs / "apt-get"
        apt.write_text(f"#!/bin/sh\ncase $* in *update) exit;; esac\n{script}\n")
        apt.chmod(mode)
        for name in ("dpkg-deb", "tar", "cp", "sleep"):
            if found := shutil.which(name):
                (programs / name).symlink_to(found)
        self.environment.setenv("PATH", str(programs))
        return "apt:data"

    def deb(self, files: dict[str, bytes]) -> Path:
        """A package that holds these files."""
        root = self.path / "package"
        for name, data in (files | {"DEBIAN/control": CONTROL}).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
        root.chmod(0o755)
        subprocess.run(
            ["dpkg-deb", "--build", "-Zgzip", "package", "data.deb"],
            cwd=self.path,
            check=True,
            capture_output=True,
        )
        return self.path / "data.deb"


CONTROL = b"""Package: data
Version: 1
Architecture: all
Maintainer: Test <test@example.invalid>
Description: test
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    (tmp_path / "place").mkdir()
    place = Place(tmp_path / "place", monkeypatch)
    yield place
    place.close()


@contextlib.contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Who writes a byte more into any file is told that the file is too large."""
    if os.name == "nt":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fetch(destination: Path, *places: str, room: int = len(BODY)) -> list[str]:
    """Fetch the one file, with not a byte more room than it needs; what was said.

    Whenever a source is given up, there must be nothing of what it gave.
    """
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("not from "):
            assert list(destination.iterdir()) == []

    with no_file_above(room):
        sources.fetch(places, EXPECTED, destination, say, patience=PATIENCE)
    return said


GOOD = {
    "gzipped": lambda place: place.server({f"{NAME}.gz": body(gzip.compress(BODY))}),
    "plain": lambda place: place.server({NAME: body(BODY)}),
    "gzipped in name only": lambda place: place.server({f"{NAME}.gz": body(BODY)}),
    "dotted": lambda place: place.server(
        {f"{NAME.replace('-idx', '.idx')}.gz": body(gzip.compress(BODY))}
    ),
    "gzipped on the way": lambda place: place.server(
        {NAME: body(gzip.compress(BODY), 200, ("Content-Encoding", "gzip"))}
    ),
    "redirected": lambda place: place.server(
        {NAME: redirecting(f"/data/there/{NAME}"), f"there/{NAME}": body(BODY)}
    ),
    "redirected with an endless body": lambda place: place.server(
        {NAME: redirecting_at_length, f"there/{NAME}": body(BODY)}
    ),
    "secure": lambda place: place.server(
        {NAME: body(BODY)}, place.authority().issue_cert("127.0.0.1")
    ),
    "folder": lambda place: place.folder(BODY),
    "gzipped in a folder": lambda place: place.folder(gzip.compress(BODY), f"{NAME}.gz"),
    "package": pytest.param(
        lambda place: place.package(f"cp {place.deb({f'usr/share/{NAME}': BODY})} ."),
        marks=DEBIAN,
    ),
}


class Fault(NamedTuple):
    """A source that cannot give the file, and what is said of it."""

    source: Callable[[Place], str]
    said: str
    only: pytest.MarkDecorator | None = None


def answer(answer: Answer) -> Callable[[Place], str]:
    return lambda place: place.server(answer)


def folder(content: bytes | Callable[[Path], object], name: str = NAME) -> Callable[[Place], str]:
    return lambda place: place.folder(content, name)


def package(script: str) -> Callable[[Place], str]:
    return lambda place: place.package(script)


def certified(*names: str, **options: datetime) -> Callable[[Place], str]:
    return lambda place: place.server({}, place.authority().issue_cert(*names, **options))


TOO_MUCH = "more than the 10,240 bytes of the file"
OTHER = "gives other bytes: SHA-256 "
NONE = f"has no {NAME}, gzipped or not"
SILENT = "the server is silent for 0.5 s"
SLOW = "sends too slowly: over 1.5 s for a file"
BACK_THEN = {
    "not_before": datetime(1999, 1, 1, tzinfo=UTC),
    "not_after": datetime(2000, 1, 1, tzinfo=UTC),
}

FAULTS = {
    # no connection,
    "refused": Fault(lambda _: "http://127.0.0.1:9", "no connection: "),
    "unknown name": Fault(lambda _: "http://name.invalid", "no connection: the name of the server"),
    "no address": Fault(lambda _: "http://[", "this is no http(s) address"),
    "hangs at connect": Fault(Place.busy_port, "no connection within 0.5 s", LINUX),
    # none that is secure,
    "unknown authority": Fault(
        lambda place: place.server({}, trustme.CA().issue_cert("127.0.0.1")),
        "no secure connection: unable to get local issuer certificate",
    ),
    "wrong name": Fault(certified("other.example"), "no secure connection: IP address mismatch"),
    "expired": Fault(certified("127.0.0.1", **BACK_THEN), "no secure connection: certificate has"),
    "not secure": Fault(
        lambda place: place.server({}).replace("http", "https"), "no secure connection"
    ),
    # no answer,
    "silent": Fault(answer(silent), SILENT),
    "hangs up": Fault(answer(lambda _: None), "the transfer broke off"),
    "another protocol": Fault(answer(raw(b"220 ready\r\n")), "does not speak HTTP"),
    "endless head": Fault(answer(raw(b"HTTP/1.1 200 OK\r\nX: " + bytes(2**20))), "speak HTTP"),
    "dripping head": Fault(answer(dripping(b"HTTP/1.1 200 OK\r\nX: ")), SLOW),
    # another answer,
    "not found": Fault(answer(body(b"", 404)), NONE),
    "forbidden": Fault(answer(body(b"", 403)), "the server answers 403 Forbidden"),
    "broken": Fault(answer(body(b"", 500)), "the server answers 500 Internal Server Error"),
    "no content": Fault(answer(body(b"", 204)), "the server answers 204 No Content"),
    "circular": Fault(answer(redirecting(f"{NAME}.gz")), "the server redirects in circles"),
    "to a local file": Fault(answer(redirecting("file:///etc/passwd")), "no http(s) address"),
    "to FTP": Fault(answer(redirecting("ftp://127.0.0.1/x")), "no http(s) address"),
    "to nonsense": Fault(answer(redirecting("http://[")), "no http(s) address"),
    "to nowhere": Fault(answer(redirecting("http://127.0.0.1:9")), "no connection: "),
    # another body
    "web page": Fault(answer(body(b"<!doctype html>")), "gives a web page in place of the file"),
    "long web page": Fault(answer(body(b"\n<html>" + bytes(20_000))), "gives a web page"),
    "wrong file": Fault(answer(body(bytes(len(BODY)))), OTHER),
    "one bit flipped": Fault(answer(body(FLIPPED)), OTHER),
    "one bit flipped, gzipped": Fault(answer(body(gzip.compress(FLIPPED))), OTHER),
    "damaged gzip": Fault(answer(body(DAMAGED)), "is damaged gzip"),
    "cut gzip": Fault(answer(body(gzip.compress(BODY)[:-300])), "truncated?"),
    "cut": Fault(answer(body(BODY[:-1])), "gives 10,239 bytes in place of 10,240: truncated?"),
    "one byte": Fault(answer(body(b"\0")), "in place of 10,240: truncated?"),
    "empty": Fault(answer(body(b"")), "gives 0 bytes in place of 10,240: truncated?"),
    "too long": Fault(answer(body(BODY + b"x")), TOO_MUCH),
    "endless": Fault(answer(endless()), TOO_MUCH),
    "endless behind gzip": Fault(answer(endless(gzip.compress(BODY))), TOO_MUCH),
    "gzip bomb": Fault(answer(body(BOMB)), TOO_MUCH),
    "gzip bomb on the way": Fault(
        answer(body(gzip.compress(BOMB), 200, ("Content-Encoding", "gzip"))), TOO_MUCH
    ),
    # or one that does not come to its end.
    "breaks off": Fault(answer(breaks_off), "the transfer broke off"),
    "stalls": Fault(answer(stalling), SILENT),
    "drips": Fault(answer(dripping(b"HTTP/1.1 200 OK\r\n\r\n")), SLOW),
    # A folder that is none,
    "unset variable": Fault(lambda _: "$NO_SUCH", "this environment variable is not set"),
    "no folder": Fault(lambda _: "/no/such", "there is no directory /no/such"),
    "no home": Fault(lambda _: "~nobody-here/data", "there is no directory ~nobody-here/data"),
    "name too long": Fault(lambda _: "/" + "x" * 5000, "File name too long", POSIX),
    "a file for a folder": Fault(
        lambda place: f"{place.folder(BODY)}/{NAME}", "there is no directory"
    ),
    # without the file,
    "empty folder": Fault(folder(lambda _: None), NONE),
    "a folder for a file": Fault(folder(Path.mkdir), NONE),
    "a pipe for a file": Fault(folder(lambda path: os.mkfifo(path)), NONE, POSIX),
    "a device for a file": Fault(folder(lambda path: path.symlink_to("/dev/zero")), NONE, POSIX),
    "a link in circles": Fault(folder(lambda path: path.symlink_to(path)), NONE, POSIX),
    "a broken disk": Fault(
        folder(lambda path: path.symlink_to("/proc/self/mem")),
        "cannot be read: Input/output error",
        LINUX,
    ),
    # or with another.
    "wrong file in a folder": Fault(folder(FLIPPED), OTHER),
    "cut in a folder": Fault(folder(BODY[:-1]), "truncated?"),
    "too long in a folder": Fault(folder(BODY + b"x"), TOO_MUCH),
    "gzip bomb in a folder": Fault(folder(BOMB, f"{NAME}.gz"), TOO_MUCH),
    # A package that does not come,
    "no apt-get": Fault(
        lambda place: place.environment.setenv("PATH", "") or "apt:data",
        "there is no apt-get on this machine",
    ),
    "apt-get that is no program": Fault(
        lambda place: place.package("", mode=0o644), "apt-get cannot be run: Permission", POSIX
    ),
    "apt-get without packages": Fault(
        package("echo 'E: Unable to locate package data' >&2; exit 100"),
        "E: Unable to locate package data",
        POSIX,
    ),
    "apt-get in another encoding": Fault(
        package(r"printf 'E: nicht verf\374gbar\n' >&2; exit 100"), "E: nicht verf", POSIX
    ),
    "apt-get that fails in silence": Fault(package("exit 1"), "apt-get fails", POSIX),
    "apt-get that brings nothing": Fault(package(""), "apt-get brings no package data", POSIX),
    "apt-get that hangs": Fault(package(f"exec sleep {HANG}"), "apt-get takes over 1.5 s", POSIX),
    # or holds something else.
    "broken package": Fault(package("echo nothing > data.deb"), "dpkg-deb: error: ", DEBIAN),
    "package of something else": Fault(
        lambda place: place.package(f"cp {place.deb({'usr/share/doc/data': BODY})} ."),
        "the package data holds no IDX files",
        DEBIAN,
    ),
    "package of a wrong file": Fault(
        lambda place: place.package(f"cp {place.deb({f'usr/share/{NAME}': FLIPPED})} ."),
        OTHER,
        DEBIAN,
    ),
}


def table(faults: dict[str, Fault]) -> list:
    return [pytest.param(fault, id=name, marks=fault.only or ()) for name, fault in faults.items()]


@pytest.mark.parametrize("source", GOOD.values(), ids=GOOD)
def test_a_file_is_found_wherever_it_is_and_however_it_comes(tmp_path, place, source):
    fetch(tmp_path / "raw", source(place))
    assert (tmp_path / "raw" / NAME).read_bytes() == BODY
    assert list((tmp_path / "raw").iterdir()) == [tmp_path / "raw" / NAME]


@pytest.mark.parametrize("fault", table(FAULTS))
def test_a_fault_is_named_in_a_line_leaves_nothing_and_the_next_source_is_tried(
    tmp_path, place, fault: Fault
):
    bad = fault.source(place)
    good = place.server({NAME: body(BODY)})
    first, last = fetch(tmp_path / "raw", bad, good)
    assert first.startswith(f"not from {bad}: ")
    assert fault.said in first
    assert first.isprintable()
    assert last == f"from {good}"
    assert (tmp_path / "raw" / NAME).read_bytes() == BODY


def test_without_any_good_source_all_are_named_and_nothing_is_left(tmp_path, place):
    bad = [place.server(body(FLIPPED)), "$NO_SUCH_VARIABLE"]
    with pytest.raises(InputError, match=rf"no source gives {NAME} .*FASHION_MNIST_DIR") as caught:
        fetch(tmp_path / "raw", *bad)
    assert all(source in str(caught.value) for source in bad)
    assert list((tmp_path / "raw").iterdir()) == []


def test_what_one_source_lacks_the_next_one_gives(tmp_path, place):
    other = "t10k-labels-idx1-ubyte"
    both = EXPECTED | {other: params.File(bytes=3, sha256=hashlib.sha256(b"abc").hexdigest())}
    first = place.server({NAME: body(BODY)})
    second = place.server({other: body(b"abc"), NAME: body(FLIPPED)})
    sources.fetch([first, second], both, tmp_path / "raw", print, patience=PATIENCE)
    assert (tmp_path / "raw" / NAME).read_bytes() == BODY
    assert (tmp_path / "raw" / other).read_bytes() == b"abc"


def test_a_directory_can_be_named_by_an_environment_variable(tmp_path, place, monkeypatch):
    monkeypatch.setenv("FASHION_MNIST_DIR", place.folder(BODY))
    assert fetch(tmp_path / "raw", "$FASHION_MNIST_DIR") == ["from $FASHION_MNIST_DIR"]


def test_a_verified_file_is_not_fetched_again(tmp_path):
    (tmp_path / NAME).write_bytes(BODY)
    assert fetch(tmp_path, "/no/such/folder") == ["all files are already there"]


def test_another_file_of_that_name_is_replaced(tmp_path, place):
    (tmp_path / NAME).write_bytes(FLIPPED)
    fetch(tmp_path, place.folder(BODY))
    assert (tmp_path / NAME).read_bytes() == BODY


@POSIX
def test_a_full_disk_is_not_blamed_on_a_source_and_the_next_run_is_clean(tmp_path, place):
    source = place.folder(BODY)
    with pytest.raises(InputError) as caught:
        fetch(tmp_path / "raw", source, "/another", room=len(BODY) - 1)
    path = tmp_path / "raw" / NAME
    assert str(caught.value) == (
        f"cannot write {path}: File too large: make room on the disk and run it again"
    )
    assert list((tmp_path / "raw").iterdir()) == []
    fetch(tmp_path / "raw", source)
    assert path.read_bytes() == BODY


def test_a_destination_that_cannot_be_made_is_not_blamed_on_a_source(tmp_path, place):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot write into .*file/raw"):
        fetch(tmp_path / "file" / "raw", place.folder(BODY))


FETCH = f"""
import sys
from pathlib import Path
from fashion_mnist.running import console, params
from fashion_mnist.ingest import sources

files = {{{NAME!r}: params.File(bytes={len(BODY)}, sha256={EXPECTED[NAME].sha256!r})}}
*places, destination = sys.argv[1:]
console.run(lambda: sources.fetch(places, files, Path(destination), console.say))
"""


@POSIX
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_after_a_kill_in_mid_download_the_next_run_leaves_nothing_of_it(tmp_path, place, number):
    halfway = threading.Event()

    def half(request: Request) -> None:
        head(request, ("Content-Length", len(BODY)))
        request.wfile.write(BODY[: len(BODY) // 2])
        halfway.set()
        time.sleep(HANG)

    raw = tmp_path / "raw"
    command = [sys.executable, "-c", FETCH, place.server(half), str(raw)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert halfway.wait(20)
        while not list(raw.iterdir()):
            time.sleep(0.01)
        process.send_signal(number)
        said = process.communicate(timeout=20)[1]
    assert said == ""
    assert not (raw / NAME).exists()
    with pytest.raises(InputError):
        fetch(raw, "/no/such/folder")
    assert list(raw.iterdir()) == []


@LINUX
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv to give up root's rights")
def test_who_may_not_read_or_write_is_told_so(tmp_path, place):
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        rights = "-dac_override,-dac_read_search"
        restricted = ["setpriv", f"--inh-caps={rights}", f"--bounding-set={rights}"]
        return subprocess.run(
            [*restricted * (os.geteuid() == 0), sys.executable, "-c", FETCH, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )

    folder = Path(place.folder(BODY))
    (folder / NAME).chmod(0)
    done = run(folder, place.server({NAME: body(BODY)}), tmp_path / "raw")
    assert done.returncode == 0
    assert f"not from {folder}: {NAME}: cannot be read: Permission denied" in done.stdout
    (tmp_path / "locked").mkdir(mode=0o555)
    done = run(place.server({NAME: body(BODY)}), tmp_path / "locked")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: cannot write {tmp_path}/locked/{NAME}: Permission denied: "
        "give yourself the right to write there and run it again\n"
    )


@DEBIAN
def test_the_real_data_comes_from_the_debian_package(tmp_path):
    files = params.load(ROOT / "params.yaml").fetch.files
    try:
        sources.fetch(["apt:dataset-fashion-mnist"], files, tmp_path, lambda _: None)
    except InputError as error:
        if "apt-get" in str(error) or "E:" in str(error):
            pytest.skip(f"apt-get reaches no mirror: {error}")
        raise
    assert {path.name for path in tmp_path.iterdir()} == set(files)
