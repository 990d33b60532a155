"""The schema of params.yaml; a bad one becomes one sentence with the key's path.

`python -m fashion_mnist.params` checks the file without running anything.
"""

import argparse
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from fashion_mnist import console
from fashion_mnist.errors import InputError

# Known here by name, so that a typo is told without the seconds that Keras takes to load.
LAYERS = frozenset(
    """Activation AveragePooling2D BatchNormalization Conv2D Cropping2D Dense DepthwiseConv2D
    Dropout ELU Flatten GaussianDropout GaussianNoise GlobalAveragePooling2D GlobalMaxPooling2D
    GroupNormalization LayerNormalization LeakyReLU MaxPooling2D PReLU Permute ReLU Rescaling
    Reshape SeparableConv2D Softmax SpatialDropout2D UnitNormalization UpSampling2D
    ZeroPadding2D""".split()
)
AUGMENTATIONS = frozenset(
    "RandomErasing RandomFlip RandomRotation RandomTranslation RandomZoom".split()
)
OPTIMIZERS = frozenset(
    "Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion Muon Nadam RMSprop SGD".split()
)


def suggest(name: str, known: Iterable[str]) -> str:
    """What was probably meant by `name`, as the end of a sentence."""
    known = sorted(known)
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


def _one_known(what: str, known: frozenset[str]) -> Any:
    """A validator of `Name` or `{Name: {argument: value}}`; gives (Name, arguments)."""

    def parse(value: Any) -> tuple[str, dict[str, Any]]:
        if isinstance(value, str):
            value = {value: {}}
        if not isinstance(value, Mapping) or len(value) != 1:
            raise ValueError(f"must be one {what}, written NAME or NAME: {{argument: value}}")
        ((name, arguments),) = value.items()
        if name not in known:
            raise ValueError(f"no {what} is named {name!r}; {suggest(str(name), known)}")
        arguments = {} if arguments is None else arguments
        if not isinstance(arguments, Mapping) or not all(isinstance(k, str) for k in arguments):
            raise ValueError(f"{name} must be followed by a mapping, {{argument: value}}")
        return name, dict(arguments)

    return BeforeValidator(parse)


def _positive_learning_rate(
    optimizer: tuple[str, dict[str, Any]],
) -> tuple[str, dict[str, Any]]:
    name, arguments = optimizer
    rate = arguments.get("learning_rate")
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 < rate < float("inf"):
        raise ValueError(
            f"{name}.learning_rate must be a number above 0, with a decimal point "
            f"(0.001 or 1.0e-3), not {rate!r}"
        )
    return optimizer


Layer = Annotated[tuple[str, dict[str, Any]], _one_known("layer", LAYERS)]
Augmentation = Annotated[tuple[str, dict[str, Any]], _one_known("augmentation", AUGMENTATIONS)]
Optimizer = Annotated[
    tuple[str, dict[str, Any]],
    _one_known("optimizer", OPTIMIZERS),
    AfterValidator(_positive_learning_rate),
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class File(_Section):
    """One file of the data set: its size and SHA-256, uncompressed."""

    bytes: int = Field(gt=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Fetch(_Section):
    """Where the data may come from, and what it must be."""

    sources: list[str] = Field(min_length=1)
    files: dict[str, File] = Field(min_length=1)


class Preprocess(_Section):
    """What is done to the images before any split."""

    drop_test_duplicates: bool


class Split(_Section):
    """Which training images validate."""

    strategy: Literal["stratified", "shuffled", "nested"]
    validation_fraction: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0, lt=2**32)


class Train(_Section):
    """The models that compete: one a split."""

    architecture: str
    recipe: str
    splits: list[Annotated[int, Field(ge=1, le=1000)]] = Field(min_length=1)
    seed: int = Field(ge=0, lt=2**31)
    threads: int = Field(ge=1, le=1024)

    @model_validator(mode="after")
    def _no_split_twice(self) -> Self:
        if len(set(self.splits)) < len(self.splits):
            raise ValueError("splits: each split may be named once")
        return self


class Baseline(_Section):
    """The model that the others are held against."""

    architecture: str
    recipe: str


class EarlyStopping(_Section):
    """End when the validation loss has not fallen for `patience` epochs."""

    patience: int = Field(ge=1)


class Recipe(_Section):
    """How a network is trained: all that is not the network and not the data."""

    optimizer: Optimizer
    schedule: Literal["constant", "one-cycle", "cosine"] = "constant"
    batch_size: int = Field(ge=1)
    epochs: int = Field(ge=1)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    dropout_scale: float = Field(default=1.0, ge=0)  # times the architecture's own rates
    augmentation: list[Augmentation] = []
    early_stopping: EarlyStopping | None = None


class Params(_Section):
    """The whole of params.yaml."""

    fetch: Fetch
    preprocess: Preprocess
    split: Split
    train: Train
    baseline: Baseline
    architectures: dict[str, Annotated[list[Layer], Field(min_length=1)]]
    recipes: dict[str, Recipe]

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for section in ("train", "baseline"):
            for key in ("architecture", "recipe"):
                name = getattr(getattr(self, section), key)
                known = getattr(self, f"{key}s")
                if name not in known:
                    raise ValueError(
                        f"{section}.{key}: no {key} is named {name!r}; {suggest(name, known)}"
                    )
        return self


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check params.yaml.

    Raises:
        InputError: the file is missing, is not YAML, or breaks the schema; the message
            names the key by its path and says what would be right.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run this from the project's folder") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: byte {error.start} is wrong") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {_one_line(error)}") from None
    except RecursionError:
        raise InputError(f"{path} is not usable: it is nested too deeply") from None
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{path}: {_sentence(error)}") from None


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong, as `key.path: what would be right`."""
    # A key that is misspelt is missing too: say the former.
    first = min(error.errors(), key=lambda each: each["type"] == "missing")
    # What follows a validator's name in pydantic's location is no key of the file.
    path = ""
    for part in first["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    path = path.removeprefix(".")
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        said = f"no such key; {suggest(key, _keys_beside(first['loc']))}"
    elif first["type"] == "missing":
        said = "is missing"
    else:
        said = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        said = re.sub(r"a valid dictionary or instance of \w+", "a mapping", said)
        if not isinstance(first["input"], Mapping | list | BaseModel) and "not " not in said:
            said += f", not {first['input']!r}"
    return f"{path}: {said}" if path else said


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """The keys that the schema has where an unknown one stands."""
    section: Any = Params
    for part in location[:-1]:
        field = section.model_fields.get(part) if hasattr(section, "model_fields") else None
        annotation = field.annotation if field else section
        arguments = [a for a in getattr(annotation, "__args__", ()) if hasattr(a, "model_fields")]
        section = arguments[0] if arguments else annotation
    return list(section.model_fields)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def main() -> None:
    """Check the params.yaml of this folder; say nothing of a good one."""
    argparse.ArgumentParser(
        description="Check params.yaml before anything runs.",
        epilog="example: python -m fashion_mnist.params",
    ).parse_args()
    load()


if __name__ == "__main__":
    console.run(main)
