"""Adapt a network from a file to images in [0, 1] and to class probabilities."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fashion_mnist.errors import InputError
from fashion_mnist.learning.backend import keras
from fashion_mnist.model_files.ranges import BYTES, UNIT, Range
from fashion_mnist.storage.dataset import Kind

TOLERANCE = 1e-3  # of the sum of a row of probabilities
SMALL_SCALE = 1 / 50  # a network that divides its images by more expects them up to 255

# These rearrange, choose or average numbers and so keep their range.
_KEEP_RANGE = frozenset(
    """Average AveragePool AveragePooling1D AveragePooling2D BroadcastTo Cast CenterCrop Concatenate
    CropImages Cropping2D ExpandDims Flatten Flip GetItem GlobalAveragePooling1D
    GlobalAveragePooling2D GlobalMaxPooling1D GlobalMaxPooling2D Identity InputLayer Masking Max
    MaxPool MaxPooling1D MaxPooling2D Maximum Mean Min Minimum Moveaxis Pad PadImages Permute
    RGBToGrayscale Repeat RepeatVector Reshape Resize Resizing Roll Split Squeeze Stack StopGradient
    Swapaxes Tile Transpose UpSampling1D UpSampling2D ZeroPadding1D ZeroPadding2D""".split()
)
# Functions that a network may end in: with results from 0 up, which can be divided by their sum,
# and with results that are neither probabilities nor logits.
_POSITIVE = frozenset("exponential hard_sigmoid sigmoid softmax sparse_sigmoid sparsemax".split())
_NEITHER = frozenset(
    """celu elu gelu glu hard_shrink hard_silu hard_tanh leaky_relu log_sigmoid mish p_re_lu relu
    relu6 selu silu soft_shrink softplus softsign sparse_plus squareplus tanh tanh_shrink""".split()
)


def check_kind(path: Path, found: Kind, wanted: Kind) -> None:
    """Raise InputError unless a model's images and classes are those of the data set."""
    if found.image_shape != wanted.image_shape:
        raise InputError(
            f"{path} takes images {found.image_shape}; those of the data set are "
            f"{wanted.image_shape}"
        )
    if found.classes != wanted.classes:
        theirs, ours = (", ".join(kind.classes[:3]) for kind in (found, wanted))
        raise InputError(
            f"{path} was trained on other classes ({theirs}, ...) than those of the data set "
            f"({ours}, ...)"
        )


def check_shapes(path: Path, model: keras.Model, kind: Kind) -> None:
    """Raise InputError unless the network maps one image to one number per class."""
    taken, given = tuple(model.input_shape[1:]), tuple(model.output_shape[1:])
    sizes, image_sizes = (_without_ones(shape) for shape in (taken, kind.image_shape))
    is_image = len(kind.image_shape) == 3 and kind.image_shape[2] in (1, 3)
    fits = sizes in (image_sizes, [math.prod(image_sizes)])
    if not is_image or not fits or _without_ones(given) != [len(kind.classes)]:
        raise InputError(
            f"{path} maps {taken} to {given}; needed is a model from {kind.image_shape} "
            f"to {len(kind.classes)} class probabilities"
        )
    if (rows := model.output_shape[0]) not in (1, None):
        raise InputError(f"{path} gives {rows} answers for one image: needed is one")


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def adapted(
    path: Path, model: keras.Model, kind: Kind, images: Range | None
) -> tuple[keras.Model, Range, list[str]]:
    """A network from float32 (N, H, W, C) in [0, 1] to class probabilities, and notes.

    Args:
        path: the model file, for messages.
        model: a network with the shapes that `check_shapes` allows.
        kind: of the images.
        images: the range in which it expects images; None to tell from its layers.

    Returns:
        `model` itself if it is one already; the range in which it gets its images; a sentence for
        each change except of shape, and of a range that was given.

    Raises:
        InputError: its predictions are not finite, or neither probabilities nor logits.
    """
    before, after, notes = [], [], []
    if model.input_shape[1:] != kind.image_shape:
        before.append(keras.layers.Reshape(model.input_shape[1:], name="image_shape"))
    scaling = [] if images else expecting_255(model)
    if scaling:
        notes.append(f"its layer {scaling[0]!r} expects images from 0 to 255: it is given these")
    images = images or (BYTES if scaling else UNIT)
    if images != UNIT:
        before.insert(0, images.layer())
    if len(model.output_shape) > 2:
        after.append(keras.layers.Reshape((len(kind.classes),), name="class_shape"))
    change, note = _to_probabilities(path, model, _extended(before, model, after, kind))
    if note:
        notes.append(note)
    return _extended(before, model, after + change, kind), images, notes


def expecting_255(model: keras.Model) -> list[str]:
    """Names of the layers that are the first to scale images, and by what suits 0 to 255 only."""
    return [operation.name for operation in _first(model) if _expects_255(operation)]


def _extended(before: list, model: keras.Model, after: list, kind: Kind) -> keras.Model:
    if not before and not after:
        return model
    x = image = keras.Input(kind.image_shape, name="image")
    layers = model.layers if isinstance(model, keras.Sequential) else [model]
    for call in (*before, *layers, *after):
        x = call(x)
    return keras.Model(image, x, name="network")


