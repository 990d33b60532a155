"""Keras, loaded without noise, and what makes it compute the same bytes every time."""

import os

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


__all__ = ["keras", "legacy_h5_format", "make_reproducible"]
