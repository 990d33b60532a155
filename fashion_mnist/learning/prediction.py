"""Class probabilities of images."""

from collections.abc import Sequence

import numpy as np

from fashion_mnist.learning.backend import in_batches, keras
from fashion_mnist.storage.dataset import IMAGE_SHAPE

BATCH_SIZE = 250
SMALLEST_PROBABILITY = 1e-7  # clipped as Keras does: a sure mistake costs 16.1, not infinity


def with_uint8_input(
    network: keras.layers.Layer, augmentation: Sequence[keras.layers.Layer] = ()
) -> keras.Sequential:
    """The same network for uint8 images, so that no float32 copy of a whole set is needed.

    Args:
        network: maps float32 (N, 28, 28, 1) in [0, 1].
        augmentation: layers in front of it that change images in training only.
    """
    image = keras.Input(IMAGE_SHAPE, dtype="uint8")
    return keras.Sequential([image, keras.layers.Rescaling(1 / 255), *augmentation, network])


def predict(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """Class probabilities float32 (N, 10).

    Args:
        network: maps float32 (N, 28, 28, 1) in [0, 1].
        images: uint8 (N, 28, 28).
    """
    return predict_uint8(with_uint8_input(network), images)


def predict_uint8(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """The same with a network that `with_uint8_input` made."""
    return network.predict(**in_batches(BATCH_SIZE, images[..., np.newaxis]), verbose=0)


def loss_and_accuracy(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Mean cross-entropy (nats) and the fraction of images that are classified correctly.

    Args:
        probabilities: float (N, 10), rows sum to 1.
        labels: integers (N,) in 0-9.
    """
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    loss = -np.log(np.clip(of_truth, SMALLEST_PROBABILITY, 1)).mean()
    return float(loss), float((probabilities.argmax(axis=1) == labels).mean())
