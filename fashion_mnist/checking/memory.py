"""How much memory there is, and how much a training needs at least."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil

from fashion_mnist.learning.backend import keras

COPIES = 4  # of the weights: themselves, their gradients, and two states of the optimizer
MOST_IMAGES = 1024  # of a batch that are counted: a data set may be smaller than a batch
BYTES, HALF_BYTES = 4, 2  # of a number in float32 and in bfloat16
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def free() -> int:
    """Bytes that this process can still take."""
    return min(_limits())


def _limits() -> Iterator[int]:
    yield psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit
        yield int(CONTAINER_LIMIT.read_text())
    with contextlib.suppress(ImportError):  # Windows has no limits
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            yield max(most - psutil.Process().memory_info().vms, 0)


def needed(network: keras.Model, batch_size: int, outputs: int) -> int:
    """Bytes that training takes at least.

    Args:
        network: may be a sketch without weights.
        batch_size: images a step.
        outputs: numbers that all layers give for one image.
    """
    images = min(batch_size, MOST_IMAGES)
    return COPIES * BYTES * network.count_params() + HALF_BYTES * images * outputs


def in_words(size: int) -> str:
    """Bytes as in `12.6 GB`."""
    return f"{size / 1e9:,.1f} GB" if size > 1e8 else f"{size / 1e6:,.0f} MB"
