"""Put the rows of the comparison side by side: sizes, accuracies, and which differences count."""

import argparse
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from comparison import params, predictions
from fashion_mnist.running import console, provenance
from fashion_mnist.storage import records

RESULTS = Path("results.json")


def main() -> None:
    """Run the stage."""
    argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m comparison.tabulate"
    ).parse_args()
    with provenance.unchanged(params.load) as compared:
        tabulate(compared)


def tabulate(compared: params.Comparison) -> None:
    """Write a line for each row, one for the ensemble, and one for each pair of trained rows."""
    names = {row: compared.models_of(row) for row in compared.rows}
    outputs = {row: [predictions.read(name) for name in of_row] for row, of_row in names.items()}
    labels = next(each.labels for of_row in outputs.values() for each in of_row)
    probabilities = {
        row: np.stack([each.probabilities for each in of_row]).astype(np.float32)
        for row, of_row in outputs.items()
        if of_row
    }
    lines = [line(compared, row) for row in compared.rows]
    if compared.ensemble:
        members = [each for each in lines if each["name"] in compared.ensemble]
        lines.append(ensemble(members))
        averaged = np.concatenate([probabilities[row] for row in compared.ensemble])
        probabilities[params.ENSEMBLE] = averaged.mean(axis=0, keepdims=True)
    correct = {row: each.argmax(axis=2) == labels for row, each in probabilities.items()}
    records.write_json(
        RESULTS,
        {
            "rows": [each | accuracy(correct.get(each["name"])) for each in lines],
            "pairs": [pair(correct, a, b) for a, b in combinations(correct, 2)],
        },
    )
    console.say(f"wrote {RESULTS}")


def line(compared: params.Comparison, row: str) -> dict[str, Any]:
    """A row's name, size and seeds."""
    from fashion_mnist.learning import networks
    from fashion_mnist.scoring.size import multiply_adds

    network = networks.build(compared.rows[row].layers)
    models = [compared.models[name] for name in compared.models_of(row)]
    return {
        "name": row,
        "parameters": network.count_params(),
        "multiply_adds": multiply_adds(network),
        "seeds": [model.seed for model in models],
        "threads": [model.threads for model in models],
        "published": [each.model_dump() for each in compared.published.get(row, [])],
    }


def ensemble(members: list[dict[str, Any]]) -> dict[str, Any]:
    """The line of all models of these rows, whose probabilities are averaged."""
    sizes = {
        key: sum(member[key] * len(member["seeds"]) for member in members)
        for key in ("parameters", "multiply_adds")
    }
    return {"name": params.ENSEMBLE, **sizes, "seeds": [], "threads": [], "published": []}


def accuracy(correct: np.ndarray | None) -> dict[str, Any]:
    """The mean over seeds and its interval; empty for a row without models.

    Args:
        correct: bool (seeds, N).
    """
    from fashion_mnist.scoring import scores

    if correct is None:
        return {"by_seed": []}
    interval = scores.with_interval(float(correct.mean()), correct.shape[1])
    return {**interval, "by_seed": correct.mean(axis=1).tolist()}


def pair(correct: Mapping[str, np.ndarray], a: str, b: str) -> dict[str, Any]:
    """How much more accurate `b` is than `a` on average over seeds, and whether by chance."""
    from fashion_mnist.scoring.significance import paired_permutation

    by_image = [correct[row].mean(axis=0) for row in (a, b)]
    difference = float(by_image[1].mean() - by_image[0].mean())
    return {"a": a, "b": b, "difference": difference, "p": paired_permutation(*by_image)}


if __name__ == "__main__":
    console.run(main)
