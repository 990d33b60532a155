"""Measure this project against the original's way, side by side, on the machine at hand.

Writes benchmarks/results.json, benchmarks/README.md and benchmarks/times.png. What takes
hours is extrapolated from fewer epochs unless `--full` is given. The machine must be idle.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import psutil
from ruamel.yaml import YAML

from benchmarks import page
from dvc_parallel import schedule
from dvc_parallel.command import usable_cores
from dvc_parallel.schedule import Task
from fashion_mnist.checking import params
from fashion_mnist.checking.versions import installed
from fashion_mnist.errors import InputError
from fashion_mnist.ingest import idx
from fashion_mnist.storage import dataset, files, records
from fashion_mnist.storage.parameters import PARAMS
from fashion_mnist.storage.parameters import read as read_yaml
from fashion_mnist.talk import console

ROOT = Path(__file__).parent.parent
ACCURACY = 0.9133  # the original's, on the test set
NETWORKS = ("improved", "deep-residual")  # whose steps are measured
DATA_SET = "datasets/fashion-mnist.yaml"
ORIGINAL_EPOCHS = (50, 10, 10, 10)
ORIGINAL_IMAGES = (48_000, 38_400, 30_720, 24_576)
# The pipeline is run on these, and the rest is extrapolated.
SHORT_IMAGES, ALL_IMAGES, SHORT_EPOCHS = 12_000, 60_000, 2
CORES = usable_cores()

IMPORT = "from fashion_mnist.learning import backend; import tensorflow"


class Done(NamedTuple):
    """A finished command."""

    seconds: float
    peak_bytes: int  # of the largest process in it
    output: str


def run(*command: str, where: Path, folder: str = ".") -> Done:
    """Run a command as a user would, in the virtual environment, with the data at hand.

    Args:
        command: the program and its arguments.
        where: the project's folder.
        folder: the working directory, relative to `where`.

    Raises:
        InputError: it failed.
    """
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(where),
        "FASHION_MNIST_DIR": str(ROOT / "data/raw"),
    }
    started = monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, cwd=where / folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = monotonic() - started
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise InputError(f"`{' '.join(command)}` failed: {text[-500:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Done(seconds, usage.ru_maxrss * unit, text)


def python(*command: str, where: Path, folder: str = ".") -> Done:
    """`python -m ...`."""
    return run("python", "-m", *command, where=where, folder=folder)


def clone(folder: Path, changes: Mapping[str, Any]) -> Path:
    """The committed project in `folder`, nothing run, with keys changed.

    Args:
        folder: does not exist yet.
        changes: to values, by keys of params.yaml, or of FILE where they are `FILE:key`.
    """
    run("git", "clone", "--quiet", str(ROOT), str(folder), where=ROOT)
    for key, value in changes.items():
        name, _, key = key.rpartition(":")
        path = folder / (name or PARAMS)
        section = values = read_yaml(path)
        *parents, last = key.split(".")
        for parent in parents:
            section = section[parent]
        section[last] = value
        YAML(typ="safe").dump(values, path)
    return folder


def parameters() -> dict[str, Any]:
    """The project's params.yaml."""
    return read_yaml(ROOT / PARAMS)


def epochs(log: str) -> list[float]:
    """Seconds of each epoch in a training stage's log."""
    return [float(seconds) for seconds in re.findall(r"val_accuracy \S+\s+([\d.]+) s", log)]


def typical(seconds: list[float]) -> float:
    """The median, without the first, in which graphs are built and memory is warmed."""
    return statistics.median(seconds[1:] or seconds)


