"""The results as one HTML page that holds its pictures and needs no network."""

import base64
import io
import platform
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from itertools import cycle
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fashion_mnist.errors import InputError
from fashion_mnist.reporting import results, words
from fashion_mnist.running import params
from fashion_mnist.storage import candidates, records

TEMPLATE = Path(__file__).with_suffix(".html")
# As .dvc/plots/training.json has them: a model has the same colour in both.
COLORS = ("#000000", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
PACKAGES = {"TensorFlow": "tensorflow", "Keras": "keras", "DVC": "dvc", "NumPy": "numpy"}
SPLITS = {
    "stratified": "drawn anew for each model, with equal shares of every class",
    "shuffled": "drawn anew for each model",
    "nested": "drawn, as by the original, from what the split before has left for training",
}


def colors(names: Sequence[str]) -> dict[str, str]:
    """A model's colour by its name, given out as Vega does: in alphabetical order."""
    return dict(zip(sorted(names), cycle(COLORS), strict=False))


def curves(key: str, label: str, history: Sequence[Mapping[str, Any]]) -> str:
    """One panel with the curves of all models, as an SVG element without a title or legend.

    Args:
        key: "loss" or "accuracy".
        label: of the vertical axis.
        history: rows with model, images ("training" or "validation"), epoch, loss, accuracy.
    """
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(row["model"] for row in history))
    for name, color in colors(names).items():
        for images, style in (("training", (0, (1, 1.5))), ("validation", "-")):
            rows = [row for row in history if row["model"] == name and row["images"] == images]
            epochs, values = [row["epoch"] for row in rows], [row[key] for row in rows]
            # A single epoch is a point, and no line.
            marker = "o" if len(rows) == 1 else ""
            axes.plot(epochs, values, linestyle=style, color=color, linewidth=1.6, marker=marker)
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if key == "accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    text = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": key}):  # else a random one
        figure.savefig(text, format="svg", metadata=nothing, transparent=True)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    # An id may stand only once on a page.
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{key}-", svg)
    # HTML knows the namespaces; the style sheet decides on the size.
    return re.sub(r'\s(xmlns(:xlink)?|width|height|version)="[^"]*"', "", svg, count=5)


def picture(path: str) -> str:
    """A PNG as a URI that holds it.

    Raises:
        InputError: there is none.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} is missing: `dvc repro` makes it") from None
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def percent(fraction: float, digits: int = 2) -> str:
    """A fraction in percent, with a space that no line ends at."""
    return f"{100 * fraction:.{digits}f}\N{NO-BREAK SPACE}%"


def edited_since_last_run() -> list[str]:
    """The keys of params.yaml that no longer hold what the last run used.

    Raises:
        InputError: params.yaml or dvc.lock is damaged.
    """
    values = params.read(params.PARAMS)
    edited = set()
    for used in params.recorded().values():
        for key, then in used.items():
            now = params.value_of(values, key)
            # An architecture that is no longer chosen may be gone; the choice itself tells.
            if now is not None and now != then:
                edited.add(key)
    return sorted(edited)


def versions() -> dict[str, str]:
    """Of what the results stand on, as it is installed here."""
    found = {"Python": platform.python_version()}
    for name, package in PACKAGES.items():
        try:
            found[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit() -> str | None:
    """The git commit that is checked out, and whether the files differ from it."""
    if not Path(".git").exists():  # this may lie in a repository that is another project's
        return None
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changes = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):  # no git, or no commit yet
        return None
    return f"{head} with uncommitted changes" if changes else head


def _git(*arguments: str) -> str:
    # It may be read while someone commits: no lock is taken.
    command = ["git", "--no-optional-locks", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commonest_mistake() -> tuple[str, str, int, int] | None:
    """The class most often taken for another, that other, how often, and of how many images."""
    rows = records.read_csv("plots/confusion.csv", texts=("actual", "predicted"))
    wrong = Counter(
        (row["actual"], row["predicted"]) for row in rows if row["actual"] != row["predicted"]
    )
    if not wrong:
        return None
    ((actual, predicted), count), *_ = wrong.most_common(1)
    return actual, predicted, count, sum(row["actual"] == actual for row in rows)


def contents() -> dict[str, Any]:
    """All that the template shows.

    Raises:
        InputError: a result is missing or damaged.
    """
    config = params.load()
    names = ["baseline", *candidates.names(config.train.splits)]
    models = {name: records.read_json(candidates.files(name).metrics) for name in names}
    scores = records.read_json("metrics/test.json")
    classes = records.read_csv("plots/per_class.csv", texts=("class",))
    history = records.read_csv("plots/training.csv", texts=("model", "images"))
    return {
        "config": config,
        "models": models,
        "best": records.read_json("metrics/selection.json")["best"],
        "scores": scores,
        "classes": classes,
        "weakest": min(classes, key=lambda row: row["f1"]),
        "data": records.read_json("metrics/data.json"),
        "commonest_mistake": commonest_mistake(),
        "colors": colors(list(dict.fromkeys(row["model"] for row in history))),
        "loss": curves("loss", "cross-entropy (nats)", history),
        "accuracy": curves("accuracy", "accuracy", history),
        "confusion": picture("plots/confusion.png"),
        "mistakes": picture("plots/mistakes.png"),
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
        "count": "{:,}".format,
        "layer_rows": words.layer_rows,
        "recipe_in_words": words.recipe,
    }
    environment.filters.update(filters)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(values)
