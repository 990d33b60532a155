"""The stages at the command line: help, logs, and one sentence for each mistake."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.learning.backend import keras
from tests.conftest import TINY_RECIPE, Call, Workspace
from tests.jobs import FASHION

STAGES = {
    "stages.fetch": (),
    "stages.preprocess": (),
    "stages.train": ("model-1",),
    "stages.select_best": (),
    "stages.evaluate": (),
}
PROGRAMS = (
    *STAGES,
    *("comparison.train", "comparison.predict", "comparison.hold_out"),
    *("comparison.publish", "comparison.tabulate", "comparison.page"),
    *("fashion_mnist.reporting.plots_page", "fuzz", "tests.crash"),
    *("benchmarks.run", "benchmarks.original", "benchmarks.growth", "benchmarks.page"),
)


def fails(call: Call, folder: Path, module: str, *arguments: str) -> str:
    """The one line that a program prints before it ends with exit code 1."""
    done = call(folder, module, *arguments)
    assert done.code == 1, done.out
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def test_every_program_has_help_with_an_example(
    call: Call, tmp_path: Path, subtests: pytest.Subtests
):
    for module in PROGRAMS:
        with subtests.test(module):
            name = f"{module}.__main__" if module in ("fuzz", "tests.crash") else module
            done = call(tmp_path, name, "--help")
            assert done.code == 0
            assert f"example: python -m {module}" in done.out


def test_a_typo_in_params_is_one_sentence_in_every_stage(
    call: Call, workspace: Workspace, subtests: pytest.Subtests
):
    workspace.set_params(train__epocs=3)
    for module, arguments in STAGES.items():
        with subtests.test(module):
            line = fails(call, workspace.path, module, *arguments)
            assert line.startswith("params.yaml: train.epocs: no such key")


def test_a_log_holds_lines_only_and_the_last_of_a_stage_names_what_was_written(
    finished_workspace: Workspace, shared: Path, subtests: pytest.Subtests
):
    assert (shared / "finished.err").read_text() == ""
    log = (shared / "finished.log").read_bytes().decode()
    assert not any(character in log for character in "\r\x1b\b")
    of_a_stage = (
        r"^Running stage '(.*)':\n> python.*\n((?:.*\n)*?)(?:Generating|Updating) lock file"
    )
    stages = dict(re.findall(of_a_stage, log, re.MULTILINE))
    names = "fetch preprocess baseline train@1 train@2 select_best evaluate"
    assert {*stages} == {*names.split()}
    for stage, said in stages.items():
        with subtests.test(stage):
            lines = said.splitlines()
            assert lines[-1].startswith("wrote ")
            written = re.findall(r"[\w.-]+/[\w./-]+", lines[-1])
            assert written
            assert all((finished_workspace.path / name).exists() for name in written), lines[-1]
            if stage.startswith("train"):
                assert [line[:9] for line in lines[2:4]] == ["epoch 1/2", "epoch 2/2"]


def test_early_stopping_and_label_smoothing_work_in_a_real_run(call: Call, workspace: Workspace):
    recipe = TINY_RECIPE | {
        "epochs": 6,
        "label_smoothing": 0.1,
        "schedule": "cosine",
        "early_stopping": {"patience": 1},
    }
    workspace.set_params(recipes__unused=recipe, baseline__recipe="unused")
    done = call(workspace.path, "stages.train", "baseline")
    assert done.code == 0, done.err
    assert "early stopping after 1" in done.out


def test_another_model_is_scored_without_touching_tracked_files(call: Call, workspace: Workspace):
    done = call(workspace.path, "fashion_mnist.__main__", "score", "models/baseline.h5")
    assert done.code == 0, done.err
    assert re.search(r"^baseline.h5 .*%$", done.out, re.MULTILINE)
    assert workspace.git("status", "--porcelain") == ""


def test_the_results_are_printed_beside_the_originals(call: Call, workspace: Workspace):
    done = call(workspace.path, "fashion_mnist.__main__", "results")
    assert re.search(r"^model-[12] .* best$", done.out, re.MULTILINE)
    assert "the original           0.2497   91.33%" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_scores_of_a_known_model_are_right(call: Call, workspace: Workspace):
    """A model that always predicts Trouser is right for a tenth of the tiny test set."""
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    bias = np.where(np.arange(10) == FASHION.classes.index("Trouser"), 20.0, 0.0)
    model.set_weights([np.zeros((784, 10)), bias])
    model.save(workspace.path / "trouser.keras")
    done = call(workspace.path, "fashion_mnist.__main__", "score", "trouser.keras")
    assert re.search(r"^trouser.keras .* 10.00%", done.out, re.MULTILINE), done.err


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed: make test-jax")
def test_jax_trains_a_model_that_tensorflow_reads(call: Call, workspace: Workspace):
    done = workspace.run("python", "-m", "stages.train", "model-1", KERAS_BACKEND="jax")
    assert done.returncode == 0, done.stderr
    model = "models/candidates/model-1.h5"
    assert call(workspace.path, "fashion_mnist.__main__", "score", model).code == 0


def test_a_finished_training_leaves_no_checkpoint(finished_workspace: Workspace):
    checkpoints = finished_workspace.path / "models/checkpoints"
    assert list(checkpoints.iterdir()) == []


def test_an_interrupted_training_is_continued_after_an_edit_that_is_taken_back(
    call: Call, workspace: Workspace
):
    params = workspace.path / "params.yaml"
    good = params.read_text()
    # A history that cannot be written ends the stage after its first epoch.
    history = workspace.path / "plots/history/model-1.csv"
    history.unlink()
    history.mkdir()
    assert call(workspace.path, "stages.train", "model-1").code == 1
    workspace.set_params(train__seed=7)
    done = call(workspace.path, "stages.train", "model-1")
    assert "continues" not in done.out, "another seed is another training"
    shutil.rmtree(history)
    params.write_text(good)
    done = call(workspace.path, "stages.train", "model-1")
    assert done.code == 0, done.err
    assert "continues after epoch 1 of" in done.out
