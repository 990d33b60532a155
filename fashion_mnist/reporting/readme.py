"""README's diagram, results and claims, from `dvc.yaml` and from the figures that git keeps.

`python -m fashion_mnist.reporting.readme` writes them.
"""

from collections.abc import Iterator, Mapping
from itertools import permutations
from pathlib import Path, PurePosixPath
from typing import Any

from fashion_mnist.reporting import markdown, summary
from fashion_mnist.storage import files, outs, parameters, records
from fashion_mnist.talk import console

README = Path("README.md")
HEADER = ["claim", "figure", "machine", "threads", "runs", "how", "command"]

Stage = Mapping[str, Any]


def main() -> None:
    """Write the sections."""
    console.takes_no_arguments(__doc__, "python -m fashion_mnist.reporting.readme")
    text = README.read_text("utf-8")
    for name, section in sections().items():
        text = markdown.with_section(text, name, section)
    files.write(README, text.encode())
    console.say(f"wrote {', '.join(sections())} in {README}")


def sections() -> dict[str, str]:
    """What is written, by the section's name."""
    return {
        "accuracy": accuracy(),
        "results": f"```text\n{summary.text()}\n```",
        "stages": f"```mermaid\n{diagram(parameters.read('dvc.yaml')['stages'])}\n```",
        "claims": markdown.table(HEADER, list(claims())),
    }


def diagram(stages: Mapping[str, Stage]) -> str:
    """The stages as a flowchart: an arrow leads from a stage to each that reads what it writes."""
    several = [f'  {name}[["{name}, one a split"]]' for name in stages if "matrix" in stages[name]]
    arrows = [
        f"  {writer} --> {reader}"
        for writer, reader in permutations(stages, 2)
        if _feeds(stages[writer], stages[reader])
    ]
    return "\n".join(["flowchart LR", *several, *arrows])


def _feeds(writer: Stage, reader: Stage) -> bool:
    """Whether the reader's deps hold an out of the writer, or lie in one."""
    outs = [*writer.get("outs", ()), *writer.get("metrics", ())]
    written = [PurePosixPath(next(iter(out)) if isinstance(out, dict) else out) for out in outs]
    read = [PurePosixPath(dep) for dep in reader["deps"]]
    return any(a.is_relative_to(b) or b.is_relative_to(a) for a in written for b in read)


def accuracy() -> str:
    """How good the two models in git are."""
    compared, rows = _comparison()
    best = compared["models"][compared["best"]]
    row = rows[best["row"]]
    found = row["by_seed"][row["seeds"].index(best["seed"])]
    default = records.read_json(outs.TEST_SCORES)["accuracy"]
    return (
        f"The default model recognizes {default:.2%} of the test "
        f"images,\nthe best single network [{found:.2%}](docs/model-card.md). Both are in git, "
        "with all results:"
    )


def claims() -> Iterator[list[str]]:
    """The rows of the table of claims, each with what it holds for and how to check it."""
    test = records.read_json(outs.TEST_SCORES)
    compared, rows = _comparison()
    measured = records.read_json("benchmarks/results.json")
    processors = {rung["row"]: rung["processor"] for rung in compared["ladder"]}
    quickest = compared["ladder"][0]["row"]
    best = compared["models"][compared["best"]]["row"]
    machine, ratios = _maker(measured), measured["ratios"]
    how = "measured" if measured["full"] else "estimated"
    several = f"{measured['machine']['cores']} models, 1 each"
    yield [
        "test accuracy of the selected model",
        _accuracy(test),
        "x86",
        "1",
        "1",
        "measured",
        "`make repro`",
    ]
    for row in (rows[quickest], rows[best], rows["ensemble"]):
        yield [
            f"test accuracy of `{row['name']}`, trained in {_time(row['seconds'])}",
            _accuracy(row),
            processors[row["name"]],
            str(row["threads"]) if row["seeds"] else f"up to {row['threads']}",
            str(len(row["seeds"]) or 1),
            "measured",
            "in `comparison/`: `python -m comparison.tabulate`",
        ]
    yield [
        "`make repro`, from nothing",
        f"{ratios['pipeline_seconds']:.0f} s",
        machine,
        several,
        "1",
        how,
        "`make bench`",
    ]
    yield [
        "time of `make repro`, as a share of that of `dvc repro`",
        f"{ratios['repro_parallel']:.0%}",
        machine,
        several,
        "1",
        how,
        "`make bench`",
    ]


def _comparison() -> tuple[dict[str, Any], dict[str, Any]]:
    """The comparison's parameters, and its rows by name."""
    rows = records.read_json("comparison/results.json")["rows"]
    return parameters.read("comparison/params.yaml"), {row["name"]: row for row in rows}


def _maker(measured: Mapping[str, Any]) -> str:
    """Of the processor: the first word of its name."""
    return str(measured["machine"]["cpu"].split("(")[0].split()[0])


def _time(seconds: float) -> str:
    return f"{seconds / 60:,.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


def _accuracy(row: Mapping[str, Any]) -> str:
    return f"{row['accuracy']:.2%} ({row['accuracy_low']:.2%} to {row['accuracy_high']:.2%})"


if __name__ == "__main__":
    console.run(main)