def _to_probabilities(path: Path, model: keras.Model, runnable: keras.Model) -> tuple[list, str]:
    """Layers that make its predictions probabilities, and a sentence about them."""
    rows = keras.ops.convert_to_numpy(runnable(_probes(runnable.input_shape[1:]), training=False))
    if not np.isfinite(rows).all():
        raise InputError(f"{path} predicts numbers that are not finite: train it again")
    if _are_probabilities(rows):
        return [], ""
    last = list(_last(model.outputs[0]))
    name, activations = last[0].name, {_activation(op) for op in last}
    if _are_probabilities(np.exp(rows)):
        exponential = keras.layers.Activation("exponential", name="probabilities")
        return [exponential], f"its last layer {name!r} gives log-probabilities: exp was taken"
    if activations & _NEITHER:
        raise InputError(
            f"{path} ends in {'/'.join(sorted(activations))} (layer {name!r}), which gives neither "
            "probabilities nor logits: end it with a softmax"
        )
    if activations <= _POSITIVE:
        return [_normalized], (
            f"its last layer {name!r} gives each class a number of its own "
            f"({'/'.join(sorted(activations))}): they were divided by their sum"
        )
    softmax = keras.layers.Softmax(name="probabilities")
    return [softmax], f"its last layer {name!r} gives logits: a softmax was added"


def _normalized(rows: Any) -> Any:
    """The rows divided by their sums; one of zeros becomes uniform."""
    rows = rows + 1e-30
    return rows / keras.ops.sum(rows, axis=-1, keepdims=True)


def _probes(image_shape: tuple[int, ...]) -> np.ndarray:
    """Images unlike each other, float32 (8, H, W, C) in [0, 1]."""
    noise = np.random.default_rng(0).random((8, *image_shape), dtype=np.float32)
    brightness = np.linspace(0, 1, 8, dtype=np.float32).reshape(8, 1, 1, 1)
    noise[::2] = noise[::2] > 0.5
    noise[:, 4:10] = 0
    return noise * brightness


def _are_probabilities(rows: np.ndarray) -> bool:
    return bool((rows >= 0).all() and (abs(rows.sum(axis=1) - 1) < TOLERANCE).all())


def _first(model: keras.Model) -> Iterator[Any]:
    """The operations that are the first to change the range of the input's numbers."""
    reached = [tensor._keras_history.operation for tensor in model.inputs]
    for operation in reached:  # which grows
        for node in operation._outbound_nodes:
            following = node.operation
            if following in reached:
                continue
            inner = list(_first(following)) if isinstance(following, keras.Model) else []
            yield from inner
            if not inner and (isinstance(following, keras.Model) or _keeps_range(following)):
                reached.append(following)
            elif not inner:
                yield following


def _last(tensor: Any) -> Iterator[Any]:
    """The operations that were the last to change the range of the output's numbers."""
    operation, node, index = tensor._keras_history
    if isinstance(operation, keras.Model):
        yield from _last(operation.outputs[index])
    elif _keeps_range(operation) and operation._inbound_nodes[node].input_tensors:
        for each in operation._inbound_nodes[node].input_tensors:
            yield from _last(each)
    else:
        yield operation


def _keeps_range(operation: Any) -> bool:
    kind = type(operation).__name__
    if kind == "Add":  # of two images, not of an image and a number
        return not any(_constants(operation))
    return kind in _KEEP_RANGE or (
        isinstance(operation, keras.layers.Activation) and _activation(operation) == "linear"
    )


def _activation(operation: Any) -> str:
    """The name of the function that gives the operation's output its range."""
    function = getattr(operation, "activation", None)
    if function is None:
        name = type(operation).__name__
    else:
        name = getattr(function, "__name__", type(function).__name__)
    snake_case = keras.src.utils.naming.to_snake_case(name)
    return {"re_lu": "relu", "leaky_re_lu": "leaky_relu"}.get(snake_case, snake_case)


def _expects_255(operation: Any) -> bool:
    """Whether the operation, applied to the images, makes sense for a range of 0 to 255 only."""
    match type(operation).__name__:
        case "Rescaling":
            return bool(np.max(np.abs(operation.scale)) < SMALL_SCALE)
        case "Normalization":
            return bool(np.max(keras.ops.convert_to_numpy(operation.mean)) > 1)
        case "BatchNormalization":
            return bool(np.max(keras.ops.convert_to_numpy(operation.moving_mean)) > 1)
        case "Multiply" | "Divide" | "TrueDivide" as kind:
            scales = [each if kind == "Multiply" else 1 / each for each in _constants(operation)]
            return any(scale < SMALL_SCALE for scale in scales)
        case "Add" | "Subtract":
            return any(1 / shift < SMALL_SCALE for shift in _constants(operation))
    return False


def _constants(operation: Any) -> Iterator[float]:
    """The largest magnitude of each number or array that the operation computes with, unless 0."""
    for node in operation._inbound_nodes:
        for value in node.arguments.args[1:]:
            if isinstance(value, int | float | np.ndarray) and np.any(value):
                yield float(np.abs(value).max())
