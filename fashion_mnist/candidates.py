"""The models that compete, and what train leaves of each beside it: a receipt."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fashion_mnist import files, records
from fashion_mnist.errors import InputError

RECEIPTS = Path("models/candidates")


def names(splits: Iterable[int]) -> list[str]:
    """A name for each split."""
    return [f"model-{split}" for split in splits]


def write_receipt(name: str, model: Path, scores: Mapping[str, float]) -> None:
    """Note a model's file, its SHA-256 and its validation {"loss", "accuracy"}."""
    receipt = {"model": model.as_posix(), "sha256": files.sha256(model), **scores}
    records.write_json(RECEIPTS / f"{name}.json", receipt)


def receipt(name: str) -> dict[str, Any]:
    """What `write_receipt` noted.

    Raises:
        InputError: it is missing or is not JSON.
    """
    return records.read_json(RECEIPTS / f"{name}.json")


def model_file(receipt: Mapping[str, Any]) -> Path:
    """The file that the receipt is of.

    Raises:
        InputError: it has changed since.
    """
    path = Path(receipt["model"])
    if files.sha256(path) != receipt["sha256"]:
        raise InputError(
            f"{path} is not the file that was scored: `dvc repro` trains or restores it"
        )
    return path
