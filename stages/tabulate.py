"""Put the rows of the comparison side by side: accuracies, intervals, and who is really better."""

import argparse
import shutil
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from fashion_mnist import console, dataset, inputs, params, records, rows

TEST = Path("data/processed/test.npz")
COMPARISON = Path("metrics/comparison.json")


def main() -> None:
    """Run the stage."""
    argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m stages.tabulate"
    ).parse_args()
    with inputs.held(lambda config: (config.comparison, config.ensemble)) as (compared, together):
        tabulate(compared, together)


def tabulate(compared: Mapping[str, params.Row], together: Sequence[str]) -> None:
    """Write a line for each row, one for an ensemble, and one for each two that were trained."""
    for folder in rows.FOLDER.iterdir():  # what params.yaml no longer names
        if folder.name not in compared:
            shutil.rmtree(folder)
    _, labels = dataset.read(TEST)
    probabilities = {
        name: rows.read_probabilities(name, row.seeds)
        for name, row in compared.items()
        if row.seeds
    }
    lines: list[dict[str, Any]] = [
        {
            "name": name,
            "published": row.published,
            **rows.read_size(name),
            "threads": row.threads,
            "seeds": row.seeds,
        }
        for name, row in compared.items()
    ]
    if together:
        members = [line for line in lines if line["name"] in together]
        lines.append(ensemble(members))
        asked = np.concatenate([probabilities[name] for name in together])
        probabilities[params.ENSEMBLE] = asked.mean(axis=0, keepdims=True)
    right = {name: each.argmax(axis=2) == labels for name, each in probabilities.items()}
    records.write_json(
        COMPARISON,
        {
            "rows": [line | accuracy(right.get(line["name"])) for line in lines],
            "pairs": [pair(right, a, b) for a, b in combinations(right, 2)],
        },
    )
    console.say(f"wrote {COMPARISON}")


def ensemble(members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The line of all models of these rows together, of which the probabilities are averaged."""
    line = {"name": params.ENSEMBLE, "published": {}}
    for key in ("parameters", "multiply_adds"):
        line[key] = sum(member[key] * len(member["seeds"]) for member in members)
    return line | {"seeds": []}


def accuracy(right: np.ndarray | None) -> dict[str, Any]:
    """The mean over seeds, with the interval that so many images leave it; None if not trained.

    Args:
        right: bool (seeds, N).
    """
    from fashion_mnist import evaluation

    if right is None:
        return dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high")) | {"by_seed": []}
    by_seed = right.mean(axis=1).tolist()
    return evaluation.with_interval(float(right.mean()), right.shape[1]) | {"by_seed": by_seed}


def pair(right: Mapping[str, np.ndarray], a: str, b: str) -> dict[str, Any]:
    """How many images only one of two rows has right, each with its first seed, and by chance."""
    from fashion_mnist import evaluation

    first, second = right[a][0], right[b][0]
    only_a, only_b = int((first & ~second).sum()), int((second & ~first).sum())
    chance = evaluation.mcnemar(only_a, only_b)
    return {"a": a, "b": b, "only_a": only_a, "only_b": only_b, "p": chance}


if __name__ == "__main__":
    console.run(main)
