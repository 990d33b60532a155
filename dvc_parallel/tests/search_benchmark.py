"""Measures how busy a search keeps the cores.

    python -m dvc_parallel.tests.search_benchmark [--trials 12] [--seconds 10] [--jobs 2]

A trial is a stage that sleeps. Printed is the share of the cores' time in which such a stage ran:
from the first stage's start to the last one's end, and of the whole command.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time

TRAIN = """
import os, sys, time
from pathlib import Path

started = time.time()
time.sleep(float(sys.argv[1]))
Path("loss.json").write_text('{"loss": 1}')
with open(os.environ["LOG"], "a") as log:
    log.write(f"{started} {time.time()}\\n")
"""
DVC_YAML = """
stages:
  train:
    cmd: python train.py SECONDS
    deps: [train.py]
    params: [lr]
    metrics: [loss.json: {cache: false}]
"""


def write(folder: Path, seconds: float) -> None:
    """A project with one stage that takes so long."""
    (folder / "train.py").write_text(TRAIN)
    (folder / "dvc.yaml").write_text(DVC_YAML.replace("SECONDS", str(seconds)))
    (folder / "params.yaml").write_text("lr: 1\n")
    for command in (
        ["git", "init", "-q"],
        ["dvc", "init", "-q"],
        ["git", "add", "-A"],
        ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "begin"],
    ):
        subprocess.run(command, cwd=folder, check=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    with TemporaryDirectory() as top:
        os.environ["LOG"] = f"{top}/log.txt"
        folder = Path(top, "project")
        folder.mkdir()
        write(folder, given.seconds)
        command = [sys.executable, "-m", "dvc_parallel", "-S", "lr=interval(0, 1)", "--seed", "1"]
        options = ["--minimize", "loss.json:loss", "--trials", str(given.trials)]
        began = time()
        subprocess.run([*command, *options, "-j", str(given.jobs)], cwd=folder, check=True)
        whole = time() - began
        lines = Path(top, "log.txt").read_text(encoding="utf-8").splitlines()
    runs = [tuple(map(float, line.split())) for line in lines]
    busy = sum(end - start for start, end in runs)
    span = max(end for _, end in runs) - min(start for start, _ in runs)
    print(
        f"{given.trials} trials of {given.seconds:g} s on {given.jobs} cores: "
        f"{busy / (given.jobs * span):.0%} busy from the first to the last stage, "
        f"{busy / (given.jobs * whole):.0%} of the whole command ({whole:.1f} s)"
    )


if __name__ == "__main__":
    main()