def original(full: bool, folder: Path, first_epoch: int | None) -> dict[str, Any]:
    """The original's way: one model for as many epochs as is asked, or its whole program."""
    planned = ORIGINAL_EPOCHS if full else (3,)  # the first warms up
    done = run(
        *("python", "-m", "benchmarks.original", str(ROOT / "data/processed")),
        *("--save", str(folder / "original.h5"), "--epochs", *map(str, planned)),
        where=ROOT,
    )
    events = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    first = [event for event in events if event.get("model") == 1]
    took = [event["took"] for event in first if "took" in event]
    epoch = typical(took)
    left_out = sum(event.get("left_out", 0) for event in events)
    all_took = sum(event.get("took", 0) for event in events)
    around = done.seconds - left_out - all_took  # to start, load, split and save
    scores = [event["test_accuracy"] for event in first if "test_accuracy" in event]
    reached = [number for number, score in enumerate(scores, 1) if score >= ACCURACY]
    if full:
        first_epoch = reached[0] if reached else None
        one = around + sum(took)
        program = around + all_took
    else:
        one = around + ORIGINAL_EPOCHS[0] * epoch
        work = sum(n * i for n, i in zip(ORIGINAL_EPOCHS, ORIGINAL_IMAGES, strict=True))
        program = around + epoch * work / ORIGINAL_IMAGES[0]
    return {
        "epochs_run": list(planned),
        "seconds_an_epoch": epoch,
        "seconds_of_50_epochs": one,
        "epoch_of_first_reaching": first_epoch,
        "seconds_to_first_reach": around + first_epoch * epoch if first_epoch else None,
        "seconds_of_program": program,
        "peak_bytes": done.peak_bytes,
        "test_accuracy_by_epoch": scores,
        "final_accuracy": events[-1]["final_accuracy"],
    }


def one_model(folder: Path) -> dict[str, Any]:
    """A model of the quickest row, from the start to the saved file; its accuracy is the row's."""
    where = clone(folder / "one", {})
    row = quickest(where)
    name = f"{row['name']}-1"
    preparation = [python(f"stages.{stage}", where=where) for stage in ("fetch", "preprocess")]
    trained = python("comparison.train", name, where=where, folder="comparison")
    times = records.read_json(where / f"comparison/times/{name}.json")
    return {
        "row": row["name"],
        "threads": row["threads"],
        "seeds": len(row["seeds"]),
        "test_accuracy": row["accuracy"],
        "seconds": trained.seconds,
        "training_seconds": times["seconds"],
        "peak_bytes": trained.peak_bytes,
        "preparation_seconds": sum(done.seconds for done in preparation),
        "preparation_peak_bytes": max(done.peak_bytes for done in preparation),
    }


def quickest(project: Path) -> dict[str, Any]:
    """What the comparison has found about the row on the first rung of its ladder."""
    name = read_yaml(project / "comparison/params.yaml")["ladder"][0]["row"]
    rows = records.read_json(project / "comparison/results.json")["rows"]
    return next(row for row in rows if row["name"] == name)


def steps(threads: int) -> dict[str, Any]:
    """What `benchmarks.steps` measures with so many threads."""
    networks = NETWORKS if threads == CORES else NETWORKS[:1]  # the deep one takes a minute
    done = python("benchmarks.steps", str(threads), *networks, where=ROOT)
    return json.loads(done.output.splitlines()[-1])


def pytorch(threads: int) -> dict[str, Any] | None:
    """An epoch of PyTorch's eager loop, if `make bench` installed PyTorch."""
    interpreter = ROOT / ".venv/torch/bin/python"
    if not interpreter.exists():
        return None
    config = params.load()
    scale = config.recipes[config.train.recipe].dropout_scale
    layers = config.architectures[config.train.architecture]
    rates = [str(scale * values["rate"]) for kind, values in layers if kind == "Dropout"]
    train = str(ROOT / "data/processed/train.npz")
    command = (str(interpreter), "-m", "benchmarks.pytorch", train, str(threads), *rates)
    return json.loads(run(*command, where=ROOT).output.splitlines()[-1])


def epochs_by_stage(log: str) -> dict[str, list[float]]:
    """Seconds of each epoch by stage, from the log of `dvc repro` or of `dvc_parallel`."""
    found: dict[str, list[float]] = {}
    running = ""
    for line in log.splitlines():
        if stage := re.match(r"Running stage '(.+)':|(\S+) +\| ", line):
            running = stage[1] or stage[2]
        if seconds := epochs(line):
            found.setdefault(running, []).extend(seconds)
    return found


