"""The images of an epoch, in their order and as they are mixed."""

from typing import NamedTuple

import numpy as np

from fashion_mnist.learning.schema import Recipe


class Examples(NamedTuple):
    """Images uint8 (N, H, W) or (N, H, W, 3), and labels, integers (N,)."""

    images: np.ndarray
    labels: np.ndarray


def epoch(
    images: np.ndarray, targets: np.ndarray, recipe: Recipe, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, H, W, C) and their targets: shuffled, perhaps flipped and mixed.

    Args:
        images: uint8 (N, H, W) or (N, H, W, 3).
        targets: float32 (N, classes), probabilities.
        recipe: its `mixup` is used, and its augmentation if that begins with flips.
        random: decides the order, the flips and the shares.
    """
    order = random.permutation(len(images))
    images, targets = images[order], targets[order]
    if flips(recipe):
        mirrored = random.random(len(images)) < 0.5
        images[mirrored] = images[mirrored, :, ::-1]
    if recipe.mixup:
        images, targets = mixup(images, targets, recipe.mixup, random)
    return with_channels(images), targets


def with_channels(images: np.ndarray) -> np.ndarray:
    """Images (N, H, W) as (N, H, W, 1); those in colour as they are."""
    return images[..., np.newaxis] if images.ndim == 3 else images


def flips(recipe: Recipe) -> bool:
    """Whether images are flipped here, as bytes: as a layer it takes a twentieth of a step."""
    return recipe.augmentation[:1] == [("RandomFlip", {"mode": "horizontal"})]


def mixup(
    images: np.ndarray, targets: np.ndarray, alpha: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Each image and its target mixed with another's (Zhang et al. 2018, arXiv:1710.09412).

    Args:
        images: uint8 (N, H, W) or (N, H, W, 3); the result has the same type.
        targets: float32 (N, classes), probabilities; the result has the same type.
        alpha: the beta distribution's parameter; the larger, the more even the shares.
        random: decides the partners and the shares.
    """
    other = random.permutation(len(images))
    share = random.beta(alpha, alpha, len(images)).astype(np.float32)
    of_image, of_target = share.reshape(-1, *[1] * (images.ndim - 1)), share[:, np.newaxis]
    mixture = images * of_image + images[other] * (1 - of_image)
    return (
        np.rint(mixture).astype(np.uint8),
        targets * of_target + targets[other] * (1 - of_target),
    )
