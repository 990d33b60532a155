"""Keras, loaded without noise, and what makes it compute the same bytes, and without delay."""

import os
from typing import Any

import numpy as np

from fashion_mnist import console

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# oneDNN's convolutions are faster also on the processors for which TensorFlow leaves them off.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
with console.silent_stderr():  # TensorFlow greets whatever its log level is
    import keras

    # Not public, but the only way to write a model anywhere else than to a named file.
    from keras.src.legacy.saving import legacy_h5_format


def make_reproducible(seed: int, threads: int) -> None:
    """Same seed, same number of threads, same bytes. Call it before Keras computes anything."""
    keras.utils.set_random_seed(seed)
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
            tf.config.experimental.enable_op_determinism()
        case "torch":
            import torch

            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(True)


def in_batches(batch_size: int, images: np.ndarray, *targets: np.ndarray) -> dict[str, Any]:
    """The arguments with which `fit` and `predict` go through these arrays in their order.

    Of arrays, Keras makes a data set that TensorFlow tunes while it is read; at its end a thread
    that does so may not hear of it until its next turn, seconds or half a minute later.

    Args:
        batch_size: the last batch may be smaller.
        images: as the network takes them.
        targets: an array as long, or nothing.
    """
    if keras.backend.backend() != "tensorflow":
        return {"batch_size": batch_size} | dict(zip("xy", (images, *targets), strict=False))
    import tensorflow as tf

    arrays = [tf.convert_to_tensor(array) for array in (images, *targets)]
    starts = tf.data.Dataset.range(0, len(images), batch_size)
    batches = starts.map(lambda start: tuple(a[start : start + batch_size] for a in arrays))
    options = tf.data.Options()
    options.autotune.enabled = False
    return {"x": batches.prefetch(1).with_options(options)}


__all__ = ["in_batches", "keras", "legacy_h5_format", "make_reproducible"]
