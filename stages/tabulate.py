"""Put the rows of the comparison side by side: accuracies, intervals, and who is really better."""

import argparse
import shutil
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from fashion_mnist import console, dataset, inputs, params, records

TEST = Path("data/processed/test.npz")
RESULTS = Path("models/comparison")
COMPARISON = Path("metrics/comparison.json")


def main() -> None:
    """Run the stage."""
    argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m stages.tabulate"
    ).parse_args()
    with inputs.held(lambda config: config.comparison) as rows:
        tabulate(rows)


def tabulate(rows: Mapping[str, params.Row]) -> None:
    """Write a line for each row, and one for each two rows that were trained."""
    from fashion_mnist import evaluation

    for folder in RESULTS.iterdir():  # what params.yaml no longer names
        if folder.name not in rows:
            shutil.rmtree(folder)
    _, labels = dataset.read(TEST)
    right = {name: answers(name, row) == labels for name, row in rows.items() if row.seeds}
    records.write_json(
        COMPARISON,
        {
            "rows": [
                {
                    "name": name,
                    "published": row.published,
                    **accuracy(right.get(name)),
                    **records.read_json(RESULTS / name / "size.json"),
                    "seeds": row.seeds,
                }
                for name, row in rows.items()
            ],
            "pairs": [
                {
                    "a": a,
                    "b": b,
                    "only_a": int((right[a][0] & ~right[b][0]).sum()),
                    "only_b": int((right[b][0] & ~right[a][0]).sum()),
                    "p": evaluation.mcnemar(right[a][0], right[b][0]),
                }
                for a, b in combinations(right, 2)
            ],
        },
    )
    console.say(f"wrote {COMPARISON}")


def answers(name: str, row: params.Row) -> np.ndarray:
    """The class that each seed's model gives each test image: (seeds, 10,000)."""
    table = records.read_csv(RESULTS / name / "answers.csv")
    return np.array([[line[str(seed)] for line in table] for seed in row.seeds])


def accuracy(right: np.ndarray | None) -> dict[str, Any]:
    """The mean over seeds, with the interval that so many images leave it; None if not trained.

    Args:
        right: bool (seeds, N).
    """
    from fashion_mnist import evaluation

    if right is None:
        return dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high")) | {"by_seed": []}
    mean = float(right.mean())
    images = right.shape[1]
    low, high = evaluation.accuracy_interval(round(mean * images), images)
    return {
        "accuracy": mean,
        "accuracy_low": low,
        "accuracy_high": high,
        "by_seed": right.mean(axis=1).tolist(),
    }


if __name__ == "__main__":
    console.run(main)
