"""From a list of layers in YAML to a Keras model."""

import inspect
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from fashion_mnist.dataset import CLASS_NAMES, IMAGE_SHAPE
from fashion_mnist.engine import keras
from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.params import suggest

Layer = tuple[str, dict[str, Any]]


def build(name: str, layers: Sequence[Layer]) -> keras.Sequential:
    """A model with fresh weights: images float32 (N, 28, 28, 1) to probabilities (N, 10).

    Args:
        name: of the architecture, for the messages.
        layers: (Keras's layer name, its arguments), from the image to the classes.

    Raises:
        InputError: a layer does not take such an argument or such an input, or the last
            does not give ten probabilities.
    """
    model = keras.Sequential([keras.Input(IMAGE_SHAPE, name="image")], name="network")
    seen: Counter[str] = Counter()
    shape = IMAGE_SHAPE
    for position, (kind, arguments) in enumerate(layers):
        where = f"architectures.{name}[{position}].{kind}"
        seen[kind] += 1
        # Keras numbers names on through a process; the file must not tell what came before.
        unique = {"name": f"{_snake_case(kind)}_{seen[kind]}"}
        layer = create(where, getattr(keras.layers, kind), unique | arguments)
        try:
            model.add(layer)
        except (ValueError, TypeError, ArithmeticError) as error:
            raise InputError(
                f"{where} cannot take an input {shape}: {first_sentence(error)}"
            ) from None
        shape = tuple(model.output_shape[1:])
    _check_gives_probabilities(f"architectures.{name}", model)
    return model


def create(where: str, cls: type, arguments: dict[str, Any]) -> Any:
    """`cls(**arguments)`, for a Keras layer or optimizer.

    Raises:
        InputError: an argument is unknown, missing or wrong; the message begins with `where`.
    """
    known = {
        parameter
        for base in inspect.getmro(cls)
        if base.__module__.startswith("keras") and "__init__" in vars(base)
        for parameter in inspect.signature(vars(base)["__init__"]).parameters
    } - {"self", "args", "kwargs"}
    for argument in arguments:
        if argument not in known:
            raise InputError(f"{where} has no argument {argument!r}; {suggest(argument, known)}")
    try:
        return cls(**arguments)
    except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise InputError(f"{where}: {first_sentence(error)}") from None


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of the convolutions and dense layers, for one image."""
    total = 0
    for layer in model.layers:
        kernels = sum(int(np.prod(w.shape)) for w in layer.trainable_weights if len(w.shape) > 1)
        total += kernels * int(np.prod(layer.output.shape[1:-1], dtype=int))
    return total


def describe(model: keras.Model) -> str:
    """The layers on one line, from left to right."""
    return " > ".join(type(layer).__name__ for layer in model.layers)


def _check_gives_probabilities(where: str, model: keras.Model) -> None:
    shape = tuple(model.output_shape[1:])
    if shape != (len(CLASS_NAMES),):
        raise InputError(
            f"{where}: the last layer must give {len(CLASS_NAMES)} class probabilities an image, "
            f"not an output {shape}"
        )
    last = model.layers[-1]
    activation = getattr(last, "activation", None)
    if not isinstance(last, keras.layers.Softmax) and activation is not keras.activations.softmax:
        raise InputError(
            f"{where}: the last layer must give probabilities: "
            "end with Dense: {units: 10, activation: softmax}"
        )


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
