"""Finds mistakes in a job that only Keras can detect, before anything is trained."""

import io
import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fashion_mnist.checking import memory, signatures
from fashion_mnist.checking.params import PARAMS, suggest
from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.learning import loop, networks, recipes, saving
from fashion_mnist.learning.backend import keras
from fashion_mnist.learning.schema import BLOCKS, MERGES, Job, Layer, nested
from fashion_mnist.model_files import adapting, contents, loading

SAME = 1e-4  # of a probability: more than rounding gives
SHORT_OF_MEMORY = re.compile(r"OOM when allocating|RESOURCE_EXHAUSTED|ResourceExhausted")


def check(job: Job, is_used: bool = False) -> None:
    """Build the job's network and what trains it, take one step, and read the network back.

    Args:
        job: what would be trained.
        is_used: compile the step, as a training does; that takes seconds.

    Raises:
        InputError: Keras does not take a layer, an argument or an input; the network does not
            end in a probability for each class; its file could not be read; there is not
            enough memory; or the recipe would drop out everything.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # Keras's, about networks that it takes
            _check(job, is_used)
    except InputError as error:
        raise InputError(f"{PARAMS}: {error}") from None


def _check(job: Job, is_used: bool) -> None:
    recipe = job.recipe_key
    _check_layers(job.layers_key, job.layers, len(job.kind.classes))
    optimizer, arguments = job.recipe.optimizer
    arguments = arguments | {"learning_rate": float(arguments["learning_rate"])}
    _create(f"{recipe}.optimizer.{optimizer}", keras.optimizers, optimizer, arguments)
    for i, (kind, arguments) in enumerate(job.recipe.augmentation):
        at = f"{recipe}.augmentation[{i}].{kind}"
        _create(at, keras.layers, kind, arguments)
        _check_range(at, arguments)
    _check_size(job)
    network = _built(job)
    _check_output(job.layers_key, network, len(job.kind.classes))
    for name in adapting.expecting_255(network):
        raise InputError(
            f"{job.layers_key}: its layer {name!r} makes images almost black: they are in [0, 1] "
            "already"
        )
    _check_predictions(job, network)
    scale = job.recipe.dropout_scale
    for _, _, rate in recipes.dropout_rates(network):
        if rate * scale >= 1:
            raise InputError(
                f"{recipe}.dropout_scale: {scale:g} times a rate of {rate:g} drops out "
                "everything: the product must be less than 1"
            )
    _try_step(job, network, is_used)


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
        said = first_sentence(error.__cause__ or error)
        shape = error.input_shape
        if _is_short_of_memory(error.__cause__):
            raise InputError(f"{place}: {_no_memory(job)}") from None
        if shape is None:
            raise InputError(f"{place}: {said}") from None
        if place.endswith("Residual"):
            raise InputError(
                f"{place}: layers give {shape[0]} and shortcut {shape[1]}; "
                "only equal shapes can be added"
            ) from None
        if place.endswith(MERGES):
            shapes = ", ".join(map(str, shape))
            raise InputError(f"{place}: its branches give {shapes}: {said}") from None
        raise InputError(f"{place} cannot take an input {shape[0]}: {said}") from None
    except loop.Refused as error:
        raise InputError(_untrainable(job, error.__cause__ or error)) from None
    except MemoryError:
        raise InputError(f"{job.layers_key}: {_no_memory(job)}") from None
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
            for key, inner in nested(arguments):
                _check_layers(f"{at}.{key}", inner, classes)
            continue
        if kind == "Rescaling" and isinstance(scale := arguments.get("scale"), str):
            raise InputError(
                f"{at}.scale: must be a number, not {scale!r}; images are in [0, 1] already"
            )
        _check_arguments(at, keras.layers, kind, networks.counted(arguments, classes))
        axes = arguments.get("axis")
        if 0 in (axes if isinstance(axes, list) else [axes]):
            raise InputError(f"{at}.axis: must not be 0, along which the images of a batch lie")


def _check_range(place: str, arguments: Mapping[str, Any]) -> None:
    """Raise InputError if augmentation fills images with values that no image has."""
    low, high = recipes.RANGE
    for name in ("fill_value", "value_range"):
        value = arguments.get(name)
        values = value if isinstance(value, list) else [value]
        if not all(low <= each <= high for each in values if isinstance(each, int | float)):
            raise InputError(f"{place}.{name}: images are in [{low}, {high}], not {value!r}")


def _create(place: str, module: Any, kind: str, arguments: Mapping[str, Any]) -> None:
    """Raise InputError unless Keras creates the object with these arguments."""
    _check_arguments(place, module, kind, arguments)
    try:
        getattr(module, kind)(**arguments)
    except Exception as error:
        raise InputError(f"{place}: {first_sentence(error)}") from None


def _check_arguments(place: str, module: Any, kind: str, arguments: Mapping[str, Any]) -> None:
    """Compare arguments with the signature of Keras's class.

    Raises:
        InputError: one is missing, is unknown, or has a different type from its default.
    """
    cls = getattr(module, kind)
    known = signatures.known(cls)
    for name, value in arguments.items():
        if name not in known:
            raise InputError(f"{place} has no argument {name!r}; {suggest(name, known)}")
        values = value if isinstance(value, list) and module is keras.layers else [value]
        if wanted := signatures.misses(name, known[name].default, values):
            raise InputError(f"{place}.{name}: must be {wanted}, not {value!r}")
    for name in signatures.required(cls):
        if name not in arguments:
            raise InputError(f"{place}.{name}: is missing")


def _check_size(job: Job) -> None:
    """Raise InputError if the memory or a model's file cannot hold the network."""
    sketch = _sketch(job)
    free = memory.free()
    if _needed(job, sketch) > free:
        free_in_words = memory.in_words(free)
        raise InputError(f"{job.layers_key}: {_no_memory(job)}, and {free_in_words} are free")
    weights = sketch.count_params()
    if memory.BYTES * weights > contents.LARGEST:
        raise InputError(
            f"{job.layers_key}: has {weights:,} weights: a model's file holds at most "
            f"{contents.LARGEST // memory.BYTES:,}"
        )


