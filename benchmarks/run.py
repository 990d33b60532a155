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
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import psutil
from ruamel.yaml import YAML

from benchmarks import page
from fashion_mnist.errors import InputError
from fashion_mnist.ingest import idx
from fashion_mnist.learning import dataset
from fashion_mnist.running import console, params
from fashion_mnist.storage import candidates, files, records

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results.json"
ACCURACY = 0.9133  # the original's, on the test set
FASTEST = "fastest"  # the recipe that reaches it soonest
ORIGINAL_EPOCHS = (50, 10, 10, 10)
ORIGINAL_IMAGES = (48_000, 38_400, 30_720, 24_576)
# The pipeline is run on these, and the rest is extrapolated.
SHORT_IMAGES, ALL_IMAGES, SHORT_EPOCHS = 12_000, 60_000, 2
CORES = len(psutil.Process().cpu_affinity()) if sys.platform == "linux" else os.cpu_count() or 1

GEMM = """
import sys, time, statistics
from fashion_mnist.learning import backend
backend.make_reproducible(int(sys.argv[1]))
import tensorflow as tf
a = tf.random.normal((2048, 2048))
tf.matmul(a, a)
times = []
for _ in range(40):
    started = time.perf_counter()
    tf.matmul(a, a).numpy()
    times.append(time.perf_counter() - started)
print(2 * 2048**3 / statistics.median(times))
"""


SIZE = """
from fashion_mnist.learning import networks
from fashion_mnist.running import params
from fashion_mnist.scoring.size import multiply_adds
config = params.load()
print(multiply_adds(networks.build(config.architectures[config.train.architecture])))
"""


class Done(NamedTuple):
    """A finished command."""

    seconds: float
    peak_bytes: int  # of the largest process in it
    output: str


def run(*command: str, where: Path) -> Done:
    """Run a command as a user would, in the virtual environment, with the data at hand.

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
            command, cwd=where, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = monotonic() - started
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise InputError(f"`{' '.join(command)}` failed: {text[-500:]}")
    return Done(seconds, usage.ru_maxrss * 1024, text)


def python(*command: str, where: Path) -> Done:
    """`python -m ...`."""
    return run("python", "-m", *command, where=where)


def clone(folder: Path, changes: Mapping[str, Any] | None = None) -> Path:
    """The committed project in `folder`, nothing run, with keys of params.yaml changed."""
    run("git", "clone", "--quiet", str(ROOT), str(folder), where=ROOT)
    path = folder / "params.yaml"
    values = params.read(path)
    for key, value in (changes or {}).items():
        section = values
        *parents, last = key.split(".")
        for parent in parents:
            section = section[parent]
        section[last] = value
    YAML(typ="safe").dump(values, path)
    return folder


def parameters() -> dict[str, Any]:
    """The project's params.yaml."""
    return params.read(ROOT / params.PARAMS)


def epochs(log: str) -> list[float]:
    """Seconds of each epoch in a training stage's log."""
    return [float(seconds) for seconds in re.findall(r"val_accuracy \S+\s+([\d.]+) s", log)]


def typical(seconds: list[float]) -> float:
    """The median, without the first, in which graphs are built and memory is warmed."""
    return statistics.median(seconds[1:] or seconds)


def accuracy(folder: Path, model: str) -> float:
    """A model file's test accuracy."""
    log = python("fashion_mnist", "score", model, where=folder).output
    return test_accuracy(log, Path(model).name)


def test_accuracy(log: str, title: str) -> float:
    """The accuracy that `python -m fashion_mnist score` prints for a model."""
    (percent,) = re.findall(rf"^{re.escape(title)} .*? ([\d.]+)%", log, re.MULTILINE)
    return float(percent) / 100


def original(full: bool, folder: Path, first_epoch: int | None) -> dict[str, Any]:
    """The original's way: one model for as many epochs as is asked, or its whole program."""
    planned = ORIGINAL_EPOCHS if full else (2,)
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
    """One model with the fastest recipe, on all cores: from the start to the saved file."""
    where = clone(folder / "one", {"train.threads": CORES, "train.recipe": FASTEST})
    preparation = [python(f"stages.{stage}", where=where) for stage in ("fetch", "preprocess")]
    trained = python("stages.train", "model-1", where=where)
    multiply_adds = int(run("python", "-c", SIZE, where=where).output.split()[-1])
    flops = float(run("python", "-c", GEMM, str(CORES), where=where).output.split()[-1])
    return {
        "seconds": trained.seconds,
        "epochs": len(epochs(trained.output)),
        "seconds_an_epoch": typical(epochs(trained.output)),
        "test_accuracy": accuracy(where, str(candidates.files("model-1").model)),
        "peak_bytes": trained.peak_bytes,
        "preparation_seconds": sum(done.seconds for done in preparation),
        "preparation_peak_bytes": max(done.peak_bytes for done in preparation),
        "gemm_flops": flops,
        # A multiplication and an addition, forward and twice backward.
        "limit_seconds_an_epoch": 6 * multiply_adds * ORIGINAL_IMAGES[0] / flops,
    }


