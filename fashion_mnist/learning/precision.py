"""Training in bfloat16 where the hardware multiplies it faster than float32."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fashion_mnist.learning.backend import keras

HALF = "mixed_bfloat16"  # computes in bfloat16, which needs no loss scaling; weights stay float32


def has_fast_bfloat16() -> bool:
    """Whether the hardware that Keras computes on multiplies bfloat16 faster than float32."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() == "gpu"
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU")) or _processor_has_bfloat16()


def _processor_has_bfloat16() -> bool:
    """Whether the processor has the instructions that oneDNN uses; known on Linux only."""
    known = Path("/proc/cpuinfo")
    return known.exists() and bool(re.search(r"\b(avx512_bf16|amx_bf16)\b", known.read_text()))


@contextmanager
def half_precision(network: keras.Model) -> Iterator[None]:
    """Within it, where that is faster, `network` computes all except its probabilities in bfloat16.

    Afterwards the layers, and the file that they are saved in, hold no trace of it.
    """
    layers = network.layers[:-1] if has_fast_bfloat16() else []
    changed = [
        inner for layer in layers for inner in layer._flatten_layers() if _computes_in_half(inner)
    ]
    policies = [layer.dtype_policy for layer in changed]
    try:
        for layer in changed:
            layer.dtype_policy = HALF
        yield
    finally:
        for layer, policy in zip(changed, policies, strict=True):
            layer.dtype_policy = policy


def _computes_in_half(layer: keras.layers.Layer) -> bool:
    """Whether a layer can be trained in bfloat16.

    A penalty on its output is part of the loss, which is float32; TensorFlow has no gradient of
    that resampling.
    """
    resamples = getattr(layer, "interpolation", "").startswith("lanczos")
    return not layer.activity_regularizer and not resamples
