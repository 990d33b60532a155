"""Optimizer and learning-rate schedule of a recipe."""

from collections.abc import Iterator
from contextlib import contextmanager

from fashion_mnist.architectures import create
from fashion_mnist.engine import keras
from fashion_mnist.errors import InputError
from fashion_mnist.params import Recipe

# Smith & Topin 2018 (arXiv:1708.07120): rise to the peak, then fall to nothing.
ONE_CYCLE_START = 1 / 25  # of the peak
ONE_CYCLE_RISE = 0.3  # of the steps


def optimizer(name: str, recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    """The recipe's optimizer, its learning rate scheduled over `steps` steps.

    Raises:
        InputError: the optimizer does not take such an argument.
    """
    kind, arguments = recipe.optimizer
    rate = schedule(recipe, steps)
    where = f"recipes.{name}.optimizer.{kind}"
    return create(where, getattr(keras.optimizers, kind), arguments | {"learning_rate": rate})


def augmentation(name: str, recipe: Recipe) -> list[keras.layers.Layer]:
    """The layers that change training images (N, 28, 28, 1), and leave others as they are.

    Raises:
        InputError: a layer does not take such an argument.
    """
    return [
        create(f"recipes.{name}.augmentation[{i}].{kind}", getattr(keras.layers, kind), arguments)
        for i, (kind, arguments) in enumerate(recipe.augmentation)
    ]


def schedule(recipe: Recipe, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate by step: constant, or falling along half a cosine to 0."""
    peak = float(recipe.optimizer[1]["learning_rate"])
    cosine = keras.optimizers.schedules.CosineDecay
    if recipe.schedule == "constant":
        return peak
    start, rise = (
        (peak * ONE_CYCLE_START, ONE_CYCLE_RISE)
        if recipe.schedule == "one-cycle"
        else (0.0, recipe.warmup)
    )
    if not rise:
        return cosine(peak, decay_steps=steps)
    rise_steps = round(steps * rise)
    return cosine(
        start,
        decay_steps=max(steps - rise_steps, 1),
        warmup_target=peak,
        warmup_steps=rise_steps,
    )


@contextmanager
def scaled_dropout(model: keras.Model, scale: float) -> Iterator[None]:
    """Within it, `model` drops out `scale` times as much as its architecture says.

    Raises:
        InputError: that would drop out everything.
    """
    rates = {layer: layer.rate for layer in model.layers if hasattr(layer, "rate")}
    for layer, rate in rates.items():
        if rate * scale >= 1:
            raise InputError(
                f"dropout_scale {scale} makes a {rate} dropout {rate * scale:g}: it must be below 1"
            )
        layer.rate = rate * scale
    try:
        yield
    finally:
        for layer, rate in rates.items():
            layer.rate = rate


def describe(recipe: Recipe) -> str:
    """The recipe on one line."""
    kind, arguments = recipe.optimizer
    settings = ", ".join(f"{key} {value}" for key, value in arguments.items())
    rise = f" after a warm-up of {recipe.warmup:.0%}" if recipe.warmup else ""
    parts = [f"{kind} ({settings}, {recipe.schedule}{rise})", f"batch size {recipe.batch_size}"]
    if recipe.label_smoothing:
        parts.append(f"label smoothing {recipe.label_smoothing}")
    if recipe.dropout_scale != 1:
        parts.append(f"dropout times {recipe.dropout_scale}")
    parts += [kind for kind, _ in recipe.augmentation]
    if recipe.mixup:
        parts.append(f"mixup {recipe.mixup}")
    parts.append(f"{recipe.epochs} epochs")
    if recipe.early_stopping:
        parts.append(f"stopping after {recipe.early_stopping.patience} without a better one")
    return ", ".join(parts)
