"""Write the comparison's page and picture, its table in README.md and the model card's scores.

Run it in comparison/, after `dvc repro` there.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from comparison.tabulate import RESULTS
from comparison.talk import card
from fashion_mnist.reporting import markdown
from fashion_mnist.scoring import figures
from fashion_mnist.storage import files, parameters, records
from fashion_mnist.talk import console

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
CARD = HERE.parent / "docs/model-card.md"
SIGNIFICANT = 0.05
MOST_IN_README = 4

INTRODUCTION = """\
How accurate networks of different cost are on the 10,000 test images of Fashion-MNIST. Each was
trained on all 60,000 training images, once for each of its seeds. The accuracy is the mean over
seeds, after the last epoch, with a 95% interval; one network, one view of an image, except where a
column or the row `ensemble` tells otherwise."""

LADDER = """\
How close one network comes to an accuracy within a limited training time, on two cores with
nothing else running: two threads, all 60,000 training images, one view of each test image. Time is
measured from the first batch to the last, and includes building TensorFlow's graphs. Accuracy and
time are means over seeds. The last goal is for the ensemble, without a limit. The goals were set
on a processor with AMX. [What it costs](#what-it-costs) describes the processors; the one called
Intel was shared with others."""

Row = Mapping[str, Any]


def main() -> None:
    """Write all of it."""
    console.takes_no_arguments(__doc__, "python -m comparison.page")
    compared = records.read_json(RESULTS)
    figures.save(picture(compared["rows"]), HERE / "accuracy.png")
    values = parameters.read()
    files.write(HERE / "README.md", page(compared, values["ladder"]).encode())
    text = README.read_text("utf-8")
    short = table(in_short(compared["rows"]))
    files.write(README, markdown.with_section(text, "comparison", short).encode())
    text = card.text(CARD.read_text("utf-8"), values["best"])
    files.write(CARD, text.encode())
    console.say(
        "wrote comparison/README.md, comparison/accuracy.png, the table in README.md and the "
        "scores in docs/model-card.md"
    )


def page(compared: Mapping[str, Any], rungs: Sequence[Mapping[str, Any]]) -> str:
    """comparison/README.md; the rungs are those of the ladder in params.yaml."""
    notes = (HERE / "notes.md").read_text("utf-8").strip()
    for row in compared["rows"]:  # {name}, beside what others publish
        notes = notes.replace(f"{{{row['name']}}}", f"{row['accuracy']:.2%}")
    parts = [
        "# The comparison",
        INTRODUCTION,
        table(compared["rows"], in_full=True),
        "![Test accuracy of each network, cheapest at the top](accuracy.png)",
        ladder(compared["rows"], rungs),
        differences(compared),
        notes,
    ]
    return "\n\n".join(parts) + "\n"


def in_short(rows: Sequence[Row]) -> list[Row]:
    """Some rows, spread evenly from the least accurate to the most accurate."""
    trained = sorted(rows, key=lambda row: row["accuracy"])
    count = min(MOST_IN_README, len(trained))
    places = [round(i * (len(trained) - 1) / max(count - 1, 1)) for i in range(count)]
    return [trained[place] for place in places]


def table(rows: Sequence[Row], in_full: bool = False) -> str:
    """A Markdown table with one line per row; in full, with six views and times too."""
    header = ["network", "test accuracy", "seeds", "parameters", "multiply-adds"]
    lines = [
        [
            f"`{row['name']}`",
            _measured(row),
            _seeds(row),
            f"{row['parameters']:,}",
            f"{row['multiply_adds']:,}",
        ]
        for row in rows
    ]
    if in_full:
        header += ["training", "six views", "published"]
        for line, row in zip(lines, rows, strict=True):
            line += [
                _training(row),
                f"{row['six_views']['accuracy']:.2%}",
                "; ".join(map(_published, row["published"])),
            ]
    return markdown.table(header, lines)


def _measured(row: Row) -> str:
    return f"{row['accuracy']:.2%} ({row['accuracy_low']:.2%} to {row['accuracy_high']:.2%})"


def _published(result: Mapping[str, Any]) -> str:
    return f"{result['accuracy']:.1%} ({result['source']})"


def _seeds(row: Row) -> str:
    if not row["seeds"]:
        return ""
    worst, best = min(row["by_seed"]), max(row["by_seed"])
    spread = f": {worst:.2%} to {best:.2%}" if len(row["seeds"]) > 1 else ""
    return f"{len(row['seeds'])}{spread}"


def _training(row: Row) -> str:
    """Mean training time of the row's models, where measured."""
    if row["seconds"] is None:
        return ""
    return f"{row['seconds']:,.0f} s, {row['threads']} thread{'s' * (row['threads'] > 1)}"


def ladder(rows: Sequence[Row], rungs: Sequence[Mapping[str, Any]]) -> str:
    """Each goal, and the accuracy and time reached."""
    by_name = {row["name"]: row for row in rows}
    lines = []
    for rung in rungs:
        row = by_name[rung["row"]]
        limit = f" within {rung['seconds']:,} s" if "seconds" in rung else ""
        lines.append(
            [
                f"{rung['accuracy']:.2%}{limit}",
                f"`{row['name']}`",
                f"{row['accuracy']:.2%}",
                _seeds(row),
                "not measured" if row["seconds"] is None else f"{row['seconds']:,.1f} s",
                rung["processor"],
                _verdict(row, rung),
            ]
        )
    header = ["goal", "network", "test accuracy", "seeds", "training time", "processor", "verdict"]
    return f"## The ladder\n\n{LADDER}\n\n{markdown.table(header, lines)}"


def _verdict(row: Row, rung: Mapping[str, Any]) -> str:
    """Whether the goal is reached, and by how much it is not."""
    points = 100 * (rung["accuracy"] - row["accuracy"])
    missed = [f"{points:.2f} points"] * (points > 0)
    if "seconds" in rung:
        if row["seconds"] is None:
            return "not measured"
        seconds = row["seconds"] - rung["seconds"]
        missed += [f"{seconds:,.1f} s"] * (seconds > 0)
    return f"missed by {', '.join(missed)}" if missed else "reached"


def differences(compared: Mapping[str, Any]) -> str:
    """Which of two networks is better, and which differences may be chance."""
    pairs = {(pair["a"], pair["b"]): pair for pair in compared["pairs"]}
    names = [row["name"] for row in compared["rows"]]
    grid = markdown.table(
        ["", *(f"`{name}`" for name in names[1:])],
        [[f"`{a}`", *(_difference(pairs.get((a, b))) for b in names[1:])] for a in names[:-1]],
    )
    return (
        "## Which differences are significant\n\n"
        "Each figure is the accuracy of the network in the column minus that of the network in\n"
        "the row, in percentage points, averaged over seeds. A difference in brackets is not\n"
        "significant: a paired permutation test on the test images gives it a p-value above "
        f"{SIGNIFICANT}\nafter Holm's correction for {len(pairs)} pairs. Test and intervals hold "
        "for other test images,\nnot for other seeds: of rows with one seed, a difference of less "
        "than the spread over\nseeds (in the table, up to "
        f"{100 * widest(compared['rows']):.2f} points) may be luck.\n\n{grid}"
    )


def widest(rows: Sequence[Row]) -> float:
    """The largest difference between two seeds of a row."""
    return max(max(row["by_seed"]) - min(row["by_seed"]) for row in rows)


def _difference(pair: Mapping[str, Any] | None) -> str:
    if pair is None:
        return ""
    points = f"{100 * pair['difference']:+.2f}"
    return points if pair["p_corrected"] <= SIGNIFICANT else f"({points})"


def picture(rows: Sequence[Row]) -> Figure:
    """Test accuracy of each network, cheapest at the top, beside what others publish."""
    trained = [row for row in rows if row["seeds"]]
    trained.sort(key=lambda row: row["multiply_adds"])
    figure = Figure(figsize=(9, 0.5 * len(trained) + 1.4), layout="constrained")
    axes = figure.subplots()
    front = pareto_front(trained)
    axes.plot(
        [trained[place]["accuracy"] for place in front],
        front,
        color=figures.SOFT,
        linewidth=1,
        linestyle=(0, (4, 3)),
        label="no network above is more accurate",
    )
    for place, row in enumerate(trained):
        published = [each["accuracy"] for each in row["published"]]
        axes.plot(
            published,
            [place] * len(published),
            "o",
            color=figures.VALIDATION,
            markerfacecolor="none",
            label="published by others" if published else None,
        )
        axes.errorbar(
            row["accuracy"],
            place,
            xerr=[
                [row["accuracy"] - row["accuracy_low"]],
                [row["accuracy_high"] - row["accuracy"]],
            ],
            fmt="o",
            color=figures.TRAINING,
            capsize=3,
            label="measured here, with its 95% interval",
        )
        axes.annotate(
            "\n".join(f"{each['accuracy']:.1%} {each['source']}" for each in row["published"]),
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7,
            color=figures.VALIDATION,
        )
    axes.set_yticks(range(len(trained)), [f"{row['name']}\n{_cost(row)}" for row in trained])
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.invert_yaxis()
    axes.set_xlabel("test accuracy")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    known = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    axes.legend(known.values(), known.keys(), loc="lower left", fontsize=9)
    return figure


def pareto_front(rows: Sequence[Row]) -> list[int]:
    """Indices of the rows that beat every cheaper one, in rows sorted cheapest first."""
    best = 0.0
    front = []
    for place, row in enumerate(rows):
        if row["accuracy"] > best:
            best = row["accuracy"]
            front.append(place)
    return front


def _cost(row: Row) -> str:
    count = row["multiply_adds"]
    return f"{count / 1e6:.1f} M multiply-adds" if count >= 1e5 else f"{count:,} multiply-adds"


if __name__ == "__main__":
    console.run(main)
