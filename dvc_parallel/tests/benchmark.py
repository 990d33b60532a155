"""Measures `dvc-parallel` beside `dvc repro` and `dvc queue`, and puts tables into the README.

    python -m dvc_parallel.tests.benchmark [--only NAME ...] [--jobs N]

Each project runs twice from nothing, once with each. What they leave in dvc.lock has to be equal,
and so do the files of each experiment.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

from dvc_parallel.tests.layouts import Layout, layouts, many

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"
BEGIN_GRIDS, END_GRIDS = "<!-- grids -->\n", "<!-- end of grids -->\n"
CHAIN = """\
stages:
  prepare:
    cmd: sleep 2 && cp source data
    deps: [source]
    outs: [data]
  train:
    cmd: sleep 4 && cat data params.yaml > model
    deps: [data]
    params: [rate]
    outs: [model]
  evaluate:
    cmd: sleep 1 && cp model score
    deps: [model]
    outs: [score]
"""
GRIDS = {f"{count} experiments of 2 + 4 + 1 s": count for count in (6, 24)}


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
        started = monotonic()
        subprocess.run(
            command, cwd=folder, env=environment(), check=True, stdout=subprocess.DEVNULL
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


def environment() -> dict[str, str]:
    """The environment variables of what is measured."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(Path(__file__).parents[2])}


def measure_grid(count: int, commands: list[list[str]]) -> tuple[float, dict[str, str]]:
    """The seconds until commands have saved so many experiments, and the files of each."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as top:  # the queue's workers tidy up
        files = {"dvc.yaml": CHAIN, "params.yaml": "rate: 0\n", "source": "1\n"}
        folder = Layout(files).write(Path(top))

        def git(*arguments: str) -> str:
            return subprocess.check_output(["git", *arguments], cwd=folder, text=True)

        def saved() -> list[str]:
            pattern = "refs/exps/[0-9a-f][0-9a-f]/**"
            return git("for-each-ref", "--format=%(refname)", pattern).split()

        git("config", "user.name", "benchmark")
        git("config", "user.email", "benchmark@example.org")
        git("add", "-A")
        git("commit", "-qm", "first")
        started = monotonic()
        for command in commands:
            subprocess.run(
                command, cwd=folder, env=environment(), check=True, stdout=subprocess.DEVNULL
            )
        while len(saved()) < count:  # `dvc queue start` does not wait
            sleep(0.1)
        seconds = monotonic() - started
        # The whole name holds the commit that it starts from, and so the time of that.
        contents = {name.rpartition("/")[2]: git("ls-tree", "-r", name) for name in saved()}
        return seconds, contents


def grid_row(name: str, count: int, jobs: int) -> str:
    """A row of the second table."""
    grid = ["-S", f"rate={','.join(map(str, range(1, count + 1)))}", "-n", "grid"]
    workers = ["--jobs", str(jobs)]
    theirs, expected = measure_grid(
        count, [["dvc", "exp", "run", "--queue", *grid], ["dvc", "queue", "start", *workers]]
    )
    ours, got = measure_grid(count, [[sys.executable, "-m", "dvc_parallel", *grid, *workers]])
    same = "yes" if got == expected else "**no**"
    return f"| {name} | {theirs:.1f} s | {ours:.1f} s | {ours / theirs:.2f} | {same} |"


def put(table: list[str], begin: str, end: str) -> None:
    """Replace a table of the README."""
    before, _, rest = README.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    README.write_text(before + begin + "\n".join(table) + "\n" + end + after, encoding="utf-8")


def main() -> None:
    """Measure, print each row when it is there, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="rows whose names contain this")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rows", type=Path, help="a file that keeps the rows from call to call")
    given = parser.parse_args()
    kept = json.loads(given.rows.read_text()) if given.rows and given.rows.exists() else {}

    def keep(name: str, measured: Callable[[], str]) -> None:
        if not given.only or any(part in name for part in given.only):
            kept[name] = measured()
            print(kept[name], flush=True)
            if given.rows:
                given.rows.write_text(json.dumps(kept))

    for name, layout in projects().items():
        keep(name, partial(row, name, layout, given.jobs))
    for name, count in GRIDS.items():
        keep(name, partial(grid_row, name, count, given.jobs))
    table = [
        f"| project | stages | `dvc repro` | {given.jobs} jobs | ratio | same dvc.lock |",
        "| --- | --- | --- | --- | --- | --- |",
        *(kept[name] for name in projects() if name in kept),
    ]
    put(table, BEGIN, END)
    table = [
        f"| grid | `dvc queue`, {given.jobs} jobs | {given.jobs} jobs | ratio | same files |",
        "| --- | --- | --- | --- | --- |",
        *(kept[name] for name in GRIDS if name in kept),
    ]
    put(table, BEGIN_GRIDS, END_GRIDS)


if __name__ == "__main__":
    main()
