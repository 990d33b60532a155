"""Finds mistakes in `params.yaml`, and words each in one sentence."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError

from fashion_mnist.candidates.jobs import Baseline, Split, Train
from fashion_mnist.errors import InputError, one_line
from fashion_mnist.ingest.schema import Preprocess
from fashion_mnist.learning.schema import BLOCKS, MERGES, Layer, Recipe, Section, nested
from fashion_mnist.model_files.names import ACTIVATIONS, AUGMENTATIONS, LAYERS, OPTIMIZERS
from fashion_mnist.storage import parameters
from fashion_mnist.storage.parameters import PARAMS

LOCK = Path("dvc.lock")
NAME = re.compile(r"[\w-]+")  # DVC gives a meaning to dots, brackets and braces
NAME_IN_KERAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # TensorFlow takes no others
LAYERS_OF_A_RESIDUAL_BLOCK = 8
MOST_LAYERS = 600  # Keras recurses through a network, and Python ends that at about a thousand
LARGEST = 2**31 - 1  # that libraries take as a whole number

PLAINLY = {  # what pydantic calls a value
    r"a valid dictionary( or instance of \w+)?": "a mapping",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid list": "a list",
    "a valid string": "text",
    "a valid boolean": "true or false",
}

Model = TypeVar("Model", bound=BaseModel)


class Params(Section):
    """The whole of `params.yaml`."""

    dataset: str = Field(pattern=r"^[\w-]+$")
    preprocess: Preprocess
    split: Split
    train: Train
    baseline: Baseline
    architectures: dict[str, list[Layer]] = Field(min_length=1)
    recipes: dict[str, Recipe] = Field(min_length=1)


def load(path: str | Path = PARAMS) -> Params:
    """Read and check `params.yaml`.

    Raises:
        InputError: the file is missing, is not YAML, or breaks the schema; the message names
            the key by its path and tells what is expected.
        OSError: it cannot be read.
    """
    values = parameters.read(path)
    check_entries(path, values, "architectures", check_layers)
    check_entries(path, values, "recipes", check_recipe)
    params = validated(path, values, Params)
    if len(set(params.train.splits)) < len(params.train.splits):
        raise InputError(f"{path}: train.splits: a split is listed twice: list each once")
    for section in ("train", "baseline"):
        for key in ("architecture", "recipe"):
            name, known = getattr(getattr(params, section), key), getattr(params, f"{key}s")
            if name not in known:
                raise InputError(
                    f"{path}: {section}.{key}: no {key} is named {name!r}; {suggest(name, known)}"
                )
    return params


def check_entries(
    path: str | Path, values: Mapping[str, Any], key: str, check: Callable[[str, Any], object]
) -> None:
    """Call `check(place, entry)` for each entry of `values[key]`.

    Raises:
        InputError: an entry's name or the entry itself is wrong.
    """
    entries = values.get(key)
    if not isinstance(entries, dict):
        return  # the schema words it
    for name, entry in entries.items():
        if not isinstance(name, str):
            raise InputError(f"{path}: {key}: the name {name!r} is not text: quote it, '{name}'")
        if not NAME.fullmatch(name):
            raise InputError(
                f"{path}: {key}: the name {name!r} must consist of letters, digits, - and _, "
                "because other characters have a meaning in DVC"
            )
        try:
            check(f"{key}.{name}", entry)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None


def check_layers(place: str, value: Any, may_be_empty: bool = False) -> int:
    """Check a list of layers and blocks; return how many layers of Keras it becomes, or more.

    Raises:
        InputError: one of them is written in another way or has an unknown name, or there are
            more than Keras can build.
    """
    if not isinstance(value, list) or not (value or may_be_empty):
        raise InputError(
            f"{place}: must be a list of {'' if may_be_empty else 'one or more '}layers"
        )
    count = 0
    for i, entry in enumerate(value):
        name, arguments = _named(f"{place}[{i}]", "layer", LAYERS | BLOCKS.keys(), entry)
        count += _check_block(f"{place}[{i}].{name}", name, arguments) if name in BLOCKS else 1
        if count > MOST_LAYERS:
            raise InputError(
                f"{place}: is a network of {count:,} layers or more: "
                f"at most {MOST_LAYERS} can be built"
            )
    return count


def check_recipe(place: str, value: Any) -> None:
    """Check how a recipe writes its optimizer and augmentation.

    Raises:
        InputError: these are written in another way or have an unknown name.
    """
    if not isinstance(value, dict):
        return  # the schema words it
    if "optimizer" in value:
        at = f"{place}.optimizer"
        name, arguments = _named(at, "optimizer", OPTIMIZERS, value["optimizer"])
        if "learning_rate" not in arguments:
            for key in arguments:
                if likely(key, ["learning_rate"]):
                    raise InputError(
                        f"{at}.{name} has no argument {key!r}; did you mean learning_rate?"
                    )
            raise InputError(f"{at}.{name}.learning_rate: is missing")
        rate = arguments["learning_rate"]
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1e9:
            raise InputError(f"{at}.{name}.learning_rate: must be a number above 0, not {rate!r}")
    if isinstance(value.get("augmentation"), list):
        for i, entry in enumerate(value["augmentation"]):
            _named(f"{place}.augmentation[{i}]", "augmentation", AUGMENTATIONS, entry)
    if value.get("warmup") and value.get("schedule") != "cosine":
        raise InputError(f"{place}.warmup: only `schedule: cosine` has a warmup")


def validated(path: str | Path, values: Mapping[str, Any], schema: type[Model]) -> Model:
    """`values` as the schema's type.

    Raises:
        InputError: they break the schema.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{path}: {_sentence(error, schema)}") from None


