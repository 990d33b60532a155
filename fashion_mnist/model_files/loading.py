"""Models from files of any origin; nothing in a file is executed.

Keras itself runs code that a model file names (CVE-2024-3660, CVE-2025-1550, CVE-2025-9905 and
others). Here the network is built from a description that holds only allowed names and plain
values, and only if it needs no more memory than the weights in the file.
"""

import copy
import io
import math
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import h5py

from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.learning.backend import keras, legacy_h5_format
from fashion_mnist.model_files import adapting, contents, descriptions, hdf5
from fashion_mnist.model_files.ranges import UNIT, Range
from fashion_mnist.storage import files
from fashion_mnist.storage.dataset import Kind

MOST_OUTPUTS = 2**22  # of one layer, for one image


class Loaded(NamedTuple):
    """A model, and what was changed to make it map images in [0, 1] to probabilities.

    Attributes:
        kind: of the images that it takes, with the classes that the file remembers, if any.
    """

    model: keras.Model
    images: Range  # in which the network from the file gets them
    notes: list[str]
    kind: Kind


def load_model(path: str | Path, kind: Kind) -> keras.Model:
    """The model that `load` gives, which must be one for images of this kind.

    Raises:
        InputError, OSError: see `load`.
    """
    loaded = load(path, kind)
    adapting.check_kind(Path(path), loaded.kind, kind)
    return loaded.model


def load(path: str | Path, kind: Kind | None, images: Range | None = None) -> Loaded:
    """Rebuild the network in a `.h5` or `.keras` file of Keras 2 or 3.

    Args:
        path: of the file.
        kind: of the images that a file without class names is for; None if that is not known.
        images: the range in which the network expects its images; None to tell from its layers.

    Returns:
        A model from float32 (N, H, W, C) in [0, 1] to class probabilities. Each note is a
        sentence such as "its last layer 'dense' gives logits: a softmax was added".

    Raises:
        InputError: the file is missing or is not a model, names anything that is not allowed, needs
            more memory than its weights take, or is a network for other images or classes.
        OSError: it cannot be read, or there is no room for a copy of a `.keras` file's weights.
    """
    path = Path(path)
    return rebuilt(path, contents.read(path), kind, images)


