"""Where a training stands between two epochs, kept so that one that was killed can go on."""

import hashlib
import hmac
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fashion_mnist import archives, files

SEAL = hashlib.sha256().digest_size


class Checkpoint:
    """A file of arrays that only the run which wrote it, begun again, can open.

    In front of them stands a seal (HMAC-SHA-256) made with a key of all that the run comes
    from: one check finds what is cut off, damaged or another run's.
    """

    def __init__(self, path: str | Path, key: bytes) -> None:
        self._path = Path(path)
        self._key = key

    def save(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put these in the place of what was saved before.

        Raises:
            OSError: the file cannot be written; what was saved before stays.
        """
        content = archives.pack(arrays)
        files.write(self._path, self._seal(content) + content)

    def load(self) -> dict[str, np.ndarray] | None:
        """What was saved last; None if there is nothing that this run may use."""
        try:
            sealed = self._path.read_bytes()
        except OSError:
            return None
        seal, content = sealed[:SEAL], sealed[SEAL:]
        if not hmac.compare_digest(seal, self._seal(content)):
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)

    def remove(self) -> None:
        """Leave nothing behind."""
        self._path.unlink(missing_ok=True)

    def _seal(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, "sha256")
