"""One model, from arrays to fitted weights and history."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from fashion_mnist import accelerators, evaluation, models, recipes
from fashion_mnist.checkpoints import Checkpoint
from fashion_mnist.dataset import CLASS_NAMES
from fashion_mnist.engine import in_batches, keras
from fashion_mnist.errors import InputError
from fashion_mnist.params import Recipe

# Between two returns to Python; PyTorch computes one step at a time.
STEPS_PER_EXECUTION = 1 if keras.backend.backend() == "torch" else 25


@dataclass(frozen=True)
class Examples:
    """Images uint8 (N, 28, 28) and labels uint8 (N,)."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Epoch:
    """One row of the history; loss and accuracy are means over the epoch's batches.

    Where nothing was validated on, the validation figures are not-a-number.
    """

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float

    def line(self, epochs: int) -> str:
        """The row as the log shows it."""
        width = len(str(epochs))
        scores = ("loss", "accuracy", "val_loss", "val_accuracy")
        named = ((name, getattr(self, name)) for name in scores)
        known = (f"{name} {value:.4f}" for name, value in named if not math.isnan(value))
        return "  ".join([f"epoch {self.epoch:{width}}/{epochs}", *known])


def fit(
    model: keras.Model,
    recipe_name: str,
    recipe: Recipe,
    training: Examples,
    validation: Examples | None,
    seed: int,
    *,
    on_start: Callable[[list[Epoch]], None] = lambda _: None,
    on_epoch: Callable[[list[Epoch]], None] = lambda _: None,
    on_batches: Callable[[int], None] = lambda _: None,
    checkpoint: Checkpoint | None = None,
) -> Epoch:
    """Train `model` in place and return the epoch whose weights it keeps.

    That is the last one, or with early stopping the one with the lowest validation loss.

    Args:
        model: images float32 (N, 28, 28, 1) in [0, 1] to probabilities (N, 10).
        recipe_name: for the messages.
        recipe: optimizer, schedule, batch size, epochs, ...
        training: what is learnt from.
        validation: what is only looked at, as each epoch ends; early stopping needs it.
        seed: of the order of the images.
        on_start: called with the epochs that an earlier run has done, before the next.
        on_epoch: called with all epochs so far, as each ends.
        on_batches: called with the number of batches done so far in this epoch.
        checkpoint: where an earlier run may have got to, and this one gets to: the weights
            that come out are those of a run that was never cut off, bit by bit.

    Raises:
        InputError: the optimizer or an augmentation does not take such an argument, there is
            early stopping and no validation, or a batch cannot be shared among the devices.
    """
    if recipe.early_stopping and not validation:
        raise InputError(
            f"recipes.{recipe_name}.early_stopping needs validation images, and here all train"
        )
    if recipe.batch_size % accelerators.shares():
        raise InputError(
            f"recipes.{recipe_name}.batch_size must be a multiple of {accelerators.shares()}, "
            f"the number of devices, not {recipe.batch_size}"
        )
    steps = batches(training, recipe)
    optimizer = recipes.optimizer(recipe_name, recipe, steps * recipe.epochs)
    network = models.on_bytes(model, recipes.augmentation(recipe_name, recipe))
    network.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
        steps_per_execution=min(STEPS_PER_EXECUTION, steps),
    )
    # Loshchilov & Hutter 2019 (arXiv:1711.05101) decay weights; biases and scales are none.
    optimizer.exclude_from_weight_decay([v for v in network.trainable_variables if v.ndim < 2])
    optimizer.build(network.trainable_variables)
    standing = _Standing(network, optimizer, model, recipe)
    if checkpoint and (saved := checkpoint.load()):
        standing.restore(saved)
    history = standing.history
    on_start(history)
    report = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: on_batches(batch + 1),  # noqa: ARG005
        on_epoch_end=lambda *_: standing.note_weights(),
    )
    targets = np.eye(len(CLASS_NAMES), dtype=np.float32)[training.labels]
    with recipes.scaled_dropout(model, recipe.dropout_scale):
        while not _is_over(history, recipe):
            number = len(history) + 1
            random = np.random.default_rng([seed, number])
            with accelerators.half_precision(model):
                means = network.fit(
                    **in_batches(
                        recipe.batch_size, *arranged(training.images, targets, recipe, random)
                    ),
                    shuffle=False,
                    verbose=0,
                    callbacks=[report],
                ).history
            validated = (math.nan, math.nan)
            if validation:
                probabilities = models.probabilities(network, validation.images)
                validated = evaluation.loss_and_accuracy(probabilities, validation.labels)
            standing.add(
                Epoch(
                    number,
                    means["loss"][0],
                    means["accuracy"][0],
                    *validated,
                    learning_rate=float(keras.ops.convert_to_numpy(optimizer.learning_rate)),
                )
            )
            standing.go_back_to_weights()
            if checkpoint:
                checkpoint.save(standing.arrays())
            on_epoch(history)
    standing.finish()
    return kept(history, recipe)


