"""What users type, on the project's real files, as far as it takes seconds."""

import json
import re
import subprocess
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from tests.conftest import ROOT, Call, Workspace


@pytest.fixture
def clone(real_project: Workspace, tmp_path: Path) -> Workspace:
    """A fresh clone: no data, no cache, nothing has run."""
    real_project.git("clone", "-q", ".", str(tmp_path / "clone"))
    clone = Workspace(tmp_path / "clone")
    clone.git("config", "user.name", "Test")
    clone.git("config", "user.email", "test@example.invalid")
    return clone


def succeeds(clone: Workspace, *command: str, folder: str = ".") -> str:
    done = clone.run(*command, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_experiments_are_queued_and_the_workspace_stays_as_it_is(clone: Workspace):
    """The documentation shows others, which its tests queue."""
    settings = (
        *("train.seed=7", "train.splits=[1]", "train.architecture=choice(first-version,lenet)"),
        "recipes.one-cycle.optimizer.Nadam.learning_rate=0.00005",
        "+recipes.one-cycle.early_stopping.patience=2",
    )
    arguments = [word for setting in settings for word in ("-S", setting)]
    said = succeeds(clone, "dvc", "exp", "run", "--queue", *arguments)
    assert said.count("Queued experiment") == 2
    assert clone.git("status", "--porcelain") == ""


def test_rewritten_parameters_pass_the_check(clone: Workspace, call: Call):
    from dvc.utils.serialize import modify_yaml

    with modify_yaml(str(clone.path / "params.yaml")) as values:
        values["recipes"]["one-cycle"]["optimizer"]["Nadam"]["learning_rate"] = 5e-05
    done = call(clone.path, "fashion_mnist.__main__", "check", "--used")
    assert done.code == 0, done.err


def test_the_committed_results_are_those_of_the_committed_code(clone: Workspace):
    rooms = "learning.loop", "storage.dataset", "scoring.scores"
    imports = [f"import fashion_mnist.{room}" for room in rooms]
    succeeds(clone, "python", "-c", "; ".join(imports))  # code that has run is still the same
    for folder in (".", "comparison"):
        with chdir(clone.path / folder), Repo() as repo:
            stale = repo.reproduce(dry=True, allow_missing=True)
        assert [stage.name for stage in stale] == [], folder


def test_no_command_at_the_root_mentions_the_comparison(clone: Workspace):
    for command in (("status",), ("stage", "list")):
        assert "comparison" not in succeeds(clone, "dvc", *command)


def test_results_and_their_changes_are_shown(clone: Workspace, call: Call):
    assert "selection.json" in succeeds(clone, "dvc", "metrics", "show")
    assert succeeds(clone, "dvc", "metrics", "diff") == ""
    shown = call(clone.path, "fashion_mnist.__main__", "results").out
    accuracy = json.loads((ROOT / "metrics/test.json").read_text())["accuracy"]
    assert f"{accuracy:.2%}" in shown
    compared = call(clone.path, "fashion_mnist.__main__", "compare").out
    assert re.search(r"^HEAD .*%$", compared, re.M)


def test_windows_line_ends_make_no_stage_stale(real_project: Workspace, tmp_path: Path):
    real_project.git("-c", "core.autocrlf=true", "clone", "-q", ".", str(tmp_path / "windows"))
    clone = Workspace(tmp_path / "windows")
    assert b"\r\n" not in (clone.path / "fashion_mnist/learning/loop.py").read_bytes()
    with chdir(clone.path), Repo() as repo:
        assert repo.reproduce(dry=True, allow_missing=True) == []


def test_make_lists_its_targets():
    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {line.split()[0] for line in done.stdout.splitlines()} == targets


def test_every_workflow_file_is_yaml():
    for path in (ROOT / ".github").rglob("*.yml"):
        assert yaml.safe_load(path.read_text())["jobs"]
