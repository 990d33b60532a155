"""Measures `dvc-parallel` beside `dvc repro`, and puts the table into the README.

    python -m dvc_parallel.tests.benchmark [--only NAME ...] [--jobs N]

Each project runs twice from nothing, once with each; what they leave in dvc.lock has to be equal.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from dvc_parallel.tests.layouts import Layout, layouts, many

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"


def projects() -> dict[str, Layout]:
    """All that is measured, by its name in the table."""
    return {f"{name}, 1 s a stage": layout for name, layout in layouts(pause=1).items()} | {
        "30 stages of 0.1 s": many(30, 0.1),
        "300 stages of 0.1 s": many(300, 0.1),
        "60 stages of 1 s": many(60, 1),
        "300 stages of 1 s": many(300, 1),
    }


def measure(layout: Layout, command: list[str]) -> tuple[float, dict[str, bytes]]:
    """The seconds that a command takes in a project, and what it leaves in each dvc.lock."""
    with TemporaryDirectory() as top:
        folder = layout.write(Path(top))
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        root = str(Path(__file__).parents[2])
        started = monotonic()
        subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path, "PYTHONPATH": root},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = monotonic() - started
        locks = {
            str(lock.relative_to(top)): lock.read_bytes() for lock in Path(top).rglob("dvc.lock")
        }
        return seconds, locks


def row(name: str, layout: Layout, jobs: int) -> str:
    """A row of the table."""
    theirs, expected = measure(layout, ["dvc", "repro"])
    ours, got = measure(layout, [sys.executable, "-m", "dvc_parallel", "--jobs", str(jobs)])
    same = "yes" if got == expected else "**no**"
    return (
        f"| {name} | {layout.stages} | {theirs:.1f} s | {ours:.1f} s "
        f"| {ours / theirs:.2f} | {same} |"
    )


def main() -> None:
    """Measure, print each row when it is there, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="rows whose names contain this")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rows", type=Path, help="a file that keeps the rows from call to call")
    given = parser.parse_args()
    kept = json.loads(given.rows.read_text()) if given.rows and given.rows.exists() else {}
    for name, layout in projects().items():
        if not given.only or any(part in name for part in given.only):
            kept[name] = row(name, layout, given.jobs)
            print(kept[name], flush=True)
            if given.rows:
                given.rows.write_text(json.dumps(kept))
    table = [
        f"| project | stages | `dvc repro` | {given.jobs} jobs | ratio | same dvc.lock |",
        "| --- | --- | --- | --- | --- | --- |",
        *(kept[name] for name in projects() if name in kept),
    ]
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(before + BEGIN + "\n".join(table) + "\n" + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
