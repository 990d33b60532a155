"""Experiments beside the workspace: what DVC would save, as one schedule."""

import json
import shutil
import signal
import sys
import time
from collections import Counter
from contextlib import chdir
from pathlib import Path

import pytest

from dvc_parallel.experiments import open_laboratory
from dvc_parallel.laboratory import run
from dvc_parallel.plan import Options
from dvc_parallel.source import Ended, Experiment
from dvc_parallel.tests.conftest import PATIENCE, Pipeline, call, dvc, git, parallel, until


@pytest.fixture
def committed(done: Pipeline) -> Pipeline:
    """Everything has run and is committed, except for an edit and a new repository.

    A file is encrypted in git, as git-crypt does it.
    """
    git(done.folder, "add", "-A")
    git(done.folder, "commit", "-qm", "done")
    done.edit("step.py", "import os", "import  os")
    git(done.folder, "init", "-q", "another")
    (done.folder / "another/file.txt").write_text("not ours\n")
    git(done.folder, "config", "filter.rot.clean", "tr a-z n-za-m")
    git(done.folder, "config", "filter.rot.smudge", "tr n-za-m a-z")
    (done.folder / ".gitattributes").write_text("secret.txt filter=rot\n")
    (done.folder / "secret.txt").write_text("secret\n")
    git(done.folder, "add", ".gitattributes", "secret.txt")
    git(done.folder, "commit", "-qm", "encrypted in git", ".gitattributes", "secret.txt")
    return done


def contents(pipeline: Pipeline) -> dict[str, bytes]:
    """All files of the workspace, except git's and DVC's own, and the steps' log."""
    return {
        str(path.relative_to(pipeline.folder)): path.read_bytes()
        for path in pipeline.folder.rglob("*")
        if path.is_file() and not {".git", ".dvc", "log.txt"} & set(path.parts)
    }


def shown(pipeline: Pipeline) -> dict[str, dict]:
    """What `dvc exp show` knows: an experiment's name to its parameters."""
    branches = json.loads(dvc(pipeline.folder, "exp", "show", "--json"))
    return {
        experiment["name"]: experiment["revs"][0]["data"]["params"]["params.yaml"]["data"]
        for branch in branches
        for experiment in branch["experiments"] or []
    }


def saved(folder: Path) -> dict[str, str]:
    """The experiments in git: a name to its files and its message."""
    names = git(
        folder, "for-each-ref", "--format=%(refname)", "refs/exps/[0-9a-f][0-9a-f]/**"
    ).split()
    return {
        name.rpartition("/")[2]: git(folder, "ls-tree", "-r", name)
        + git(folder, "log", "-1", "--format=%s %P", name)
        for name in names
    }


def test_each_choice_of_values_is_an_experiment_and_the_workspace_stays(
    committed: Pipeline,
) -> None:
    before = contents(committed), git(committed.folder, "status", "--porcelain")
    path = committed.folder / "params.yaml"
    ended = committed.run("-S", f"{path}:select=2,3", "-S", "fetch=7", "--name", "try")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    assert "experiment try-1: select=2 fetch=7\n" in ended.stdout
    assert "saved as experiment try-2" in ended.stdout
    assert (contents(committed), git(committed.folder, "status", "--porcelain")) == before
    assert not list((committed.folder / ".dvc/tmp/parallel/experiments").iterdir())
    steps = Counter(label.rpartition(".")[2] for label in committed.started())
    assert steps == {"fetch": 1, "train-1": 1, "train-2": 1, "train-3": 1, "select": 2}
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


FOLDERS = """
stages:
  prepare:
    cmd: cat 'größe é.txt' new.txt > data
    deps: ["größe é.txt"]
    outs: [data]
  train:
    foreach: [1, 2]
    do:
      cmd: mkdir -p models && cat data rate.yaml > models/${item} && wc -c data > models/${item}.txt
      deps: [data]
      params: [rate.yaml: [rate]]
      outs: ["models/${item}"]
      metrics: ["models/${item}.txt": {cache: false}]
  best:
    cmd: cat models/* > best
    deps: [models]
    outs: [best: {cache: false, persist: true}]
"""