def suggest(name: str, known: Iterable[str]) -> str:
    """The likeliest intention behind the unknown `name`, as the end of a sentence."""
    known = sorted(known)
    meant = likely(name, known)
    return f"did you mean {meant}?" if meant else f"known: {', '.join(known)}"


def likely(name: str, known: Iterable[str]) -> str | None:
    """The one that is closest to `name`, or that `name` abbreviates, as `lr` does; None if none."""
    folded = {each.casefold(): each for each in known}
    initials = {"".join(w[:1] for w in each.split("_")): each for each in folded if "_" in each}
    close = get_close_matches(name.casefold(), folded, n=1)
    return folded[close[0]] if close else folded.get(initials.get(name.casefold(), ""))


def _named(place: str, what: str, known: Iterable[str], value: Any) -> tuple[str, dict[str, Any]]:
    """(name, arguments) of `Name` or `{Name: {argument: value}}`."""
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, dict) or len(value) != 1:
        raise InputError(f"{place}: write one {what}, NAME or NAME: {{argument: value}}")
    ((name, arguments),) = value.items()
    if name not in known:
        raise InputError(f"{place}: no {what} is named {name!r}; {suggest(str(name), known)}")
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, dict) or not all(isinstance(k, str) for k in arguments):
        how = "branches: [[...], [...]]" if name in MERGES else "argument: value"
        raise InputError(f"{place}: {name} takes a mapping, {name}: {{{how}}}")
    for key, argument in arguments.items():
        _check_argument(f"{place}.{name}.{key}", key, argument)
    return name, arguments


def _check_argument(place: str, key: str, value: Any) -> None:
    """Find what YAML reads as text although a number or a list was meant."""
    if key.endswith(")") or (isinstance(value, str) and value.lstrip().startswith("(")):
        raise InputError(f"{place.rpartition('.')[0]}: write a pair as [3, 3], not as (3, 3)")
    if isinstance(value, list):
        for each in value:
            _check_argument(place, key, each)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{place}: must be a finite number, not {value}")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise InputError(f"{place}: must be at most {LARGEST:,} in size, not {value}")
    if key == "name":
        _check_name(place, value)
    if not isinstance(value, str):
        return
    if _is_number(value):
        raise InputError(f"{place}: must be a number, not the text {value!r}: remove the quotes")
    if key == "activation" and value not in ACTIVATIONS:
        raise InputError(
            f"{place}: no activation is named {value!r}; {suggest(value, ACTIVATIONS)}"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_name(place: str, value: Any) -> None:
    """Check a name that is given to a layer or an optimizer."""
    if not isinstance(value, str):
        raise InputError(f"{place}: must be text, not {value!r}: quote it, or leave it out")
    if not NAME_IN_KERAS.fullmatch(value):
        raise InputError(
            f"{place}: must consist of the letters a to z, digits, - and _, "
            f"and begin with a letter or digit, not {value!r}"
        )


def _check_block(place: str, name: str, arguments: Mapping[str, Any]) -> int:
    """Check a block; return how many layers it becomes."""
    schema, count = BLOCKS[name], LAYERS_OF_A_RESIDUAL_BLOCK if name == "ResidualBlock" else 0
    if name in MERGES and not isinstance(arguments.get("branches", []), list):
        raise InputError(f"{place}.branches: must be a list of lists of layers")
    for key, layers in nested(arguments):
        may_be_empty = key != "layers"
        count += check_layers(f"{place}.{key}", layers, may_be_empty)
    try:
        schema.model_validate(arguments)
    except ValidationError as error:
        raise InputError(f"{place}.{_sentence(error, schema)}") from None
    return count * arguments.get("times", 1) + 1


def _sentence(error: ValidationError, schema: type[BaseModel]) -> str:
    """The first mistake, as `key.path: what is expected`."""
    # A misspelt key is missing, too: report the misspelling.
    first = min(error.errors(), key=lambda each: each["type"] == "missing")
    path = ""
    for part in first["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    path = path.removeprefix(".")
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        said = f"no such key; {suggest(key, _keys_beside(schema, first['loc']))}"
    elif first["type"] == "missing":
        said = "is missing"
    else:
        said = first["msg"].replace("Input should be", "must be")
        said = re.sub(r"\w+ should have at least 1 item after validation, not 0", "is empty", said)
        said = re.sub(
            r"\w+ should have at least (\d+) items after.*", r"must list \1 or more", said
        )
        for words, plain in PLAINLY.items():
            said = re.sub(words, plain, said)
        if not isinstance(first["input"], Mapping | list | BaseModel):
            said += f", not {first['input']!r}"
            if first["type"] == "string_type" and first["input"] is not None:
                said += f": quote it, '{first['input']}'"
    return one_line(f"{path}: {said}" if path else said)


def _keys_beside(schema: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that the schema has at the place of an unknown one."""
    section = schema
    for part in location[:-1]:
        if field := section.model_fields.get(str(part)):
            section = _section_in(field.annotation) or section
    return list(section.model_fields)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section in an annotation such as `dict[str, Recipe]` or `EarlyStopping | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)


class _Stage(BaseModel):
    params: dict[str, dict[str, Any] | None] | None = None


class _Lock(BaseModel):
    """What is read of dvc.lock. DVC writes it in place, so a kill may cut it off anywhere."""

    stages: dict[str, _Stage] | None = None


def recorded() -> dict[str, dict[str, Any]]:
    """The parameters that each stage's last run used, from dvc.lock: by stage, then by key.

    Raises:
        InputError: dvc.lock is damaged, as a merge or a kill may leave it.
    """
    if not LOCK.exists():
        return {}
    stages = validated(LOCK, parameters.read(LOCK), _Lock).stages or {}
    return {name: (stage.params or {}).get(str(PARAMS)) or {} for name, stage in stages.items()}