def rebuilt(
    path: Path, content: contents.Contents, kind: Kind | None, images: Range | None = None
) -> Loaded:
    """What `load` gives for a file with this content; the path is for messages."""
    if content.classes:
        kind = None
    elif kind is None:
        raise InputError(
            f"{path} does not name its classes, and those of the data set are not known yet: "
            "run `dvc repro preprocess` first"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the file's author wrote
            warnings.filterwarnings("error", "Skipping nested container")  # weights are missing
            model, kind = _with_weights(path, content, kind)
            known = UNIT if _is_ours(content.description) else None
            return Loaded(*adapting.adapted(path, model, kind, images or known), kind)
    except (InputError, OSError):
        raise
    except Exception as error:  # Keras and TensorFlow raise anything at all
        reason = first_sentence(error) or type(error).__name__
        raise InputError(f"{path} cannot be rebuilt: {reason}") from None


def _with_weights(
    path: Path, content: contents.Contents, kind: Kind | None
) -> tuple[keras.Model, Kind]:
    shape = kind.image_shape if kind else ()
    clean = descriptions.inert(path, content.description, content.keras_2, shape)
    # Keras keeps notes about the variables that it does not make until the thread ends.
    with ThreadPoolExecutor(1) as thread:
        kind = thread.submit(
            _check_sketch, path, clean, len(content.weights), content.classes, kind
        ).result()
    model = _build(clean)
    if content.keras_2:
        _use_hard_sigmoid_of_keras_2(model)
    if content.is_archive:
        _load_weights(model, hdf5.plain(content.weights))
    else:
        _load_legacy_weights(model, content.weights)
    return model, kind


def _use_hard_sigmoid_of_keras_2(model: keras.Model) -> None:
    """Give it the slope 1/5 of Keras 2, not 1/6, wherever it is used; no other one changed."""
    keras_3 = keras.activations.hard_sigmoid

    def hard_sigmoid(x: Any) -> Any:
        return keras_3(6 / 5 * x)

    for layer in model._flatten_layers():
        for name in ("activation", "recurrent_activation"):
            if vars(layer).get(name) is keras_3:
                setattr(layer, name, hard_sigmoid)


def _is_ours(description: dict[str, Any]) -> bool:
    """Whether this project trained the network, which then saw images in [0, 1].

    It counts the layers of each kind from 1; Keras counts from 0, and on from network to network.
    """
    config = description["config"]
    if not isinstance(config, dict) or config.get("name") != "network":
        return False
    image, *layers = config["layers"]
    numbers: dict[str, set[str]] = defaultdict(set)
    for layer in layers:
        kind, name = layer["class_name"], str(layer["config"].get("name"))
        if name.replace("_", "").startswith(kind.lower()):
            numbers[kind].add(name.rpartition("_")[2])
    return image["config"].get("name") == "image" and all(
        found == {str(number) for number in range(1, len(found) + 1)} for found in numbers.values()
    )


def _build(description: dict[str, Any]) -> keras.Model:
    cls = keras.Sequential if description["class_name"] == "Sequential" else keras.Model
    return cls.from_config(copy.deepcopy(description["config"]))


def _load_legacy_weights(model: keras.Model, weights: bytes) -> None:
    with h5py.File(io.BytesIO(weights)) as file:
        group = file.get("model_weights", file)
        legacy_h5_format.load_weights_from_hdf5_group(group, model)
    for layer in model._flatten_layers():  # Keras forgets those in nested networks
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def _load_weights(model: keras.Model, weights: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:  # Keras reads these from a named file only
        path = Path(folder, "model.weights.h5")
        files.write(path, weights)
        model.load_weights(path)


def _check_sketch(
    path: Path,
    description: dict[str, Any],
    file_size: int,
    classes: tuple[str, ...],
    kind: Kind | None,
) -> Kind:
    """Build the network for one image, without weights; the kind of images that it takes.

    Raises:
        InputError: it would be too large, or is one for other images or classes.
    """
    with keras.StatelessScope(initialize_variables=False):
        model = _build(_for_one_image(description))
    parameters = sum(math.prod(variable.shape) for variable in model.variables)
    if parameters > file_size:
        raise InputError(f"{path} describes {parameters:,} weights and does not hold them: refused")
    outputs = max(_sizes(model), default=0)
    if outputs > MOST_OUTPUTS:
        raise InputError(f"{path} makes {outputs:,} numbers of an image: refused")
    kind = kind or Kind(tuple(model.input_shape[1:]), classes)
    adapting.check_shapes(path, model, kind)
    return kind


def _for_one_image(layer: dict[str, Any]) -> dict[str, Any]:
    """The same description with a batch of one, so that every shape in the network is known."""
    config = dict(layer["config"])
    if layer["class_name"] == "InputLayer":
        config["batch_shape"] = [1, *config["batch_shape"][1:]]
    elif "layers" in config:
        config["layers"] = [_for_one_image(each) for each in config["layers"]]
    return layer | {"config": config}


def _sizes(model: keras.Model) -> Iterator[int]:
    """How many numbers each operation gives for one image, wherever it is called."""
    for operation in getattr(model, "operations", model.layers):
        if isinstance(operation, keras.Model):
            yield from _sizes(operation)
        for node in operation._inbound_nodes:
            yield from (_size(tensor.shape) for tensor in node.outputs)
            if "Attention" in type(operation).__name__:  # it weighs each pair of places
                pairs = math.prod(_size(tensor.shape[:-1]) for tensor in node.input_tensors[:2])
                yield pairs * getattr(operation, "_num_heads", 1)


def _size(shape: tuple[int | None, ...]) -> int:
    return math.prod(filter(None, shape))
