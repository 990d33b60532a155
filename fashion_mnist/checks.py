"""Finds, before anything is trained, what only Keras knows to be wrong with a job."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.learning import loop, networks
from fashion_mnist.learning.backend import keras
from fashion_mnist.learning.dataset import CLASS_NAMES, IMAGE_SHAPE
from fashion_mnist.learning.schema import BLOCKS, Job, Layer
from fashion_mnist.running.params import suggest

WHOLE = {"ema_overwrite_frequency", "gradient_accumulation_steps"}  # Keras checks these too late
TEXTS = {"activation"}  # without a default, and no number


def check(job: Job) -> None:
    """Build the job's network and what trains it, without training.

    Raises:
        InputError: Keras does not take a layer, an argument or an input; the network does not
            end in ten probabilities; or the recipe would drop out everything.
    """
    recipe = job.recipe_key
    _check_layers(job.layers_key, job.layers)
    optimizer, arguments = job.recipe.optimizer
    _check_arguments(f"{recipe}.optimizer.{optimizer}", keras.optimizers, optimizer, arguments)
    for i, (kind, arguments) in enumerate(job.recipe.augmentation):
        _check_arguments(f"{recipe}.augmentation[{i}].{kind}", keras.layers, kind, arguments)
    with in_words(job):
        network = loop.build(job)
        _check_output(job.layers_key, network)
        _try_step(job, loop.compiled(network, job.recipe, steps=1))
    for layer in network.layers:
        rate = getattr(layer, "rate", 0) * job.recipe.dropout_scale
        if rate >= 1:
            raise InputError(
                f"{recipe}.dropout_scale: {job.recipe.dropout_scale:g} makes a rate of "
                f"{layer.rate:g} {rate:g}: it must stay below 1"
            )


@contextmanager
def in_words(job: Job) -> Iterator[None]:
    """Turn what goes wrong while the job's network is built or trained into one sentence.

    Raises:
        InputError: in the place of Keras's errors.
    """
    try:
        yield
    except networks.LayerError as error:
        place = f"{job.layers_key}{error.place}"
        said = first_sentence(error.__cause__ or error)
        shape = error.input_shape
        if shape is None:
            raise InputError(f"{place}: {said}") from None
        if place.endswith("Residual"):
            raise InputError(
                f"{place}: layers give {shape[0]} and shortcut {shape[1]}; "
                "only equal shapes can be added"
            ) from None
        raise InputError(f"{place} cannot take an input {shape[0]}: {said}") from None
    except loop.Diverged as error:
        name, arguments = job.recipe.optimizer
        raise InputError(
            f"the loss is not a finite number after epoch {error.epoch}: lower "
            f"{job.recipe_key}.optimizer.{name}.learning_rate "
            f"({arguments['learning_rate']:g}), or raise its epsilon if it has one"
        ) from None


def _check_layers(place: str, layers: Sequence[Layer]) -> None:
    for i, (kind, arguments) in enumerate(layers):
        at = f"{place}[{i}].{kind}"
        if kind in BLOCKS:
            for key in ("layers", "shortcut"):
                _check_layers(f"{at}.{key}", arguments.get(key, []))
        else:
            _check_arguments(at, keras.layers, kind, arguments)


def _check_arguments(place: str, module: Any, kind: str, arguments: Mapping[str, Any]) -> None:
    """Compare arguments with the signature of Keras's class.

    Raises:
        InputError: one is unknown, or of another type than its default.
    """
    cls = getattr(module, kind)
    known = {
        name: parameter
        for base in reversed(inspect.getmro(cls))
        if base.__module__.startswith("keras") and "__init__" in vars(base)
        for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD and name not in ("self", "args")
    }
    for name, value in arguments.items():
        if name not in known:
            raise InputError(f"{place} has no argument {name!r}; {suggest(name, known)}")
        if wanted := _misses(name, known[name].default, value):
            raise InputError(f"{place}.{name}: must be {wanted}, not {value!r}")


def _misses(name: str, default: Any, value: Any) -> str | None:
    """What an argument with this default must be, if `value` is something else."""
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "true or false"
    values = value if isinstance(value, list) else [value]
    if any(isinstance(each, bool) for each in values):
        return "a number" if default is not None else "a number or text"
    if name in WHOLE and not isinstance(value, int):
        return "a whole number"
    is_number = isinstance(default, int | float) or default is inspect.Parameter.empty
    if is_number and name not in TEXTS and any(isinstance(each, str) for each in values):
        return "a number"
    return None


def _try_step(job: Job, trainer: keras.Model) -> None:
    """Raise InputError unless images pass through the network and the optimizer takes a step."""
    try:
        trainer(np.zeros((2, *IMAGE_SHAPE), np.uint8), training=True)
        weights = trainer.trainable_variables
        trainer.optimizer.apply([keras.ops.zeros_like(weight) for weight in weights], weights)
    except Exception as error:
        raise InputError(
            f"{job.recipe_key} cannot train {job.layers_key}: {first_sentence(error)}"
        ) from None


def _check_output(place: str, network: keras.Model) -> None:
    """Raise InputError unless the network gives ten probabilities an image."""
    shape = tuple(network.output_shape[1:])
    if shape != (len(CLASS_NAMES),):
        raise InputError(
            f"{place}: the last layer must give {len(CLASS_NAMES)} class probabilities an image, "
            f"not an output {shape}"
        )
    last = network.layers[-1]
    activation = getattr(last, "activation", None)
    if not isinstance(last, keras.layers.Softmax) and activation is not keras.activations.softmax:
        raise InputError(
            f"{place}: the last layer must give probabilities: "
            "end with Dense: {units: 10, activation: softmax}"
        )
