"""The real DAG, run by the real DVC on a small data set: what runs, and what does not."""

import json
import re
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from tests.conftest import ROOT, Call, Workspace

CANDIDATES = {"train@1", "train@2"}
MODELS = {"baseline", *CANDIDATES}


def stale(workspace: Workspace, folder: str = ".") -> set[str]:
    """The stages that must run; those below them must as well if these write something new."""
    with chdir(workspace.path / folder), Repo() as repo:
        return {stage.name for stage in repo.reproduce(dry=True)}


def test_a_finished_pipeline_has_every_out_that_it_declares(finished_workspace: Workspace):
    for path in (
        "data/processed/train.npz",
        "models/baseline.h5",
        "models/candidates/model-1.h5",
        "models/candidates/model-2.h5",
        "models/best_model.h5",
        "metrics/data.json",
        "metrics/selection.json",
        "metrics/test.json",
        "plots/history/model-1.csv",
        "plots/confusion.csv",
        "plots/per_class.csv",
        "plots/training_best_model.png",
        "plots/explanations.png",
    ):
        assert (finished_workspace.path / path).stat().st_size > 0


def test_a_second_run_runs_nothing(finished_workspace: Workspace):
    assert stale(finished_workspace) == set()
    assert "up to date" in finished_workspace.run("dvc", "status").stdout


def test_the_best_model_is_the_candidate_with_the_lowest_validation_loss(
    finished_workspace: Workspace,
):
    metrics = finished_workspace.path / "metrics"
    losses = {
        name: json.loads((metrics / f"candidates/{name}.json").read_text())["validation"]["loss"]
        for name in ("model-1", "model-2")
    }
    selection = json.loads((metrics / "selection.json").read_text())
    models = finished_workspace.path / "models"
    assert selection["best"] == min(losses, key=losses.__getitem__)
    assert selection["loss"] == min(losses.values())
    best = models / f"candidates/{selection['best']}.h5"
    assert (models / "best_model.h5").read_bytes() == best.read_bytes()


def test_history_and_metrics_have_the_documented_columns_and_keys(finished_workspace: Workspace):
    history = (finished_workspace.path / "plots/history/model-1.csv").read_text().splitlines()
    assert history[0] == "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate"
    assert [line.split(",")[0] for line in history[1:]] == ["1", "2"]
    metrics = json.loads((finished_workspace.path / "metrics/candidates/model-1.json").read_text())
    assert set(metrics) == {"train", "validation", "epochs", "parameters"}
    scores = json.loads((finished_workspace.path / "metrics/test.json").read_text())
    assert scores["accuracy_low"] < scores["accuracy"] <= scores["accuracy_high"]
    assert set(scores["ensemble"]) == {
        "models",
        "loss",
        "accuracy",
        "accuracy_low",
        "accuracy_high",
    }
    assert scores["ensemble"]["models"] == 2
    selected = json.loads((finished_workspace.path / "metrics/selection.json").read_text())["best"]
    assert set(scores["candidates"]) == {"model-1", "model-2"}
    assert scores["candidates"][selected]["loss"] == scores["loss"]
    assert "flip_averaging" not in scores, "the recipe has no flips"
    per_class = (finished_workspace.path / "plots/per_class.csv").read_text().splitlines()
    assert per_class[0] == "class,precision,recall,f1"
    assert len(per_class) == 11


UNUSED = {"architectures__unused": [{"Flatten": {}}], "recipes__unused__epochs": 9}
EDITS_OF_PARAMS = [
    (UNUSED, set()),
    ({"recipes__quick__epochs": 3}, {*MODELS, "evaluate"}),
    ({"train__seed": 7}, MODELS),
    ({"train__threads": 2}, MODELS),
    ({"train__recipe": "unused"}, {*CANDIDATES, "evaluate"}),
    ({"train__architecture": "unused"}, CANDIDATES),
    ({"baseline__recipe": "unused"}, {"baseline"}),
    ({"split__seed": 1}, MODELS),
    ({"train__splits": [1]}, {"select_best", "evaluate"}),
    ({"train__splits": [1, 2, 3]}, {"train@3", "select_best", "evaluate"}),
    ({"preprocess__drop_test_duplicates": True}, {"preprocess"}),
    ({"dataset": "other"}, {"fetch", "preprocess"}),
]


