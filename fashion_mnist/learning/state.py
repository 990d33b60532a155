"""The state of a training between two epochs, and the checkpoint file that keeps it."""

import hashlib
import hmac
import io
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from fashion_mnist.learning.backend import keras
from fashion_mnist.learning.schema import Recipe
from fashion_mnist.storage import archives, files

SEAL = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Epoch:
    """One row of the history; losses (nats) and accuracies are means over the epoch's batches.

    The validation figures are NaN where no image validates.
    """

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float


class TrainingState:
    """All that the next epoch depends on, except the images and the recipe.

    Dropout and augmentation draw from generators whose states are among the variables. Keras's
    `fit` ends with averaged weights in place if the optimizer has `use_ema`: these are validated
    and kept, while training continues from the weights themselves.
    """

    def __init__(
        self,
        network: keras.Model,
        trainer: keras.Model,
        recipe: Recipe,
    ) -> None:
        """
        Args:
            network: is trained.
            trainer: the compiled model around it.
            recipe: decides which epoch is kept.
        """
        self.history: list[Epoch] = []
        self._best_weights: list[np.ndarray] = []  # with early stopping only
        self._weights: list[np.ndarray] = []  # with averaging only
        self._network = network
        self._trainer = trainer
        self._optimizer = trainer.optimizer
        self._recipe = recipe
        self._variables = [*trainer.variables, *self._optimizer.variables]

    def keep_weights(self) -> None:
        """Call it before averages replace the weights at the end of `fit`."""
        if self._optimizer.use_ema:
            self._weights = _values(self._trainer.trainable_variables)

    def add(self, epoch: Epoch) -> None:
        """Append an epoch that was validated, and put averaged weights back to the others."""
        self.history.append(epoch)
        if self._recipe.early_stopping and kept(self.history, self._recipe) is epoch:
            self._best_weights = self._network.get_weights()
        if self._optimizer.use_ema:
            _assign(self._trainer.trainable_variables, self._weights)

    def finish(self) -> None:
        """Leave the network with the weights that are kept."""
        if self._recipe.early_stopping:
            self._network.set_weights(self._best_weights)
        elif self._optimizer.use_ema:
            self._optimizer.finalize_variable_values(self._trainer.trainable_variables)

    def arrays(self) -> dict[str, np.ndarray]:
        """The whole state, for a checkpoint."""
        return {
            "history": np.array([astuple(epoch) for epoch in self.history]),
            **{f"variable {i}": value for i, value in enumerate(_values(self._variables))},
            **{f"best {i}": value for i, value in enumerate(self._best_weights)},
        }

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Continue from what `arrays` gave in an earlier run."""
        rows = arrays["history"].tolist()
        self.history += [Epoch(int(number), *values) for number, *values in rows]
        _assign(self._variables, [arrays[f"variable {i}"] for i in range(len(self._variables))])
        if self._recipe.early_stopping:
            self._best_weights = [arrays[f"best {i}"] for i in range(len(self._network.weights))]


def kept(history: Sequence[Epoch], recipe: Recipe) -> Epoch:
    """The epoch whose weights are kept: the last, or with early stopping the best."""
    if recipe.early_stopping:
        return min(history, key=lambda epoch: epoch.val_loss)
    return history[-1]


class Checkpoint:
    """A file of arrays that only the run that wrote it can open when it is started again.

    A seal (HMAC-SHA-256) precedes them, made with a key of all that the run depends on. One
    check thus finds a file that is cut off, damaged or another run's.
    """

    def __init__(self, path: str | Path, key: bytes) -> None:
        self._path = Path(path)
        self._key = key

    def save(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace what was saved before.

        Raises:
            OSError: the file cannot be written; what was saved before remains.
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
        """Remove the file, if there is one."""
        self._path.unlink(missing_ok=True)

    def _seal(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, "sha256")


def _values(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def _assign(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
