"""ONNX Runtime Web, which runs a network in the browser: downloaded once, and verified."""

import hashlib
import os
import tarfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fashion_mnist.errors import InputError
from fashion_mnist.ingest import downloads
from fashion_mnist.ingest.downloads import DownloadError
from fashion_mnist.storage import files
from fashion_mnist.talk import console

REGISTRY = "https://registry.npmjs.org"
NAME = "onnxruntime-web-1.30.0.tgz"
SIZE = 33_106_585
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
CACHE = Path(".cache")
ADVICE = "connect to the network, or save the file as {}"


class Runtime(NamedTuple):
    """An ES module, and the WebAssembly that it runs."""

    module: bytes
    wasm: bytes


def get(cache: Path = CACHE) -> Runtime:
    """The runtime, from `cache` or else from the npm registry.

    Raises:
        InputError: it is not in `cache`, and the registry does not give it.
        OSError: it cannot be kept in `cache`.
    """
    path = cache / NAME
    if not path.is_file() or files.sha256(path) != SHA256:
        files.write(path, _downloaded(path))
    with tarfile.open(path) as archive:
        members = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
        return Runtime(*(_member(archive, f"package/dist/{name}") for name in members))


def _downloaded(path: Path) -> bytes:
    registry = os.environ.get("npm_config_registry") or REGISTRY  # noqa: SIM112
    address = f"{registry.rstrip('/')}/onnxruntime-web/-/{NAME}"
    try:
        data = downloads.get(
            address, SIZE + 1, partial(console.progress, unit="B", unit_scale=True)
        )
    except DownloadError as error:
        raise InputError(f"{address}: {error}: {ADVICE.format(path)}") from None
    if data is None:
        raise InputError(f"{address}: the registry has no such file: {ADVICE.format(path)}")
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        raise InputError(f"{address} is another file: its SHA-256 is {digest}, not {SHA256}")
    return data


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file, name  # noqa: S101  # the archive is the one with that SHA-256
    return file.read()
