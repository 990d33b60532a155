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
from fashion_mnist.params import BLOCKS, Layer, suggest

BRANCHES = ("layers", "shortcut")


def build(name: str, layers: Sequence[Layer]) -> keras.Model:
    """A model with fresh weights: images float32 (N, 28, 28, 1) to probabilities (N, 10).

    Args:
        name: of the architecture, for the messages.
        layers: (Keras's layer name or a block's, its arguments), from the image to the classes.

    Raises:
        InputError: a layer does not take such an argument or such an input, the two ways
            of a residual block differ in shape, or the last layer does not give ten
            probabilities.
    """
    image = keras.Input(IMAGE_SHAPE, name="image")
    output = _Network().through(f"architectures.{name}", layers, image)
    model = keras.Model(image, output, name="network")
    if not any(kind in BLOCKS for kind, _ in layers):  # a plain stack, which is simpler to read
        model = keras.Sequential([image, *model.layers[1:]], name="network")
    _check_gives_probabilities(f"architectures.{name}", model)
    return model


class _Network:
    """Layers as they are put one behind the other, each with a name of its own."""

    def __init__(self) -> None:
        # Keras numbers names on through a process; the file must not tell what came before.
        self._seen: Counter[str] = Counter()

    def through(self, where: str, layers: Sequence[Layer], x: Any) -> Any:
        """What `layers` make of the tensor `x`."""
        for position, (kind, arguments) in enumerate(layers):
            at = f"{where}[{position}].{kind}"
            if kind == "Repeat":
                for _ in range(arguments["times"]):
                    x = self.through(at, arguments["layers"], x)
            elif kind == "Residual":
                x = self._residual(at, arguments, x)
            else:
                x = self._layer(at, kind, arguments, x)
        return x

    def _residual(self, where: str, arguments: dict[str, Any], x: Any) -> Any:
        """The sum of `layers` and of `shortcut`, which without layers is `x` itself (He et al.
        2015, arXiv:1512.03385)."""
        ways = {key: self.through(f"{where}.{key}", arguments[key], x) for key in BRANCHES}
        shapes = {key: tuple(way.shape[1:]) for key, way in ways.items()}
        if len(set(shapes.values())) > 1:
            raise InputError(
                f"{where}: layers give {shapes['layers']} and shortcut {shapes['shortcut']}, "
                "which must be the same to be added"
            )
        return self._layer(where, "Add", {}, list(ways.values()))

    def _layer(self, where: str, kind: str, arguments: dict[str, Any], x: Any) -> Any:
        self._seen[kind] += 1
        unique = {"name": f"{_snake_case(kind)}_{self._seen[kind]}"}
        layer = create(where, getattr(keras.layers, kind), unique | arguments)
        try:
            return layer(x)
        except (ValueError, TypeError, ArithmeticError) as error:
            raise InputError(
                f"{where} cannot take an input {tuple(x.shape[1:])}: {first_sentence(error)}"
            ) from None


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


def describe(layers: Sequence[Layer]) -> str:
    """The layers on one line, from left to right."""
    return " > ".join(_described(kind, arguments) for kind, arguments in layers)


def _described(kind: str, arguments: dict[str, Any]) -> str:
    if kind == "Repeat":
        return f"{arguments['times']} x ({describe(arguments['layers'])})"
    if kind == "Residual":
        return " + ".join(f"({describe(arguments[key]) or 'identity'})" for key in BRANCHES)
    return kind


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
