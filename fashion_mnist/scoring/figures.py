"""Matplotlib pictures; the same numbers give the same bytes."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fashion_mnist.storage import files

# Okabe & Ito 2008: told apart by the colour-blind too.
TRAINING, VALIDATION = "#0072B2", "#D55E00"
INK, SOFT, GRID, PALE = "#1c2126", "#6a737d", "#d5dae0", "#eceff2"
LONGEST_NAME = 40  # characters above an image
COLUMNS = 4  # of a gallery
EDGE = 140  # pixels of a picture, and of the image beside it ...
PAPER = 235  # ... on light gray, so that a white picture shows its edges
CLASSES_AT_EASE = 14  # in a confusion matrix of the usual size
LARGEST = 4  # times that size
OVERFITS = 1.02  # times the lowest validation loss; a smaller rise may be noise
DPI = 100

mpl.rcParams["font.family"] = "DejaVu Sans"  # comes with matplotlib: the same on every machine


class Grid(NamedTuple):
    """Cells of one size in rows, each with a picture on top and a line of text below it.

    Attributes:
        columns: cells in a row.
        width, height: of a picture (inches).
        gap: between cells, and around them all (inches).
        line: height of the text (inches).
    """

    columns: int
    width: float
    height: float
    gap: float = 0.12
    line: float = 0.28

    def size(self, count: int) -> tuple[float, float]:
        """Width and height of the whole, in inches."""
        rows = max(1, -(-count // self.columns))
        return (
            self.columns * (self.width + self.gap) + self.gap,
            rows * (self.height + self.line + self.gap) + self.gap,
        )

    def place(self, index: int) -> tuple[float, float]:
        """Where a picture has its upper left corner: inches from the left and from the top."""
        row, column = divmod(index, self.columns)
        return (
            self.gap + column * (self.width + self.gap),
            self.gap + row * (self.height + self.line + self.gap),
        )


EXPLANATIONS = Grid(columns=4, width=2.9, height=1.45)


def overfits_after(history: Sequence[Mapping[str, Any]]) -> int | None:
    """The epoch with the lowest validation loss, if that rises clearly while training goes on.

    Args:
        history: of one model, rows with images ("training" or "validation"), epoch, loss.
    """
    validation = {row["epoch"]: row["loss"] for row in history if row["images"] == "validation"}
    training = {row["epoch"]: row["loss"] for row in history if row["images"] == "training"}
    if not validation:
        return None
    best, last = min(validation, key=lambda epoch: validation[epoch]), max(validation)
    rises = validation[last] > OVERFITS * validation[best]
    return int(best) if rises and training[last] < training[best] else None


def without_first(epochs: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Axis limits that leave out the first epoch, an outlier that would flatten the curve.

    With three epochs or fewer, the first is included.
    """
    first = min(epochs) if max(epochs) > 3 else 0
    kept = [value for epoch, value in zip(epochs, values, strict=True) if epoch > first]
    margin = 0.06 * (max(kept) - min(kept)) or 0.01
    return min(kept) - margin, max(kept) + margin


