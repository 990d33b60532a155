"""The results as one self-contained HTML page, which works offline."""

import base64
import io
import platform
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
from matplotlib.figure import Figure

from fashion_mnist.checking import params
from fashion_mnist.checking.versions import installed
from fashion_mnist.errors import InputError
from fashion_mnist.reporting import metrics
from fashion_mnist.scoring import figures
from fashion_mnist.storage import outs, parameters
from fashion_mnist.talk import results, words

TEMPLATE = Path(__file__).with_suffix(".html")
# The style sheet's, which has other colours for dark mode.
VARIABLES = {
    figures.TRAINING: "training",
    figures.VALIDATION: "validation",
    figures.INK: "ink",
    figures.SOFT: "soft",
    figures.GRID: "line",
}
PACKAGES = {"TensorFlow": "tensorflow", "Keras": "keras", "DVC": "dvc", "NumPy": "numpy"}
SPLITS = {
    "stratified": "drawn again for each model, with equal shares of every class",
    "shuffled": "drawn again for each model",
    "nested": "drawn, as in the original, from what the previous split left for training",
}


def curves(
    name: str,
    key: str,
    histories: Sequence[Sequence[Mapping[str, Any]]],
    limits: tuple[float, float],
) -> str:
    """The training of one model, or the mean of several, as an SVG element without a title.

    Args:
        name: begins the ids, which may occur only once on a page.
        key: "loss" or "accuracy".
        histories: of each model, rows with images, epoch, loss, accuracy.
        limits: of the vertical axis.
    """
    figure = Figure(figsize=(4.4, 2.9), layout="constrained")
    axes = figure.subplots()
    figures.draw_curves(axes, key, histories)
    axes.set_ylim(limits)
    epoch = figures.overfits_after(histories[0]) if len(histories) == 1 else None
    if epoch:
        figures.mark_overfitting(axes, epoch, "overfits")
    text = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": name}):  # else a random one
        figure.savefig(text, format="svg", metadata=nothing, transparent=True)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    for color, variable in VARIABLES.items():
        svg = svg.replace(color.lower(), f"var(--{variable})")
    # HTML knows the namespaces; the style sheet decides on the size.
    return re.sub(r'\s(xmlns(:xlink)?|width|height|version)="[^"]*"', "", svg, count=5)