class _Standing:
    """All that the next epoch of a training depends on, but the data and the recipe.

    Dropout and augmentations draw from generators whose states are among the variables. An
    optimizer with `use_ema` has put averages in the place of the weights when Keras's `fit`
    ends: these are validated and kept, but what is trained on are the weights.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        model: keras.Model,
        recipe: Recipe,
    ) -> None:
        self.history: list[Epoch] = []
        self._best_weights: list[np.ndarray] = []  # with early stopping only
        self._weights: list[np.ndarray] = []  # with averaging only
        self._variables = [*network.variables, *optimizer.variables]
        self._network = network
        self._optimizer = optimizer
        self._model = model
        self._recipe = recipe

    def note_weights(self) -> None:
        """Before averages take their place."""
        if self._optimizer.use_ema:
            self._weights = _values(self._network.trainable_variables)

    def go_back_to_weights(self) -> None:
        """After the averages were looked at."""
        if self._optimizer.use_ema:
            _assign(self._network.trainable_variables, self._weights)

    def finish(self) -> None:
        """Leave the model with the weights that are kept."""
        if self._recipe.early_stopping:
            self._model.set_weights(self._best_weights)
        elif self._optimizer.use_ema:
            self._optimizer.finalize_variable_values(self._network.trainable_variables)

    def add(self, epoch: Epoch) -> None:
        """Note an epoch that has ended."""
        self.history.append(epoch)
        if self._recipe.early_stopping and kept(self.history, self._recipe) is epoch:
            self._best_weights = self._model.get_weights()

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it, for a checkpoint."""
        return {
            "history": np.array([astuple(epoch) for epoch in self.history]),
            **{f"variable {i}": value for i, value in enumerate(_values(self._variables))},
            **{f"best {i}": value for i, value in enumerate(self._best_weights)},
        }

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """What `arrays` gave in an earlier run."""
        rows = arrays["history"].tolist()
        self.history += [Epoch(int(number), *values) for number, *values in rows]
        _assign(self._variables, [arrays[f"variable {i}"] for i in range(len(self._variables))])
        if self._recipe.early_stopping:
            self._best_weights = [arrays[f"best {i}"] for i in range(len(self._model.weights))]


def _values(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def _assign(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def arranged(
    images: np.ndarray, targets: np.ndarray, recipe: Recipe, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 28, 28, 1) and targets float32 (N, 10) as an epoch goes through them."""
    order = random.permutation(len(images))[: _used(len(images))]
    images, targets = images[order], targets[order]
    if recipe.mixup:
        images, targets = mixed(images, targets, recipe.mixup, random)
    return images[..., np.newaxis], targets


def mixed(
    images: np.ndarray, targets: np.ndarray, alpha: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Each image and its target mixed with another's (Zhang et al. 2018, arXiv:1710.09412).

    Args:
        images: uint8 (N, 28, 28), and so is what comes of them.
        targets: float32 (N, 10), probabilities, and so is what comes of them.
        alpha: of the beta distribution that the shares are drawn from; the larger, the more
            alike they are.
        random: what they are drawn with.
    """
    other = random.permutation(len(images))
    share = random.beta(alpha, alpha, len(images)).astype(np.float32)
    of_image, of_target = share[:, np.newaxis, np.newaxis], share[:, np.newaxis]
    mixture = images * of_image + images[other] * (1 - of_image)
    return (
        np.rint(mixture).astype(np.uint8),
        targets * of_target + targets[other] * (1 - of_target),
    )


def _is_over(history: list[Epoch], recipe: Recipe) -> bool:
    """After the last epoch, or with early stopping when patience is at its end."""
    if len(history) == recipe.epochs:
        return True
    stopping = recipe.early_stopping
    if not stopping or not history:
        return False
    return len(history) - kept(history, recipe).epoch >= stopping.patience


def batches(examples: Examples, recipe: Recipe) -> int:
    """How many batches an epoch has, the last and smaller one included."""
    return -(-_used(len(examples)) // recipe.batch_size)


def _used(examples: int) -> int:
    """How many of so many an epoch goes through: each time it leaves out others, if any."""
    return examples - examples % accelerators.shares()


def kept(history: list[Epoch], recipe: Recipe) -> Epoch:
    """The epoch whose weights are kept: the last, or the best one with early stopping."""
    if recipe.early_stopping:
        return min(history, key=lambda epoch: epoch.val_loss)
    return history[-1]