def draw_curves(axes: Axes, key: str, histories: Sequence[Sequence[Mapping[str, Any]]]) -> None:
    """The mean of some models by epoch, and a band from the lowest to the highest.

    Args:
        axes: to draw on.
        key: "loss" or "accuracy".
        histories: of each model, rows with images ("training" or "validation"), epoch, `key`.
    """
    for images, color in (("training", TRAINING), ("validation", VALIDATION)):
        by_epoch: dict[int, list[float]] = {}
        for row in (row for history in histories for row in history if row["images"] == images):
            by_epoch.setdefault(int(row["epoch"]), []).append(row[key])
        epochs = sorted(by_epoch)
        values = [by_epoch[epoch] for epoch in epochs]
        # A single epoch is a point, and no line.
        marker = "o" if len(epochs) == 1 else ""
        means = [float(np.mean(some)) for some in values]
        axes.plot(epochs, means, color=color, label=images, linewidth=2, marker=marker)
        if len(histories) > 1:
            lowest, highest = [min(some) for some in values], [max(some) for some in values]
            axes.fill_between(epochs, lowest, highest, color=color, alpha=0.2, linewidth=0)
    axes.set_xlabel("epoch", color=INK)
    axes.tick_params(color=SOFT, labelcolor=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if key == "accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(SOFT)
    axes.grid(color=GRID)


def mark_overfitting(axes: Axes, epoch: int, label: str) -> None:
    """A line at the epoch after which a model overfits, and what follows shaded."""
    right = axes.get_xlim()[1]
    axes.axvline(epoch, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
    axes.axvspan(epoch, right, color=SOFT, alpha=0.08, linewidth=0)
    axes.set_xlim(right=right)
    axes.annotate(
        label,
        (epoch, 1),
        (5, -4),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        va="top",
        fontsize=9,
        color=SOFT,
    )


def training_curves(title: str, history: Sequence[Mapping[str, Any]]) -> Figure:
    """The original's two panels: accuracy and loss by epoch, training and validation.

    Args:
        title: above both.
        history: of one model, rows with images ("training" or "validation"), epoch,
            accuracy, loss (nats).
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontweight="bold")
    overfits = overfits_after(history)
    panels = (("accuracy", "accuracy"), ("loss", "cross-entropy (nats)"))
    for axes, (key, label) in zip(figure.subplots(1, 2), panels, strict=True):
        draw_curves(axes, key, [history])
        axes.set_ylabel(label)
        axes.set_ylim(
            without_first([row["epoch"] for row in history], [row[key] for row in history])
        )
        if overfits:
            mark_overfitting(axes, overfits, "overfits" if key == "loss" else "")
        axes.legend(frameon=False, loc="lower right" if key == "accuracy" else "best")
    return figure


def confusion(labels: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> Figure:
    """How many images of each class are classified as which; only mistakes are coloured.

    Args:
        labels, predicted: integers (N,).
        names: of the classes; with many, the figure is larger and its letters are smaller.
    """
    count = len(names)
    crowd = count / CLASSES_AT_EASE
    scale = min(max(1, crowd), LARGEST)
    letters = min(10, 15 * scale / crowd)  # points
    matrix = np.zeros((count, count), int)
    np.add.at(matrix, (labels, predicted), 1)
    diagonal = np.eye(count, dtype=bool)
    shares = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    wrong = np.ma.masked_array(shares, diagonal | (matrix == 0))
    top = max(float(wrong.filled(0).max()), 1.0)
    figure = Figure(figsize=(8.4 * scale, 7.2 * scale), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.ma.masked_array(shares, ~diagonal), cmap=mpl.colors.ListedColormap([PALE]))
    image = axes.imshow(wrong, cmap="Oranges", vmin=0, vmax=top)
    bar = figure.colorbar(image, label="mistakes, in % of the true class", shrink=0.7, pad=0.02)
    bar.outline.set_visible(False)
    axes.set(
        xlabel="predicted class",
        ylabel="true class",
        xticks=range(count),
        yticks=range(count),
        yticklabels=names,
    )
    title = f"Confusion matrix of the best model, {len(labels):,} test images"
    axes.set_title(title, loc="left", color=INK, fontweight="bold", fontsize=12, pad=12)
    axes.set_xticklabels(names, rotation=45, ha="right", rotation_mode="anchor")
    axes.tick_params(length=0, labelsize=letters)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5 * letters / 10)
    axes.tick_params(which="minor", length=0)
    for (row, column), number in np.ndenumerate(matrix):
        if number:
            color = INK
            if row == column:
                color = SOFT
            elif shares[row, column] > 0.55 * top:
                color = "white"
            cell = axes.text(column, row, f"{number:,}", color=color, fontsize=letters)
            cell.set(ha="center", va="center", in_layout=False)  # within its cell
    return figure


def explanations(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    evidence: np.ndarray,
    names: Sequence[str],
) -> Figure:
    """Wrongly classified images, each beside a copy that shows what the decision rests on.

    The caption says what the image is and what it was taken for.

    Orange supports the predicted class, blue counts against it; the strongest has full colour.

    Args:
        images: uint8 (N, H, W) or (N, H, W, 3).
        labels: integers (N,).
        probabilities: float (N, classes).
        evidence: float (N, H, W), as `occlusion.evidence` gives it.
        names: of the classes.
    """
    figure = Figure(figsize=EXPLANATIONS.size(len(images)))
    for index, caption in enumerate(_captions(labels, probabilities, names)):
        left, top = EXPLANATIONS.place(index)
        edge = EXPLANATIONS.height
        _draw_image(figure, images[index], left, top, edge)
        _draw_image(figure, tinted(images[index], evidence[index]), left + edge, top, edge)
        _write(figure, caption, left + edge, top + edge)
    return figure


def tinted(image: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """An image whose pixels are coloured by what supports or opposes a decision.

    Args:
        image: uint8 (H, W), or (H, W, 3), of which the brightness is shown.
        evidence: float (H, W), positive for the decision and negative against it.

    Returns:
        float (H, W, 3) in [0, 1].
    """
    brightness = image if image.ndim == 2 else image.mean(axis=2)
    gray = np.repeat(brightness[..., np.newaxis] / 255, 3, axis=2)
    strength = np.abs(evidence) / max(np.abs(evidence).max(), 1e-9)
    colors = np.where(
        evidence[..., np.newaxis] > 0,
        mpl.colors.to_rgb(VALIDATION),
        mpl.colors.to_rgb(TRAINING),
    )
    # Faint, the image is still seen below the strongest colour.
    opacity = 0.85 * strength[..., np.newaxis]
    return (1 - opacity) * 0.75 * gray + opacity * (0.35 * gray + 0.65 * colors)


def _captions(labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str]) -> list[str]:
    arrow = "\N{RIGHTWARDS ARROW}"
    return [
        f"{names[label]} {arrow} {names[given.argmax()]} {percent(given.max())}"
        for label, given in zip(labels, probabilities, strict=True)
    ]


def percent(confidence: float) -> str:
    """A confidence in percent, which is 100 only if there is no doubt at all."""
    return f"{min(100 * confidence, 99.9 if confidence < 1 else 100):.1f}%"


def _draw_image(figure: Figure, image: np.ndarray, left: float, top: float, edge: float) -> None:
    width, height = figure.get_size_inches()
    axes = figure.add_axes((left / width, 1 - (top + edge) / height, edge / width, edge / height))
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.axis("off")


def _write(figure: Figure, text: str, left: float, top: float) -> None:
    width, height = figure.get_size_inches()
    place = left / width, 1 - (top + 0.06) / height
    figure.text(*place, text, ha="center", va="top", color=INK, fontsize=10.5)


def answers(
    previews: Sequence[np.ndarray],
    images: np.ndarray,
    names: Sequence[str],
    probabilities: np.ndarray,
    warnings: Sequence[Sequence[str]],
    classes: Sequence[str],
) -> Figure:
    """A grid of pictures, each beside the image that a model sees and below its answer.

    Args:
        previews: (N,) of uint8 (height, width, 3), at most 140 pixels wide and high.
        images: uint8 (N, H, W) or (N, H, W, 3), N at least 1.
        names: (N,), of any length.
        probabilities: float (N, classes).
        warnings: (N,); only what each tells before its colon is shown.
        classes: their names.
    """
    captions = []
    for name, given, signs in zip(names, probabilities, warnings, strict=True):
        first, second = np.argsort(-given, kind="stable")[:2]
        end = name if len(name) <= LONGEST_NAME else f"...{name[3 - LONGEST_NAME :]}"
        lines = [
            end,
            f"{classes[first]} {100 * given[first]:.1f}%, "
            f"{classes[second]} {100 * given[second]:.1f}%",
            *(f"warning: {sign.partition(':')[0]}" for sign in signs),
        ]
        captions.append("\n".join(lines))
    pairs = [_beside(preview, image) for preview, image in zip(previews, images, strict=True)]
    return gallery("Each picture, and what the model sees", pairs, captions)


def _beside(preview: np.ndarray, image: np.ndarray) -> np.ndarray:
    """uint8 (140, 290, 3): a preview and an image, side by side, enlarged if small."""
    pair = np.full((EDGE, 2 * EDGE + 10, 3), PAPER, np.uint8)
    for square, shown in ((pair[:, :EDGE], preview), (pair[:, -EDGE:], image)):
        fitted = _fitted(shown)
        height, width = fitted.shape[:2]
        top, left = (EDGE - height) // 2, (EDGE - width) // 2
        part = square[top : top + height, left : left + width]
        part[:] = fitted if fitted.ndim == 3 else fitted[..., np.newaxis]
    return pair


def _fitted(image: np.ndarray) -> np.ndarray:
    """Every pixel several times, or only every so many-th, so that it fills EDGE pixels at most."""
    longest = max(image.shape[:2])
    if longest > EDGE:
        step = -(-longest // EDGE)
        return image[::step, ::step]
    times = EDGE // longest
    return image.repeat(times, axis=0).repeat(times, axis=1)


def gallery(
    title: str, images: Sequence[np.ndarray] | np.ndarray, captions: Sequence[str]
) -> Figure:
    """Images uint8 of one size, gray or with three colours, in rows, each below its caption."""
    rows, across = -(-len(images) // COLUMNS), min(COLUMNS, len(images))
    height, width = images[0].shape[:2]
    cell = 12 / COLUMNS  # inches
    row_height = cell * height / width + 0.35
    figure = Figure(figsize=(cell * across, row_height * rows + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=10)
    for axes in figure.subplots(rows, across, squeeze=False).ravel():
        axes.axis("off")
    for axes, image, caption in zip(figure.axes, images, captions, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(caption, fontsize=8, parse_math=False)  # a name may contain dollars
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a PNG without dates or versions in it."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DPI, metadata={"Software": None})
    files.write(path, picture.getvalue())