def all_curves(history: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """SVG elements by "loss" and "accuracy", then "baseline" and "candidates"."""
    groups: dict[str, dict[str, list[Mapping[str, Any]]]] = {"baseline": {}, "candidates": {}}
    for row in history:
        group = groups["baseline" if row["model"] == outs.BASELINE else "candidates"]
        group.setdefault(row["model"], []).append(row)
    found: dict[str, dict[str, str]] = {}
    for key in ("loss", "accuracy"):
        epochs, values = [row["epoch"] for row in history], [row[key] for row in history]
        limits = figures.without_first(epochs, values)
        found[key] = {
            group: curves(f"{key}-{group}", key, list(models.values()), limits)
            for group, models in groups.items()
        }
    return found


def last_epochs(history: Sequence[Mapping[str, Any]], model: str) -> dict[str, Any]:
    """What the report says about a model's training.

    Returns:
        overfits: the epoch with the lowest validation loss, if it overfits after it; or None.
        best, last: validation rows of the epoch with the lowest loss, and of the last one.
        training: the training row of the last epoch.

    Raises:
        InputError: there is no row of this model, which was trained after the last selection,
            or rows are missing.
    """
    rows = [row for row in history if row["model"] == model]
    if not rows:
        raise InputError(f"{outs.TRAINING} has no epochs of {model}: `dvc repro` adds them")
    training, validation = (
        [row for row in rows if row["images"] == images] for images in ("training", "validation")
    )
    for each in (training, validation):
        if [row["epoch"] for row in each] != list(range(1, len(rows) // 2 + 1)):
            raise InputError(
                f"{outs.TRAINING} is damaged ({model} lacks epochs or has them twice): "
                "`dvc repro` makes it again"
            )
    return {
        "overfits": figures.overfits_after(rows),
        "best": min(validation, key=lambda row: row["loss"]),
        "last": validation[-1],
        "training": training[-1],
    }


def confusion(pairs: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """One row per class: its name and, for each predicted class, an image count and a shade.

    The shade is the share of the true class's images, relative to the largest share among mistakes.

    Args:
        pairs: of each test image, the actual and the predicted class.
        names: of the classes.
    """
    counts = Counter((row["actual"], row["predicted"]) for row in pairs)
    totals = Counter(row["actual"] for row in pairs)
    shares = {pair: count / totals[pair[0]] for pair, count in counts.items()}
    largest = max((share for (a, b), share in shares.items() if a != b), default=1)
    return [
        {
            "name": actual,
            "cells": [
                {
                    "name": predicted,
                    "count": counts[actual, predicted],
                    "shade": round(shares.get((actual, predicted), 0) / largest, 3),
                }
                for predicted in names
            ],
        }
        for actual in names
    ]


def mistakes() -> list[dict[str, Any]]:
    """The most confident mistakes, each with its place in the picture that explains them (px)."""
    rows = metrics.table(outs.MISTAKES, metrics.Mistake, texts=("actual", "predicted"))
    grid = figures.EXPLANATIONS
    width, height = (round(inches * figures.DPI) - 2 for inches in (grid.width, grid.height))
    # One pixel less at each edge, where the pictures' edges are blurred.
    corners = [
        [round(inches * figures.DPI) + 1 for inches in grid.place(index)]
        for index in range(len(rows))
    ]
    boxes = [(*corner, width, height) for corner in corners]
    return [{**row, "box": " ".join(map(str, box))} for row, box in zip(rows, boxes, strict=True)]


def picture(path: Path) -> str:
    """A PNG as a data URI.

    Raises:
        InputError: there is none.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} is missing: `dvc repro` makes it") from None
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def percent(fraction: float, digits: int = 2) -> str:
    """A fraction in percent."""
    return f"{fraction:.{digits}%}"


def edited_since_last_run() -> list[str]:
    """The keys of params.yaml whose values differ from those of the last run.

    Raises:
        InputError: params.yaml or dvc.lock is damaged.
    """
    values = parameters.read()
    edited = set()
    for used in params.recorded().values():
        for key, then in used.items():
            now = parameters.value_of(values, key)
            # An architecture that is no longer chosen may be gone; the choice itself has changed.
            if now is not None and now != then:
                edited.add(key)
    return sorted(edited)


def versions() -> dict[str, str]:
    """The versions installed here of what the results depend on."""
    found = {name: installed(package) or "not installed" for name, package in PACKAGES.items()}
    return {"Python": platform.python_version()} | found


def commit() -> str | None:
    """The git commit that is checked out, and whether the files differ from it."""
    if not Path(".git").exists():  # the folder may lie in another project's repository
        return None
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changes = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):  # no git, or no commit yet
        return None
    return f"{head} with uncommitted changes" if changes else head


def _git(*arguments: str) -> str:
    # Someone may be committing: take no lock.
    command = ["git", "--no-optional-locks", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commonest_mistake(pairs: Sequence[Mapping[str, Any]]) -> tuple[str, str, int, int] | None:
    """(true class, predicted class, times, the true class's images) of the commonest mistake."""
    wrong = Counter(
        (row["actual"], row["predicted"]) for row in pairs if row["actual"] != row["predicted"]
    )
    if not wrong:
        return None
    ((actual, predicted), count), *_ = wrong.most_common(1)
    return actual, predicted, count, sum(row["actual"] == actual for row in pairs)


def contents() -> dict[str, Any]:
    """All that the template shows.

    Raises:
        InputError: a result is missing or damaged.
    """
    config = params.load()
    names = [outs.BASELINE, *outs.candidates(config.train.splits)]
    models = {name: metrics.read(outs.files(name).metrics, metrics.Model) for name in names}
    scores = metrics.read(outs.TEST_SCORES, metrics.CalibratedScores)
    classes = metrics.table(outs.PER_CLASS, metrics.Class, texts=("class",))
    history = metrics.table(outs.TRAINING, metrics.Epoch, texts=("model", "images"))
    pairs = metrics.table(outs.CONFUSION, metrics.Classified, texts=("actual", "predicted"))
    commonest, wrong = commonest_mistake(pairs), mistakes()
    needed = {outs.PER_CLASS: classes, outs.TRAINING: history, outs.CONFUSION: pairs}
    for path, rows in (needed | {outs.MISTAKES: wrong or not commonest}).items():
        if not rows:
            raise InputError(f"{path} is empty: `dvc repro` makes it again")
    baseline, *candidates = [last_epochs(history, name) for name in names]
    return {
        "config": config,
        "models": models,
        "best": metrics.read(outs.SELECTION, metrics.Selection)["best"],
        "scores": scores,
        "classes": classes,
        "weakest": min(classes, key=lambda row: row["f1"]),
        "data": metrics.read(Path("metrics/data.json"), metrics.Data),
        "commonest_mistake": commonest,
        "curves": all_curves(history),
        "baseline": baseline,
        "candidates": candidates,
        "confusion": confusion(pairs, [row["class"] for row in classes]),
        "explanations": picture(outs.EXPLANATIONS),
        "explanations_size": [
            round(inches * figures.DPI) for inches in figures.EXPLANATIONS.size(len(wrong))
        ],
        "mistakes": wrong,
        "is_originals_data": config.dataset == results.ORIGINALS_DATA,
        "original": results.ORIGINAL,
        "original_test": results.ORIGINAL_TEST,
        "trained": [
            ("Baseline", config.baseline, names[0]),
            ("Candidates", config.train, names[1]),
        ],
        "split": SPLITS[config.split.strategy],
        "edited": edited_since_last_run(),
        "versions": versions(),
        "commit": commit(),
    }


def render(values: Mapping[str, Any]) -> str:
    """The page."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters: dict[str, Callable[..., Any]] = {
        "percent": percent,
        "confidence": figures.percent,
        "count": "{:,}".format,
        "layer_rows": words.layer_rows,
        "recipe_in_words": words.recipe,
    }
    environment.filters.update(filters)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(values)
