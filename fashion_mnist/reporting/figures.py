"""Matplotlib pictures; the same numbers give the same bytes."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fashion_mnist.learning.dataset import CLASS_NAMES
from fashion_mnist.storage import files

# Okabe & Ito 2008: told apart by the colour-blind too.
TRAINING, VALIDATION = "#0072B2", "#D55E00"
LONGEST_NAME = 40  # characters above an image
ENLARGED = 5  # a 28 x 28 image beside its picture ...
PAPER = 235  # ... on light gray, so that a white picture shows its edges

mpl.rcParams["font.family"] = "DejaVu Sans"  # comes with matplotlib: the same on every machine


def training_curves(title: str, history: Sequence[Mapping[str, Any]]) -> Figure:
    """The original's two panels: accuracy and loss by epoch, training and validation.

    Args:
        title: above both.
        history: rows with images ("training" or "validation"), epoch, accuracy, loss (nats).
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    figure.suptitle(title)
    marker = "o" if len(history) < 60 else ""
    panels = (("accuracy", "accuracy"), ("loss", "cross-entropy loss (nats)"))
    for axes, (key, label) in zip(figure.subplots(1, 2), panels, strict=True):
        for images, style, color in (("training", ":", TRAINING), ("validation", "-", VALIDATION)):
            rows = [row for row in history if row["images"] == images]
            axes.plot(
                [row["epoch"] for row in rows],
                [row[key] for row in rows],
                style,
                color=color,
                label=images,
                marker=marker,
                markersize=4,
            )
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def confusion(labels: np.ndarray, predicted: np.ndarray) -> Figure:
    """What each class is taken for, in percent of its images.

    Args:
        labels, predicted: integers (N,) in 0-9.
    """
    count = len(CLASS_NAMES)
    matrix = np.zeros((count, count))
    np.add.at(matrix, (labels, predicted), 1)
    percent = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(8, 7), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(image, label="share of the true class (%)", shrink=0.8)
    axes.set(
        xlabel="predicted class",
        ylabel="true class",
        xticks=range(count),
        yticks=range(count),
        yticklabels=CLASS_NAMES,
        title=f"Confusion matrix of the best model, {len(labels):,} test images",
    )
    axes.set_xticklabels(CLASS_NAMES, rotation=45, ha="right", rotation_mode="anchor")
    for row in range(count):
        for column in range(count):
            if matrix[row, column]:
                shade = "white" if percent[row, column] > 50 else "black"
                text = f"{percent[row, column]:.1f}"
                axes.text(column, row, text, color=shade, ha="center", va="center", fontsize=8)
    return figure


def mistakes(images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> Figure:
    """A grid of wrongly classified images, each with what it is and what it was taken for.

    Args:
        images: uint8 (N, 28, 28).
        labels: integers (N,).
        probabilities: float (N, 10).
    """
    guesses = probabilities.argmax(axis=1)
    captions = [
        f"true: {CLASS_NAMES[label]}\npredicted: {CLASS_NAMES[guess]}\n"
        f"with {100 * given[guess]:.1f} %"
        for label, guess, given in zip(labels, guesses, probabilities, strict=True)
    ]
    return gallery("The most confident mistakes on the test set", images, captions)


def answers(
    previews: Sequence[np.ndarray],
    images: np.ndarray,
    names: Sequence[str],
    probabilities: np.ndarray,
    warnings: Sequence[Sequence[str]],
) -> Figure:
    """A grid of pictures, each beside the image that a model sees and below its answer.

    Args:
        previews: (N,) of uint8 (height, width, 3), at most 140 pixels wide and high.
        images: uint8 (N, 28, 28), N at least 1.
        names: (N,), of any length.
        probabilities: float (N, 10).
        warnings: (N,); only what each tells before its colon is shown.
    """
    captions = []
    for name, given, signs in zip(names, probabilities, warnings, strict=True):
        first, second = np.argsort(-given, kind="stable")[:2]
        end = name if len(name) <= LONGEST_NAME else f"...{name[3 - LONGEST_NAME :]}"
        lines = [
            end,
            f"{CLASS_NAMES[first]} {100 * given[first]:.1f} %, "
            f"{CLASS_NAMES[second]} {100 * given[second]:.1f} %",
            *(f"warning: {sign.partition(':')[0]}" for sign in signs),
        ]
        captions.append("\n".join(lines))
    pairs = [_beside(preview, image) for preview, image in zip(previews, images, strict=True)]
    return gallery("Each picture, and what the model sees", pairs, captions, columns=4)


def _beside(preview: np.ndarray, image: np.ndarray) -> np.ndarray:
    """uint8 (140, 290, 3): a preview, enlarged if it is small, and a 28 x 28 image enlarged."""
    edge = ENLARGED * len(image)
    pair = np.full((edge, 2 * edge + 10, 3), PAPER, np.uint8)
    preview = _enlarged(preview, edge // max(preview.shape[:2]))
    height, width, _ = preview.shape
    top, left = (edge - height) // 2, (edge - width) // 2
    pair[top : top + height, left : left + width] = preview
    pair[:, -edge:] = _enlarged(image, ENLARGED)[..., np.newaxis]
    return pair


def _enlarged(image: np.ndarray, times: int) -> np.ndarray:
    return image.repeat(times, axis=0).repeat(times, axis=1)


def gallery(
    title: str, images: Sequence[np.ndarray] | np.ndarray, captions: Sequence[str], columns: int = 6
) -> Figure:
    """Images uint8 of one size, gray or with three colours, in rows, each below its caption."""
    rows = -(-len(images) // columns)
    height, width = images[0].shape[:2]
    row_height = 12 / columns * height / width + 0.35  # inches
    figure = Figure(figsize=(12, row_height * rows + 0.4), layout="constrained")
    figure.suptitle(title)
    for axes in figure.subplots(rows, columns).ravel():
        axes.axis("off")
    for axes, image, caption in zip(figure.axes, images, captions, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(caption, fontsize=8, parse_math=False)  # a name may contain dollars
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a PNG without dates or versions in it."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100, metadata={"Software": None})
    files.write(path, picture.getvalue())