def test_an_edit_of_params_reruns_just_what_it_can_change(
    workspace: Workspace, subtests: pytest.Subtests
):
    workspace.describe("other", format="folder", sources=["other"])
    params = workspace.path / "params.yaml"
    good = params.read_bytes()
    for changes, stages in EDITS_OF_PARAMS:
        params.write_bytes(good)
        workspace.set_params(**changes)
        with subtests.test(**changes):
            assert stale(workspace) == stages


SILENT = "errors talk/console checking/params checking/trial reporting/report commands/predict"
EDITS_OF_CODE = [
    ([f"fashion_mnist/{name}.py" for name in SILENT.split()], set()),
    (["fashion_mnist/model_files/names.py"], {"evaluate"}),
    (["fashion_mnist/scoring/figures.py"], {"evaluate"}),
    (["fashion_mnist/ingest/sources.py"], {"fetch", "preprocess"}),
    (["fashion_mnist/pictures/plain.py"], {"preprocess"}),
    (["fashion_mnist/candidates/splits.py"], MODELS),
    (["fashion_mnist/learning/loop.py"], {*MODELS, "evaluate"}),
    (["stages/select_best.py"], {"select_best"}),
]


def test_an_edit_of_code_reruns_just_what_it_can_change(
    workspace: Workspace, subtests: pytest.Subtests
):
    for files, stages in EDITS_OF_CODE:
        before = {workspace.path / file: (workspace.path / file).read_bytes() for file in files}
        for path, code in before.items():
            path.write_bytes(code + b"\n# edited\n")
        with subtests.test(", ".join(files)):
            assert stale(workspace) == stages
        for path, code in before.items():
            path.write_bytes(code)


def test_another_version_of_a_library_reruns_what_computes_with_it(
    workspace: Workspace, subtests: pytest.Subtests
):
    path = workspace.path / "versions.yaml"
    good = path.read_text()
    for library, stages in (("tensorflow", {*MODELS, "evaluate"}), ("matplotlib", {"evaluate"})):
        path.write_text(good.replace(f"{library}: ", f"{library}: 9"))
        with subtests.test(library):
            assert stale(workspace) == stages


OF_THE_USER = (
    "models/candidates/notes.md",
    "models/candidates/.DS_Store",
    "plots/history/.ipynb_checkpoints/model-1.csv",
    "metrics/candidates/notes.md",
    "fashion_mnist/learning/__pycache__/loop.cpython-311.pyc",
    "fashion_mnist/learning/.loop.py.part",
)


def test_a_file_of_the_users_stays_and_makes_no_stage_stale(workspace: Workspace, call: Call):
    for file in OF_THE_USER:
        (workspace.path / file).parent.mkdir(exist_ok=True)
        (workspace.path / file).write_text("mine")
    assert stale(workspace) == set()
    assert call(workspace.path, "stages.select_best").code == 0
    for file in OF_THE_USER:
        assert (workspace.path / file).read_text() == "mine", file


def test_a_split_taken_away_leaves_no_trace_and_comes_back_untrained_with_the_same_bytes(
    workspace: Workspace, finished_workspace: Workspace, call: Call
):
    workspace.set_params(train__splits=[1])
    assert workspace.repro("select_best") == ["select_best"]
    histories = {path.stem for path in (workspace.path / "plots/history").iterdir()}
    assert histories == {"baseline", "model-1"}
    assert "model-2" not in (workspace.path / "plots/training.csv").read_text()
    assert call(workspace.path, "stages.evaluate").code == 0
    scores = json.loads((workspace.path / "metrics/test.json").read_text())
    assert "ensemble" not in scores, "there is one candidate"
    workspace.set_params(train__splits=[1, 2])
    assert workspace.repro("select_best") == ["select_best"]
    for name in ("dvc.lock", "plots/training.csv"):
        before = (finished_workspace.path / name).read_bytes()
        assert (workspace.path / name).read_bytes() == before, name


def test_a_stage_whose_outs_come_out_the_same_stops_there(workspace: Workspace):
    with (workspace.path / "stages/preprocess.py").open("a") as code:
        code.write("\n# edited\n")
    assert workspace.repro() == ["preprocess"]
    assert stale(workspace) == set()


