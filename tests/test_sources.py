"""Fetching, against a real server that gives good files and every kind of bad one."""

import contextlib
import gzip
import hashlib
import http.server
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fashion_mnist import params, sources
from fashion_mnist.errors import InputError
from tests.conftest import ROOT

NAME = "train-labels-idx1-ubyte"
BODY = bytes(range(256)) * 40
EXPECTED = {NAME: params.File(bytes=len(BODY), sha256=hashlib.sha256(BODY).hexdigest())}
Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


def body(data: bytes, status: int = 200) -> Answer:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    return answer


def declared_longer(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(BODY) + 100))
    request.end_headers()
    request.wfile.write(BODY)


def endless(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    for _ in range(10_000):
        request.wfile.write(bytes(100_000))


def silent(_: http.server.BaseHTTPRequestHandler) -> None:
    time.sleep(1)


def stalling(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(BODY)))
    request.end_headers()
    request.wfile.write(BODY[:100])
    request.wfile.flush()
    time.sleep(1)


def redirecting(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(302)
    request.send_header("Location", request.path)
    request.send_header("Content-Length", "0")
    request.end_headers()


def flipped(data: bytes) -> bytes:
    return data[:50] + bytes([data[50] ^ 1]) + data[51:]


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, Answer]], str]]:
    """Start a server on loopback that answers each file name as told, and 404 otherwise."""
    servers = []

    def start(answers: dict[str, Answer]) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                # A client that has seen enough hangs up.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    answers.get(self.path.rpartition("/")[2], body(b"none", 404))(self)

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/data"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def fetch(destination: Path, *places: str) -> list[str]:
    """Fetch the one file; what was said."""
    said: list[str] = []
    sources.fetch(places, EXPECTED, destination, said.append, connect_seconds=0.3, read_seconds=0.3)
    return said


GOOD = {
    "gzipped": {f"{NAME}.gz": body(gzip.compress(BODY))},
    "plain": {NAME: body(BODY)},
    "gzipped in name only": {f"{NAME}.gz": body(BODY)},
    "dotted": {f"{NAME.replace('-idx', '.idx')}.gz": body(gzip.compress(BODY))},
}


@pytest.mark.parametrize("answers", GOOD.values(), ids=GOOD)
def test_a_file_is_found_gzipped_or_not_and_under_its_usual_names(tmp_path, serve, answers):
    fetch(tmp_path, serve(answers))
    assert (tmp_path / NAME).read_bytes() == BODY
    assert list(tmp_path.iterdir()) == [tmp_path / NAME]


BAD = {
    "one bit flipped": (body(flipped(BODY)), "gives other bytes: SHA-256 "),
    "damaged gzip": (body(flipped(gzip.compress(BODY))), ""),
    "cut gzip": (body(gzip.compress(BODY)[:-300]), "truncated"),
    "cut": (body(BODY[:-1]), "gives 10,239 bytes in place of 10,240: truncated?"),
    "connection lost": (declared_longer, "the transfer broke off"),
    "too long": (body(BODY + b"x"), "holds more than the 10,240 bytes"),
    "endless": (endless, "holds more than the 10,240 bytes"),
    "gzip bomb": (body(gzip.compress(bytes(50_000_000))), "holds more than the 10,240 bytes"),
    "web page": (body(b"<!doctype html><p>Sign in"), "gives a web page in place of the file"),
    "forbidden": (body(b"", 403), "the server answers 403"),
    "server error": (body(b"", 500), "the server answers 500"),
    "hangs before answering": (silent, "the server is silent for 0.3 s"),
    "hangs in the body": (stalling, "the server is silent for 0.3 s"),
    "redirects in circles": (redirecting, "the server redirects in circles"),
    "empty": (body(b""), "gives 0 bytes in place of 10,240"),
}


@pytest.mark.parametrize(("answer", "reason"), BAD.values(), ids=BAD)
def test_a_bad_answer_is_named_in_a_line_and_the_next_source_is_tried(
    tmp_path, serve, answer: Answer, reason: str
):
    bad, good = serve({f"{NAME}.gz": answer}), serve(GOOD["gzipped"])
    first, last = fetch(tmp_path, bad, good)
    assert first.startswith(f"not from {bad}: {NAME}.gz: ")
    assert reason in first
    assert "\n" not in first
    assert last == f"from {good}"
    assert (tmp_path / NAME).read_bytes() == BODY


@pytest.mark.parametrize("answer", [answer for answer, _ in BAD.values()], ids=BAD)
def test_nothing_unverified_is_left_when_no_source_is_good(tmp_path, serve, answer: Answer):
    with pytest.raises(InputError, match=f"no source gives {NAME} .*FASHION_MNIST_DIR"):
        fetch(tmp_path / "raw", serve({f"{NAME}.gz": answer}))
    assert list((tmp_path / "raw").iterdir()) == []


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("$NO_SUCH_VARIABLE", "this environment variable is not set"),
        ("/no/such/folder", "there is no directory /no/such/folder"),
        ("http://127.0.0.1:9", "no connection"),
        ("http://name.invalid", "no connection"),
        ("https://127.0.0.1:9", "no connection"),
    ],
)
def test_an_absent_source_is_named_with_the_reason(tmp_path, serve, source: str, reason: str):
    assert reason in fetch(tmp_path, source, serve(GOOD["plain"]))[0]


def test_a_server_without_the_file_says_so(tmp_path, serve):
    said = fetch(tmp_path, serve({}), serve(GOOD["plain"]))
    assert f"has no {NAME}, gzipped or not" in said[0]


def test_a_directory_can_be_named_by_an_environment_variable(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / NAME).write_bytes(BODY)
    monkeypatch.setenv("FASHION_MNIST_DIR", str(tmp_path / "here"))
    assert fetch(tmp_path / "raw", "$FASHION_MNIST_DIR") == ["from $FASHION_MNIST_DIR"]


def test_a_verified_file_is_not_fetched_again(tmp_path):
    (tmp_path / NAME).write_bytes(BODY)
    assert fetch(tmp_path, "/no/such/folder") == ["all files are already there"]


def test_a_destination_that_cannot_be_written_is_not_blamed_on_a_source(tmp_path, serve):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot make .*file/raw"):
        fetch(tmp_path / "file" / "raw", serve(GOOD["plain"]))


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="no Debian, no Ubuntu")
def test_the_real_data_comes_from_the_debian_package(tmp_path):
    files = params.load(ROOT / "params.yaml").fetch.files
    try:
        sources.fetch(["apt:dataset-fashion-mnist"], files, tmp_path, lambda _: None)
    except InputError as error:
        if "apt-get" in str(error) or "E:" in str(error):
            pytest.skip(f"apt-get reaches no mirror: {error}")
        raise
    assert {path.name for path in tmp_path.iterdir()} == set(files)
