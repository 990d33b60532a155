"""What a GPU changes, or several devices: numbers of half the size, and shared batches."""

from collections.abc import Iterator
from contextlib import contextmanager

from fashion_mnist.engine import keras

HALF = "mixed_bfloat16"  # computes in bfloat16, which needs no scaled loss; keeps float32 weights


def has_gpu() -> bool:
    """Whether Keras computes on one."""
    match keras.backend.backend():
        case "jax":
            import jax

            return jax.default_backend() == "gpu"
        case "torch":
            import torch

            return torch.cuda.is_available()
        case _:
            import tensorflow as tf

            return bool(tf.config.list_physical_devices("GPU"))


@contextmanager
def half_precision(model: keras.Model) -> Iterator[None]:
    """Within it, and on a GPU, `model` computes all but its probabilities in half precision.

    The layers themselves know nothing of it afterwards, nor does a file that they are saved in.
    """
    changed = model.layers[:-1] if has_gpu() else []
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