def left_out(log: str) -> dict[str, float]:
    """Seconds by which each stage would take longer with all images and all epochs."""
    values = parameters()
    longer = {}
    for stage, seconds in epochs_by_stage(log).items():
        recipe = values["recipes"][values[stage.partition("@")[0]]["recipe"]]
        times = recipe["epochs"] * ALL_IMAGES / SHORT_IMAGES
        longer[stage] = typical(seconds) * (times - SHORT_EPOCHS)
    return longer


def makespan(stages: Mapping[str, float]) -> float:
    """How long the stages take on all cores: the trainings side by side, the others in a row."""
    trainings = {stage for stage in stages if stage.startswith(("baseline", "train@"))}
    tasks, before = {}, frozenset[str]()
    for stage, seconds in stages.items():
        if stage in trainings:
            tasks[stage] = Task(frozenset({"preprocess"}), 1, seconds)
        else:
            tasks[stage] = Task(before, 1, seconds)
            before = frozenset({stage}) | trainings if stage == "preprocess" else frozenset({stage})
    return schedule.length(schedule.simulate(tasks, CORES, patient=False))


def pipeline(full: bool, folder: Path) -> dict[str, Any]:
    """The whole pipeline from an empty cache, beside serial `dvc repro`; and with nothing to do."""
    names = parameters()["recipes"]
    short = {f"recipes.{name}.epochs": SHORT_EPOCHS for name in names}
    changes = {} if full else short | smaller(folder / "fewer", SHORT_IMAGES)
    serial = clone(folder / "serial", changes)
    parallel = clone(folder / "parallel", changes)
    one_by_one = run("dvc", "repro", where=serial)
    together = python("dvc_parallel", where=parallel)
    locks = [(where / "dvc.lock").read_bytes() for where in (serial, parallel)]
    if locks[0] != locks[1]:
        raise InputError("serial and parallel runs gave different results")
    measured = re.findall(r"^(\S+) +\| done in ([\d.]+) s", together.output, re.MULTILINE)
    stages = {name: float(seconds) for name, seconds in measured}
    parallel_seconds, serial_seconds = together.seconds, one_by_one.seconds
    if not full:
        longer = left_out(together.output)
        whole = {name: seconds + longer.get(name, 0) for name, seconds in stages.items()}
        parallel_seconds += makespan(whole) - makespan(stages)
        serial_seconds += sum(left_out(one_by_one.output).values())
        stages = whole
    repeated = [
        [python("dvc_parallel", where=parallel).seconds for _ in range(3)],
        [run("dvc", "status", where=parallel).seconds for _ in range(3)],
    ]
    return {
        "stage_seconds": stages,
        "parallel_seconds": parallel_seconds,
        "serial_seconds": serial_seconds,
        "peak_bytes": one_by_one.peak_bytes,
        "unchanged_seconds": statistics.median(repeated[0]),
        "status_seconds": statistics.median(repeated[1]),
        "experiment": experiment(parallel),
    }


def experiment(project: Path) -> dict[str, float]:
    """Seconds of one try of an architecture, with all that depends on it."""
    change = ("-S", "train.architecture=lenet")
    return {
        "dvc_parallel": python("dvc_parallel", *change, "--name", "a", where=project).seconds,
        "dvc": run("dvc", "exp", "run", *change, "--name", "b", "--force", where=project).seconds,
    }


def smaller(folder: Path, count: int) -> dict[str, Any]:
    """Changes to the data set's file that make `count` images the training set."""
    folder.mkdir()
    images, labels, _ = dataset.read(ROOT / "data/processed/train.npz")
    idx.write(folder / "train-images-idx3-ubyte", images[:count])
    idx.write(folder / "train-labels-idx1-ubyte", labels[:count])
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        shutil.copy(ROOT / "data/raw" / name, folder)
    known = {
        path.name: {"bytes": path.stat().st_size, "sha256": files.sha256(path)}
        for path in folder.iterdir()
    }
    return {f"{DATA_SET}:sources": [str(folder)], f"{DATA_SET}:files": known}


