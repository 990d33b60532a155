"""Each stage's `params` in dvc.yaml are exactly the keys of params.yaml that its code reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fashion_mnist.storage import parameters
from tests.conftest import Call, Workspace

COMMANDS = {
    "fetch": ("fetch",),
    "preprocess": ("preprocess",),
    "baseline": ("train", "baseline"),
    "train": ("train", "model-1"),
    "select_best": ("select_best",),
    "evaluate": ("evaluate",),
}


class Recorder(dict):
    """A part of the parameters that records the path of each value that is taken from it."""

    def __init__(self, values: Mapping[str, Any], path: str, read: set[str]) -> None:
        super().__init__(values)
        self._path, self._read = path, read

    def __getitem__(self, name: str) -> Any:
        path = f"{self._path}.{name}".lstrip(".")
        self._read.add(path)
        value = super().__getitem__(name)
        return Recorder(value, path, self._read) if isinstance(value, Mapping) else value


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
        if isinstance(key, str)  # else it names another file
    }


def covers(key: str, path: str) -> bool:
    return path == key or path.startswith(f"{key}.") or key.startswith(f"{path}.")


def test_a_stage_declares_the_parameters_that_it_reads_and_no_others(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, call: Call, subtests: pytest.Subtests
):
    read: set[str] = set()
    parse = parameters.read

    def record(path: str | Path = parameters.PARAMS) -> dict[str, Any]:
        values = parse(path)
        return Recorder(values, "", read) if Path(path) == parameters.PARAMS else values

    monkeypatch.setattr(parameters, "read", record)
    for stage, (script, *arguments) in COMMANDS.items():
        read.clear()
        done = call(workspace.path, f"stages.{script}", *arguments)
        keys = declared(workspace, stage)
        with subtests.test(stage):
            assert done.code == 0, done.err
            assert not {path for path in read if not any(covers(key, path) for key in keys)}
            assert not {key for key in keys if not any(covers(key, path) for path in read)}
