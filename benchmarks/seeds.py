"""Train one recipe with several seeds, each on a split of its own: means, spreads and times.

Writes benchmarks/seeds.json. Each seed is scored on the test set once, after the recipe was chosen.
"""

import argparse
import shutil
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.page import SEEDS
from benchmarks.run import (
    ACCURACY,
    CORES,
    FASTEST,
    accuracy,
    clone,
    machine,
    original,
    parameters,
    python,
)
from fashion_mnist.storage import outs, records
from fashion_mnist.talk import console


def one(folder: Path, recipe: str, seed: int) -> dict[str, float]:
    """Seconds, validation loss and accuracy, and test accuracy of one training on one thread."""
    changes = {"train.recipe": recipe, "train.seed": seed, "split.seed": seed, "train.threads": 1}
    where = clone(folder / str(seed), changes)
    for stage in ("fetch", "preprocess"):
        python(f"stages.{stage}", where=where)
    seconds = python("stages.train", "model-1", where=where).seconds
    written = outs.files("model-1")
    validation = records.read_json(where / written.metrics)["validation"]
    result = {
        "seed": seed,
        "seconds": seconds,
        **validation,
        "test_accuracy": accuracy(where, str(written.model)),
    }
    shutil.rmtree(where)
    console.say(str(result))
    return result


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m benchmarks.seeds --seeds 1 2 3"
    )
    parser.add_argument("--recipe", default=FASTEST)
    parser.add_argument("--seeds", type=int, nargs="+", default=range(1, 21))
    arguments = parser.parse_args()
    if len(arguments.seeds) < 2:
        parser.error("--seeds: two or more, or there is no spread")
    with (
        tempfile.TemporaryDirectory() as name,
        ThreadPoolExecutor(CORES) as pool,
    ):
        runs = list(pool.map(lambda s: one(Path(name), arguments.recipe, s), arguments.seeds))
        original_seconds = original(False, Path(name), None)["seconds_of_50_epochs"]
    tests = [run["test_accuracy"] for run in runs]
    records.write_json(
        SEEDS,
        {
            "recipe": {arguments.recipe: parameters()["recipes"][arguments.recipe]},
            "runs": runs,
            "seconds": statistics.mean(run["seconds"] for run in runs),
            "original_seconds": original_seconds,
            "machine": machine(),
            "mean": statistics.mean(tests),
            "standard_deviation": statistics.stdev(tests),
            "lowest": min(tests),
            "highest": max(tests),
            "reached": sum(test >= ACCURACY for test in tests),
        },
    )


if __name__ == "__main__":
    console.run(main)
