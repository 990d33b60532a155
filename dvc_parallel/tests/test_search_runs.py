"""Searches with the real DVC."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc.repo.experiments.refs import ExpRefInfo

from dvc_parallel.__main__ import main
from dvc_parallel.errors import InputError
from dvc_parallel.tests.conftest import ENVIRONMENT, call, dvc, git, until

# Writes a loss; the file LOG gets a line as it starts and as it ends. It waits while the file
# HOLD exists, and fails while the file BROKEN does.
TRAIN = """
import json, os, sys, time
from pathlib import Path

values = dict(line.split(": ") for line in Path("params.yaml").read_text().splitlines())
log = Path(os.environ["LOG"])

def note(what):
    with log.open("a") as file:
        file.write(f"{what} {values['x']} {values['epochs']}\\n")

note("start")
while log.with_name("hold").exists():
    time.sleep(0.02)
if log.with_name("broken").exists():
    sys.exit("no such data")
loss = abs(float(values["x"]) - 3) + 1 / float(values["epochs"])
Path("metrics.json").write_text(json.dumps({"loss": loss}))
note("end")
"""
DVC_YAML = """
stages:
  train:
    cmd: python train.py
    deps: [train.py]
    params: [x, epochs, seed]
    metrics: [metrics.json: {cache: false}]
  other:
    cmd: echo 1 > other.txt
    outs: [other.txt]
