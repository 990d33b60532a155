"""What a recipe adds to a network: optimizer, learning rate, augmentation, dropout."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fashion_mnist.learning import batches
from fashion_mnist.learning.backend import keras
from fashion_mnist.learning.schema import Recipe

# Smith & Topin 2018 (arXiv:1708.07120): rise to the peak, then fall to zero.
ONE_CYCLE_START = 1 / 25  # of the peak
ONE_CYCLE_RISE = 0.3  # of the steps
RANGE = (0, 1)  # of an image's values, as a network sees them


def optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    """The recipe's optimizer, its learning rate scheduled over `steps` steps."""
    kind, arguments = recipe.optimizer
    return getattr(keras.optimizers, kind)(
        **arguments | {"learning_rate": learning_rate(recipe, steps)}
    )


def learning_rate(
    recipe: Recipe, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate by step: constant, or falling to 0 along half a cosine."""
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


def augmentation(recipe: Recipe) -> list[keras.layers.Layer]:
    """Layers that change images (N, H, W, C) in training and leave them alone otherwise.

    Flips that `batches.epoch` makes are not among them.
    """
    layers = recipe.augmentation[1:] if batches.flips(recipe) else recipe.augmentation
    return [augmenting(kind, arguments) for kind, arguments in layers]


def augmenting(kind: str, arguments: Mapping[str, Any]) -> keras.layers.Layer:
    """A layer of augmentation for images in [0, 1], where Keras expects 0 to 255."""
    cls = getattr(keras.layers, kind)
    has_range = "value_range" in inspect.signature(cls).parameters
    return cls(**({"value_range": RANGE} if has_range else {}) | dict(arguments))


@contextmanager
def scaled_dropout(network: keras.Model, scale: float) -> Iterator[None]:
    """Within it, `network` drops out `scale` times as much as its architecture tells it to."""
    rates = list(dropout_rates(network))
    for layer, name, rate in rates:
        setattr(layer, name, rate * scale)
    try:
        yield
    finally:
        for layer, name, rate in rates:
            setattr(layer, name, rate)


def dropout_rates(network: keras.Model) -> Iterator[tuple[keras.layers.Layer, str, float]]:
    """(layer, attribute, value) of each rate, those within recurrent layers and attention too."""
    for layer in network._flatten_layers():
        for name in ("rate", "dropout", "recurrent_dropout"):
            if name in vars(layer):
                yield layer, name, vars(layer)[name]
