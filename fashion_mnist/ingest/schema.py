"""What a file in `datasets/` tells, and the section of `params.yaml` about the data."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fashion_mnist.storage import parameters

FOLDER = Path("datasets")
IDX_FILES = (
    *("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    *("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
SHA256 = "^[0-9a-f]{64}$"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class File(_Section):
    """What a file must be: its size in bytes and its SHA-256, of an IDX file uncompressed."""

    bytes: int | None = Field(default=None, gt=0)
    sha256: str | None = Field(default=None, pattern=SHA256)


class Image(_Section):
    """The size of the images (pixels), and their channels: 1 is gray, 3 is colour."""

    height: int = Field(ge=1, le=1024)
    width: int = Field(ge=1, le=1024)
    channels: Literal[1, 3]


class DataSet(File):
    """A data set: where it comes from, and how it becomes images and labels.

    `bytes` and `sha256` are those of the one file that `folder` and `npz` may come as.
    """

    format: Literal["idx", "folder", "npz"]
    sources: list[str] = Field(min_length=1)
    files: dict[str, File] = dict.fromkeys(IDX_FILES, File())  # of `idx`
    image: Image | None = None  # made by `folder`, otherwise expected
    classes: list[str] | None = None
    first_label: int = Field(default=0, ge=0)
    test_fraction: float | None = Field(default=None, gt=0, lt=1)
    prepare: Literal["plain", "product"] = "plain"
    background: Literal["black", "white", "edge"] = "black"


class Preprocess(_Section):
    """What is done to the images before any split."""

    drop_test_duplicates: bool


def path_of(name: str) -> Path:
    """The file about the data set of this name."""
    return FOLDER / f"{name}.yaml"


def read() -> DataSet:
    """The data set that `params.yaml` names."""
    return DataSet.model_validate(parameters.read(path_of(parameters.read()["dataset"])))