def two_copies(theirs: Path) -> Path:
    """Copy a project; gives the copy."""
    return Path(shutil.copytree(theirs, theirs.with_name("ours"), symlinks=True))


def test_what_is_saved_is_what_dvc_saves(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    git(theirs, "init", "-q", "-b", "main")
    dvc(theirs, "init", "-q")
    for name, text in {
        "dvc.yaml": FOLDERS.replace(" new.txt", ""),
        "größe é.txt": "1\n",
        "rate.yaml": "rate: 1\n",
        "touched.txt": "same\n",
    }.items():
        (theirs / name).write_text(text)
    dvc(theirs, "repro", "-q")
    git(theirs, "add", "-A")
    git(theirs, "commit", "-qm", "first")
    (theirs / "dvc.yaml").write_text(FOLDERS)
    (theirs / "größe é.txt").write_text("2\n")
    (theirs / "new.txt").write_text("noted\n")
    (theirs / "ignored by both.txt").write_text("untracked\n")
    git(theirs, "add", "-N", "new.txt")
    ours = two_copies(theirs)
    (ours / "touched.txt").write_text("same\n")
    dvc(ours, "remote", "add", "-q", "--local", "-d", "far", "s3://without/plug-in")
    before = git(ours, "status", "--porcelain")
    environment = (
        f"GIT_DIR={ours / '.git'}",  # git sets both for its hooks
        f"GIT_INDEX_FILE={ours / '.git/next-index-1.lock'}",
        "GIT_AUTHOR_DATE=2024-01-02T03:04:05",
    )
    call_ours = (*environment, sys.executable, "-m", "dvc_parallel")
    ended = call(ours, "env", *call_ours, "-S", "rate.yaml:rate=2,3", "-n", "x")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for number in (1, 2):
        arguments = ("-S", f"rate.yaml:rate={number + 1}", "-n", f"x-{number}")
        dvc(theirs, "exp", "run", "--temp", *arguments)
    assert saved(ours) == saved(theirs)
    assert git(ours, "status", "--porcelain") == before
    assert git(ours, "branch", "--show-current") == "main\n"


def test_hydra_composes_the_parameters_as_in_dvc(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "conf/model").mkdir(parents=True)
    git(theirs, "init", "-q")
    dvc(theirs, "init", "-q")
    dvc(theirs, "config", "hydra.enabled", "true")
    stage = {"cmd": "cat params.yaml > out", "params": ["rate", "model"], "outs": ["out"]}
    (theirs / "dvc.yaml").write_text(json.dumps({"stages": {"one": stage}}))
    (theirs / "params.yaml").write_text("rate: 0\n")
    (theirs / "conf/config.yaml").write_text("defaults: [model: small, _self_]\nrate: 1\n")
    (theirs / "conf/model/small.yaml").write_text("size: 1\n")
    git(theirs, "add", "-A")
    git(theirs, "commit", "-qm", "first")
    (theirs / "conf/model/untracked.yaml").write_text("size: 9\n")
    ours = two_copies(theirs)
    arguments = ("-S", "model=untracked", "-n", "x")
    ended = parallel(ours, *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    dvc(theirs, "exp", "run", "--temp", *arguments)
    assert saved(ours) == saved(theirs)


def test_one_that_fails_stops_only_itself(committed: Pipeline) -> None:
    committed.order("bad-1.select", "fail")
    ended = committed.run("-S", "select=2,3", "--name", "bad")
    assert ended.returncode == 1
    assert ended.stderr == ""
    assert "failed: bad-1 select; its last lines:\n" in ended.stdout
    assert "what went wrong" in ended.stdout
    assert "experiment bad-1 is not saved" in ended.stdout
    assert "\n1 of 2 experiments saved in " in ended.stdout
    assert saved(committed.folder).keys() == {"bad-2"}


def test_killed_and_started_again_what_is_saved_is_not_repeated(committed: Pipeline) -> None:
    held = committed.order("again-2.select", "hold")
    grid = ("-S", "select=2,3", "--name", "again")
    with committed.running(*grid) as process:
        until(lambda: "again-1" in saved(committed.folder), "the first experiment")
        until(lambda: "again-2.select" in committed.started(), "the second one")
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=PATIENCE)
    held.unlink()
    ended = committed.run(*grid)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "experiment again-1 was saved by an earlier run\n" in ended.stdout
    assert saved(committed.folder).keys() == {"again-1", "again-2"}
    steps = Counter(committed.started())
    assert (steps["again-1.select"], steps["again-2.select"]) == (1, 2)
    assert sum(label.endswith("train-1") for label in steps.elements()) == 1
    committed.edit("step.py", "import  os", "import   os")
    ended = committed.run(*grid)
    assert ended.returncode == 1
    assert "error: experiment again-1: an experiment named again-1 exists: use another" in (
        ended.stderr
    )


WRONG = [
    (["-S", "absent=1"], "-S absent=1: Could not override 'absent'."),
    (["-S", "nothing.yaml:x=1"], "-S: there is no file nothing.yaml"),
    (["-S", "select"], "-S"),
    (["-S", "select=größe"], "-S select=größe: put quotes around größe: select='größe'"),
    (["-n", "a b"], "Invalid exp name a b"),
]


def test_bad_input_is_one_sentence_and_changes_nothing(committed: Pipeline) -> None:
    before = contents(committed)
    for arguments, said in WRONG:
        ended = committed.run(*arguments)
        assert ended.returncode == 1
        assert ended.stderr.startswith("error: ")
        assert said in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
    assert contents(committed) == before


def test_what_a_kill_has_left_aside_is_not_overwritten(committed: Pipeline) -> None:
    aside = committed.folder / ".dvc/tmp/parallel/workspace"
    (aside / "files").mkdir(parents=True)
    shutil.copy(committed.folder / ".git/HEAD", aside)
    (aside / "files/step.py").write_text("what was edited\n")
    ended = committed.run("-S", "select=2", "fetch")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: a run was killed while DVC had put the workspace's ")
    assert (aside / "files/step.py").read_text() == "what was edited\n"
    shutil.copy(committed.folder / "step.py", aside / "files")
    ended = committed.run("-S", "select=2", "fetch")
    assert ended.returncode == 0, ended.stderr
    assert not aside.exists()


def test_without_git(done: Pipeline) -> None:
    call(done.folder, "rm", "-rf", ".git")
    call(done.folder, "dvc", "config", "core.no_scm", "true")
    ended = done.run("-S", "select=2")
    assert ended.returncode == 1
    assert ended.stderr == "error: an experiment needs a git repository with a commit\n"


class Search:
    """Gives an experiment after the other, and stops the last one."""

    files = ("params.yaml",)
    total = None
    ahead = False
    deadline: float | None = None

    def __init__(self) -> None:
        self.values = [2, 3, 4]
        self.ended: dict[str, Ended] = {}
        self.results: list[bytes] = []

    def next(self) -> Experiment | None:
        value = self.values.pop(0) if self.values else None
        if value == 4:
            self.deadline = time.monotonic() + 5
        return value and Experiment(f"trial-{value}", {"params.yaml": [f"select={value}"]})

    def finished(self, experiment: Experiment, ended: Ended) -> None:
        self.ended[experiment.name] = ended
        if ended.revision:
            self.results.append(ended.read("best.txt"))


def test_a_source_is_asked_when_a_core_is_idle_and_may_stop_what_runs(committed: Pipeline) -> None:
    committed.order("trial-3.select", "fail")
    committed.order("trial-4.select", "stubborn")
    search = Search()
    with chdir(committed.folder), open_laboratory() as workspace:
        assert run(search, workspace, Options(), jobs=1, scheduler=None) == 1
    assert search.results == [(committed.folder / "best.txt").read_bytes()]
    assert saved(committed.folder).keys() == {"trial-2"}
    assert [bool(ended.revision) for ended in search.ended.values()] == [True, False, False]
    assert "exited with 3" in search.ended["trial-3"].error
    assert search.ended["trial-4"].error == "stopped"
    again = Search()
    again.values = [2]
    with chdir(committed.folder), open_laboratory() as workspace:
        assert run(again, workspace, Options(), jobs=1, scheduler=None) == 0
    assert again.results == search.results
    assert committed.started().count("trial-2.select") == 1
    assert not list((committed.folder / ".dvc/tmp/parallel/experiments").iterdir())
