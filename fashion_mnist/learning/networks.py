"""A Keras network from a list of layers."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fashion_mnist.learning.backend import keras
from fashion_mnist.learning.schema import BLOCKS, MERGES, Layer, nested
from fashion_mnist.storage.dataset import Kind

ATTENTION = "MultiHeadAttention"  # of a sequence to itself: it takes its input twice
CLASSES = "classes"  # as `units`: one for each class of the data set
CONVOLUTION = {"kernel_size": 3, "padding": "same", "use_bias": False}


class LayerError(Exception):
    """Keras refuses a layer or its input; `__cause__` is Keras's error.

    Attributes:
        place: of the layer in the list, such as "[2].Repeat.layers[0].Conv2D".
        input_shape: without the batch; None if the layer itself is refused.
    """

    def __init__(self, place: str, input_shape: Any = None) -> None:
        self.place = place
        self.input_shape = input_shape


def build(layers: Sequence[Layer], kind: Kind) -> keras.Model:
    """A network with fresh weights: images float32 (N, H, W, C) to the last layer's output.

    Args:
        layers: (name of a Keras layer or a block, its arguments), from the image to the classes.
        kind: what the images are.

    Raises:
        LayerError: a layer does not take such an argument or such an input.
    """
    image = keras.Input(kind.image_shape, name="image")
    output = _Stack(len(kind.classes)).through("", layers, image)
    network = keras.Model(image, output, name="network")
    if not any(name in BLOCKS or name == ATTENTION for name, _ in layers):
        # A plain stack is simpler to read.
        network = keras.Sequential([image, *network.layers[1:]], name="network")
    return network


class _Stack:
    """Puts layers on top of each other and gives each a name of its own."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        # Keras numbers layers through the whole process; the file must not depend on that.
        self._count: Counter[str] = Counter()

    def through(self, place: str, layers: Sequence[Layer], x: Any) -> Any:
        """The output of `layers` for the tensor `x`."""
        for position, (kind, arguments) in enumerate(layers):
            x = self._one(f"{place}[{position}].{kind}", kind, arguments, x)
        return x

    def _one(self, place: str, kind: str, arguments: dict[str, Any], x: Any) -> Any:
        match kind:
            case "Repeat":
                for _ in range(arguments["times"]):
                    x = self.through(f"{place}.layers", arguments["layers"], x)
                return x
            case "ResidualBlock":
                return self.through(place, residual_block(x.shape[-1], **arguments), x)
            case "Residual":
                return self._merged(place, "Add", arguments, x)
            case _ if kind in MERGES:
                return self._merged(place, kind, arguments, x)
        inputs = [x, x] if kind == ATTENTION else [x]
        return self._layer(place, kind, counted(arguments, self._classes), inputs)

    def _merged(self, place: str, kind: str, arguments: dict[str, Any], x: Any) -> Any:
        """The outputs of all branches for `x`, merged by a layer; an empty one is the identity."""
        branches = [self.through(f"{place}.{key}", layers, x) for key, layers in nested(arguments)]
        return self._layer(place, kind, {}, [branches])

    def _layer(self, place: str, kind: str, arguments: dict[str, Any], inputs: list) -> Any:
        """The output of a new layer of Keras."""
        self._count[kind] += 1
        name = f"{_snake_case(kind)}_{self._count[kind]}"
        try:
            layer = getattr(keras.layers, kind)(**{"name": name} | arguments)
        except Exception as error:
            raise LayerError(place) from error
        try:
            given = layer(*inputs)
        except Exception as error:
            taken = inputs[0] if kind in MERGES else inputs[:1]
            raise LayerError(place, [tuple(each.shape[1:]) for each in taken]) from error
        if isinstance(given, list | tuple):
            raise LayerError(place) from ValueError("gives several outputs: only one can be used")
        return given


def residual_block(channels: int, filters: int, strides: int, preactivation: bool) -> list[Layer]:
    """The block of ResNet (He et al. 2015, arXiv:1512.03385), or with `preactivation` that of
    WideResNet (Zagoruyko & Komodakis 2016, arXiv:1605.07146).

    The shortcut is a 1 x 1 convolution where the output's shape differs from the input's.

    Args:
        channels: of the input.
        filters: channels of the output.
        strides: of the first convolution.
        preactivation: normalize and rectify before each convolution, not after it.
    """
    first: Layer = ("Conv2D", CONVOLUTION | {"filters": filters, "strides": strides})
    second: Layer = ("Conv2D", CONVOLUTION | {"filters": filters})
    projection: Layer = ("Conv2D", first[1] | {"kernel_size": 1})
    activation: list[Layer] = [("BatchNormalization", {}), ("ReLU", {})]
    changes_shape = strides != 1 or channels != filters
    if preactivation:
        layers, shortcut = [first, *activation, second], [projection]
        if not changes_shape:
            return [("Residual", {"layers": [*activation, *layers], "shortcut": []})]
        return [*activation, ("Residual", {"layers": layers, "shortcut": shortcut})]
    normalized: Layer = activation[0]
    layers = [first, *activation, second, normalized]
    shortcut = [projection, normalized] if changes_shape else []
    return [("Residual", {"layers": layers, "shortcut": shortcut}), ("ReLU", {})]


def counted(arguments: Mapping[str, Any], classes: int) -> dict[str, Any]:
    """A layer's arguments, with a number for `units: classes`."""
    is_counted = arguments.get("units") == CLASSES
    return {**arguments, "units": classes} if is_counted else {**arguments}


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
