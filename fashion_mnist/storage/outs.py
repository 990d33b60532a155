"""Where the stages put what they make: the paths that several stages and commands share."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

TRAIN = Path("data/processed/train.npz")
TEST = Path("data/processed/test.npz")
BEST_MODEL = Path("models/best_model.h5")
SELECTION = Path("metrics/selection.json")
TEST_SCORES = Path("metrics/test.json")
TRAINING = Path("plots/training.csv")
CONFUSION = Path("plots/confusion.csv")
PER_CLASS = Path("plots/per_class.csv")
MISTAKES = Path("plots/mistakes.csv")
EXPLANATIONS = Path("plots/explanations.png")

BASELINE = "baseline"
CANDIDATE = re.compile(r"model-([1-9]\d*)")
FOLDERS = (Path("models/candidates"), Path("metrics/candidates"), Path("plots/history"))


class Files(NamedTuple):
    """The outs of one training."""

    model: Path
    metrics: Path
    history: Path


def candidate(split: int) -> str:
    """The name of the candidate that is trained on this split."""
    return f"model-{split}"


def candidates(splits: Sequence[int]) -> list[str]:
    """The candidates' names."""
    return [candidate(split) for split in splits]


def split_of(name: str) -> int | None:
    """The split that a candidate of this name is trained on; None if it is no candidate's name."""
    match = CANDIDATE.fullmatch(name)
    return int(match[1]) if match else None


def files(name: str) -> Files:
    """The outs of the baseline or of a candidate."""
    models, metrics, history = FOLDERS
    if name == BASELINE:
        models, metrics = models.parent, metrics.parent
    return Files(models / f"{name}.h5", metrics / f"{name}.json", history / f"{name}.csv")


def remove_all_except(names: Sequence[str]) -> None:
    """Remove what candidates have left whose splits `params.yaml` no longer lists.

    The folders are deps of `select_best`, and must hold what a fresh clone would.
    """
    for folder in FOLDERS:
        for path in folder.iterdir():
            is_out = path.suffix in (".h5", ".json", ".csv") and split_of(path.stem)
            if is_out and path.stem not in names:
                path.unlink()
