"""Make the candidate with the lowest validation loss the best model."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fashion_mnist.reporting import results
from fashion_mnist.running import console, params, provenance
from fashion_mnist.storage import candidates, files, records

TRAINING = Path("plots/training.csv")
BEST = Path("models/best_model.h5")
SELECTION = Path("metrics/selection.json")


def main() -> None:
    """Run the stage."""
    argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m stages.select_best"
    ).parse_args()
    with provenance.unchanged(lambda: params.load().train.splits) as splits:
        select(candidates.names(splits))


def select(names: Sequence[str]) -> None:
    """Choose among the candidates of these names."""
    candidates.remove_all_except(names)
    scores = {name: validation(name) for name in (candidates.BASELINE, *names)}
    best = min(names, key=lambda name: rank(name, scores[name]))
    files.write(BEST, candidates.files(best).model.read_bytes())
    records.write_json(SELECTION, {"best": best, **scores[best]})
    records.write_csv(TRAINING, training_rows(list(scores)))
    console.say(results.table(scores, best))
    console.say(f"wrote {BEST} ({best}), {SELECTION} and {TRAINING}")


def validation(name: str) -> dict[str, float]:
    """A model's validation {"loss", "accuracy"}."""
    return records.read_json(candidates.files(name).metrics)["validation"]


def rank(name: str, scores: Mapping[str, float]) -> tuple[float, float, int]:
    """Sorts the lowest loss first; then the higher accuracy, then the lower split."""
    return scores["loss"], -scores["accuracy"], int(name.removeprefix("model-"))


def training_rows(names: Sequence[str]) -> Iterator[dict]:
    """All histories as one table: a row for each epoch and for training and validation."""
    for name in names:
        for row in records.read_csv(candidates.files(name).history):
            for images, prefix in (("training", ""), ("validation", "val_")):
                yield {
                    "model": name,
                    "images": images,
                    "epoch": int(row["epoch"]),
                    "loss": row[f"{prefix}loss"],
                    "accuracy": row[f"{prefix}accuracy"],
                }


if __name__ == "__main__":
    console.run(main)
