"""What a decision rests on: occlusion sensitivity (Zeiler & Fergus 2014, arXiv:1311.2901)."""

from collections.abc import Callable

import numpy as np

from fashion_mnist.storage.dataset import IMAGE_SHAPE

HEIGHT, WIDTH, _ = IMAGE_SHAPE
SIZE = 5  # pixels; a patch this large hides a sleeve's end or a heel
STEP = 2  # pixels between patches
SMALLEST_PROBABILITY = 1e-7  # where a model is sure beyond doubt, its log-odds end


def evidence(
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
) -> np.ndarray:
    """How much each pixel supports the predicted class: float64 (N, 28, 28).

    A gray patch, of the image's mean brightness, covers each part of an image in turn. A
    pixel's value is the mean fall of the predicted class's log-odds (nats) over the patches
    that cover the pixel: positive where the decision rests on what was covered, negative
    where that speaks against it. Probabilities themselves would not do, as those of a
    confident network hardly move.

    Args:
        predict: maps uint8 (M, 28, 28) to class probabilities (M, C). It is called once, with
            the 257 versions of each image.
        images: uint8 (N, 28, 28).
    """
    if not len(images):  # Keras refuses an empty batch
        return np.zeros(images.shape)
    masks = patches()
    gray = images.mean(axis=(1, 2), keepdims=True).astype(np.uint8)
    covered = np.where(masks, gray[:, np.newaxis], images[:, np.newaxis])
    versions = np.concatenate([images[:, np.newaxis], covered], axis=1)
    flat = predict(versions.reshape(-1, HEIGHT, WIDTH))
    probabilities = flat.reshape(*versions.shape[:2], -1)
    odds = log_odds(probabilities, probabilities[:, 0].argmax(axis=1))
    fall = odds[:, :1] - odds[:, 1:]
    return np.einsum("np,phw->nhw", fall, masks) / masks.sum(axis=0)


def patches() -> np.ndarray:
    """Where each patch lies: bool (P, 28, 28). Those at the edges reach beyond the image."""
    rows, columns = (
        np.arange(STEP - SIZE, length, STEP)[:, np.newaxis] for length in (HEIGHT, WIDTH)
    )
    in_rows, in_columns = (
        (np.arange(length) >= start) & (np.arange(length) < start + SIZE)
        for start, length in ((rows, HEIGHT), (columns, WIDTH))
    )
    both = in_rows[:, np.newaxis, :, np.newaxis] & in_columns[np.newaxis, :, np.newaxis, :]
    return both.reshape(-1, HEIGHT, WIDTH)


def log_odds(probabilities: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The log-odds (nats) of one class for each image: float64 (N, P).

    Args:
        probabilities: float (N, P, C), of P versions of each image.
        classes: integers (N,).
    """
    chosen = np.arange(probabilities.shape[-1]) == classes[:, np.newaxis, np.newaxis]
    # The others' sum, as 1 - p has no digits left where p is almost 1.
    for_it, against_it = (
        np.where(part, probabilities, 0).sum(axis=-1, dtype=np.float64)
        for part in (chosen, ~chosen)
    )
    return np.log(np.maximum(for_it, SMALLEST_PROBABILITY)) - np.log(
        np.maximum(against_it, SMALLEST_PROBABILITY)
    )