def training_seconds(folder: Path, images: int, splits: int, jobs: int) -> float:
    """How long an epoch of each split takes, start-up included."""
    recipe = parameters()["train"]["recipe"]
    with tempfile.TemporaryDirectory(dir=folder) as name:
        data = smaller(Path(name, "data"), images)
        changes = {
            **data,
            "train.splits": list(range(1, splits + 1)),
            f"recipes.{recipe}.epochs": 1,
        }
        where = clone(Path(name, "project"), changes)
        run("dvc", "repro", "preprocess", where=where)
        targets = [f"train@{number}" for number in range(1, splits + 1)]
        command = ("dvc_parallel", "--jobs", str(jobs), *targets)
        return python(*command, where=where).seconds


def two_jobs(folder: Path) -> dict[str, float]:
    """Seconds for two splits, one after the other and side by side."""
    return {str(jobs): training_seconds(folder, 7_500, 2, jobs) for jobs in (1, 2)}


def ratios(measured: Mapping[str, Any]) -> dict[str, float | None]:
    """Each figure against its reference in the same run."""

    def over(one: float | None, other: float | None) -> float | None:
        return one / other if one and other else None

    old, new, whole = (measured[key] for key in ("original", "one_model", "pipeline"))
    one, all_cores = measured["steps"]["1"], measured["steps"][str(CORES)]
    steps, limits = all_cores["step_seconds"], all_cores["limit_seconds"]
    jobs = measured["jobs"]
    largest = max(new["peak_bytes"], whole["peak_bytes"])
    loaded = measured["import_peak_bytes"]
    epochs = [
        measured["steps"][threads]["epoch_seconds"] / epoch["seconds"]
        for threads, epoch in measured["pytorch"].items()
        if epoch
    ]
    return {
        "two_threads": over(one["step_seconds"][NETWORKS[0]], steps[NETWORKS[0]]),
        "epoch_pytorch": max(epochs, default=None),
        "step_limit": max(steps[name] / sum(limits[name].values()) for name in NETWORKS),
        "time_to_accuracy": over(new["seconds"], old["seconds_of_50_epochs"]),
        "peak_memory": over(largest - loaded, old["peak_bytes"] - loaded),
        "pipeline_seconds": whole["parallel_seconds"],
        "repro_parallel": over(whole["parallel_seconds"], whole["serial_seconds"]),
        "repro_original": over(whole["parallel_seconds"], old["seconds_of_program"]),
        "experiment": over(whole["experiment"]["dvc_parallel"], whole["experiment"]["dvc"]),
        "two_jobs": over(jobs["1"], jobs["2"]),
    }


def machine() -> dict[str, Any]:
    """What this was measured on."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": CORES,
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: installed(name) for name in ("tensorflow", "keras", "dvc", "dask", "numpy")},
    }


def main() -> None:
    """Measure, and write the results and the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m benchmarks.run --full"
    )
    parser.add_argument("--full", action="store_true", help="extrapolate nothing: over an hour")
    full = parser.parse_args().full
    if not (ROOT / "data/processed/train.npz").exists():
        raise InputError("data/processed/train.npz is missing: run `make repro` first")
    before = records.read_json(page.RESULTS) if page.RESULTS.exists() else {}
    first_epoch = before.get("original", {}).get("epoch_of_first_reaching")
    counts = sorted({1, CORES})  # of threads
    started = monotonic()
    measured: dict[str, Any] = {"full": full, "machine": machine()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key, measure in (
            ("one_model", lambda: one_model(folder)),
            ("original", lambda: original(full, folder, first_epoch)),
            ("pytorch", lambda: {str(n): pytorch(n) for n in counts}),
            ("pipeline", lambda: pipeline(full, folder)),
            ("jobs", lambda: two_jobs(folder)),
            ("steps", lambda: {str(n): steps(n) for n in counts}),
            ("import_peak_bytes", lambda: run("python", "-c", IMPORT, where=ROOT).peak_bytes),
        ):
            measured[key] = measure()
            console.say(f"{monotonic() - started:6.0f} s  {key}: {measured[key]}")
    measured["ratios"] = ratios(measured)
    measured["seconds"] = monotonic() - started
    records.write_json(page.RESULTS, measured)
    page.write(records.read_json(page.RESULTS))
    console.say(f"wrote {page.RESULTS}, benchmarks/README.md and benchmarks/times.png")


if __name__ == "__main__":
    console.run(main)