"""
X = ["-S", "x=interval(0, 9)"]
SEARCH = [*X, "train", "--minimize", "metrics.json:loss", "--seed", "1"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose pipeline has run once."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "train.py").write_text(TRAIN)
    (folder / "dvc.yaml").write_text(DVC_YAML)
    (folder / "params.yaml").write_text("x: 5\nepochs: 4\nseed: 0\n")
    git(folder, "init", "-q", "-b", "main")
    Repo.init(str(folder)).close()
    (folder / "metrics.json").write_text('{"loss": 2.25}')
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "begin")
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = shutil.copytree(template, tmp_path / "project", symlinks=True)
    monkeypatch.setitem(ENVIRONMENT, "LOG", str(tmp_path / "log.txt"))
    monkeypatch.setenv("LOG", str(tmp_path / "log.txt"))
    with chdir(folder):
        yield folder


@pytest.fixture
def hold(project: Path) -> Iterator[Path]:
    """The stages wait while this file exists."""
    path = project.with_name("hold")
    yield path
    path.unlink(missing_ok=True)


def log(project: Path, what: str) -> list[str]:
    path = project.with_name("log.txt")
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in lines if line.startswith(what)]


def saved(project: Path) -> list[str]:
    return git(project, "for-each-ref", "refs/exps/*/*/tune-*").splitlines()


def experiments(project: Path) -> dict[str, dict[str, float]]:
    (main,) = json.loads(dvc(project, "exp", "show", "--json"))[1:]
    return {
        experiment["name"]: experiment["revs"][0]["data"]["params"]["params.yaml"]["data"]
        for experiment in main["experiments"] or []
    }


def test_a_killed_search_goes_on(
    project: Path, hold: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--trials", "2", "--rungs", "epochs=1,2", "--confirm", "seed=1,2", "-j", "2"]
    command = [*SEARCH, *options, "--name", "tune"]
    with subprocess.Popen(
        [sys.executable, "-m", "dvc_parallel", *command],
        cwd=project,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
    ) as process:
        until(lambda: saved(project), "the first experiment")
        hold.touch()
        until(lambda: len(log(project, "start")) > len(log(project, "end")), "one that runs")
        process.kill()
    lost = len(log(project, "start")) - len(saved(project))
    hold.unlink()
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "search tune goes on after " in said
    found = experiments(project)
    first = {f"tune-{number}" for number in (1, 2)}
    best = min(first, key=lambda name: abs(found[name]["x"] - 3))
    (climbed,) = {name for name in found if name.endswith("-epochs-2")}
    assert climbed == f"{best}-epochs-2"
    confirmed = {f"{name}-seed-{seed}" for name in first for seed in (1, 2)}
    assert found.keys() == first | confirmed | {climbed}
    assert {found[name]["epochs"] for name in confirmed | {climbed}} == {2}
    assert len({values["x"] for values in found.values()}) == 2
    runs = len(log(project, "start"))
    assert runs <= len(found) + lost  # what was saved has not run again
    _, tables = said.split("the best 2 of 2 trials:\n")
    assert tables.splitlines()[1].startswith(f"{best} ")
    assert "run again, by their mean loss:" in tables
    # It is over: the same command only prints the tables.
    assert main(command) == 0
    assert capsys.readouterr().out.endswith(tables)
    assert len(log(project, "start")) == runs
    # Killed between saving an experiment and noting its result.
    journal = project / ".dvc/tmp/parallel/searches/tune.journal"
    lines = journal.read_text().splitlines(keepends=True)
    added = next(number for number, line in enumerate(lines, 1) if '"distributions"' in line)
    journal.write_text("".join(lines[:added]) + lines[added][:20])
    assert main(command) == 0
    said = capsys.readouterr().out
    assert said.count("was saved by an earlier run") == len(found)
    assert tables.partition("\n\nwhere")[0] in said
    assert len(log(project, "start")) == runs
    with pytest.raises(InputError, match="--rungs differs from what the search tune began with"):
        main([*SEARCH, "--trials", "3", "--name", "tune"])
    assert git(project, "status", "--porcelain") == ""


def test_a_search_that_only_fails_ends_with_the_reason(project: Path) -> None:
    project.with_name("broken").touch()
    with pytest.raises(InputError, match=r"the first 3 trials failed, search-\d .*: train: "):
        main([*SEARCH, "--minutes", "9"])
    assert 3 <= len(log(project, "start")) <= 4
    assert experiments(project) == {}


def test_what_still_runs_after_the_grace_is_stopped(
    project: Path, hold: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hold.touch()
    assert main([*SEARCH, "--minutes", "0.05", "--grace", "0.01"]) == 1
    said = capsys.readouterr().out
    assert "search-1 is stopped: it lasts longer than --grace" in said
    assert "no trial has succeeded" in said
    assert not log(project, "end")


WRONG: list[tuple[list[str], str]] = [
    (["--minimize", "loss"], "--minimize loss: give FILE:KEY"),
    (["--minimize", "metrics.csv:loss"], "the file must end in .json, .yaml, .yml or .toml"),
    (
        [*X, "--trials", "3", "--maximize", "absent.json:loss"],
        "no stage of this run writes absent.json",
    ),
    (
        [*X, "--trials", "3", "--minimize", "params.yaml:x"],
        "no stage of this run writes params.yaml",
    ),
    (["other", *X, *SEARCH[3:], "--trials", "3"], "no stage of this run writes metrics.json"),
    (
        [*X, "--trials", "3", "--minimize", "metrics.json:los"],
        "there is no number los; those in it are: loss",
    ),
    (["--minimize", "metrics.json:loss", "--maximize", "metrics.json:loss"], "not allowed"),
    ([*SEARCH[2:], "--trials", "3"], "--minimize needs values to choose from"),
    ([*SEARCH[2:], "-S", "x=3", "--trials", "3"], "--minimize needs values to choose from"),
    ([*SEARCH[2:], "-S", "x=interval(1", "--trials", "3"], "-S x=interval(1: "),
    ([*SEARCH[2:], "-S", "z=interval(1,2)", "--trials", "3"], "Could not override 'z'"),
    ([*SEARCH[2:], "-S", "no.yaml:x=interval(1,2)", "--trials", "3"], "no file no.yaml"),
    (["-S", "x=interval(1,2)"], "an interval needs --minimize FILE:KEY"),
    (["-S", "x=1,2", "--trials", "3"], "--trials needs --minimize FILE:KEY or --maximize"),
    (["--confirm", "seed=1,2"], "--confirm needs --minimize FILE:KEY or --maximize"),
    (SEARCH, "a search needs an end: give --minutes, --trials or both"),
    ([*SEARCH, "--minutes", "0"], "--minutes must be more than 0 minutes"),
    ([*SEARCH, "--minutes", "nan"], "--minutes must be a number of minutes, 0 or more"),
    ([*SEARCH, "--trials", "0"], "--trials must be a whole number, 1 or more, not 0"),
    ([*SEARCH, "--trials", "3", "--seed", "-1"], "--seed must be a whole number, 0 or more"),
    ([*SEARCH, "--trials", "3", "--grace", "1"], "--grace needs --minutes"),
    ([*SEARCH, "--minutes", "3", "--grace", "x"], "--grace must be a number of minutes"),
    ([*SEARCH, "--trials", "3", "--rungs", "z=1,2"], "--rungs z=1: Could not override 'z'"),
    ([*SEARCH, "--trials", "3", "--rungs", "epochs=1"], "give two or more values"),
    ([*SEARCH, "--trials", "3", "--rungs", "x=1,2"], "--rungs: x has a value from -S already"),
    (
        [*SEARCH, "--trials", "3", "--rungs", "epochs=1,2", "--confirm", "epochs=3,4"],
        "--confirm: epochs has a value from --rungs already",
    ),
    ([*SEARCH, "--trials", "3", "--confirm", "z=1,2"], "--confirm z=1: Could not override"),
    ([*SEARCH, "--trials", "3", "--name", "a/b"], "Invalid exp name a/b"),
    ([*SEARCH, "--trials", "3", "--dry"], "--dry shows no experiments"),
]


def test_bad_input_is_one_sentence_and_begins_nothing(project: Path) -> None:
    for arguments, said in WRONG:
        with pytest.raises(InputError) as told:
            main(arguments)
        assert said in str(told.value)
        assert "\n" not in str(told.value)
    assert not (project / ".dvc/tmp/parallel/searches").exists()
    assert git(project, "status", "--porcelain") == ""


def test_a_search_takes_no_other_experiments_for_its_own(project: Path) -> None:
    base = git(project, "rev-parse", "HEAD").strip()
    git(project, "update-ref", str(ExpRefInfo(baseline_sha=base, name="tune-7")), base)
    with pytest.raises(InputError, match="an experiment named tune-7 exists: use another --name"):
        main([*SEARCH, "--trials", "3", "--name", "tune"])


def test_a_damaged_memory_is_told(project: Path) -> None:
    journal = project / ".dvc/tmp/parallel/searches/search.journal"
    journal.parent.mkdir(parents=True)
    journal.write_text('{"op_code": 0, "worker\n{}\n')
    with pytest.raises(InputError, match=r"searches/search.journal is damaged: use another --name"):
        main([*SEARCH, "--trials", "3"])


def test_without_optuna(project: Path, tmp_path: Path) -> None:
    # Python finds this folder first, and nothing in it.
    (tmp_path / "missing").mkdir()
    (tmp_path / "missing/sitecustomize.py").write_text("import sys; sys.modules['optuna'] = None")
    path = f"{tmp_path / 'missing'}:{ENVIRONMENT['PYTHONPATH']}"
    done = call(
        project,
        *["env", f"PYTHONPATH={path}", sys.executable, "-m", "dvc_parallel", *SEARCH],
        *["--trials", "3"],
    )
    assert done.returncode == 1
    assert done.stderr == "error: a search needs Optuna: pip install 'dvc-parallel[search]'\n"
