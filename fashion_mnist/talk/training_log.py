"""What training prints: two lines first, then one per epoch, and a progress bar."""

import math
from collections.abc import Sequence
from time import monotonic
from typing import Any, Self

from fashion_mnist.learning.schema import Job
from fashion_mnist.talk import console, words

SCORES = ("loss", "accuracy", "val_loss", "val_accuracy")


class TrainingLog:
    """Prints a line for each epoch that ends; on a terminal, the running one is a bar."""

    def __init__(self, name: str, job: Job) -> None:
        """
        Args:
            name: of the model, in front of each line.
            job: what is trained, and how.
        """
        self._name = name
        self._epochs = job.recipe.epochs
        self._bar = console.progress(None, name, "batch")
        self._started: float | None = None
        console.say(f"{name}: {job.layers_key}: {words.network(job.layers)}")
        console.say(f"{name}: {job.recipe_key}: {'; '.join(words.recipe(job.recipe))}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def start_epoch(self, history: Sequence[Any], batches: int) -> None:
        """Begin the bar again; mention once that an earlier run is continued."""
        if self._started is None and history:
            console.say(f"{self._name}: continues after epoch {len(history)} of an earlier run")
        self._started = monotonic()
        self._bar.reset(batches)
        self._bar.set_description(f"{self._name} epoch {len(history) + 1}/{self._epochs}")

    def finish_batches(self, count: int) -> None:
        """Move the bar to so many batches."""
        self._bar.update(count - self._bar.n)

    def finish_epoch(self, history: Sequence[Any]) -> None:
        """Print the line of the last epoch."""
        took = monotonic() - (self._started or monotonic())
        console.say(f"{epoch_line(history[-1], self._epochs)}  {took:.1f} s")


def epoch_line(epoch: Any, epochs: int) -> str:
    """A row of the history as the log shows it, without the figures that are NaN."""
    named = ((name, getattr(epoch, name)) for name in SCORES)
    known = (f"{name} {value:.4f}" for name, value in named if not math.isnan(value))
    return "  ".join([f"epoch {epoch.epoch:{len(str(epochs))}}/{epochs}", *known])
