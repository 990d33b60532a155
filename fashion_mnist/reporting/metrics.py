"""The metrics and tables that stages write, read and checked before they are shown.

They lie in git, where a merge may leave anything in them.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from fashion_mnist.errors import InputError
from fashion_mnist.storage import records

T = TypeVar("T")

Number = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1)]
Count = Annotated[int, Field(strict=True, ge=0)]


class Scored(TypedDict):
    """Of the validation images, or the training images."""

    loss: Number
    accuracy: Fraction


class Model(TypedDict):
    """metrics/baseline.json, metrics/candidates/model-K.json."""

    validation: Scored
    epochs: Count
    parameters: Count


class Selection(Scored):
    """metrics/selection.json."""

    best: str


class TestScored(Scored):
    """Of the test images, with the 95% interval of the accuracy."""

    accuracy_low: Fraction
    accuracy_high: Fraction


class Ensemble(TestScored):
    """Of several models."""

    models: Count


class TestScores(TestScored):
    """metrics/test.json."""

    flip_averaging: NotRequired[TestScored]
    ensemble: NotRequired[Ensemble]
    candidates: NotRequired[Annotated[dict[str, TestScored], Field(min_length=1)]]


class CalibratedScores(TestScores):
    """The same, as the report shows it."""

    calibration_error: Fraction


class Images(TypedDict):
    """A set of metrics/data.json."""

    images: Count
    duplicates: Count
    classes: Annotated[dict[str, Count], Field(min_length=1)]


class Data(TypedDict):
    """metrics/data.json."""

    train: Images
    test: Images
    train_images_in_test: Count


class Epoch(TypedDict):
    """A row of plots/training.csv."""

    model: str
    images: Literal["training", "validation"]
    epoch: Number
    loss: Number
    accuracy: Fraction


# Rows of plots/per_class.csv, plots/confusion.csv and plots/mistakes.csv.
Class = TypedDict(
    "Class", {"class": str, "precision": Fraction, "recall": Fraction, "f1": Fraction}
)


class Classified(TypedDict):
    """The class of a test image, and the class that the model predicts."""

    actual: str
    predicted: str


class Mistake(Classified):
    """A test image that the model is wrong about."""

    image: Number
    confidence: Fraction


def read(path: Path, kind: type[T]) -> T:
    """What a JSON file holds, of which `kind` declares the keys that are given.

    Raises:
        InputError: it is missing, or does not hold what `kind` declares.
        OSError: it cannot be read.
    """
    return _made_again(path, records.read_json(path), kind)


def table(path: Path, row: type[T], texts: Collection[str]) -> list[T]:
    """The rows of a CSV file; the columns `texts` hold text.

    Raises:
        InputError: it is missing, or a row is not what `row` declares.
        OSError: it cannot be read.
    """
    return _made_again(path, records.read_csv(path, texts), list[row])  # type: ignore[valid-type]


def checked(place: object, value: Any, kind: type[T]) -> T:
    """The value, of which `kind` declares the keys that are given.

    Raises:
        InputError: it is something else; the message begins with `place`.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].replace("Input should", "must").replace("Field required", "is missing")
        raise InputError(f"{place} is damaged ({f'{where} {said}'.strip()})") from None


def _made_again(path: Path, value: Any, kind: type[T]) -> T:
    try:
        return checked(path, value, kind)
    except InputError as error:
        raise InputError(f"{error}: `dvc repro` makes it again") from None
