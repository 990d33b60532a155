"""The comparison's page and picture, and its table in the project's README.

`python -m comparison.page` writes them from what `dvc repro comparison/dvc.yaml` left.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fashion_mnist.reporting import figures, markdown
from fashion_mnist.running import console
from fashion_mnist.storage import files, records

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
IN_README = re.compile(r"(?<=<!-- comparison -->\n).*?(?=<!-- end of comparison -->)", re.DOTALL)
GOALS = (  # test accuracy, within so many minutes on two cores
    (0.925, 3),
    (0.94, 12),
    (0.95, 40),
    (0.9598, 180),
    (0.965, None),
)
LINE = 0.004  # of accuracy: the height of a name in the picture
SURE = 0.05  # the most that chance may have in a difference that counts as real

Row = Mapping[str, Any]


def main() -> None:
    """Write all of it."""
    argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="example: python -m comparison.page"
    ).parse_args()
    compared = records.read_json("metrics/comparison.json")
    times = {row["name"]: seconds(row) for row in compared["rows"]}
    figures.save(picture(compared["rows"], times), HERE / "accuracy.png")
    files.write(HERE / "README.md", page(compared, times).encode())
    readme = IN_README.sub(lambda _: f"\n{table(compared['rows'])}\n\n", README.read_text("utf-8"))
    files.write(README, readme.encode())
    console.say("wrote comparison/README.md, comparison/accuracy.png and the table in README.md")


def seconds(row: Row) -> float | None:
    """What training a model of the row took, on average; None where it was not measured."""
    path = HERE / f"times/{row['name']}.json"
    if not row["seeds"] or not path.exists():
        return None
    return mean(records.read_json(path)["seconds"].values())


def page(compared: Mapping[str, Any], times: Mapping[str, float | None]) -> str:
    """comparison/README.md."""
    notes = (HERE / "notes.md").read_text("utf-8").strip()
    parts = [
        "# The comparison",
        table(compared["rows"], times),
        "![Test accuracy of each row by multiply-adds and by training time](accuracy.png)",
        differences(compared),
        goals(compared["rows"], times),
        notes,
    ]
    return "\n\n".join(parts) + "\n"


def table(rows: Sequence[Row], times: Mapping[str, float | None] | None = None) -> str:
    """Markdown: a line a row, with the time to train it if `times` are given."""
    header = ["network", "test accuracy", "seeds", "parameters", "multiply-adds", "published"]
    lines = [
        [
            f"`{row['name']}`",
            _measured(row),
            _seeds(row),
            f"{row['parameters']:,}",
            f"{row['multiply_adds']:,}",
            ", ".join(f"{value:.1%} ({source})" for source, value in row["published"].items()),
        ]
        for row in rows
    ]
    if times is not None:
        header.append("training")
        for line, row in zip(lines, rows, strict=True):
            took = times[row["name"]]
            line.append(f"{took:,.0f} s, {_threads(row)}" if took else "")
    return markdown.table(header, lines)


def _threads(row: Row) -> str:
    return "1 thread" if row["threads"] == 1 else f"{row['threads']} threads"


def _measured(row: Row) -> str:
    if row["accuracy"] is None:
        return "not trained"
    return f"{row['accuracy']:.2%} ({row['accuracy_low']:.2%} to {row['accuracy_high']:.2%})"


def _seeds(row: Row) -> str:
    if not row["seeds"]:
        return ""
    worst, best = min(row["by_seed"]), max(row["by_seed"])
    spread = f": {worst:.2%} to {best:.2%}" if worst < best else ""
    return f"{len(row['seeds'])}{spread}"


def differences(compared: Mapping[str, Any]) -> str:
    """Which of two rows is better, and which differences may be chance."""
    pairs = compared["pairs"]
    names = [row["name"] for row in compared["rows"] if row["accuracy"] is not None]
    chance = {(pair["a"], pair["b"]): pair for pair in pairs}
    grid = markdown.table(
        ["", *(f"`{name}`" for name in names[1:])],
        [
            [f"`{a}`", *(_difference(chance.get((a, b)), len(pairs)) for b in names[1:])]
            for a in names[:-1]
        ],
    )
    return (
        "## Which differences are real\n\n"
        "How many more of the 10,000 images the network above the column has right than the one\n"
        "before the line, each with its first seed; a difference in brackets may be chance "
        f"(McNemar's exact\ntest, p above {SURE} after Bonferroni's correction for {len(pairs)} "
        f"pairs).\n\n{grid}"
    )


def goals(rows: Sequence[Row], times: Mapping[str, float | None]) -> str:
    """Which accuracies were aimed at, each with what came nearest to it in the time it had."""
    header = ["goal", "within", "best row in that time", "its accuracy", "reached"]
    lines = []
    for goal, minutes in GOALS:
        timely = [row for row in rows if minutes is None or _within(times[row["name"]], minutes)]
        trained = [row for row in timely if row["accuracy"] is not None]
        best = max(trained, key=lambda row: row["accuracy"], default=None)
        lines.append(
            [
                f"{goal:.2%}",
                f"{minutes} min" if minutes else "",
                f"`{best['name']}`" if best else "none",
                f"{best['accuracy']:.2%}" if best else "",
                "yes" if best and best["accuracy"] >= goal else "no",
            ]
        )
    return (
        "## What was aimed at\n\nOn two cores, by one model; without a limit of time, by the "
        f"ensemble too.\n\n{markdown.table(header, lines)}"
    )


def _within(took: float | None, minutes: float) -> bool:
    return took is not None and took <= 60 * minutes


def _difference(pair: Mapping[str, Any] | None, pairs: int) -> str:
    if pair is None:
        return ""
    more = f"{pair['only_b'] - pair['only_a']:+,}"
    return more if pair["p"] * pairs <= SURE else f"({more})"


def picture(rows: Sequence[Row], times: Mapping[str, float | None]) -> Figure:
    """Test accuracy by multiply-adds, beside what is published, and by training time."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    by_size, by_time = figure.subplots(1, 2, sharey=True)
    trained = [row for row in rows if row["accuracy"] is not None]
    for row in rows:
        for published in row["published"].values():
            by_size.plot(
                row["multiply_adds"],
                published,
                "o",
                color=figures.VALIDATION,
                markerfacecolor="none",
                label="published",
            )
    _points(by_size, [(row["multiply_adds"], row) for row in trained])
    _points(by_time, [(time, row) for row in trained if (time := times[row["name"]])])
    by_size.set(xlabel="multiply-adds an image", ylabel="test accuracy")
    by_time.set(xlabel="seconds to train a model")
    known = dict(zip(*reversed(by_size.get_legend_handles_labels()), strict=True))
    figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=2)
    for axes in (by_size, by_time):
        axes.set_xscale("log")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid(alpha=0.3)
        left, right = axes.dataLim.intervalx
        axes.set_xlim(left / 3, right * 100)  # the names stand on the right
    return figure


def _points(axes: Axes, rows: Sequence[tuple[float, Row]]) -> None:
    """Each row at its x, its name a decade to the right, moved up where it would cover one."""
    above = 0.0
    for x, row in sorted(rows, key=lambda point: point[1]["accuracy"]):
        axes.errorbar(
            x,
            row["accuracy"],
            [[row["accuracy"] - row["accuracy_low"]], [row["accuracy_high"] - row["accuracy"]]],
            fmt="o",
            color=figures.TRAINING,
            capsize=3,
            label="measured, with its 95 % interval",
        )
        above = max(row["accuracy"], above + LINE)
        axes.annotate(
            row["name"],
            (x, row["accuracy"]),
            (10 * x, above),
            va="center",
            fontsize=8,
            arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.5},
        )


if __name__ == "__main__":
    console.run(main)
