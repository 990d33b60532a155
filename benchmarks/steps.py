"""Seconds of a training's steps and epochs, and of what a step cannot do without.

Prints one JSON object; `benchmarks.run` calls it once for each number of threads.

The limit of a step is a roofline: each convolution and each product of the network, timed alone,
forward and with both gradients; and the bytes that each other layer moves, at the memory's
bandwidth. Such a layer reads its input and writes its output, and the same for the gradients.
Flattening, activations within a convolution, augmentation, the loss and the optimizer are free.
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from comparison.talk import params as comparison_params
from fashion_mnist.candidates import jobs
from fashion_mnist.checking import params
from fashion_mnist.learning import kernels, loop, networks, recipes
from fashion_mnist.learning.backend import in_batches, keras, make_reproducible
from fashion_mnist.learning.batches import Examples
from fashion_mnist.learning.precision import half_precision, has_fast_bfloat16
from fashion_mnist.learning.schema import Job
from fashion_mnist.learning.state import Epoch
from fashion_mnist.storage import dataset, outs, parameters
from fashion_mnist.storage.dataset import Kind
from fashion_mnist.talk import console

IMPROVED = "improved"  # in params.yaml; others are rows of the comparison
ROUNDS = 4  # the fastest counts: what else runs on the machine only slows a round down
STEPS = loop.STEPS_PER_EXECUTION
REPEATS = 10  # of an operation that takes no milliseconds
KIND = Kind((28, 28, 1), tuple(map(str, range(10))))  # Fashion-MNIST's
EPOCHS, EPOCH_IMAGES = 3, 48_000  # the first epoch warms up
MULTIPLYING = (keras.layers.Conv2D, keras.layers.Dense)
FREE = (keras.layers.InputLayer, keras.layers.Flatten)
COPIED = 256 * 2**20  # bytes: more than any cache holds


def fastest(actions: Mapping[Any, Callable[[], object]], times: int) -> dict[Any, float]:
    """Seconds of each action, done so many times a round.

    All take turns, so that a busy moment of the machine meets each.
    """
    took: dict[Any, list[float]] = {name: [] for name in actions}
    for action in actions.values():
        action()  # builds graphs
    for _ in range(ROUNDS):
        for name, action in actions.items():
            started = perf_counter()
            for _ in range(times):
                action()
            took[name].append((perf_counter() - started) / times)
    return {name: min(seconds) for name, seconds in took.items()}


def training(job: Job) -> Callable[[], object]:
    """What trains the job's network for 25 steps, as `loop.fit` does."""
    network = loop.build(job)
    steps = loop.steps_per_epoch(EPOCH_IMAGES, job.recipe)
    trainer = loop.compiled(network, job.recipe, steps, loop.parts(job))
    random = np.random.default_rng(1)
    count = STEPS * job.recipe.batch_size
    images = random.integers(0, 256, (count, *KIND.image_shape), dtype=np.uint8)
    targets = np.eye(10, dtype=np.float32)[random.integers(0, 10, count)]

    def train() -> object:
        with (
            recipes.scaled_dropout(network, job.recipe.dropout_scale),
            kernels.cheaper(network),
            half_precision(network),
        ):
            batches = in_batches(job.recipe.batch_size, images, targets)
            return trainer.fit(**batches, shuffle=False, verbose=0)

    return train


class _Clock:
    """Takes the time of each epoch."""

    def __init__(self) -> None:
        self.took: list[float] = []

    def start_epoch(self, history: Sequence[Epoch], batches: int) -> None:  # noqa: ARG002
        self._started = perf_counter()

    def finish_batches(self, count: int) -> None:
        pass

    def finish_epoch(self, history: Sequence[Epoch]) -> None:  # noqa: ARG002
        self.took.append(perf_counter() - self._started)


def epoch_seconds(job: Job) -> float:
    """A typical epoch of the loop, on real images, with nothing validated."""
    planned = job._replace(recipe=job.recipe.model_copy(update={"epochs": EPOCHS}))
    images, labels, _ = dataset.read(outs.TRAIN)
    examples = Examples(images[:EPOCH_IMAGES], labels[:EPOCH_IMAGES])
    clock = _Clock()
    loop.fit(loop.build(planned), planned, examples, None, clock)
    return median(clock.took[1:])


