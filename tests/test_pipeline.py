"""The real DAG, run by the real DVC on a small data set: what runs, and what does not."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, TINY_RECIPE, Workspace
from tests.imports import project_files

CANDIDATES = {"train@1", "train@2"}
MODELS = {"baseline", *CANDIDATES}


def stale(workspace: Workspace) -> set[str]:
    """The stages that must run; those below them must as well if these write something new."""
    return set(workspace.repro("--dry"))


def test_a_finished_pipeline_has_every_out_that_it_declares(finished_workspace: Workspace):
    for path in (
        "data/processed/train.npz",
        "models/baseline.h5",
        "models/model-1.h5",
        "models/model-2.h5",
        "models/best_model.h5",
        "metrics/data.json",
        "metrics/selection.json",
        "metrics/test.json",
        "plots/history/model-1.csv",
        "plots/confusion.csv",
        "plots/per_class.csv",
        "plots/training_best_model.png",
        "plots/mistakes.png",
    ):
        assert (finished_workspace.path / path).stat().st_size > 0


def test_a_second_run_runs_nothing(workspace: Workspace):
    assert workspace.repro() == []
    assert "up to date" in workspace.run("dvc", "status").stdout


def test_the_best_model_is_the_candidate_with_the_lowest_validation_loss(
    finished_workspace: Workspace,
):
    metrics = finished_workspace.path / "metrics"
    losses = {
        name: json.loads((metrics / f"{name}.json").read_text())["validation"]["loss"]
        for name in ("model-1", "model-2")
    }
    selection = json.loads((metrics / "selection.json").read_text())
    models = finished_workspace.path / "models"
    assert selection["best"] == min(losses, key=losses.__getitem__)
    assert selection["loss"] == min(losses.values())
    best = models / f"{selection['best']}.h5"
    assert (models / "best_model.h5").read_bytes() == best.read_bytes()


def test_history_and_metrics_have_the_documented_columns_and_keys(finished_workspace: Workspace):
    history = (finished_workspace.path / "plots/history/model-1.csv").read_text().splitlines()
    assert history[0] == "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate"
    assert [line.split(",")[0] for line in history[1:]] == ["1", "2"]
    metrics = json.loads((finished_workspace.path / "metrics/model-1.json").read_text())
    assert set(metrics) == {"train", "validation", "epochs", "parameters"}
    scores = json.loads((finished_workspace.path / "metrics/test.json").read_text())
    assert scores["accuracy_low"] < scores["accuracy"] < scores["accuracy_high"]
    assert len(scores["classes"]) == 10
    in_short = {"loss", "accuracy", "accuracy_low", "accuracy_high"}
    assert set(scores["mirrored"]) == set(scores["ensemble"]) == in_short
    assert len({scores["loss"], scores["mirrored"]["loss"], scores["ensemble"]["loss"]}) == 3


@pytest.mark.parametrize(
    ("changes", "stages"),
    [
        ({"architectures__unused": [{"Flatten": {}}]}, set()),
        ({"recipes__unused__epochs": 9}, set()),
        ({"recipes__quick__epochs": 3}, MODELS),
        ({"train__seed": 7}, MODELS),
        ({"train__threads": 2}, MODELS),
        ({"train__recipe": "unused"}, CANDIDATES),
        ({"train__architecture": "unused"}, CANDIDATES),
        ({"baseline__recipe": "unused"}, {"baseline"}),
        ({"split__seed": 1}, MODELS),
        ({"train__splits": [1]}, {"select_best"}),
        ({"train__splits": [1, 2, 3]}, {"train@3", "select_best"}),
        ({"preprocess__drop_test_duplicates": True}, {"preprocess"}),
        ({"fetch__sources": ["$FASHION_MNIST_DIR"]}, {"fetch"}),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_an_edit_of_params_reruns_just_what_it_can_change(
    workspace: Workspace, changes: dict, stages: set[str]
):
    workspace.set_params(**changes)
    assert stale(workspace) == stages


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("stages/fetch.py", {"fetch"}),
        ("fashion_mnist/idx.py", {"preprocess"}),
        ("fashion_mnist/splits.py", MODELS),
        ("fashion_mnist/training.py", MODELS),
        ("stages/select_best.py", {"select_best"}),
        ("fashion_mnist/figures.py", {"evaluate"}),
        ("fashion_mnist/parallel.py", set()),
    ],
)
def test_an_edit_of_code_reruns_just_what_imports_it(
    workspace: Workspace, file: str, stages: set[str]
):
    with (workspace.path / file).open("a") as code:
        code.write("\n# edited\n")
    assert stale(workspace) == stages


def test_a_third_split_trains_one_model(workspace: Workspace):
    workspace.set_params(train__splits=[1, 2, 3])
    assert workspace.repro()[:2] == ["train@3", "select_best"]
    assert (workspace.path / "models/model-3.h5").exists()


def test_a_split_taken_away_leaves_no_trace_and_comes_back_without_training(
    workspace: Workspace, finished_workspace: Workspace
):
    workspace.set_params(train__splits=[1])
    assert workspace.repro() == ["select_best", "evaluate"]
    histories = {path.stem for path in (workspace.path / "plots/history").iterdir()}
    assert histories == {"baseline", "model-1"}
    assert "model-2" not in (workspace.path / "plots/training.csv").read_text()
    scores = json.loads((workspace.path / "metrics/test.json").read_text())
    assert scores["ensemble"]["loss"] == scores["loss"], "all candidates are now the best one"
    assert workspace.repro() == []
    workspace.set_params(train__splits=[1, 2])
    assert workspace.repro() == ["select_best", "evaluate"]
    for name in ("dvc.lock", "plots/training.csv"):
        before = (finished_workspace.path / name).read_bytes()
        assert (workspace.path / name).read_bytes() == before, name


def test_a_stage_whose_outs_come_out_the_same_stops_there(workspace: Workspace):
    with (workspace.path / "stages/preprocess.py").open("a") as code:
        code.write("\n# edited\n")
    assert workspace.repro() == ["preprocess"]


def test_two_runs_from_nothing_give_the_same_lock(
    fresh_workspace: Workspace, finished_workspace: Workspace, tmp_path: Path
):
    again = fresh_workspace.copy(tmp_path / "elsewhere")
    again.repro()
    for name in ("dvc.lock", "metrics/test.json", "plots/mistakes.png", "models/best_model.h5"):
        first = (finished_workspace.path / name).read_bytes()
        assert (again.path / name).read_bytes() == first, name


def test_a_clone_without_the_cache_has_nothing_to_run(
    finished_workspace: Workspace, tmp_path: Path
):
    done = finished_workspace.run("git", "clone", "-q", ".", str(tmp_path / "clone"))
    assert done.returncode == 0, done.stderr
    assert Workspace(tmp_path / "clone").repro("--allow-missing", "--dry") == []


def test_metrics_and_experiments_can_be_compared(workspace: Workspace):
    assert "accuracy_low" in workspace.run("dvc", "metrics", "show").stdout
    done = workspace.run("dvc", "exp", "run", "-S", "recipes.quick.epochs=1", "--name", "short")
    assert done.returncode == 0, done.stderr
    assert "metrics/test.json" in workspace.run("dvc", "metrics", "diff").stdout
    assert "short" in workspace.run("dvc", "exp", "show", "--csv").stdout


def test_every_plot_is_drawn_and_no_other(finished_workspace: Workspace, tmp_path: Path):
    done = finished_workspace.run("dvc", "plots", "show", "-o", str(tmp_path))
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "index.html").read_text()
    specs = [json.loads(text) for text in re.findall(r"var spec = (.*);", page)]
    top = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
    titles = [next(iter(plot.values()))["title"] for plot in top if isinstance(plot, dict)]
    models = ["baseline", "model-1", "model-2"]
    assert sorted(spec["title"]["text"] for spec in specs) == sorted([*titles, *models])
    assert all(spec["data"]["values"] for spec in specs)
    assert page.count("<img") == sum(isinstance(plot, str) for plot in top)


def definition() -> dict:
    stages = {}
    for name in ("dvc.yaml", "comparison/dvc.yaml"):
        stages |= yaml.safe_load((ROOT / name).read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


@pytest.mark.parametrize("name", definition())
def test_a_stage_depends_on_every_file_that_it_imports_and_no_other(name: str):
    stage = definition()[name]
    script = stage["cmd"].split()[2]
    code = {path for path in stage["deps"] if path.endswith(".py")}
    assert code == project_files(script)


@pytest.mark.parametrize("name", definition())
def test_a_stage_says_what_it_does(name: str):
    assert definition()[name]["desc"].endswith(".")


def test_early_stopping_and_label_smoothing_work_in_a_real_run(workspace: Workspace):
    recipe = TINY_RECIPE | {
        "epochs": 6,
        "label_smoothing": 0.1,
        "schedule": "cosine",
        "early_stopping": {"patience": 1},
    }
    workspace.set_params(recipes__unused=recipe, baseline__recipe="unused")
    done = workspace.run("python", "-m", "stages.train", "baseline")
    assert done.returncode == 0, done.stderr
    assert "stopping after 1" in done.stdout


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
