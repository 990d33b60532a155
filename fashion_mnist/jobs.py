"""Runs a training job: checked first, logged, and continued where it was interrupted."""

from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from fashion_mnist import checks
from fashion_mnist.learning import backend, loop
from fashion_mnist.learning.backend import keras
from fashion_mnist.learning.batches import Examples
from fashion_mnist.learning.precision import has_fast_bfloat16
from fashion_mnist.learning.schema import Job, Split
from fashion_mnist.learning.state import Checkpoint, Epoch
from fashion_mnist.reporting.training_log import TrainingLog
from fashion_mnist.running import provenance

CHECKPOINTS = Path("models/checkpoints")


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


def prepare(job: Job) -> None:
    """Set the number of threads, and find mistakes in the job; call it before data is read.

    Raises:
        InputError: Keras does not take what the job describes.
    """
    backend.make_reproducible(job.threads)
    checks.check(job)


def run(
    name: str,
    job: Job,
    data: Path,
    training: Examples,
    validation: Examples | None = None,
    split: Split | None = None,
) -> Trained:
    """Train the network of a job that `prepare` found good.

    Args:
        name: of the model.
        job: what is trained, and how.
        data: the file with the images.
        training: the images to learn from.
        validation: scored after each epoch.
        split: how these were divided.

    Raises:
        InputError: the training diverged.
        OSError: a checkpoint cannot be written.
    """
    name_of_backend = keras.backend.backend()
    arithmetic = (name_of_backend, version(name_of_backend), has_fast_bfloat16())
    key = provenance.fingerprint((name, job, split, arithmetic), data)
    checkpoint = Checkpoint(CHECKPOINTS / f"{name}-{key.hex()[:16]}", key)
    network = loop.build(job)
    steps = loop.steps_per_epoch(len(training.labels), job.recipe)
    is_new = checkpoint.load() is None
    started = monotonic()
    with checks.in_words(job), TrainingLog(name, job, steps) as log:
        history = loop.fit(network, job, training, validation, log, checkpoint)
    took = monotonic() - started
    return Trained(network, history, checkpoint, took if is_new else None)