def pytorch() -> float | None:
    """Seconds an epoch of PyTorch's eager loop, if PyTorch is installed."""
    if find_spec("torch") is None:
        return None
    done = python("benchmarks.eager", str(ROOT / "data/processed"), str(CORES), where=ROOT)
    return float(done.output.split()[-1])


def pipeline(full: bool, folder: Path) -> dict[str, Any]:
    """`make repro` from an empty cache beside serial `dvc repro`; then with nothing to do."""
    recipes = parameters()["recipes"]
    short = {f"recipes.{name}.epochs": SHORT_EPOCHS for name in recipes}
    changes = {} if full else short | smaller(folder / "fewer", SHORT_IMAGES)
    serial = clone(folder / "serial", changes)
    parallel = clone(folder / "parallel", changes)
    one_by_one = run("dvc", "repro", where=serial)
    done = python("dvc_parallel", where=parallel)
    locks = [(where / "dvc.lock").read_bytes() for where in (serial, parallel)]
    if locks[0] != locks[1]:
        raise InputError("serial and parallel runs gave different results")
    seconds = done.seconds
    if not full:
        for stage in ("baseline", *(f"train@{n}" for n in parameters()["train"]["splits"])):
            lines = [line for line in done.output.splitlines() if line.startswith(f"{stage} ")]
            recipe = recipes[parameters()[stage.partition("@")[0]]["recipe"]]
            times_longer = recipe["epochs"] * ALL_IMAGES / SHORT_IMAGES
            one = typical(epochs("\n".join(lines)))
            seconds += one * (times_longer - SHORT_EPOCHS) / min(CORES, 5)
    repeated = [
        [python("dvc_parallel", where=parallel).seconds for _ in range(5)],
        [run("dvc", "status", where=parallel).seconds for _ in range(5)],
    ]
    return {
        "serial_seconds": one_by_one.seconds,
        "peak_bytes": one_by_one.peak_bytes,
        "parallel_seconds": done.seconds,
        "whole_seconds": seconds,
        "unchanged_seconds": statistics.median(repeated[0]),
        "status_seconds": statistics.median(repeated[1]),
    }


def smaller(folder: Path, count: int) -> dict[str, Any]:
    """Changes to params.yaml that make `count` images the training set."""
    folder.mkdir()
    images, labels = dataset.read(ROOT / "data/processed/train.npz")
    idx.write(folder / "train-images-idx3-ubyte", images[:count])
    idx.write(folder / "train-labels-idx1-ubyte", labels[:count])
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        shutil.copy(ROOT / "data/raw" / name, folder)
    known = {
        path.name: {"bytes": path.stat().st_size, "sha256": files.sha256(path)}
        for path in folder.iterdir()
    }
    return {"fetch.sources": [str(folder)], "fetch.files": known}


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
    jobs = measured["jobs"]
    return {
        "time_to_accuracy": over(new["seconds"], old["seconds_of_50_epochs"]),
        "time_to_accuracy_first": over(new["seconds"], old["seconds_to_first_reach"]),
        "epoch": over(new["seconds_an_epoch"], old["seconds_an_epoch"]),
        "epoch_pytorch": over(new["seconds_an_epoch"], measured["pytorch_seconds_an_epoch"]),
        "epoch_limit": over(new["seconds_an_epoch"], new["limit_seconds_an_epoch"]),
        "repro_parallel": over(whole["parallel_seconds"], whole["serial_seconds"]),
        "repro_original": over(whole["whole_seconds"], old["seconds_of_program"]),
        "unchanged": over(whole["unchanged_seconds"], whole["status_seconds"]),
        "two_jobs": over(jobs["1"], jobs["2"]),
        "peak_memory": over(max(new["peak_bytes"], whole["peak_bytes"]), old["peak_bytes"]),
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
        **{name: version(name) for name in ("tensorflow", "keras", "dvc", "dask", "numpy")},
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
    before = records.read_json(RESULTS) if RESULTS.exists() else {}
    first_epoch = before.get("original", {}).get("epoch_of_first_reaching")
    started = monotonic()
    measured: dict[str, Any] = {"full": full, "machine": machine()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key, measure in (
            ("one_model", lambda: one_model(folder)),
            ("original", lambda: original(full, folder, first_epoch)),
            ("pytorch_seconds_an_epoch", pytorch),
            ("pipeline", lambda: pipeline(full, folder)),
            ("jobs", lambda: two_jobs(folder)),
        ):
            measured[key] = measure()
            console.say(f"{monotonic() - started:6.0f} s  {key}: {measured[key]}")
    measured["ratios"] = ratios(measured)
    measured["seconds"] = monotonic() - started
    records.write_json(RESULTS, measured)
    page.write(records.read_json(RESULTS))
    console.say(f"wrote {RESULTS}, benchmarks/README.md and benchmarks/times.png")


if __name__ == "__main__":
    console.run(main)
