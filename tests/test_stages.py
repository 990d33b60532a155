"""What a user meets at the command line: help, and one sentence for each mistake."""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.learning import dataset
from fashion_mnist.learning.backend import keras
from tests.conftest import ROOT, TINY_RECIPE, Workspace

COMMANDS = (
    *("stages.fetch", "stages.preprocess", "stages.train", "stages.select_best"),
    *("stages.evaluate", "stages.predict", "stages.compare", "stages.tabulate"),
    *("fashion_mnist.running.params", "fashion_mnist.parallel", "fashion_mnist.reporting.results"),
    *(
        "fashion_mnist.reporting.plots_page",
        "fashion_mnist.reporting.report",
        "comparison.page",
        "fuzz",
        "tests.crash",
    ),
    *("benchmarks.run", "benchmarks.original", "benchmarks.seeds", "benchmarks.growth"),
)

every_stage = pytest.mark.parametrize(
    "command",
    [("train", "model-1"), ("fetch",), ("preprocess",), ("select_best",), ("evaluate",)],
    ids=lambda command: command[0],
)


@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_has_help_with_an_example(module: str):
    done = Workspace(ROOT).run("python", "-m", module, "--help")
    assert done.returncode == 0
    assert f"example: python -m {module}" in done.stdout


def fails(workspace: Workspace, *command: str) -> str:
    """The one line that a command prints before it ends with exit code 1."""
    done = workspace.run("python", "-m", *command)
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    return line


@every_stage
def test_a_typo_in_params_is_one_sentence_in_every_stage(
    fresh_workspace: Workspace, tmp_path: Path, command: tuple[str, ...]
):
    workspace = fresh_workspace.copy(tmp_path / "project")
    workspace.set_params(train__epocs=3)
    line = fails(workspace, f"stages.{command[0]}", *command[1:])
    assert line.startswith("error: params.yaml: train.epocs: no such key")


def test_what_only_keras_can_tell_is_told_before_data_is_read(
    fresh_workspace: Workspace, tmp_path: Path
):
    workspace = fresh_workspace.copy(tmp_path / "project")
    workspace.set_params(architectures__tiny=[{"Conv2D": {"filters": 2, "kernel_size": 30}}])
    line = fails(workspace, "stages.train", "model-1")
    assert "architectures.tiny[0].Conv2D cannot take an input (28, 28, 1)" in line


def test_missing_data_says_what_makes_it(fresh_workspace: Workspace):
    line = fails(fresh_workspace, "stages.train", "model-1")
    assert "data/processed/train.npz is missing: `dvc repro preprocess` makes it" in line


def test_another_model_is_scored_without_touching_tracked_files(workspace: Workspace):
    before = (workspace.path / "metrics/test.json").read_bytes()
    done = workspace.run("python", "-m", "stages.evaluate", "--model", "models/baseline.h5")
    assert done.returncode == 0, done.stderr
    assert "Final scores" in done.stdout
    assert (workspace.path / "metrics/test.json").read_bytes() == before
    assert workspace.run("git", "status", "--porcelain").stdout == ""


def test_a_model_that_is_none_is_one_sentence(workspace: Workspace):
    (workspace.path / "x.h5").write_text("hello")
    line = fails(workspace, "stages.evaluate", "--model", "x.h5")
    assert line.startswith("error: x.h5 is not a Keras model")


@every_stage
def test_a_log_holds_lines_only_and_the_last_says_what_was_written(
    workspace: Workspace, command: tuple[str, ...]
):
    done = workspace.run("python", "-m", f"stages.{command[0]}", *command[1:])
    assert done.returncode == 0, done.stderr
    assert not any(character in done.stdout + done.stderr for character in "\r\x1b\b")
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("wrote ")
    written = re.findall(r"[\w.-]+/[\w./-]+", lines[-1])
    assert written
    assert all((workspace.path / name).exists() for name in written), lines[-1]
    if command[0] == "train":
        assert [line[:9] for line in lines[2:4]] == ["epoch 1/2", "epoch 2/2"]
        assert done.stderr == ""


TWO_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}  # for JAX's eyes


@pytest.mark.parametrize(
    ("backend", "environment"),
    [("tensorflow", {}), ("jax", {}), ("jax", TWO_DEVICES), ("torch", {})],
    ids=["tensorflow", "jax", "jax on two devices", "torch"],
)
def test_every_backend_of_keras_trains_a_model_that_every_other_reads(
    workspace: Workspace, backend: str, environment: dict[str, str]
):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = environment | {"KERAS_BACKEND": backend}
    done = workspace.run("python", "-m", "stages.train", "model-1", **environment)
    assert done.returncode == 0, done.stderr
    done = workspace.run("python", "-m", "stages.evaluate", "--model", "models/model-1.h5")
    assert done.returncode == 0, done.stderr


def test_a_batch_that_cannot_be_shared_among_devices_is_refused(workspace: Workspace):
    if find_spec("jax") is None:
        pytest.skip("jax is not installed")
    workspace.set_params(recipes__quick=TINY_RECIPE | {"batch_size": 33})
    environment = TWO_DEVICES | {"KERAS_BACKEND": "jax"}
    done = workspace.run("python", "-m", "stages.train", "model-1", **environment)
    assert done.returncode == 1
    *_, line = done.stderr.splitlines()
    assert "recipes.quick.batch_size must be a multiple of 2, the number of devices" in line


def test_the_results_table_shows_this_run_beside_the_original(workspace: Workspace):
    done = workspace.run("python", "-m", "fashion_mnist.reporting.results")
    assert "model-1" in done.stdout
    assert "the original  loss 0.24973  accuracy 91.33%" in done.stdout


def test_scores_of_a_known_model_are_right(workspace: Workspace):
    """A model that always says Trouser is right about a tenth of the tiny test set."""
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    bias = np.where(np.arange(10) == dataset.CLASS_NAMES.index("Trouser"), 20.0, 0.0)
    model.set_weights([np.zeros((784, 10)), bias])
    model.save(workspace.path / "trouser.keras")
    done = workspace.run("python", "-m", "stages.evaluate", "--model", "trouser.keras")
    assert "accuracy 10.00%" in done.stdout
