"""The sections of `params.yaml` that describe the data set."""

from pydantic import BaseModel, ConfigDict, Field


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class File(_Section):
    """One file of the data set: its size in bytes and its SHA-256, both uncompressed."""

    bytes: int = Field(gt=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Fetch(_Section):
    """The places to get the data set from, in this order, and its files by name."""

    sources: list[str] = Field(min_length=1)
    files: dict[str, File] = Field(min_length=1)


class Preprocess(_Section):
    """What is done to the images before any split."""

    drop_test_duplicates: bool