@pytest.mark.slow
def test_two_runs_from_nothing_give_the_same_lock(
    fresh_workspace: Workspace, finished_workspace: Workspace, tmp_path: Path
):
    again = fresh_workspace.copy(tmp_path / "elsewhere")
    again.repro()
    for name in ("dvc.lock", "metrics/test.json", "plots/explanations.png", "models/best_model.h5"):
        first = (finished_workspace.path / name).read_bytes()
        assert (again.path / name).read_bytes() == first, name


def test_metrics_and_experiments_can_be_compared(workspace: Workspace):
    assert "accuracy_low" in workspace.run("dvc", "metrics", "show").stdout
    done = workspace.run("dvc", "exp", "run", "-S", "train.splits=[1]", "--name", "single")
    assert done.returncode == 0, done.stderr
    diff = workspace.run("dvc", "metrics", "diff").stdout
    assert "metrics/test.json" in diff
    assert len(diff.splitlines()) < 30, "per-class figures are in plots/per_class.csv alone"
    done = workspace.run("python", "-m", "fashion_mnist", "compare")
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^single +\d\.\d{4} .*%\n  train.splits: \[1, 2\] -> \[1\]$", done.stdout, re.M
    )
    (workspace.path / "metrics/test.json").write_text("<<<<<<< HEAD\n")
    done = workspace.run("python", "-m", "fashion_mnist", "compare")
    assert done.returncode == 1
    assert done.stderr.startswith("error: workspace: metrics/test.json is damaged: ")
    assert done.stderr.count("\n") == 1


def test_every_stage_has_a_description():
    for name in ("dvc.yaml", "comparison/dvc.yaml"):
        for stage, definition in yaml.safe_load((ROOT / name).read_text())["stages"].items():
            assert definition.get("do", definition).get("desc"), f"{stage} in {name}"


def test_a_mistake_and_another_training_taken_back_cost_no_training(workspace: Workspace):
    good = (workspace.path / "params.yaml").read_bytes()
    wrong = [{"Flatten": {}}, {"Dense": {"units": 9, "activation": "softmax"}}]
    workspace.set_params(architectures__tiny=wrong)
    done = workspace.run("dvc", "repro", "train@1")
    assert done.returncode != 0
    assert "must give 10 class probabilities" in done.stderr
    (workspace.path / "params.yaml").write_bytes(good)
    workspace.set_params(train__seed=7)
    assert workspace.repro("train@1") == ["train@1"]
    (workspace.path / "params.yaml").write_bytes(good)
    assert workspace.repro() == []
    assert workspace.git("status", "--porcelain") == ""


def test_a_failed_evaluation_leaves_the_committed_results(workspace: Workspace):
    (workspace.path / "models/best_model.h5").write_bytes(b"damaged")
    assert workspace.run("dvc", "commit", "-f", "select_best").returncode == 0
    done = workspace.run("dvc", "repro", "-s", "evaluate")
    assert done.returncode != 0
    assert "best_model.h5" in done.stderr
    changed = workspace.git("status", "--porcelain")
    assert "metrics" not in changed
    assert "plots" not in changed


def test_another_clone_with_the_same_cache_trains_nothing(
    finished_workspace: Workspace, tmp_path: Path
):
    finished_workspace.git("clone", "-q", ".", str(tmp_path / "clone"))
    clone = Workspace(tmp_path / "clone")
    cache = str(finished_workspace.path / ".dvc/cache")
    assert clone.run("dvc", "cache", "dir", "--local", cache).returncode == 0
    assert [name for name in clone.repro() if name.startswith(("baseline", "train"))] == []
    assert clone.git("status", "--porcelain") == ""


def test_a_clone_that_pulls_has_nothing_to_run(workspace: Workspace, tmp_path: Path):
    for command in (
        ("dvc", "remote", "add", "--default", "store", str(tmp_path / "store")),
        ("dvc", "push"),
        ("git", "commit", "-aqm", "A remote"),
        ("git", "clone", "-q", ".", str(tmp_path / "clone")),
    ):
        done = workspace.run(*command)
        assert done.returncode == 0, done.stderr
    clone = Workspace(tmp_path / "clone")
    assert clone.run("dvc", "pull").returncode == 0
    assert clone.repro() == []
    assert "up to date" in clone.run("dvc", "status").stdout
