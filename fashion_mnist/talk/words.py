"""Networks and recipes in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fashion_mnist.learning.schema import MERGES, Layer, Recipe, nested

SIGNS = {"Residual": " + ", "Add": " + ", "Multiply": " x ", "Concatenate": " | "}  # of branches
SCHEDULES = {
    "constant": "constant",
    "cosine": "with cosine decay to zero",
    "one-cycle": "at the peak of a one-cycle schedule, which rises, then falls to zero",
}


def network(layers: Sequence[Layer]) -> str:
    """The layers on one line, from left to right."""
    return " > ".join(_in_short(kind, arguments) for kind, arguments in layers)


def _in_short(kind: str, arguments: Mapping[str, Any]) -> str:
    if kind == "Repeat":
        return f"{arguments['times']} x ({network(arguments['layers'])})"
    if kind in SIGNS:
        branches = (network(layers) or "identity" for _, layers in nested(arguments))
        return SIGNS[kind].join(f"({branch})" for branch in branches)
    if kind == "ResidualBlock":
        return f"{kind} {arguments['filters']}"
    return kind


def layer_rows(layers: Sequence[Layer], depth: int = 0) -> Iterator[tuple[int, str, str]]:
    """(depth of nesting, name, arguments) of each layer, from top to bottom."""
    for kind, arguments in layers:
        lists = ("layers", "shortcut", "branches")
        yield depth, kind, settings({k: v for k, v in arguments.items() if k not in lists})
        for position, (_, branch) in enumerate(nested(arguments)):
            if position or kind in MERGES:
                word = "plus" if kind == "Residual" else "branch"
                yield depth, word, "" if branch else "the input"
            yield from layer_rows(branch, depth + 1)


def recipe(recipe: Recipe) -> list[str]:
    """What a recipe does, one phrase per setting."""
    kind, arguments = recipe.optimizer
    rate = f"learning rate {arguments['learning_rate']:g}, {SCHEDULES[recipe.schedule]}"
    others = settings({key: arguments[key] for key in arguments if key != "learning_rate"})
    if recipe.warmup:
        rate += f", after a warm-up over the first {recipe.warmup:.0%} of the steps"
    phrases = [
        f"{kind}{f' ({others})' if others else ''}, {rate}",
        f"{recipe.epochs} epochs in batches of {recipe.batch_size} images",
    ]
    if recipe.early_stopping:
        phrases.append(
            f"early stopping after {recipe.early_stopping.patience} epochs without a lower "
            "validation loss"
        )
    if recipe.label_smoothing:
        phrases.append(f"label smoothing {recipe.label_smoothing:g}")
    if recipe.dropout_scale != 1:
        phrases.append(f"dropout at {recipe.dropout_scale:g} times the architecture's rates")
    if recipe.mixup:
        phrases.append(f"mixup with alpha {recipe.mixup:g}")
    for name, arguments in recipe.augmentation:
        how = f" ({settings(arguments)})" if arguments else ""
        phrases.append(f"augmentation by {name}{how}")
    return phrases


def settings(arguments: Mapping[str, Any]) -> str:
    """Arguments as in `filters 32, kernel size 3`."""
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in arguments.items())
