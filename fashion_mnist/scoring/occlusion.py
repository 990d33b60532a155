"""What a decision rests on: occlusion sensitivity (Zeiler & Fergus 2014, arXiv:1311.2901)."""

from collections.abc import Callable

import numpy as np

SIZE = 5 / 28  # of the shorter edge; a patch this large hides a sleeve's end or a heel
STEP = 2 / 28  # of it, between patches
MOST_BYTES = 2**28  # of covered images at a time
SMALLEST_PROBABILITY = 1e-7  # where a model is sure beyond doubt, its log-odds end


def evidence(
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
) -> np.ndarray:
    """How much each pixel supports the predicted class: float64 (N, H, W).

    A gray patch, of the image's mean brightness, covers each part of an image in turn. A
    pixel's value is the mean fall of the predicted class's log-odds (nats) over the patches
    that cover the pixel: positive where the decision rests on what was covered, negative
    where that speaks against it. Probabilities themselves would not do, as those of a
    confident network hardly move.

    Args:
        predict: maps uint8 images of the same shape to class probabilities (M, C). It is called
            with the P + 1 versions of each image, of as many images as memory allows.
        images: uint8 (N, H, W) or (N, H, W, 3).
    """
    masks = patches(*images.shape[1:3])
    count = max(1, MOST_BYTES // (images[:1].nbytes * (len(masks) + 1) or 1))
    parts = [
        _evidence(predict, images[start : start + count], masks)
        for start in range(0, len(images), count)  # Keras refuses an empty batch
    ]
    return np.concatenate([np.zeros((0, *images.shape[1:3])), *parts])


def _evidence(
    predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, masks: np.ndarray
) -> np.ndarray:
    gray = images.mean(axis=(1, 2), keepdims=True).astype(np.uint8)
    covering = masks.reshape(*masks.shape, *[1] * (images.ndim - 3))
    covered = np.where(covering, gray[:, np.newaxis], images[:, np.newaxis])
    versions = np.concatenate([images[:, np.newaxis], covered], axis=1)
    flat = predict(versions.reshape(-1, *images.shape[1:]))
    probabilities = flat.reshape(*versions.shape[:2], -1)
    odds = log_odds(probabilities, probabilities[:, 0].argmax(axis=1))
    fall = odds[:, :1] - odds[:, 1:]
    return np.einsum("np,phw->nhw", fall, masks) / masks.sum(axis=0)


def patches(height: int, width: int) -> np.ndarray:
    """Where each patch lies: bool (P, H, W). Those at the edges reach beyond the image."""
    size, step = (max(1, round(share * min(height, width))) for share in (SIZE, STEP))
    rows, columns = (
        np.arange(step - size, length, step)[:, np.newaxis] for length in (height, width)
    )
    in_rows, in_columns = (
        (np.arange(length) >= start) & (np.arange(length) < start + size)
        for start, length in ((rows, height), (columns, width))
    )
    both = in_rows[:, np.newaxis, :, np.newaxis] & in_columns[np.newaxis, :, np.newaxis, :]
    return both.reshape(-1, height, width)


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