def _sketch(job: Job) -> keras.Model:
    """The job's network without its weights."""
    with _in_words_of_keras(job), keras.StatelessScope(initialize_variables=False):
        return networks.build(job.layers, job.kind)


def _built(job: Job) -> keras.Model:
    with _in_words_of_keras(job):
        return loop.build(job)


@contextmanager
def _in_words_of_keras(job: Job) -> Iterator[None]:
    """Turn any error from building the network into one sentence."""
    try:
        with in_words(job):
            yield
    except InputError:
        raise
    except RecursionError:
        raise InputError(f"{job.layers_key}: is too deep for Keras to build") from None
    except Exception as error:  # about the network as a whole
        raise InputError(f"{job.layers_key}: {first_sentence(error)}") from None


def _needed(job: Job, network: keras.Model) -> int:
    outputs = sum(math.prod(layer.output.shape[1:]) for layer in network.layers)
    return memory.needed(network, job.recipe.batch_size, outputs)


def _no_memory(job: Job) -> str:
    needed = memory.in_words(_needed(job, _sketch(job)))
    return f"not enough memory: training takes at least {needed}"


def _is_short_of_memory(error: BaseException | None) -> bool:
    return isinstance(error, MemoryError) or bool(
        SHORT_OF_MEMORY.search(f"{type(error).__name__} {error}")
    )


def _untrainable(job: Job, error: BaseException) -> str:
    said = _no_memory(job) if _is_short_of_memory(error) else first_sentence(error)
    return f"{job.recipe_key} cannot train {job.layers_key}: {said}"


def _check_predictions(job: Job, network: keras.Model) -> None:
    """Raise InputError unless images are classified alone, and the network's file does the same."""
    place = job.layers_key
    images = np.random.default_rng(0).random((3, *job.kind.image_shape), np.float32)
    images[1:] **= 9  # darker than the first, so that a mean over the batch differs
    try:
        together = _predicted(network, images)
        alone = np.concatenate([_predicted(network, images[i : i + 1]) for i in range(3)])
        read = _predicted(_read_back(job, network), images)
    except InputError as error:
        raise InputError(f"{place}: cannot be read back: {error}") from None
    except Exception as error:  # Keras and its backend raise anything at all
        reason = _no_memory(job) if _is_short_of_memory(error) else first_sentence(error)
        raise InputError(f"{place}: {reason}") from None
    if not np.allclose(together, alone, atol=SAME):
        raise InputError(
            f"{place}: an image's probabilities depend on the images beside it: "
            "no layer may compute along the batch"
        )
    if not np.allclose(together, read, atol=SAME):
        raise InputError(f"{place}: cannot be read back: its file gives other probabilities")


def _predicted(network: keras.Model, images: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(network(images, training=False))


def _read_back(job: Job, network: keras.Model) -> keras.Model:
    """The network from the content of what would be its file."""
    data = saving.content(network, job.kind.classes)
    with h5py.File(io.BytesIO(data)) as file:
        description = json.loads(file.attrs["model_config"])
    content = contents.Contents(description, data, keras_2=False, classes=job.kind.classes)
    return loading.rebuilt(Path(f"the model of {job.layers_key}"), content, job.kind).model


def _try_step(job: Job, network: keras.Model, is_compiled: bool) -> None:
    """Raise InputError unless the network can be trained."""
    try:
        loop.try_step(network, job, is_compiled)
    except Exception as error:
        raise InputError(_untrainable(job, error)) from None


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
