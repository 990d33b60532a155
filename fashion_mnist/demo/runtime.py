"""ONNX Runtime Web, which runs a network in the browser: downloaded once, and verified."""

import hashlib
import os
import ssl
import tarfile
from pathlib import Path
from typing import NamedTuple

import requests

from fashion_mnist.errors import InputError
from fashion_mnist.running import console
from fashion_mnist.storage import files

REGISTRY = "https://registry.npmjs.org"
NAME = "onnxruntime-web-1.30.0.tgz"
SIZE = 33_106_585
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
CACHE = Path(".cache")
TIMEOUT = 5, 20  # seconds for a connection, and for a silent server
CHUNK = 2**18


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
    # The system's certificates may include a company's own; those of requests do not.
    certificates = ssl.get_default_verify_paths().cafile or True
    data = bytearray()
    try:
        with (
            requests.get(address, stream=True, timeout=TIMEOUT, verify=certificates) as response,
            console.progress(SIZE, NAME, "B", unit_scale=True) as bar,
        ):
            response.raise_for_status()
            for chunk in response.iter_content(CHUNK):
                data += chunk
                bar.update(len(chunk))
                if len(data) > SIZE:
                    break
    except requests.RequestException as error:
        cause: BaseException = error
        while cause.__context__:  # what requests and urllib3 wrap is easier to understand
            cause = cause.__context__
        reason = getattr(cause, "strerror", None) or str(cause)
        raise InputError(
            f"{address} cannot be downloaded ({reason}): connect to the network, or save the file "
            f"as {path}"
        ) from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        raise InputError(f"{address} is another file: its SHA-256 is {digest}, not {SHA256}")
    return bytes(data)


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file, name  # noqa: S101  # the archive is the one with that SHA-256
    return file.read()
