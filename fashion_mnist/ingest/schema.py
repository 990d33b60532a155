"""What `params.yaml` holds about the data set's files."""

from pydantic import BaseModel, ConfigDict, Field


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class File(_Section):
    """An uncompressed file's size and SHA-256."""

    bytes: int = Field(gt=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Fetch(_Section):
    """Where the files may come from, and what they must be."""

    sources: list[str] = Field(min_length=1)
    files: dict[str, File] = Field(min_length=1)


class Preprocess(_Section):
    """What is done to the images before they are split."""

    drop_test_duplicates: bool
