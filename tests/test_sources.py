"""Fetching from real servers, directories and packages, good ones and bad ones."""

import contextlib
import gzip
import hashlib
import http.server
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
import yaml

from fashion_mnist.errors import InputError
from fashion_mnist.ingest import downloads, sources
from fashion_mnist.ingest.schema import DataSet
from tests.conftest import ROOT

NAME = "train-labels-idx1-ubyte"
DOTTED = "train-labels.idx1-ubyte"
OTHER = "t10k-labels-idx1-ubyte"
BODY = bytes(range(256)) * 40
ZIPPED = gzip.compress(BODY)
FLIPPED = BODY[:50] + bytes([BODY[50] ^ 1]) + BODY[51:]
DAMAGED = ZIPPED[:50] + bytes(9) + ZIPPED[59:]
BOMB = gzip.compress(bytes(50_000_000))
PATIENCE = downloads.Patience(connect=0.5, read=0.5, file=1.5)
HANG = 3  # seconds, longer than any patience
MEMORY = 8 * 2**20  # bytes, far less than a bomb or an endless body would take
POSIX = os.name != "nt"
LINUX = sys.platform == "linux"
DEBIAN = shutil.which("dpkg-deb") is not None
CONTROL = b"Package: data\nVersion: 1\nArchitecture: all\nMaintainer: none\nDescription: test\n"

Request = http.server.BaseHTTPRequestHandler
Answer = Callable[[Request], Any]


def head(request: Request, status: int = 200, **headers: object) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), str(value))
    request.end_headers()


def body(data: bytes, status: int = 200, **headers: object) -> Answer:
    def answer(request: Request) -> None:
        head(request, status, Content_Length=len(data), **headers)
        request.wfile.write(data)

    return answer


def raw(data: bytes) -> Answer:
    return lambda request: request.wfile.write(data)


def redirecting(location: str) -> Answer:
    return body(b"", 302, Location=location)


def endless(start: bytes = b"", status: int = 200, **headers: object) -> Answer:
    def answer(request: Request) -> None:
        head(request, status, **headers)
        request.wfile.write(start)
        for _ in range(10_000):
            request.wfile.write(bytes(100_000))

    return answer


def breaking_off(request: Request) -> None:
    head(request, Content_Length=len(BODY) + 100)
    request.wfile.write(BODY)


def stalling(request: Request) -> None:
    head(request, Content_Length=len(BODY))
    request.wfile.write(BODY[:100])
    time.sleep(HANG)


def dripping(request: Request) -> None:
    head(request)
    for _ in BODY:  # never silent for long
        request.wfile.write(b"x")
        time.sleep(0.05)


def with_password(request: Request) -> None:
    known = request.headers["Authorization"] == "Basic bWU6c2VjcmV0"  # me:secret
    body(BODY if known else b"", 200 if known else 401)(request)


class Place:
    """Sets up sources."""

    def __init__(self, path: Path, environment: pytest.MonkeyPatch) -> None:
        self.path = path
        self.environment = environment
        self.open = contextlib.ExitStack()

    def server(
        self, answers: dict[str, Answer] | Answer, tls: trustme.LeafCert | None = None
    ) -> str:
        """A local server with these answers by file name (or one for the gzipped file)."""
        known = answers if isinstance(answers, dict) else {f"{NAME}.gz": answers}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(OSError):  # a client may hang up
                    known.get(self.path.removeprefix("/data/"), body(b"none", 404))(self)

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self.open.callback(server.server_close)
        self.open.callback(server.shutdown)
        return f"http{'s' * bool(tls)}://127.0.0.1:{server.server_port}/data"

    def secure(self, name: str = "127.0.0.1", trusted: bool = True) -> str:
        """A server with a certificate for `name`, from an authority that this machine trusts."""
        authority = trustme.CA()
        if trusted:
            authority.cert_pem.write_to_path(str(self.path / "authority.pem"))
            self.environment.setenv("SSL_CERT_FILE", str(self.path / "authority.pem"))
        return self.server({NAME: body(BODY)}, authority.issue_cert(name))

    def proxy(self) -> str:
        """An address that only a proxy knows."""
        proxy = self.server({f"http://name.invalid/data/{NAME}": body(BODY)})
        self.environment.setenv("http_proxy", proxy)
        return "http://name.invalid/data"

    def protected(self) -> str:
        """A server that wants the password in ~/.netrc."""
        (self.path / "netrc").write_text("machine 127.0.0.1 login me password secret")
        self.environment.setenv("NETRC", str(self.path / "netrc"))
        return self.server({NAME: with_password})

    def busy(self) -> str:
        """A server that takes no more connections, and refuses none."""
        listener = self.open.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = self.open.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    def folder(self, content: bytes | Callable[[Path], object], name: str = NAME) -> str:
        """A directory with one file that has this content, or is made by a function."""
        folder = self.path / "folder"
        folder.mkdir()
        if callable(content):
            content(folder / name)
        else:
            (folder / name).write_bytes(content)
        return str(folder)

    def package(self, script: str) -> str:
        """A package that a shell script in place of apt-get downloads."""
        programs = self.path / "programs"
        programs.mkdir()
        (programs / "apt-get").write_text(f"#!/bin/sh\ncase $* in *update) exit;; esac\n{script}\n")
        (programs / "apt-get").chmod(0o755)
        for name in ("dpkg-deb", "tar", "cp", "sleep"):
            if found := shutil.which(name):
                (programs / name).symlink_to(found)
        self.environment.setenv("PATH", str(programs))
        return "apt:data"

    def deb(self, name: str, content: bytes) -> str:
        """A Debian package that holds one file."""
        root = self.path / "package"
        for path, data in ((root / "DEBIAN/control", CONTROL), (root / name, content)):
            path.parent.mkdir(parents=True)
            path.write_bytes(data)
        root.chmod(0o755)
        command = ["dpkg-deb", "--build", "-Zgzip", str(root), str(self.path / "data.deb")]
        subprocess.run(command, check=True, capture_output=True)
        return self.package(f"cp '{self.path}/data.deb' .")


