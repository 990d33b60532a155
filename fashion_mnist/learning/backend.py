"""Keras, loaded without noise and independent of the user's settings, for reproducible results."""

import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np

from fashion_mnist.errors import InputError
from fashion_mnist.talk.quiet import silent_stderr

BACKENDS = ("tensorflow", "jax")

# `~/.keras/keras.json` could train another model (floatx) or none (data format, backend).
os.environ["KERAS_HOME"] = os.devnull
for limit in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
    os.environ.pop(limit, None)
if (chosen := os.environ.setdefault("KERAS_BACKEND", BACKENDS[0])) not in BACKENDS:
    raise InputError(f"KERAS_BACKEND is {chosen}: it must be {' or '.join(BACKENDS)}")
if not find_spec(chosen):
    raise InputError(
        f"KERAS_BACKEND is {chosen}, which is not installed: run `pip install {chosen}`"
    )

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# oneDNN's convolutions are faster also on the processors for which TensorFlow leaves them off.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@contextmanager
def _quick_import() -> Iterator[None]:
    """Halves the time that importing Keras takes, from 7.3 to 4.2 s on two cores.

    Keras looks for scikit-learn and Matplotlib, for wrappers and plots that nobody uses here.
    Most of the rest is garbage collection, which finds none: all objects stay to the end.
    """
    hidden = [name for name in ("sklearn", "matplotlib") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: not installed
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # otherwise the collector visits them again, and once more at the exit
        gc.enable()
        for name in hidden:
            del sys.modules[name]


with silent_stderr(), _quick_import():  # TensorFlow greets at any log level
    import keras

    # Not public, and the only way to write a model anywhere except to a named file.
    from keras.src.legacy.saving import legacy_h5_format

logging.getLogger("tensorflow").setLevel(logging.ERROR)  # a last and smaller batch is no news


def make_reproducible(threads: int, parts: int = 1) -> None:
    """Compute deterministically on `threads` threads; call it before Keras computes anything.

    With `keras.utils.set_random_seed`, the same seed and number of threads give the same bytes.

    Args:
        threads: in all.
        parts: of a batch, computed side by side; each has its share of the threads.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads // parts)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        tf.config.experimental.enable_op_determinism()


def in_batches(batch_size: int, images: np.ndarray, *targets: np.ndarray) -> dict[str, Any]:
    """Arguments with which `fit` and `predict` go through these arrays in their order.

    Keras would wrap arrays in a data set that TensorFlow tunes while it is read; the tuning
    thread may notice the end only seconds later.

    Args:
        batch_size: the last batch may be smaller.
        images: as the network takes them.
        targets: one array of the same length, or none.
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
