"""What a recipe adds to a network: optimizer, learning rate, augmentation, dropout."""

from collections.abc import Iterator
from contextlib import contextmanager

from fashion_mnist.learning import batches
from fashion_mnist.learning.backend import keras
from fashion_mnist.learning.schema import Recipe

# Smith & Topin 2018 (arXiv:1708.07120): rise to the peak, then fall to zero.
ONE_CYCLE_START = 1 / 25  # of the peak
ONE_CYCLE_RISE = 0.3  # of the steps


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
    return [getattr(keras.layers, kind)(**arguments) for kind, arguments in layers]


@contextmanager
def scaled_dropout(network: keras.Model, scale: float) -> Iterator[None]:
    """Within it, `network` drops out `scale` times as much as its architecture tells it to."""
    rates = {layer: layer.rate for layer in network.layers if hasattr(layer, "rate")}
    for layer, rate in rates.items():
        layer.rate = rate * scale
    try:
        yield
    finally:
        for layer, rate in rates.items():
            layer.rate = rate
