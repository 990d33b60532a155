"""Keras, loaded without noise, and what makes it compute the same bytes every time."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """TensorFlow greets on the file descriptor itself, whatever its log level is."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# oneDNN's convolutions are faster also on the processors for which TensorFlow leaves them off.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
with _silent_stderr():
    import keras

    # Not public, but the only way to write a model anywhere else than to a named file.
    from keras.src.legacy.saving import legacy_h5_format


def make_reproducible(seed: int, threads: int) -> None:
    """Same seed, same number of threads, same bytes. Call it before Keras computes anything."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.experimental.enable_op_determinism()


__all__ = ["keras", "legacy_h5_format", "make_reproducible"]
