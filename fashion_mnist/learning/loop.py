"""The training loop: from a job and images to fitted weights and their history."""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from fashion_mnist.errors import InputError
from fashion_mnist.learning import batches, kernels, networks, prediction, recipes
from fashion_mnist.learning.backend import in_batches, keras
from fashion_mnist.learning.batches import Examples
from fashion_mnist.learning.precision import half_precision
from fashion_mnist.learning.schema import Job, Recipe
from fashion_mnist.learning.state import Checkpoint, Epoch, TrainingState, kept

STEPS_PER_EXECUTION = 25  # between two returns to Python


class Diverged(Exception):  # noqa: N818
    """A loss is not a finite number after the epoch `epoch`."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch


class Refused(Exception):  # noqa: N818
    """Keras or its backend cannot train the network; `__cause__` is the error."""


class Progress(Protocol):
    """What wants to know how far a training is."""

    def start_epoch(self, history: Sequence[Epoch], batches: int) -> None:
        """The next epoch, of so many batches, begins after these."""

    def finish_batches(self, count: int) -> None:
        """So many batches of this epoch are done."""

    def finish_epoch(self, history: Sequence[Epoch]) -> None:
        """The last of these has ended."""


def build(job: Job) -> keras.Model:
    """The job's network, untrained.

    What trains it is created too, so that Keras refuses an argument before any data is read.
    """
    keras.utils.set_random_seed(job.seed)
    network = networks.build(job.layers, job.kind)
    recipes.optimizer(job.recipe, steps=1)
    recipes.augmentation(job.recipe)
    return network


def fit(
    network: keras.Model,
    job: Job,
    training: Examples,
    validation: Examples | None,
    progress: Progress,
    checkpoint: Checkpoint | None = None,
    record: Callable[[Sequence[Epoch]], None] = lambda _: None,
) -> list[Epoch]:
    """Train what `build` gave, in place; return all epochs, those of an earlier run included.

    The weights of the epoch `state.kept` are kept: the last one, or with early stopping the one
    with the lowest validation loss.

    Args:
        network: images float32 (N, H, W, C) in [0, 1] to class probabilities.
        job: that the network was built for.
        training: the images to learn from.
        validation: scored after each epoch; early stopping needs it.
        progress: told how far it is.
        checkpoint: read at the start and written after each epoch. A run that continues from it
            gives the same weights, bit for bit, as one that was never interrupted.
        record: given all epochs so far, whenever there is another.

    Raises:
        Diverged: a loss became infinite or not a number.
        Refused: the network cannot be trained so, or memory is short.
    """
    recipe = job.recipe
    steps = steps_per_epoch(len(training.labels), recipe)
    trainer = compiled(network, recipe, steps, parts(job))
    state = TrainingState(network, trainer, recipe)
    if checkpoint and (saved := checkpoint.load()):
        state.restore(saved)
        record(state.history)
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: progress.finish_batches(batch + 1),  # noqa: ARG005
        on_epoch_end=lambda *_: state.keep_weights(),
    )
    targets = np.eye(len(job.kind.classes), dtype=np.float32)[training.labels]
    with recipes.scaled_dropout(network, recipe.dropout_scale), kernels.cheaper(network):
        while not is_over(state.history, recipe):
            progress.start_epoch(tuple(state.history), steps)
            number = len(state.history) + 1
            random = np.random.default_rng([job.seed, number])
            arrays = batches.epoch(training.images, targets, recipe, random)
            try:
                with half_precision(network):
                    means = trainer.fit(
                        **in_batches(recipe.batch_size, *arrays),
                        shuffle=False,
                        verbose=0,
                        callbacks=[callback],
                    ).history
            except (InputError, OSError):  # about its progress
                raise
            except Exception as error:  # Keras and its backend raise anything at all
                raise Refused from error
            scores = (math.nan, math.nan)
            if validation:
                probabilities = prediction.predict_uint8(trainer, validation.images)
                scores = prediction.loss_and_accuracy(probabilities, validation.labels)
            rate = float(keras.ops.convert_to_numpy(trainer.optimizer.learning_rate))
            epoch = Epoch(number, means["loss"][0], means["accuracy"][0], *scores, rate)
            if not math.isfinite(epoch.loss) or (validation and not math.isfinite(epoch.val_loss)):
                raise Diverged(number)
            state.add(epoch)
            if checkpoint:
                checkpoint.save(state.arrays())
            record(state.history)
            progress.finish_epoch(tuple(state.history))
    state.finish()
    return state.history


def parts(job: Job) -> int:
    """How many parts of a batch are computed side by side: one a thread; JAX computes it whole."""
    if keras.backend.backend() != "tensorflow":
        return 1
    return min(job.threads, job.recipe.batch_size)


def compiled(network: keras.Model, recipe: Recipe, steps: int, parts: int = 1) -> keras.Model:
    """The model that `fit` trains: `network` behind the recipe's augmentation, with its optimizer.

    Args:
        network: from `build`.
        recipe: how it is trained.
        steps: of an epoch.
        parts: of a batch, computed side by side.
    """
    optimizer = recipes.optimizer(recipe, steps * recipe.epochs)
    trainer = prediction.with_uint8_input(network, recipes.augmentation(recipe), parts)
    trainer.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
        steps_per_execution=min(STEPS_PER_EXECUTION, steps),
    )
    # Loshchilov & Hutter 2019 (arXiv:1711.05101): biases and scales are not decayed.
    optimizer.exclude_from_weight_decay([v for v in trainer.trainable_variables if v.ndim < 2])
    optimizer.build(trainer.trainable_variables)
    return trainer


def try_step(network: keras.Model, job: Job, is_compiled: bool) -> None:
    """Take one step as `fit` does, on two black images; the network's weights change.

    Args:
        network: from `build`.
        job: that the network was built for.
        is_compiled: as in a training. Otherwise, the same is computed in less time.

    Raises:
        Exception: the network cannot be trained so; the type depends on how.
    """
    recipe = job.recipe
    trainer = compiled(network, recipe, steps=1)
    trainer.run_eagerly = not is_compiled
    images = np.zeros((2, *job.kind.image_shape), np.uint8)
    targets = np.eye(len(job.kind.classes), dtype=np.float32)[:2]
    scaled = recipes.scaled_dropout(network, recipe.dropout_scale)
    with scaled, kernels.cheaper(network), half_precision(network):
        trainer.train_on_batch(images, targets)


def steps_per_epoch(images: int, recipe: Recipe) -> int:
    """How many batches an epoch has, the last and smaller one included."""
    return -(-images // recipe.batch_size)


def is_over(history: list[Epoch], recipe: Recipe) -> bool:
    """Whether the last epoch is done, or with early stopping, patience is at its end."""
    if len(history) == recipe.epochs:
        return True
    if not recipe.early_stopping or not history:
        return False
    return len(history) - kept(history, recipe).epoch >= recipe.early_stopping.patience
