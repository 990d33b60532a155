"""Class probabilities of images."""

from collections.abc import Sequence

import numpy as np

from fashion_mnist.learning.backend import in_batches, keras
from fashion_mnist.learning.batches import with_channels
from fashion_mnist.learning.side_by_side import SideBySide

BATCH_SIZE = 250
SMALLEST_PROBABILITY = 1e-7  # clipped as Keras does: a sure mistake costs 16.1, not infinity


def with_uint8_input(
    network: keras.Model, augmentation: Sequence[keras.layers.Layer] = (), parts: int = 1
) -> keras.Sequential:
    """The same network for uint8 images, so that no float32 copy of a whole set is needed.

    Args:
        network: maps float32 (N, H, W, C) in [0, 1].
        augmentation: layers in front of it that change images in training only.
        parts: of a batch, computed side by side.
    """
    image = keras.Input(network.input_shape[1:], dtype="uint8")
    layers = [image, keras.layers.Rescaling(1 / 255), *augmentation, network]
    return SideBySide(layers, parts) if parts > 1 else keras.Sequential(layers)


def predict(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """Class probabilities float32 (N, classes).

    Args:
        network: maps float32 (N, H, W, C) in [0, 1].
        images: uint8 (N, H, W) or (N, H, W, 3).
    """
    return predict_uint8(with_uint8_input(network), images)


def predict_uint8(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """The same with a network that `with_uint8_input` made."""
    return network.predict(**in_batches(BATCH_SIZE, with_channels(images)), verbose=0)


def loss_and_accuracy(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Mean cross-entropy (nats) and the fraction of images that are classified correctly.

    Args:
        probabilities: float (N, classes), rows sum to 1.
        labels: integers (N,).
    """
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    loss = -np.log(np.clip(of_truth, SMALLEST_PROBABILITY, 1)).mean()
    return float(loss), float((probabilities.argmax(axis=1) == labels).mean())
