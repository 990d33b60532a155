"""Trains a job's network, from where an earlier run of the same job was interrupted."""

import hashlib
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from fashion_mnist.learning import loop
from fashion_mnist.learning.backend import keras
from fashion_mnist.learning.batches import Examples
from fashion_mnist.learning.precision import has_fast_bfloat16
from fashion_mnist.learning.schema import Job
from fashion_mnist.learning.state import Checkpoint, Epoch
from fashion_mnist.storage import files

CHECKPOINTS = Path("models/checkpoints")
CODE = (Path(__file__).parent, Path(files.__file__).parent)
LIBRARIES = ("h5py", "keras", "numpy", "scikit-learn")  # and the backend's


class Trained(NamedTuple):
    """What comes of a training.

    Attributes:
        network: with the weights that are kept.
        history: all epochs.
        checkpoint: to be removed once the results are safe.
        seconds: from the first epoch to the last; None if an earlier run began it.
    """

    network: keras.Model
    history: list[Epoch]
    checkpoint: Checkpoint
    seconds: float | None


def train(
    name: str,
    job: Job,
    training: Examples,
    validation: Examples | None,
    progress: loop.Progress,
    record: Callable[[Sequence[Epoch]], None] = lambda _: None,
) -> Trained:
    """Train the job's network; call `backend.make_reproducible` before.

    Args:
        name: of the model.
        job: what is trained, and how.
        training: the images to learn from.
        validation: scored after each epoch.
        progress: told how far it is.
        record: given all epochs, those of an earlier run included, whenever there is another.

    Raises:
        LayerError, Diverged: see `networks.build` and `loop.fit`.
        OSError: a checkpoint cannot be written, or what `record` writes.
    """
    key = fingerprint(name, job, training, validation)
    checkpoint = Checkpoint(CHECKPOINTS / f"{name}-{key.hex()[:16]}", key)
    network = loop.build(job)
    is_new = checkpoint.load() is None
    started = monotonic()
    history = loop.fit(network, job, training, validation, progress, checkpoint, record)
    took = monotonic() - started
    return Trained(network, history, checkpoint, took if is_new else None)


def fingerprint(name: str, job: Job, training: Examples, validation: Examples | None) -> bytes:
    """SHA-256 of all that a result depends on: the job, the images, the code and the libraries."""
    backend = keras.backend.backend()
    versions = {library: version(library) for library in LIBRARIES}
    versions[backend] = sys.modules[backend].__version__
    digest = hashlib.sha256(repr((name, job, versions, has_fast_bfloat16())).encode())
    for examples in filter(None, (training, validation)):
        for array in examples:
            digest.update(array.tobytes())
    for path in sorted(path for folder in CODE for path in folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()
