"""How a YAML file describes networks and trainings, and what it is parsed to.

`fashion_mnist.checking.params` words the mistakes in it beforehand.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fashion_mnist.storage.dataset import Kind

Seed = Annotated[int, Field(ge=0, lt=2**31)]
Threads = Annotated[int, Field(ge=1, le=1024)]
MANY = 10**6  # more than anybody needs, and few enough for every library to count


def _named(entry: Any) -> tuple[str, dict[str, Any]]:
    """(name, arguments) of `Name` or `{Name: {argument: value}}`."""
    if isinstance(entry, str):
        return entry, {}
    name, arguments = entry if isinstance(entry, tuple) else next(iter(entry.items()))
    return name, {} if arguments is None else arguments


def _layer(entry: Any) -> tuple[str, dict[str, Any]]:
    """The same with a block's layers parsed and its defaults filled in."""
    name, arguments = _named(entry)
    return name, dict(BLOCKS[name].model_validate(arguments)) if name in BLOCKS else arguments


Named = Annotated[tuple[str, dict[str, Any]], BeforeValidator(_named)]
Layer = Annotated[tuple[str, dict[str, Any]], BeforeValidator(_layer)]  # of Keras, or a block


class Section(BaseModel):
    """A mapping with exactly these keys, whose values have exactly these types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Repeat(Section):
    """A block: the same layers several times in a row, each time with weights of their own."""

    times: int = Field(ge=1, le=1000)
    layers: list[Layer] = Field(min_length=1)


class Residual(Section):
    """A block: layers whose output is added to their input, or to what `shortcut` makes of it."""

    layers: list[Layer] = Field(min_length=1)
    shortcut: list[Layer] = []


class ResidualBlock(Section):
    """A block of ResNet (arXiv:1512.03385), or of WideResNet with `preactivation`."""

    filters: int = Field(ge=1)
    strides: int = Field(default=1, ge=1)
    preactivation: bool = False


class Branches(Section):
    """A block: lists of layers for the same input, whose outputs a layer of Keras merges.

    An empty list gives the input itself.
    """

    branches: list[list[Layer]] = Field(min_length=2)


MERGES = ("Add", "Concatenate", "Multiply")
BLOCKS: dict[str, type[Section]] = {
    **{block.__name__: block for block in (Repeat, Residual, ResidualBlock)},
    **dict.fromkeys(MERGES, Branches),
}


def nested(arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(key, layers) of each list of layers among a block's arguments."""
    for key in ("layers", "shortcut"):
        if key in arguments:
            yield key, arguments[key]
    for position, branch in enumerate(arguments.get("branches", ())):
        yield f"branches[{position}]", branch


class EarlyStopping(Section):
    """Training ends when the validation loss has not fallen for `patience` epochs."""

    patience: int = Field(ge=1, le=MANY)


class Recipe(Section):
    """How a network is trained."""

    optimizer: Named
    schedule: Literal["constant", "one-cycle", "cosine"] = "constant"
    warmup: float = Field(default=0.0, ge=0, lt=1)  # share of a cosine's steps
    batch_size: int = Field(ge=1, le=MANY)
    epochs: int = Field(ge=1, le=MANY)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    dropout_scale: float = Field(default=1.0, ge=0, le=MANY)  # times the architecture's rates
    augmentation: list[Named] = []
    mixup: float = Field(default=0.0, ge=0, le=MANY)  # alpha; 0 mixes nothing
    early_stopping: EarlyStopping | None = None


class Job(NamedTuple):
    """All that decides a model's weights, except the images themselves.

    Attributes:
        layers_key: where the parameters hold the layers, for messages.
        recipe_key: where they hold the recipe.
        kind: what the images are.
    """

    layers_key: str
    layers: list[Layer]
    recipe_key: str
    recipe: Recipe
    seed: int
    threads: int
    kind: Kind