@contextlib.contextmanager
def new_place(folder: Path) -> Iterator[Place]:
    """A place for sources in a new folder; what it changes is undone at the end."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("no_proxy", "127.0.0.1")
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # in place of the system's
            environment.delenv(name, raising=False)
        place = Place(folder, environment)
        with place.open:
            yield place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with new_place(tmp_path / "place") as place:
        yield place


def wanted(*places: str, **others: bytes) -> DataSet:
    return DataSet(
        format="idx",
        sources=list(places),
        files={
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in ({NAME: BODY} | others).items()
        },
    )


def fetch(destination: Path, *places: str) -> list[str]:
    """Fetch the one file in little memory; what was said."""
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        assert line.isprintable()
        assert line.startswith("from ") or not destination.exists()

    tracemalloc.start()
    try:
        sources.fetch(wanted(*places), destination, say, patience=PATIENCE)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    return said


class Case(NamedTuple):
    """A source, what is said about it, and whether this machine can have it."""

    source: Callable[[Place], str]
    said: str = ""
    here: bool = True


def answer(answer: Answer, said: str) -> Case:
    return Case(lambda place: place.server(answer), said)


def folder(content: bytes | Callable[[Path], object], said: str, here: bool = True) -> Case:
    return Case(lambda place: place.folder(content), said, here)


def package(script: str, said: str) -> Case:
    return Case(lambda place: place.package(script), said, POSIX)


@contextlib.contextmanager
def in_place(case: Case, folder: Path) -> Iterator[tuple[Place, Path]]:
    """A place for a case, if this machine can have it, and a destination."""
    if not case.here:
        pytest.skip("not on this system")
    with new_place(folder) as place:
        yield place, folder / "raw"


GOOD = {
    "gzipped": Case(lambda place: place.server({f"{NAME}.gz": body(ZIPPED)})),
    "plain": Case(lambda place: place.server({NAME: body(BODY)})),
    "gzipped in name only": Case(lambda place: place.server({f"{NAME}.gz": body(BODY)})),
    "plain, where other names are forbidden": Case(
        lambda place: place.server({f"{NAME}.gz": body(b"", 403), NAME: body(BODY)})
    ),
    "plain, where other names give a web page": Case(
        lambda place: place.server({f"{NAME}.gz": body(b"<html>"), NAME: body(BODY)})
    ),
    "dotted": Case(lambda place: place.server({DOTTED: body(BODY)})),
    "gzipped in transit": Case(
        lambda place: place.server({NAME: body(ZIPPED, Content_Encoding="gzip")})
    ),
    "with endless bytes behind it": Case(lambda place: place.server(endless(ZIPPED))),
    "redirected": Case(
        lambda place: place.server({NAME: redirecting("/data/there"), "there": body(BODY)})
    ),
    "redirected with an endless body": Case(
        lambda place: place.server(
            {NAME: endless(status=302, Location="/data/there"), "there": body(BODY)}
        )
    ),
    "secure": Case(Place.secure),
    "behind a proxy": Case(Place.proxy),
    "behind a password": Case(Place.protected),
    "directory": Case(lambda place: place.folder(BODY)),
    "gzipped in a directory": Case(lambda place: place.folder(ZIPPED, f"{NAME}.gz")),
    "package": Case(lambda place: place.deb(f"usr/share/{NAME}", BODY), here=DEBIAN),
}
FAULTS = {
    # no connection, or no secure one
    "refused": Case(lambda _: "http://127.0.0.1:9", "the download fails: Connection refused"),
    "unknown name": Case(lambda _: "http://name.invalid", "the download fails: "),
    "no address": Case(lambda _: "http://[", "the download fails: Failed to parse: "),
    "hangs at connect": Case(Place.busy, "the download fails: timed out", here=LINUX),
    "unknown authority": Case(
        lambda place: place.secure(trusted=False), "unable to get local issuer certificate"
    ),
    "wrong name": Case(lambda place: place.secure("other.example"), "IP address mismatch"),
    "not secure": Case(lambda place: place.server({}).replace("http", "https"), "[SSL: "),
    # no answer, or no good one
    "silent": answer(lambda _: time.sleep(HANG), "the download fails: timed out"),
    "hangs up": answer(lambda _: None, "Remote end closed connection without response"),
    "another protocol": answer(raw(b"220 ready \x1b[2J\r\n"), r"220 ready \x1b[2J"),
    "endless header": answer(raw(b"HTTP/1.1 200 OK\r\nX: " + bytes(2**20)), "header line"),
    "not found": answer(body(b"", 404), f"has no {NAME}, gzipped or not"),
    "forbidden": answer(body(b"", 403), "the download fails: 403 Client Error: Forbidden"),
    "broken": answer(body(b"", 500), "the download fails: 500 Server Error"),
    "circular": answer(redirecting(f"{NAME}.gz"), "Exceeded 30 redirects"),
    "to a local file": answer(redirecting("file:///etc/passwd"), "No connection adapters"),
    "to nonsense": answer(redirecting("http://["), "the download fails: "),
    "to nowhere": answer(redirecting("http://127.0.0.1:9"), "Connection refused"),
    # a bad body
    "web page": answer(body(b"\n<!doctype html>" + bytes(20_000)), "is a web page"),
    "one bit flipped": answer(body(FLIPPED), "is another file: its SHA-256 is "),
    "one bit flipped, gzipped": answer(body(gzip.compress(FLIPPED)), "is another file"),
    "damaged gzip": answer(body(DAMAGED), "is damaged gzip"),
    "cut gzip": answer(body(ZIPPED[:-300]), "is truncated: "),
    "cut": answer(body(BODY[:-1]), "is truncated: 10,239 of 10,240 bytes"),
    "empty": answer(body(b""), "is truncated: 0 of 10,240 bytes"),
    "too long": answer(body(BODY + b"x"), "is larger than 10,240 bytes"),
    "endless": answer(endless(), "is larger than 10,240 bytes"),
    "gzip bomb": answer(body(BOMB), "is larger than 10,240 bytes"),
    "gzip bomb in transit": answer(
        body(gzip.compress(BOMB), Content_Encoding="gzip"), "is larger than 10,240 bytes"
    ),
    "breaks off": answer(breaking_off, "the download fails: IncompleteRead"),
    "stalls": answer(stalling, "the download fails: timed out"),
    "drips": answer(dripping, "takes longer than 1.5 s"),
    # a bad directory
    "unset variable": Case(lambda _: "$NO_SUCH", "this environment variable is not set"),
    "no directory": Case(lambda _: "/no/such", "there is no directory /no/such"),
    "no such user": Case(
        lambda _: "~no-such-user/data", "there is no directory ~no-such-user/data"
    ),
    "name too long": Case(lambda _: "/" + "x" * 5000, "there is no directory /xxx"),
    "empty directory": folder(lambda _: None, f"has no {NAME}, gzipped or not"),
    "pipe": folder(lambda path: os.mkfifo(path), "has no", here=POSIX),
    "unreadable": folder(
        lambda path: path.symlink_to("/proc/self/mem"), "cannot be read: ", here=LINUX
    ),
    "wrong file": folder(FLIPPED, "is another file"),
    "gzip bomb in a directory": folder(BOMB, "is larger than 10,240 bytes"),
    # a bad package
    "no apt-get": Case(
        lambda place: place.environment.setenv("PATH", "") or "apt:data", "apt-get cannot be run: "
    ),
    "unknown package": package("echo 'E: No package data' >&2; exit 100", "E: No package data"),
    "apt-get that fails": package(r"printf '\374\n' >&2; exit 1", "apt-get fails"),
    "apt-get that hangs": package(f"exec sleep {HANG}", "apt-get takes longer than 1.5 s"),
    "broken package": Case(
        lambda place: place.package("echo no > data.deb"), "dpkg-deb: error: ", here=DEBIAN
    ),
    "package of something else": Case(
        lambda place: place.deb("usr/share/other", BODY), "data holds no IDX files", here=DEBIAN
    ),
}


def test_a_file_is_found_wherever_it_is_and_however_it_comes(
    tmp_path: Path, subtests: pytest.Subtests
):
    for name, case in GOOD.items():
        with subtests.test(name), in_place(case, tmp_path / name) as (place, raw):
            address = case.source(place)
            assert fetch(raw, address) == [f"from {address}"]
            assert [path.name for path in raw.iterdir()] == [NAME]
            assert (raw / NAME).read_bytes() == BODY


def test_a_source_that_fails_leaves_nothing_and_the_next_one_is_tried(
    tmp_path: Path, subtests: pytest.Subtests
):
    for name, case in FAULTS.items():
        with subtests.test(name), in_place(case, tmp_path / name) as (place, raw):
            bad, good = case.source(place), place.server({NAME: body(BODY)})
            first, last = fetch(raw, bad, good)
            assert first.startswith(f"not from {bad}: ")
            assert case.said in first
            assert last == f"from {good}"
            assert (raw / NAME).read_bytes() == BODY


def test_without_a_good_source_all_are_named_and_nothing_is_left(tmp_path: Path, place: Place):
    bad = [place.server(body(FLIPPED)), "$NO_SUCH_VARIABLE"]
    with pytest.raises(
        InputError, match=rf"no source gives {NAME} .*variable NO_SUCH_VARIABLE"
    ) as caught:
        fetch(tmp_path / "raw", *bad)
    assert all(source in str(caught.value) for source in bad)
    assert not (tmp_path / "raw").exists()


def test_the_next_source_gives_what_the_first_one_lacks(tmp_path: Path, place: Place):
    first = place.server({NAME: body(BODY)})
    second = place.server({OTHER: body(b"abc"), NAME: body(FLIPPED)})
    sources.fetch(wanted(first, second, **{OTHER: b"abc"}), tmp_path, print, patience=PATIENCE)
    assert (tmp_path / NAME).read_bytes() == BODY
    assert (tmp_path / OTHER).read_bytes() == b"abc"


def test_an_environment_variable_can_name_the_directory(tmp_path: Path, place: Place):
    place.environment.setenv("FASHION_MNIST_DIR", place.folder(BODY))
    assert fetch(tmp_path / "raw", "$FASHION_MNIST_DIR") == ["from $FASHION_MNIST_DIR"]


def test_only_a_file_that_is_not_the_right_one_is_fetched(tmp_path: Path, place: Place):
    (tmp_path / NAME).write_bytes(FLIPPED)
    sources.fetch(wanted(place.folder(BODY)), tmp_path, print)
    assert (tmp_path / NAME).read_bytes() == BODY
    said: list[str] = []
    sources.fetch(wanted("/no/such"), tmp_path, said.append)
    assert said == ["all files are already there"]


def test_the_progress_of_a_download_is_reported(tmp_path: Path, place: Place):
    class Bar(list):
        update = list.append

    bars: dict[tuple[int | None, str], Bar] = {}

    def progress(total: int | None, name: str) -> contextlib.AbstractContextManager[Bar]:
        return contextlib.nullcontext(bars.setdefault((total, name), Bar()))

    sources.fetch(wanted(place.server(body(ZIPPED))), tmp_path, print, progress=progress)
    assert list(bars) == [(len(ZIPPED), f"{NAME}.gz")]
    assert sum(*bars.values()) == len(ZIPPED)


@pytest.mark.skipif(not POSIX, reason="Windows has no such limit")
def test_a_full_disk_is_not_a_sources_fault_and_leaves_nothing(tmp_path: Path, place: Place):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    source, raw = place.folder(BODY), tmp_path / "raw"
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(BODY) - 1, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            sources.fetch(wanted(source, "/another"), raw, print)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(raw / NAME)
    assert list(raw.iterdir()) == []


@pytest.mark.skipif(not DEBIAN, reason="not Debian or Ubuntu")
@pytest.mark.slow
def test_the_real_data_comes_from_the_debian_package(tmp_path: Path):
    described = yaml.safe_load((ROOT / "datasets/fashion-mnist.yaml").read_text())
    real = DataSet.model_validate(described | {"sources": ["apt:dataset-fashion-mnist"]})
    try:
        sources.fetch(real, tmp_path, print)
    except InputError as error:
        if "apt-get" in str(error) or "E:" in str(error):
            pytest.skip(f"apt-get reaches no mirror: {error}")
        raise
    assert {path.name for path in tmp_path.iterdir()} == set(real.files)
