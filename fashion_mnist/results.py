"""The results table: this run's figures beside the original's. `python -m fashion_mnist.results`"""

import argparse
from collections.abc import Mapping

from fashion_mnist import candidates, console, params, records

# github.com/rasiaq/fashion_mnist, as published: validation loss and accuracy.
ORIGINAL = {
    "baseline": (0.64, 0.91),
    "model-1": (0.23, 0.921),
    "model-2": (0.27, 0.902),
    "model-3": (0.26, 0.904),
    "model-4": (0.28, 0.894),
}
ORIGINAL_TEST = (0.24973, 0.9133)
# In metrics/test.json, beside the best model alone.
BESIDE = {"mirrored": "and mirrored", "ensemble": "all together"}


def table(validation: Mapping[str, Mapping[str, float]], best: str) -> str:
    """A line a model, with its validation loss and accuracy; the best one is marked.

    Args:
        validation: {"loss", "accuracy"} by the model's name.
        best: one of the names.
    """
    lines = [
        f"{'':10}  {'validation':^17}  {'the original':^17}",
        f"{'model':10}  {'loss':>8} {'accuracy':>8}  {'loss':>8} {'accuracy':>8}",
    ]
    for name, scores in validation.items():
        original = _pair(*ORIGINAL[name]) if name in ORIGINAL else f"{'':17}"
        mark = "  best" if name == best else ""
        lines.append(f"{name:10}  {_pair(scores['loss'], scores['accuracy'])}  {original}{mark}")
    return "\n".join(line.rstrip() for line in lines)


def final_scores(scores: dict) -> str:
    """Test loss and accuracy beside the original's, and those with more work, if there are any."""
    lines = [_scored("Final scores", scores)]
    lines += [_scored(title, scores[key]) for key, title in BESIDE.items() if key in scores]
    loss, accuracy = ORIGINAL_TEST
    return "\n".join([*lines, f"{'the original':12}  loss {loss:.5f}  accuracy {accuracy:.2%}"])


def _scored(title: str, scores: dict) -> str:
    return (
        f"{title:12}  loss {scores['loss']:.5f}  accuracy {scores['accuracy']:.2%} "
        f"({scores['accuracy_low']:.2%} to {scores['accuracy_high']:.2%} with 95 % confidence)"
    )


def _pair(loss: float, accuracy: float) -> str:
    return f"{loss:8.4f} {accuracy:8.2%}"


def main() -> None:
    """Print the table and the final scores of the last run."""
    parser = argparse.ArgumentParser(
        description="Print the results of the last `dvc repro` beside the original's.",
        epilog="example: python -m fashion_mnist.results",
    )
    parser.parse_args()
    names = ["baseline", *candidates.names(params.load().train.splits)]
    validation = {n: records.read_json(f"metrics/{n}.json")["validation"] for n in names}
    best = records.read_json("metrics/selection.json")["best"]
    console.say(table(validation, best))
    console.say(final_scores(records.read_json("metrics/test.json")))


if __name__ == "__main__":
    console.run(main)
