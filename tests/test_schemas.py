"""What editors are told about `params.yaml` and `datasets/*.yaml` is what the pipeline takes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from fashion_mnist.checking import schemas
from fashion_mnist.storage import parameters
from tests.conftest import ROOT, Workspace

FILES = [ROOT / "params.yaml", *sorted((ROOT / "datasets").glob("*.yaml"))]
NAMED = re.compile(r"# yaml-language-server: \$schema=(\S+)\n")


def schema_of(path: Path) -> Draft202012Validator:
    """The schema that a file names in its first line."""
    named = NAMED.match(path.read_text(encoding="utf-8"))
    assert named, path
    return Draft202012Validator(json.loads((path.parent / named[1]).read_text(encoding="utf-8")))


def changed(keys: str, value: Any) -> dict[str, Any]:
    """params.yaml with another value at `a.b.c`."""
    values = parameters.read(ROOT / "params.yaml")
    place: Any = values
    *path, last = [int(key) if key.isdecimal() else key for key in keys.split(".")]
    for key in path:
        place = place[key]
    place[last] = value
    return values


def test_the_schemas_are_those_of_this_code_and_this_keras():
    for path, schema in schemas.written().items():
        Draft202012Validator.check_schema(schema)
        assert json.loads((ROOT / path).read_text()) == schema, (
            f"{path} is out of date: run python -m fashion_mnist.checking.schemas"
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_projects_files_fit_the_schemas_that_they_name(path: Path):
    schema_of(path).validate(parameters.read(path))


def test_every_network_and_recipe_of_the_comparison_fits_the_schema_of_params_yaml():
    schema = schema_of(ROOT / "params.yaml")
    rows = parameters.read(ROOT / "comparison/params.yaml")["rows"]
    for row in rows.values():
        schema.validate(changed("architectures.improved", row["layers"]))
        schema.validate(changed("recipes.one-cycle", row["recipe"]))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        ("train.architectur", "improved"),
        ("train.threads", "two"),
        ("split.strategy", "random"),
        ("architectures.improved.0", {"Conv2d": {"filters": 32, "kernel_size": 3}}),
        ("architectures.improved.0", {"Conv2D": {"filters": 32, "kernel_sise": 3}}),
        ("architectures.improved.0", {"Conv2D": {"filters": 32}}),
        ("architectures.improved.0", "Conv2D"),
        ("architectures.improved.0.Conv2D.filters", 3.5),
        ("architectures.improved.0.Conv2D.activation", "rely"),
        ("architectures.improved.9.Dense.units", "class"),
        ("architectures.improved.0", {"Repeat": {"times": 2, "layers": ["Flaten"]}}),
        ("recipes.one-cycle.optimizer", {"Adam": {}}),
        ("recipes.one-cycle.optimizer", {"Adam": {"lr": 0.1}}),
        ("recipes.one-cycle.augmentation", [{"RandomFlip": {"mode": "sideways"}}]),
    ],
)
def test_an_editor_marks_a_mistake(keys: str, value: Any):
    assert list(schema_of(ROOT / "params.yaml").iter_errors(changed(keys, value)))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        ("architectures.improved.0.Conv2D.kernel_size", [3, 5]),
        ("architectures.improved.1", "MaxPooling2D"),
        ("architectures.improved.1", {"MaxPooling2D": None}),
        ("architectures.improved.6", {"Residual": {"layers": ["ReLU"], "shortcut": ["Flatten"]}}),
        ("architectures.improved.6", {"Multiply": {"branches": [[], ["Softmax"]]}}),
        ("recipes.one-cycle.optimizer", {"SGD": {"learning_rate": 1, "nesterov": True}}),
        ("recipes.one-cycle.early_stopping", {"patience": 3}),
        (
            "recipes.one-cycle.augmentation",
            [{"RandomTranslation": {"height_factor": [-0.1, 0.1], "width_factor": 0.1}}],
        ),
    ],
)
def test_an_editor_leaves_unmarked_what_keras_takes(keys: str, value: Any):
    schema_of(ROOT / "params.yaml").validate(changed(keys, value))


def test_an_editor_marks_a_mistake_in_a_data_set():
    path = ROOT / "datasets/fashion-mnist.yaml"
    values = parameters.read(path)
    assert list(schema_of(path).iter_errors(values | {"formats": "idx"}))
    assert list(schema_of(path).iter_errors(values | {"format": "jpeg"}))


def test_an_experiment_keeps_the_line_that_names_the_schema(
    real_project: Workspace, tmp_path: Path
):
    workspace = real_project.copy(tmp_path / "project")
    done = workspace.run("dvc", "exp", "run", "--queue", "-S", "train.seed=7")
    assert done.returncode == 0, done.stderr
    rewritten = workspace.git("show", "refs/exps/celery/stash:params.yaml")
    assert NAMED.match(rewritten)
    assert "seed: 7" in rewritten