def limits(job: Job, bandwidth: float) -> dict[str, float]:
    """Seconds that a step takes at least: what is multiplied, timed alone, and bytes moved.

    Args:
        job: of the step.
        bandwidth: bytes a second.
    """
    layers = networks.build(job.layers, job.kind).layers
    multiplying = [each for each in layers if isinstance(each, MULTIPLYING)]
    moving = [each for each in layers if not isinstance(each, (*MULTIPLYING, *FREE))]
    shapes = Counter(_operands(layer, layer is not multiplying[0]) for layer in multiplying)
    seconds = fastest({shape: multiplication(shape, job) for shape in shapes}, REPEATS)
    values = sum(math.prod(tensor.shape[1:]) for layer in moving for tensor in _around(layer))
    moved = 2 * values * job.recipe.batch_size * _kind().size  # forward and backward
    return {
        "multiplying": sum(seconds[shape] * count for shape, count in shapes.items()),
        "moving": moved / bandwidth,
    }


def _around(layer: keras.layers.Layer) -> list[Any]:
    """A layer's inputs and its output."""
    inputs = layer.input if isinstance(layer.input, list) else [layer.input]
    return [*inputs, layer.output]


def _kind() -> Any:
    import tensorflow as tf

    return tf.bfloat16 if has_fast_bfloat16() else tf.float32


class Operands(NamedTuple):
    """What is multiplied; the same take as long as each other.

    Attributes:
        image: shape of one input.
        kernel: its shape.
        strides: of a convolution; a product has none.
        padding: of a convolution, in capitals.
        is_inner: the gradient of the input is wanted, too.
    """

    image: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str
    is_inner: bool


def _operands(layer: keras.layers.Layer, is_inner: bool) -> Operands:
    strides, padding = getattr(layer, "strides", ()), getattr(layer, "padding", "").upper()
    return Operands(layer.input.shape[1:], tuple(layer.kernel.shape), strides, padding, is_inner)


def multiplication(operands: Operands, job: Job) -> Callable[[], object]:
    """A batch through a convolution or a product, and the gradients; in parts, as in the loop."""
    import tensorflow as tf

    count = loop.parts(job)
    weights = tf.random.stateless_normal(operands.kernel, [1, 2], dtype=_kind())
    shape = (job.recipe.batch_size // count, *operands.image)
    parts = [tf.random.stateless_normal(shape, [3, part], dtype=_kind()) for part in range(count)]

    def forward(images: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        if operands.strides:
            return tf.nn.conv2d(images, weights, operands.strides, operands.padding)
        return tf.matmul(images, weights)

    slopes = [forward(images, weights) for images in parts]

    @tf.function
    def compute(parts: list, slopes: list, weights: tf.Tensor) -> list:
        results = []
        for images, slope in zip(parts, slopes, strict=True):
            wanted = [weights, images] if operands.is_inner else [weights]
            with tf.GradientTape() as tape:
                tape.watch(wanted)
                output = forward(images, weights)
            results.append([output, tape.gradient(output, wanted, slope)])
        return results

    return lambda: compute(parts, slopes, weights)


def bytes_a_second(threads: int) -> float:
    """The memory's bandwidth: bytes read and written by `threads` copies at once."""
    pairs = [(np.zeros(COPIED, np.uint8), np.ones(COPIED, np.uint8)) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        took = fastest({0: lambda: [*pool.map(lambda pair: np.copyto(*pair), pairs)]}, 1)
    return 2 * COPIED * threads / took[0]


def planned(name: str, threads: int) -> Job:
    """A training by the default recipe, or one of the comparison's."""
    train = params.load().train
    job = jobs.job(parameters.read(), train.architecture, train.recipe, train, KIND)
    job = job._replace(threads=threads)
    if name == IMPROVED:
        return job
    with chdir("comparison"):
        row = comparison_params.load().rows[name]
    return job._replace(layers=row.layers, recipe=row.recipe)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m benchmarks.steps 2 improved deep-residual"
    )
    parser.add_argument("threads", type=int)
    parser.add_argument("networks", nargs="+", help=f"{IMPROVED}, or rows of the comparison")
    arguments = parser.parse_args()
    threads = arguments.threads
    make_reproducible(threads, parts=threads)
    timed = {name: planned(name, threads) for name in arguments.networks}
    took = fastest({name: training(job) for name, job in timed.items()}, 1)
    bandwidth = bytes_a_second(threads)
    result = {
        "step_seconds": {name: seconds / STEPS for name, seconds in took.items()},
        "limit_seconds": {name: limits(job, bandwidth) for name, job in timed.items()},
        "bytes_a_second": bandwidth,
        "epoch_seconds": epoch_seconds(planned(IMPROVED, threads)),
    }
    console.say(json.dumps(result))


if __name__ == "__main__":
    console.run(main)
