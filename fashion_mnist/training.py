"""One model, from arrays to fitted weights and history."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fashion_mnist import evaluation, models, recipes
from fashion_mnist.dataset import CLASS_NAMES
from fashion_mnist.engine import keras
from fashion_mnist.params import Recipe

STEPS_PER_EXECUTION = 25  # between two returns to Python


@dataclass(frozen=True)
class Examples:
    """Images uint8 (N, 28, 28) and labels uint8 (N,)."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Epoch:
    """One row of the history; loss and accuracy are means over the epoch's batches."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float

    def line(self, epochs: int) -> str:
        """The row as the log shows it."""
        width = len(str(epochs))
        return (
            f"epoch {self.epoch:{width}}/{epochs}  loss {self.loss:.4f}  "
            f"accuracy {self.accuracy:.4f}  val_loss {self.val_loss:.4f}  "
            f"val_accuracy {self.val_accuracy:.4f}"
        )


def fit(
    model: keras.Sequential,
    recipe_name: str,
    recipe: Recipe,
    training: Examples,
    validation: Examples,
    seed: int,
    on_epoch: Callable[[Epoch], None],
    on_batches: Callable[[int], None] = lambda _: None,
) -> Epoch:
    """Train `model` in place and return the epoch whose weights it keeps.

    That is the last one, or with early stopping the one with the lowest validation loss.

    Args:
        model: images float32 (N, 28, 28, 1) in [0, 1] to probabilities (N, 10).
        recipe_name: for the messages.
        recipe: optimizer, schedule, batch size, epochs, ...
        training: what is learnt from.
        validation: what is only looked at, as each epoch ends.
        seed: of the order of the images.
        on_epoch: called as each epoch ends.
        on_batches: called with the number of batches done so far in this epoch.

    Raises:
        InputError: the optimizer or an augmentation does not take such an argument.
    """
    steps = batches(training, recipe)
    optimizer = recipes.optimizer(recipe_name, recipe, steps * recipe.epochs)
    network = models.on_bytes(model, recipes.augmentation(recipe_name, recipe))
    network.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
        steps_per_execution=min(STEPS_PER_EXECUTION, steps),
    )
    report = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: on_batches(batch + 1)  # noqa: ARG005
    )
    targets = np.eye(len(CLASS_NAMES), dtype=np.float32)[training.labels]
    history: list[Epoch] = []
    with recipes.scaled_dropout(model, recipe.dropout_scale):
        for number in range(1, recipe.epochs + 1):
            order = np.random.default_rng([seed, number]).permutation(len(training))
            means = network.fit(
                training.images[order, :, :, np.newaxis],
                targets[order],
                batch_size=recipe.batch_size,
                shuffle=False,
                verbose=0,
                callbacks=[report],
            ).history
            probabilities = models.probabilities(network, validation.images)
            epoch = Epoch(
                number,
                means["loss"][0],
                means["accuracy"][0],
                *evaluation.loss_and_accuracy(probabilities, validation.labels),
                learning_rate=float(keras.ops.convert_to_numpy(optimizer.learning_rate)),
            )
            on_epoch(epoch)
            history.append(epoch)
            if recipe.early_stopping:
                best = kept(history, recipe)
                if best is epoch:
                    best_weights = model.get_weights()
                elif number - best.epoch >= recipe.early_stopping.patience:
                    break
    if recipe.early_stopping:
        model.set_weights(best_weights)
    return kept(history, recipe)


def batches(examples: Examples, recipe: Recipe) -> int:
    """How many batches an epoch has, the last and smaller one included."""
    return -(-len(examples) // recipe.batch_size)


def kept(history: list[Epoch], recipe: Recipe) -> Epoch:
    """The epoch whose weights are kept: the last, or the best one with early stopping."""
    if recipe.early_stopping:
        return min(history, key=lambda epoch: epoch.val_loss)
    return history[-1]
