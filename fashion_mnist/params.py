"""The schema of params.yaml; a bad one becomes one sentence with the key's path.

`python -m fashion_mnist.params` checks the file without running anything.
"""

import argparse
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

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
MOST_LAYERS = 2000  # a network that is deeper is a slip of the hand
OPTIMIZERS = frozenset(
    "Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion Muon Nadam RMSprop SGD".split()
)

ENSEMBLE = "ensemble"  # the comparison's row of the models that are asked together
LARGEST = 64 * 2**10  # bytes; a second of reading
LONGEST = 1000  # characters of one value
MOST_VALUES = 20_000  # where an alias counts as all that it stands for


def suggest(name: str, known: Iterable[str]) -> str:
    """What was probably meant by `name`, as the end of a sentence."""
    folded = {each.casefold(): each for each in sorted(known)}
    # Of which the time grows with the square of the length.
    close = get_close_matches(name[:100].casefold(), folded, n=1)
    return (
        f"did you mean {folded[close[0]]}?" if close else f"known are {', '.join(folded.values())}"
    )


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


def _block(layer: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """A block's arguments checked, and its own layers with them."""
    name, arguments = layer
    if name not in BLOCKS:
        return layer
    try:
        return name, dict(BLOCKS[name].model_validate(arguments))
    except ValidationError as error:
        raise ValueError(f"{name}.{_sentence(error, BLOCKS[name])}") from None


def _not_too_many(layers: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    if (count := _layers_in(layers)) > MOST_LAYERS:
        raise ValueError(f"{count:,} layers are more than the {MOST_LAYERS:,} that may be")
    return layers


def _layers_in(layers: list[tuple[str, dict[str, Any]]]) -> int:
    """How many layers a network has, with all that blocks hold and repeat."""
    return sum(
        arguments.get("times", 1)
        * (_layers_in(arguments["layers"]) + _layers_in(arguments.get("shortcut", [])))
        if name in BLOCKS
        else 1
        for name, arguments in layers
    )


def _positive_learning_rate(
    optimizer: tuple[str, dict[str, Any]],
) -> tuple[str, dict[str, Any]]:
    name, arguments = optimizer
    rate = arguments.get("learning_rate")
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 < rate < 1e9:
        raise ValueError(
            f"{name}.learning_rate must be a number above 0, with a decimal point "
            f"(0.001 or 1.0e-3), not {rate!r}"
        )
    return optimizer


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Threads = Annotated[int, Field(ge=1, le=1024)]

Layer = Annotated[
    tuple[str, dict[str, Any]],
    _one_known("layer", LAYERS | {"Repeat", "Residual"}),
    AfterValidator(_block),
]
Layers = Annotated[list[Layer], Field(min_length=1), AfterValidator(_not_too_many)]
Augmentation = Annotated[tuple[str, dict[str, Any]], _one_known("augmentation", AUGMENTATIONS)]
Optimizer = Annotated[
    tuple[str, dict[str, Any]],
    _one_known("optimizer", OPTIMIZERS),
    AfterValidator(_positive_learning_rate),
]


class Repeat(_Section):
    """The same layers several times in a row, each time with weights of their own."""

    times: int = Field(ge=1)
    layers: Layers


class Residual(_Section):
    """Layers whose result is added to what went into them, or to what `shortcut` makes of it."""

    layers: Layers
    shortcut: list[Layer] = []


BLOCKS: dict[str, type[Repeat | Residual]] = {"Repeat": Repeat, "Residual": Residual}


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
    threads: Threads

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
    warmup: float = Field(default=0.0, ge=0, lt=1)  # of the steps of a cosine: it rises first
    batch_size: int = Field(ge=1)
    epochs: int = Field(ge=1)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    dropout_scale: float = Field(default=1.0, ge=0)  # times the architecture's own rates
    augmentation: list[Augmentation] = []
    mixup: float = Field(default=0.0, ge=0)  # alpha; 0 mixes nothing
    early_stopping: EarlyStopping | None = None

    @model_validator(mode="after")
    def _warmup_is_of_a_cosine(self) -> Self:
        if self.warmup and self.schedule != "cosine":
            raise ValueError(f"warmup: goes with schedule: cosine, not with {self.schedule}")
        return self


class Row(_Section):
    """One network of the comparison, trained on all training images once for each seed.

    Without seeds it is not trained, only counted. `published` is what others report, by source.
    """

    architecture: str
    recipe: str
    threads: Threads
    seeds: list[Annotated[int, Field(ge=0, lt=2**31)]] = []
    published: dict[str, Annotated[float, Field(gt=0, le=1)]] = {}

    @model_validator(mode="after")
    def _no_seed_twice(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: each seed may be named once")
        return self


class Task(NamedTuple):
    """What params.yaml says of one model that is to be trained."""

    architecture: str
    layers: list[Layer]
    recipe_name: str
    recipe: Recipe
    seed: int
    threads: int


class Params(_Section):
    """The whole of params.yaml."""

    fetch: Fetch
    preprocess: Preprocess
    split: Split
    train: Train
    baseline: Baseline
    architectures: dict[str, Layers]
    recipes: dict[str, Recipe]
    comparison: dict[str, Row] = {}
    ensemble: list[str] = []

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        rows = {f"comparison.{name}": row for name, row in self.comparison.items()}
        sections = {"train": self.train, "baseline": self.baseline, **rows}
        for path, section in sections.items():
            for key in ("architecture", "recipe"):
                name = getattr(section, key)
                known = getattr(self, f"{key}s")
                if name not in known:
                    raise ValueError(
                        f"{path}.{key}: no {key} is named {name!r}; {suggest(name, known)}"
                    )
        trained = [name for name, row in self.comparison.items() if row.seeds]
        if ENSEMBLE in self.comparison:
            raise ValueError(f"comparison.{ENSEMBLE}: the row of the ensemble has that name")
        for name in self.ensemble:
            if name not in trained:
                raise ValueError(
                    f"ensemble: no row with seeds is named {name!r}; {suggest(name, trained)}"
                )
        return self

    def task(self, chosen: Train | Baseline | Row, seed: int, threads: int) -> Task:
        """Everything that the architecture and the recipe of these names stand for."""
        return Task(
            chosen.architecture,
            self.architectures[chosen.architecture],
            chosen.recipe,
            self.recipes[chosen.recipe],
            seed,
            threads,
        )


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check params.yaml.

    Raises:
        InputError: the file is missing, is not YAML, or breaks the schema; the message
            names the key by its path and says what would be right.
        OSError: it cannot be read.
    """
    try:
        values = _values(path)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run this from the project's folder") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: byte {error.start} is wrong") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {_one_line(error)}") from None
    except RecursionError:
        raise InputError(f"{path} is not usable: it is nested too deeply") from None
    except ValueError as error:
        raise InputError(f"{path} is not usable: {_one_line(error)}") from None
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{path}: {_sentence(error, Params)}") from None


def _values(path: str | Path) -> Any:
    """What the YAML says; ValueError where that is more than a person would write."""
    with Path(path).open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST // 2**10} KiB")
    loader = yaml.SafeLoader(data.decode())
    node = loader.get_single_node()
    if node is None:
        return None
    if _count(node, {}) > MOST_VALUES:
        raise ValueError(f"with what its aliases (*) repeat, it has over {MOST_VALUES:,} values")
    try:
        return loader.construct_document(node)
    except (AttributeError, LookupError, TypeError, ArithmeticError) as error:
        raise ValueError(f"a value is not of its type ({error})") from None


def _count(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values there are where each alias is replaced by what it stands for."""
    if isinstance(node, yaml.ScalarNode):
        if len(node.value) > LONGEST:
            raise ValueError(f"a value is longer than {LONGEST:,} characters")
        node.value.encode()  # which "\\ud800", half a character, is not
        return 1
    if id(node) not in known:
        known[id(node)] = float("inf")  # until it is found not to hold itself
        pairs = isinstance(node, yaml.MappingNode)
        inner = [part for pair in node.value for part in pair] if pairs else node.value
        known[id(node)] = 1 + sum(_count(part, known) for part in inner)
    return known[id(node)]


def _sentence(error: ValidationError, schema: type[BaseModel]) -> str:
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
        said = f"no such key; {suggest(key, _keys_beside(schema, first['loc']))}"
    elif first["type"] == "missing":
        said = "is missing"
    elif first["type"] == "value_error":
        said = first["msg"].removeprefix("Value error, ")
    else:
        said = first["msg"].replace("Input should be", "must be")
        said = said.replace("List should have at least 1 item after validation, not 0", "is empty")
        said = re.sub(r"a valid dictionary or instance of \w+", "a mapping", said)
        if not isinstance(first["input"], Mapping | list | BaseModel):
            said += f", not {first['input']!r}"
    return _one_line(f"{path}: {said}" if path else said)


def _keys_beside(schema: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that the schema has where an unknown one stands."""
    section: Any = schema
    for part in location[:-1]:
        field = section.model_fields.get(part) if hasattr(section, "model_fields") else None
        annotation = field.annotation if field else section
        arguments = [a for a in getattr(annotation, "__args__", ()) if hasattr(a, "model_fields")]
        section = arguments[0] if arguments else annotation
    return list(section.model_fields)


def _one_line(error: Exception | str) -> str:
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
