"""The results table: this run beside the original."""

from collections.abc import Mapping
from typing import Any

# github.com/rasiaq/fashion_mnist, as published: validation loss and accuracy.
ORIGINALS_DATA = "fashion-mnist"  # the data set of all these figures
ORIGINAL = {
    "baseline": (0.64, 0.91),
    "model-1": (0.23, 0.921),
    "model-2": (0.27, 0.902),
    "model-3": (0.26, 0.904),
    "model-4": (0.28, 0.894),
}
ORIGINAL_TEST = (0.24973, 0.9133)
WIDTH = 19  # of a final score's title


def table(validation: Mapping[str, Mapping[str, Any]], best: str, dataset: str) -> str:
    """One line per model, with its validation loss and accuracy; the best one is marked.

    Args:
        validation: {"loss", "accuracy"} by the model's name.
        best: one of the names.
        dataset: its name; the original's figures are there for one only.
    """
    beside = dataset == ORIGINALS_DATA
    heads = ["validation", "the original"][: 1 + beside]
    columns = f"{'loss':>8} {'accuracy':>8}"
    lines = [
        f"{'':10}  {'  '.join(f'{head:^17}' for head in heads)}",
        f"{'model':10}  {'  '.join([columns] * len(heads))}",
    ]
    for name, scores in validation.items():
        pairs = [_pair(scores["loss"], scores["accuracy"])]
        if beside:
            pairs.append(_pair(*ORIGINAL[name]) if name in ORIGINAL else f"{'':17}")
        mark = "  best" if name == best else ""
        lines.append(f"{name:10}  {'  '.join(pairs)}{mark}")
    as_there = ", as in the original" if beside else ""
    lines.append(f"Each candidate is scored on its own validation images{as_there}.")
    return "\n".join(line.rstrip() for line in lines)


def final_scores(scores: Mapping[str, Any], dataset: str, title: str = "best model") -> str:
    """Test loss and accuracy, for the original's data set beside the original's.

    Args:
        scores: as in metrics/test.json; some of it may be missing.
        dataset: its name.
        title: of the model that is scored.
    """
    lines = ["test set               loss  accuracy  95% interval", _scored(title, scores)]
    if averaged := scores.get("flip_averaging"):
        lines.append(_scored("with flip averaging", averaged))
    if ensemble := scores.get("ensemble"):
        lines.append(_scored(f"ensemble of {ensemble['models']}", ensemble))
    if dataset == ORIGINALS_DATA:
        lines.append(f"{'the original':{WIDTH}}  {_pair(*ORIGINAL_TEST)}")
    if candidates := scores.get("candidates"):
        losses = {name: each["loss"] for name, each in candidates.items()}
        lowest = min(losses, key=losses.__getitem__)
        accuracies = [each["accuracy"] for each in candidates.values()]
        lines.append(
            f"All candidates: loss {losses[lowest]:.4f} ({lowest}) to "
            f"{max(losses.values()):.4f}, accuracy {min(accuracies):.2%} to {max(accuracies):.2%}"
        )
    return "\n".join(lines)


def _scored(title: str, scores: Mapping[str, float]) -> str:
    if len(title) > WIDTH:
        title = f"{title}\n{'':{WIDTH}}"
    interval = f"{scores['accuracy_low']:.2%} to {scores['accuracy_high']:.2%}"
    return f"{title:{WIDTH}}  {_pair(scores['loss'], scores['accuracy'])}  {interval}"


def _pair(loss: float, accuracy: float) -> str:
    return f"{loss:8.4f} {accuracy:8.2%}"
