"""Seconds of a training step beside the arithmetic that it cannot do without.

Prints one JSON object; `benchmarks.run` calls it once for each number of threads.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from contextlib import chdir
from time import perf_counter

import numpy as np

from comparison.talk import params as comparison_params
from fashion_mnist.candidates import jobs
from fashion_mnist.checking import params
from fashion_mnist.learning import kernels, loop, networks, recipes
from fashion_mnist.learning.backend import in_batches, keras, make_reproducible
from fashion_mnist.learning.precision import half_precision, has_fast_bfloat16
from fashion_mnist.learning.schema import Job
from fashion_mnist.scoring.size import multiply_adds
from fashion_mnist.storage import parameters
from fashion_mnist.storage.dataset import Kind
from fashion_mnist.talk import console

ROUNDS = 7  # the fastest counts: what else runs on the machine only slows a round down
STEPS = loop.STEPS_PER_EXECUTION
KIND = Kind((28, 28, 1), tuple(map(str, range(10))))  # Fashion-MNIST's
REPEATS = 10  # of an operation that takes no milliseconds


def fastest(actions: Mapping[str, Callable[[], object]], times: int = 1) -> dict[str, float]:
    """Seconds of each action, all in turn, so that a busy moment of the machine meets each."""
    took: dict[str, list[float]] = {name: [] for name in actions}
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
    trainer = loop.compiled(network, job.recipe, loop.steps_per_epoch(48_000, job.recipe))
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


def convolutions(job: Job) -> dict[str, Callable[[], object]]:
    """Each convolution of the job's network for a batch, forward and backward, by its name."""
    layers = [
        layer
        for layer in networks.build(job.layers, job.kind).layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    size = job.recipe.batch_size
    return {layer.name: convolution(layer, size, layer is not layers[0]) for layer in layers}


def convolution(layer: keras.layers.Conv2D, size: int, backward: bool) -> Callable[[], object]:
    """The layer for a batch of this size; `backward`: down to the images, not just the kernel."""
    import tensorflow as tf

    kind = tf.bfloat16 if has_fast_bfloat16() else tf.float32
    image = tf.random.stateless_normal((size, *layer.input.shape[1:]), [1, 2], dtype=kind)
    slope = tf.random.stateless_normal((size, *layer.output.shape[1:]), [3, 4], dtype=kind)
    kernel = tf.cast(layer.kernel.value, kind)

    @tf.function
    def compute(image: tf.Tensor, kernel: tf.Tensor, slope: tf.Tensor) -> tuple:
        wanted = [kernel, image] if backward else [kernel]
        with tf.GradientTape() as tape:
            tape.watch(wanted)
            output = tf.nn.conv2d(image, kernel, 1, layer.padding.upper())
        return output, tape.gradient(output, wanted, slope)

    return lambda: compute(image, kernel, slope)


def products() -> dict[str, Callable[[], object]]:
    """A product of two matrices of 2048 x 2048, by type."""
    import tensorflow as tf

    def product(kind: tf.DType) -> Callable[[], object]:
        matrix = tf.random.stateless_normal((2048, 2048), [1, 2], dtype=kind)
        return lambda: tf.matmul(matrix, matrix).numpy()

    return {"float32": product(tf.float32), "bfloat16": product(tf.bfloat16)}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m benchmarks.steps 2"
    )
    parser.add_argument("threads", type=int)
    threads = parser.parse_args().threads
    make_reproducible(threads)
    config = params.load()
    with chdir("comparison"):
        row = comparison_params.load().rows["five-conv"]
    train = config.train
    default = jobs.job(parameters.read(), train.architecture, train.recipe, train, KIND)._replace(
        threads=threads
    )
    plain = default.recipe.model_copy(update={"dropout_scale": 0.0})
    five_conv = default._replace(layers=row.layers, recipe=row.recipe)
    timed = {"default": default, "plain": default._replace(recipe=plain), "five_conv": five_conv}
    took = fastest({name: training(job) for name, job in timed.items()})
    rates = {kind: 2 * 2048**3 / seconds for kind, seconds in fastest(products()).items()}
    sizes = {
        name: multiply_adds(networks.build(config.architectures[name], KIND))
        for name in (config.train.architecture, config.baseline.architecture)
    }
    result = {
        "threads": threads,
        "step_seconds": {name: seconds / STEPS for name, seconds in took.items()},
        "convolution_seconds": fastest(convolutions(five_conv), REPEATS),
        "flops": rates,
        "multiply_adds": sizes,
    }
    console.say(json.dumps(result))


if __name__ == "__main__":
    console.run(main)
