"""Experiments beside the workspace."""

import json
import os

import pytest

from dvc_parallel.tests.conftest import Pipeline, call, dvc, git


@pytest.fixture
def committed(done: Pipeline) -> Pipeline:
    """Everything has run and is committed, except for an edit, a new file and a new repository."""
    git(done.folder, "add", "-A")
    git(done.folder, "commit", "-qm", "done")
    done.edit("step.py", "import os", "import  os")
    (done.folder / "new.txt").write_text("new\n")
    git(done.folder, "init", "-q", "another")
    (done.folder / "another/file.txt").write_text("not ours\n")
    return done


def contents(pipeline: Pipeline) -> dict[str, bytes]:
    """All files of the workspace, except git's and DVC's own."""
    return {
        str(path.relative_to(pipeline.folder)): path.read_bytes()
        for path in pipeline.folder.rglob("*")
        if path.is_file() and not {".git", ".dvc"} & set(path.parts)
    }


def shown(pipeline: Pipeline) -> dict[str, dict]:
    """What `dvc exp show` knows: an experiment's name to its parameters."""
    branches = json.loads(dvc(pipeline.folder, "exp", "show", "--json"))
    return {
        experiment["name"]: experiment["revs"][0]["data"]["params"]["params.yaml"]["data"]
        for branch in branches
        for experiment in branch["experiments"] or []
    }


def test_each_choice_of_values_is_an_experiment_and_the_workspace_stays(
    committed: Pipeline,
) -> None:
    before = contents(committed), git(committed.folder, "status", "--porcelain")
    ended = committed.run("-S", "select=2,3", "-S", "fetch=7", "--name", "try")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    assert "experiment try-1: select=2 fetch=7\nto run: 5 of 5 stages on " in ended.stdout
    assert "saved as experiment try-2" in ended.stdout
    after = contents(committed), git(committed.folder, "status", "--porcelain")
    assert after == before
    assert not list((committed.folder / ".dvc/tmp/parallel/experiments").iterdir())
    assert shown(committed) == {
        "try-1": {"fetch": 7, "select": 2, "threads": 1},
        "try-2": {"fetch": 7, "select": 3, "threads": 1},
    }
    dvc(committed.folder, "exp", "branch", "try-1", "kept")
    assert "select: 2" in git(committed.folder, "show", "kept:params.yaml")
    assert "import  os" in git(committed.folder, "show", "kept:step.py")
    dvc(committed.folder, "exp", "apply", "try-2")
    assert "select: 3" in (committed.folder / "params.yaml").read_text()
    assert committed.run().stdout == "nothing to do: 5 of 5 stages are up to date\n"


def test_an_absolute_path_of_parameters_is_of_the_copy_too(committed: Pipeline) -> None:
    before = contents(committed)
    path = committed.folder / "params.yaml"
    ended = committed.run("-S", f"{path}:select=2", "-S", "fetch=7", "--name", "absolute")
    assert ended.returncode == 0, ended.stderr
    assert contents(committed) == before
    assert shown(committed)["absolute"] == {"fetch": 7, "select": 2, "threads": 1}


@pytest.mark.parametrize("name", [b" first", b"Icon\r", b"caf\xe9"])
def test_an_untracked_file_may_have_any_name(committed: Pipeline, name: bytes) -> None:
    try:
        (committed.folder / os.fsdecode(name)).write_text("untracked")
    except OSError:
        pytest.skip("this file system has no such names")
    ended = committed.run("-S", "select=2", "--name", "named")
    assert ended.returncode == 0, ended.stderr


def test_a_failed_experiment_is_not_saved(committed: Pipeline) -> None:
    before = contents(committed)
    committed.edit("dvc.yaml", "step.py select", "absent.py select")
    ended = committed.run("-S", "select=2", "-n", "bad")
    assert ended.returncode == 1
    assert "experiment bad is not saved" in ended.stdout
    committed.edit("dvc.yaml", "absent.py select", "step.py select")
    assert contents(committed) == before
    assert shown(committed) == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-S", "absent=1"], "-S absent=1: Could not override 'absent'."),
        (["-S", "nothing.yaml:x=1"], "-S: there is no file nothing.yaml"),
        (["-S", "select"], "-S"),
        (["-n", "a b"], "Invalid exp name a b"),
    ],
)
def test_bad_input_is_one_sentence(committed: Pipeline, arguments: list[str], said: str) -> None:
    before = contents(committed)
    ended = committed.run(*arguments)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert contents(committed) == before


def test_a_name_is_taken_once(committed: Pipeline) -> None:
    assert committed.run("-n", "twice", "-S", "select=2", "fetch").returncode == 0
    ended = committed.run("-n", "twice", "-S", "select=4", "fetch")
    assert ended.returncode == 1
    assert ended.stderr == "error: an experiment named twice exists: use another name, or --force\n"


def test_without_git(done: Pipeline) -> None:
    call(done.folder, "rm", "-rf", ".git")
    call(done.folder, "dvc", "config", "core.no_scm", "true")
    ended = done.run("-S", "select=2")
    assert ended.returncode == 1
    assert ended.stderr == "error: an experiment needs a git repository with a commit\n"
