"""Make the candidate with the lowest validation loss the best model."""

import argparse
import hashlib
from pathlib import Path

from fashion_mnist import console, params, records, results
from fashion_mnist.errors import InputError

CANDIDATES = Path("models/candidates")
BEST = Path("models/best_model.h5")
SELECTION = Path("metrics/selection.json")


def rank(candidate: tuple[str, dict]) -> tuple[float, float, int]:
    """The lowest loss is first; a tie goes to the higher accuracy, then the lower number."""
    name, scores = candidate
    return scores["loss"], -scores["accuracy"], int(name.removeprefix("model-"))


def main() -> None:
    """Run the stage."""
    argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m stages.select_best"
    ).parse_args()
    names = results.candidates(params.load().train.splits)
    receipts = {name: records.read_json(CANDIDATES / f"{name}.json") for name in names}
    best, receipt = min(receipts.items(), key=rank)
    weights = Path(receipt["model"]).read_bytes()
    if hashlib.sha256(weights).hexdigest() != receipt["sha256"]:
        raise InputError(
            f"{receipt['model']} is not the file that was scored: `dvc repro` trains or restores it"
        )
    BEST.write_bytes(weights)
    records.write_json(
        SELECTION, {"best": best, "loss": receipt["loss"], "accuracy": receipt["accuracy"]}
    )
    baseline = records.read_json("metrics/baseline.json")["validation"]
    console.say(results.table({"baseline": baseline, **receipts}, best))
    console.say(f"wrote {BEST} ({best}) and {SELECTION}")


if __name__ == "__main__":
    console.run(main)
