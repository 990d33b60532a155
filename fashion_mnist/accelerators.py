"""What hardware allows: training with numbers of half the size, and batches that are shared."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fashion_mnist.engine import keras

HALF = "mixed_bfloat16"  # computes in bfloat16, which needs no scaled loss; keeps float32 weights


def has_fast_bfloat16() -> bool:
    """Whether what Keras computes on multiplies bfloat16 faster than float32."""
    match keras.backend.backend():
        case "jax":
            import jax

            return jax.default_backend() == "gpu"
        case "torch":
            import torch

            return torch.cuda.is_available()
        case _:
            import tensorflow as tf

            return bool(tf.config.list_physical_devices("GPU")) or _processor_has_bfloat16()


def _processor_has_bfloat16() -> bool:
    """Whether it has instructions that oneDNN uses, as far as Linux tells."""
    known = Path("/proc/cpuinfo")
    return known.exists() and bool(re.search(r"\b(avx512_bf16|amx_bf16)\b", known.read_text()))


@contextmanager
def half_precision(model: keras.Model) -> Iterator[None]:
    """Within it, where that is faster, `model` computes all but its probabilities in bfloat16.

    The layers themselves know nothing of it afterwards, nor does a file that they are saved in.
    """
    changed = model.layers[:-1] if has_fast_bfloat16() else []
    policies = [layer.dtype_policy for layer in changed]
    try:
        for layer in changed:
            layer.dtype_policy = HALF
        yield
    finally:
        for layer, policy in zip(changed, policies, strict=True):
            layer.dtype_policy = policy


def share_batches() -> None:
    """Have each batch shared among all devices that JAX has, in whatever is built from now on.

    Keras does so on JAX only; on the other backends one device computes.
    """
    if keras.backend.backend() == "jax" and len(keras.distribution.list_devices()) > 1:
        keras.distribution.set_distribution(keras.distribution.DataParallel())


def shares() -> int:
    """How many devices share each batch: its size must be a multiple."""
    distribution = keras.distribution.distribution()
    return distribution.num_model_replicas if distribution else 1
