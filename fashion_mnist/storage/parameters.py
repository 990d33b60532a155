"""Reads YAML as DVC reads it: YAML 1.2, with the same library and settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from fashion_mnist.errors import InputError, one_line

PARAMS = Path("params.yaml")


def read(path: str | Path = PARAMS) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        InputError: the file is missing, is not YAML or is not a mapping.
        OSError: it cannot be read.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run this from the project's folder") from None
    return from_yaml(path, decoded(path, content))


def decoded(path: str | Path, content: bytes) -> str:
    """The text in the content of the file `path`, which messages name.

    Raises:
        InputError: it is not UTF-8.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: byte {error.start} is wrong") from None


def from_yaml(path: str | Path, text: str) -> dict[str, Any]:
    """The mapping in the text of the YAML file `path`, which messages name.

    Raises:
        InputError: the text is not YAML or is not a mapping.
    """
    try:
        values = YAML(typ="safe").load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        problem = one_line(getattr(error, "problem", None) or error)
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise InputError(f"{path} is not YAML: {where}{problem}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} must be a mapping, `key: value`")
    return values


def value_of(values: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key; None if there is none."""
    value: Any = values
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
