"""Finds mistakes in a job that only Keras can detect, before anything is trained."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import Parameter
from typing import Any

import numpy as np

from fashion_mnist.checking.params import PARAMS, suggest
from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.learning import loop, networks
from fashion_mnist.learning.backend import keras
from fashion_mnist.learning.schema import BLOCKS, Job, Layer

# What Keras checks too late, or not at all.
WHOLE = {"dilation_rate", "ema_overwrite_frequency", "filters", "gradient_accumulation_steps"}
WHOLE |= {"groups", "kernel_size", "pool_size", "strides", "units"}
NUMBERS = {"clipnorm", "clipvalue", "global_clipnorm", "loss_scale_factor", "max_value"}
NUMBERS |= {"weight_decay"}  # all of them None by default
TEXTS = {"activation"}  # without a default, and not a number
FLIPS = ("horizontal", "vertical", "horizontal_and_vertical")
CALLED = re.compile(r"\x1b\[1m(.*?)\x1b\[0m", re.DOTALL)  # what Keras wraps when a call fails


def check(job: Job) -> None:
    """Build the job's network and what trains it, without training.

    Raises:
        InputError: Keras does not take a layer, an argument or an input; the network does not
            end in a probability for each class; or the recipe would drop out everything.
    """
    try:
        _check(job)
    except InputError as error:
        raise InputError(f"{PARAMS}: {error}") from None


def _check(job: Job) -> None:
    recipe = job.recipe_key
    _check_layers(job.layers_key, job.layers, len(job.kind.classes))
    optimizer, arguments = job.recipe.optimizer
    arguments = arguments | {"learning_rate": float(arguments["learning_rate"])}
    _create(f"{recipe}.optimizer.{optimizer}", keras.optimizers, optimizer, arguments)
    for i, (kind, arguments) in enumerate(job.recipe.augmentation):
        _create(f"{recipe}.augmentation[{i}].{kind}", keras.layers, kind, arguments)
    network = _built(job)
    _check_output(job.layers_key, network, len(job.kind.classes))
    _try_step(job, network)
    scale = job.recipe.dropout_scale
    for layer in network.layers:
        if getattr(layer, "rate", 0) * scale >= 1:
            raise InputError(
                f"{recipe}.dropout_scale: {scale:g} times a rate of {layer.rate:g} drops out "
                "everything: the product must be less than 1"
            )


@contextmanager
def in_words(job: Job) -> Iterator[None]:
    """Turn an error from building or training the job's network into one sentence.

    Raises:
        InputError: in place of Keras's errors.
    """
    try:
        yield
    except networks.LayerError as error:
        place = f"{job.layers_key}{error.place}"
        said = _said(error.__cause__ or error)
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


def _check_layers(place: str, layers: Sequence[Layer], classes: int) -> None:
    for i, (kind, arguments) in enumerate(layers):
        at = f"{place}[{i}].{kind}"
        if kind in BLOCKS:
            for key in ("layers", "shortcut"):
                _check_layers(f"{at}.{key}", arguments.get(key, []), classes)
        else:
            _check_arguments(at, keras.layers, kind, networks.counted(arguments, classes))


def _create(place: str, module: Any, kind: str, arguments: Mapping[str, Any]) -> None:
    """Raise InputError unless Keras creates the object with these arguments."""
    _check_arguments(place, module, kind, arguments)
    try:
        getattr(module, kind)(**arguments)
    except Exception as error:
        raise InputError(f"{place}: {_said(error)}") from None


def _check_arguments(place: str, module: Any, kind: str, arguments: Mapping[str, Any]) -> None:
    """Compare arguments with the signature of Keras's class.

    Raises:
        InputError: one is missing, is unknown, or has a different type from its default.
    """
    cls = getattr(module, kind)
    known = {
        name: parameter
        for base in reversed(inspect.getmro(cls))
        if base.__module__.startswith("keras") and "__init__" in vars(base)
        for name, parameter in _parameters(vars(base)["__init__"]).items()
    }
    for name, value in arguments.items():
        if name not in known:
            raise InputError(f"{place} has no argument {name!r}; {suggest(name, known)}")
        values = value if isinstance(value, list) and module is keras.layers else [value]
        if wanted := _misses(name, known[name].default, values):
            raise InputError(f"{place}.{name}: must be {wanted}, not {value!r}")
    for name, parameter in _parameters(cls.__init__).items():
        if parameter.default is Parameter.empty and name not in arguments:
            raise InputError(f"{place}.{name}: is missing")


def _parameters(function: Any) -> dict[str, Parameter]:
    """The named parameters of an `__init__`."""
    return {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self"
        and parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    }


def _misses(name: str, default: Any, values: Sequence[Any]) -> str | None:
    """What an argument with this default must be, if one of `values` is something else."""

    def are(*types: type) -> bool:
        return all(type(each) in types for each in values)

    if isinstance(default, bool):
        return None if are(bool) else "true or false"
    if default is None and are(type(None)):
        return None
    if name in WHOLE:
        return None if are(int) else "a whole number"
    is_number = isinstance(default, int | float) or default is Parameter.empty
    if name in NUMBERS or (is_number and name not in TEXTS):
        return None if are(int, float) else "a number"
    if name == "mode":
        return None if values and values[0] in FLIPS else f"one of {', '.join(FLIPS)}"
    return "a number or text" if bool in map(type, values) else None


def _built(job: Job) -> keras.Model:
    try:
        with in_words(job):
            return loop.build(job)
    except InputError:
        raise
    except Exception as error:  # about the network as a whole
        raise InputError(f"{job.layers_key}: {_said(error)}") from None


def _try_step(job: Job, network: keras.Model) -> None:
    """Raise InputError unless images pass through the network and the optimizer takes a step."""
    try:
        trainer = loop.compiled(network, job.recipe, steps=1)
        trainer(np.zeros((2, *job.kind.image_shape), np.uint8), training=True)
        weights = trainer.trainable_variables
        gradients = [keras.ops.zeros(weight.shape, weight.dtype) for weight in weights]
        trainer.optimizer.apply(gradients, weights)
    except Exception as error:
        raise InputError(
            f"{job.recipe_key} cannot train {job.layers_key}: {_said(error)}"
        ) from None


def _said(error: BaseException) -> str:
    """The first sentence of an error of Keras's."""
    called = CALLED.search(str(error))
    return first_sentence(ValueError(called[1])) if called else first_sentence(error)


def _check_output(place: str, network: keras.Model, classes: int) -> None:
    """Raise InputError unless the network gives a probability for each class."""
    shape = tuple(network.output_shape[1:])
    if shape != (classes,):
        raise InputError(
            f"{place}: the last layer must give {classes} class probabilities per image, "
            f"not an output {shape}: write `units: classes`"
        )
    last = network.layers[-1]
    activation = getattr(last, "activation", None)
    if not isinstance(last, keras.layers.Softmax) and activation is not keras.activations.softmax:
        raise InputError(
            f"{place}: the last layer must give probabilities: "
            "end with Dense: {units: classes, activation: softmax}"
        )
