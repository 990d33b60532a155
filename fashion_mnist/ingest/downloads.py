"""Download a file, however its server behaves."""

import contextlib
import io
import ssl
import time
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import requests
import urllib3

CHUNK = 2**20  # bytes

# Makes a progress bar from a size in bytes (None: unknown) and a name: a context manager
# that gives an object with `update(bytes)`, as tqdm does, or None.
Progress = Callable[[int | None, str], contextlib.AbstractContextManager[Any]]


class DownloadError(Exception):
    """Why a file cannot be downloaded."""


class StatusError(DownloadError):
    """The status with which a server answers that it does not give a file."""


class Patience(NamedTuple):
    """Seconds to wait for a connection, for a silent server, and for a whole file."""

    connect: float
    read: float
    file: float


PATIENCE = Patience(connect=5, read=20, file=600)


def get(
    address: str, limit: int, progress: Progress, patience: Patience = PATIENCE
) -> bytes | None:
    """The content of a file; None if the server has no such file. See `save`."""
    file = io.BytesIO()
    return file.getvalue() if save(address, file, limit, progress, patience) else None


def save(
    address: str, file: BinaryIO, limit: int, progress: Progress, patience: Patience = PATIENCE
) -> bool:
    """Download a file; False if the server has none.

    Args:
        address: http or https.
        file: where it is written to.
        limit: the download ends once it has this many bytes; it may give up to a chunk more.
        progress: makes its progress bar.
        patience: how long it may take.

    Raises:
        StatusError: the server answers that it fails, or that it gives nobody the file.
        DownloadError: the server cannot be reached, or takes too long.
    """
    deadline = time.monotonic() + patience.file
    session = requests.Session()
    # The system's certificates may include a company's own; those of requests do not.
    session.verify = ssl.get_default_verify_paths().cafile or True
    # Otherwise requests reads the body of a redirection, however long it is.
    session.hooks["response"].append(lambda r, **_: r.close() if r.is_redirect else None)
    session.headers["Accept-Encoding"] = "identity"
    try:
        with session.get(address, stream=True, timeout=patience[:2]) as response:
            if response.status_code == requests.codes.not_found:
                return False
            response.raise_for_status()
            size = 0
            with progress(response.raw.length_remaining, address.rpartition("/")[2]) as bar:
                while size < limit and (chunk := response.raw.read1(CHUNK)):
                    if time.monotonic() > deadline:
                        raise DownloadError(f"takes longer than {patience.file:g} s")
                    file.write(chunk)
                    size += len(chunk)
                    if bar is not None:
                        bar.update(len(chunk))
            return True
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        cause: BaseException = error
        while cause.__context__:  # what requests and urllib3 wrap is easier to understand
            cause = cause.__context__
        reason = getattr(cause, "strerror", None) or str(cause).strip()
        # A server may have put control characters into it, which repr escapes.
        kind = StatusError if isinstance(error, requests.HTTPError) else DownloadError
        raise kind(f"the download fails: {repr(reason)[1:-1]}") from None
