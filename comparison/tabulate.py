"""Put the rows side by side: sizes, accuracies, and which differences are significant."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from comparison.predicted import predictions, six_views
from comparison.rows import jobs
from comparison.talk import params
from fashion_mnist.checking import guard
from fashion_mnist.storage import parameters, records
from fashion_mnist.talk import console

RESULTS = Path("results.json")


def main() -> None:
    """Run the stage."""
    console.takes_no_arguments(__doc__, "python -m comparison.tabulate")
    params.load()
    with guard.unchanged(parameters.read):
        tabulate(parameters.read())


def tabulate(values: Mapping[str, Any]) -> None:
    """Write a line for each row, one for the ensemble, and one for each pair of trained rows.

    Args:
        values: of params.yaml.
    """
    names = {row: list(jobs.models_of(values, row)) for row in values["rows"]}
    names = {row: of_row for row, of_row in names.items() if of_row}
    plain = {row: [predictions.read(name) for name in of_row] for row, of_row in names.items()}
    averaged = {
        row: [predictions.read(six_views.name_of_mean(name)) for name in of_row]
        for row, of_row in names.items()
    }
    lines = [line(values, row) for row in names]
    members = [each["name"] for each in lines if each["name"] in values["ensemble"]]
    if members:
        lines.append(ensemble([each for each in lines if each["name"] in members]))
    correct, correct_averaged = correctness(plain, members), correctness(averaged, members)
    for each in lines:
        each |= accuracy(correct[each["name"]])
        each["six_views"] = accuracy(correct_averaged[each["name"]])
    records.write_json(RESULTS, {"rows": lines, "pairs": differences(correct)})
    console.say(f"wrote {RESULTS}")


def correctness(
    by_row: Mapping[str, Sequence[predictions.Predictions]], members: Sequence[str]
) -> dict[str, np.ndarray]:
    """Which images each row classifies correctly, bool (seeds, N); the ensemble as one seed.

    Args:
        by_row: each model's predictions, by row.
        members: rows whose models are averaged as the ensemble.
    """
    labels = next(each.labels for of_row in by_row.values() for each in of_row)
    probabilities = {
        row: np.stack([each.probabilities for each in of_row]).astype(np.float32)
        for row, of_row in by_row.items()
    }
    if members:
        every = np.concatenate([probabilities[row] for row in members])
        probabilities[predictions.ENSEMBLE] = every.mean(axis=0, keepdims=True)
    return {row: each.argmax(axis=2) == labels for row, each in probabilities.items()}


def line(values: Mapping[str, Any], row: str) -> dict[str, Any]:
    """A row's name, size and seeds, and what its trainings took on average."""
    from fashion_mnist.learning import networks
    from fashion_mnist.scoring.size import multiply_adds

    network = networks.build(jobs.Row.model_validate(values["rows"][row]).layers, jobs.ANY)
    models = jobs.models_of(values, row)
    seconds = [records.read_json(jobs.TIMES / f"{name}.json")["seconds"] for name in models]
    return {
        "name": row,
        "parameters": network.count_params(),
        "multiply_adds": multiply_adds(network),
        "seeds": [model.seed for model in models.values()],
        "seconds": mean(seconds) if all(seconds) else None,
        "threads": max(model.threads for model in models.values()),
        "published": values["published"].get(row, []),
    }


def ensemble(members: list[dict[str, Any]]) -> dict[str, Any]:
    """The line for the ensemble of all models in these rows."""
    sums = {
        key: sum((member[key] or math.nan) * len(member["seeds"]) for member in members)
        for key in ("parameters", "multiply_adds", "seconds")
    }
    if math.isnan(sums["seconds"]):
        sums["seconds"] = None
    threads = max(member["threads"] for member in members)
    return {"name": predictions.ENSEMBLE, **sums, "threads": threads, "seeds": [], "published": []}


def accuracy(correct: np.ndarray) -> dict[str, Any]:
    """The mean over seeds and its interval.

    Args:
        correct: bool (seeds, N).
    """
    from fashion_mnist.scoring import scores

    interval = scores.with_interval(float(correct.mean()), correct.shape[1])
    return {**interval, "by_seed": correct.mean(axis=1).tolist()}


def differences(correct: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """For each pair, how much more accurate `b` is than `a`, and whether that may be chance.

    Args:
        correct: bool (seeds, N), by row.
    """
    from fashion_mnist.scoring.significance import holm, paired_permutation

    pairs = list(combinations(correct, 2))
    p_values = [paired_permutation(correct[a], correct[b]) for a, b in pairs]
    return [
        {
            "a": a,
            "b": b,
            "difference": float(correct[b].mean() - correct[a].mean()),
            "p": p,
            "p_corrected": corrected,
        }
        for (a, b), p, corrected in zip(pairs, p_values, holm(p_values), strict=True)
    ]


if __name__ == "__main__":
    console.run(main)
