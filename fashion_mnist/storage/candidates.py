"""Where train puts what it makes of each model."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

BASELINE = "baseline"
FOLDERS = (Path("models/candidates"), Path("metrics/candidates"), Path("plots/history"))
CANDIDATE_FILE = re.compile(r"(model-[1-9]\d*)\.(h5|json|csv)")


class Files(NamedTuple):
    """The outs of one model."""

    model: Path
    metrics: Path
    history: Path


def names(splits: Sequence[int]) -> list[str]:
    """The candidates' names."""
    return [f"model-{split}" for split in splits]


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
            match = CANDIDATE_FILE.fullmatch(path.name)
            if match and match[1] not in names:
                path.unlink()
