"""Make the candidate with the lowest validation loss the best model."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from fashion_mnist import candidates, console, files, inputs, records, results

HISTORY = Path("plots/history")
TRAINING = Path("plots/training.csv")
BEST = Path("models/best_model.h5")
SELECTION = Path("metrics/selection.json")


def rank(candidate: tuple[str, dict]) -> tuple[float, float, int]:
    """The lowest loss is first; a tie goes to the higher accuracy, then the lower number."""
    name, scores = candidate
    return scores["loss"], -scores["accuracy"], int(name.removeprefix("model-"))


def forget_all_but(names: Sequence[str]) -> None:
    """Remove what splits have left that params.yaml no longer names, and a DVC that was killed.

    DVC takes whole folders for what this stage depends on, and would otherwise find
    something else here than in a fresh clone.
    """
    known = {f"{name}.json" for name in names} | {f"{name}.csv" for name in ("baseline", *names)}
    for path in (*candidates.RECEIPTS.iterdir(), *HISTORY.iterdir()):
        if path.name not in known:
            path.unlink()


def training_rows(names: Sequence[str]) -> Iterator[dict]:
    """All histories as one table: a row for each epoch and for training and validation."""
    for name in names:
        for row in records.read_csv(HISTORY / f"{name}.csv"):
            for images, prefix in (("training", ""), ("validation", "val_")):
                yield {
                    "model": name,
                    "images": images,
                    "epoch": int(row["epoch"]),
                    "loss": row[f"{prefix}loss"],
                    "accuracy": row[f"{prefix}accuracy"],
                }


def main() -> None:
    """Run the stage."""
    argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m stages.select_best"
    ).parse_args()
    with inputs.held(lambda config: config.train.splits) as splits:
        select(candidates.names(splits))


def select(names: Sequence[str]) -> None:
    """Choose among the models of these names."""
    forget_all_but(names)
    receipts = {name: candidates.receipt(name) for name in names}
    best, receipt = min(receipts.items(), key=rank)
    files.write(BEST, candidates.model_file(receipt).read_bytes())
    records.write_json(
        SELECTION, {"best": best, "loss": receipt["loss"], "accuracy": receipt["accuracy"]}
    )
    records.write_csv(TRAINING, training_rows(["baseline", *names]))
    baseline = records.read_json("metrics/baseline.json")["validation"]
    console.say(results.table({"baseline": baseline, **receipts}, best))
    console.say(f"wrote {BEST} ({best}), {SELECTION} and {TRAINING}")


if __name__ == "__main__":
    console.run(main)
