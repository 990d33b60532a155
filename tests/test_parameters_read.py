"""Each stage's `params` in dvc.yaml are exactly the keys of params.yaml that its code reads."""

import inspect
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from fashion_mnist.checking import params
from tests.conftest import Call, Workspace

COMMANDS = {
    "fetch": ("fetch",),
    "preprocess": ("preprocess",),
    "baseline": ("train", "baseline"),
    "train": ("train", "model-1"),
    "select_best": ("select_best",),
    "evaluate": ("evaluate",),
}


class Recorder:
    """A part of the parameters that records the path of each value that is read."""

    def __init__(self, value: Any, path: str, read: set[str]) -> None:
        self._value, self._path, self._read = value, path, read

    def _get(self, name: str, value: Any) -> Any:
        path = f"{self._path}.{name}".lstrip(".")
        if self._path in ("architectures", "recipes"):  # DVC compares one of these as a whole
            self._read.add(path)
            return value
        if isinstance(value, BaseModel | Mapping):
            return Recorder(value, path, self._read)
        self._read.add(path)
        return value

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._value, name)
        if inspect.ismethod(value) and value.__module__ == params.__name__:
            return value.__func__.__get__(self)  # the schema's own: what it reads is recorded, too
        if callable(value):  # of the section as a whole
            self._read.add(self._path)
            return value
        return self._get(name, value)

    def __getitem__(self, name: str) -> Any:
        return self._get(name, self._value[name])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recorder) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._path)

    def __iter__(self) -> Any:
        self._read.add(self._path)
        return iter(self._value)

    def items(self) -> Any:
        self._read.add(self._path)
        return self._value.items()


def declared(workspace: Workspace, stage: str) -> set[str]:
    """The `params` of a stage, its templates filled in."""
    values = workspace.params()
    definition = yaml.safe_load((workspace.path / "dvc.yaml").read_text())["stages"][stage]
    return {
        key.replace("${train.architecture}", values["train"]["architecture"])
        .replace("${train.recipe}", values["train"]["recipe"])
        .replace("${baseline.architecture}", values["baseline"]["architecture"])
        .replace("${baseline.recipe}", values["baseline"]["recipe"])
        for key in definition.get("params", [])
    }


def covers(key: str, path: str) -> bool:
    return path == key or path.startswith(f"{key}.") or key.startswith(f"{path}.")


@pytest.mark.parametrize("stage", COMMANDS)
def test_a_stage_declares_the_parameters_that_it_reads_and_no_others(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, call: Call, stage: str
):
    read: set[str] = set()
    load = params.load
    monkeypatch.setattr(params, "load", lambda: Recorder(load(), "", read))
    script, *arguments = COMMANDS[stage]
    done = call(workspace.path, f"stages.{script}", *arguments)
    assert done.code == 0, done.err

    keys = declared(workspace, stage)
    assert not {path for path in read if not any(covers(key, path) for key in keys)}
    assert not {key for key in keys if not any(covers(key, path) for path in read)}
