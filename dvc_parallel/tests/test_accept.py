"""What `--accept` records, and what it leaves stale, in a project with the real DVC and git."""

import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
from dvc.repo import Repo
from zc.lockfile import LockFile

from dvc_parallel.accept import accept
from dvc_parallel.errors import InputError
from dvc_parallel.plan import Options
from dvc_parallel.tests.conftest import git, parallel

# The folder holds a file that DVC ignores and one that git ignores.
FILES = {
    ".dvcignore": "__pycache__/\n*.log\n",
    ".gitignore": "__pycache__/\n/src/local.cfg\n/raw.txt\n",
    "data.txt": "data\n",
    "params.yaml": "rate: 1\n",
    "train.py": '"""Train."""\n\nfrom src import net\n\nopen("out.txt", "w").write(net.f())\n',
    "src/net.py": "def f():\n    x = 0.1\n    return str(x)\n",
    "src/deep/__init__.py": "",
    "src/table.json": "{}\n",
    "src/run.log": "one\n",
    "src/local.cfg": "mine\n",
    "dvc.yaml": """
stages:
  fetch:
    cmd: cp data.txt raw.txt
    deps: [data.txt, train.py]
    outs: [raw.txt]
  train:
    cmd: PYTHONPATH=. python -P train.py
    deps: [train.py, src, raw.txt]
    params: [rate]
    outs: [out.txt: {cache: false}]
""",
    "other/dvc.yaml": """
stages:
  show:
    cmd: cp ../src/net.py shown.txt
    deps: [../src, ../train.py, ../raw.txt]
    outs: [shown.txt]
""",
}


class Project:
    """A DVC project in `folder` and another one in `folder/other`, both in one git repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def form(self) -> None:
        """Edit a file and one in a folder in form only."""
        self.edit("train.py", "Train.", "Train it.")
        self.edit("src/net.py", "x = 0.1", "x: float = 0.1  # a tenth")

    def accept(self, *targets: str, within: str = ".", dry: bool = False) -> int:
        with chdir(self.folder / within):
            return accept(Options(targets=targets), dry)

    def lock(self, within: str = ".") -> bytes:
        return (self.folder / within / "dvc.lock").read_bytes()

    def committed(self, within: str = ".") -> bytes:
        """What `dvc commit --force` makes of dvc.lock."""
        with chdir(self.folder / within), Repo() as repo:
            for stage in repo.index.stages:
                repo.commit(stage.addressing, force=True)
        return self.lock(within)

    def commit(self, *options: str) -> None:
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-qm", "edit", *options)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("template") / "top"
    for name, text in FILES.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    git(top, "init", "-q", "-b", "main")
    for folder in (top, top / "other"):
        with chdir(folder), Repo.init(subdir=folder != top) as repo:
            repo.reproduce()
    Project(top).commit()
    return top


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Project:
    return Project(shutil.copytree(template, tmp_path / "top", symlinks=True))


def test_records_what_dvc_commit_would(
    project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    project.form()
    project.commit()
    clone = Project(tmp_path / "clone")  # without outs and files that git ignores
    git(tmp_path, "clone", "-q", "top", "clone")
    shutil.copy(project.folder / "src/local.cfg", clone.folder / "src")
    before = project.lock()
    assert project.accept(dry=True) == 0
    assert project.lock() == before
    assert project.accept() == 0
    assert project.accept() == 0
    assert capsys.readouterr().out == (
        "fetch: would be accepted: train.py changed in form only\n"
        "train: would be accepted: train.py, src/net.py changed in form only\n"
        "would accept 2 of 2 stale stages\n"
        "fetch: accepted: train.py changed in form only\n"
        "train: accepted: train.py, src/net.py changed in form only\n"
        "accepted 2 of 2 stale stages\n"
        "nothing to accept: 2 of 2 stages are up to date\n"
    )
    accepted = project.lock()
    assert accepted != before
    assert clone.accept() == 0
    assert clone.lock() == accepted
    git(project.folder, "checkout", "dvc.lock")
    (project.folder / "raw.txt").unlink()
    with chdir(project.folder), Repo() as repo, repo.lock:
        repo.stage_cache.restore(repo.stage.load_one(name="fetch"))
    assert (project.folder / "raw.txt").exists()  # the run cache has it, too
    assert project.committed() == accepted


def test_reaches_above_a_project_in_a_subfolder(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.form()
    raw = (project.folder / "raw.txt").rename(project.folder / "away.txt")  # made by no stage here
    assert project.accept(within="other") == 0
    raw.rename(project.folder / "raw.txt")
    assert "show: accepted: ../src/net.py, ../train.py changed" in capsys.readouterr().out
    accepted = project.lock("other")
    assert project.committed("other") == accepted


def test_accepts_stage_by_stage(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.form()
    project.edit("data.txt", "data", "other data")
    assert project.accept() == 1
    assert capsys.readouterr().out == (
        "fetch: not accepted: data.txt is modified\n"
        "train: accepted: train.py, src/net.py changed in form only\n"
        "accepted 1 of 2 stale stages\n"
    )
    before = project.lock()
    assert project.accept("fetch") == 1
    assert project.lock() == before


def real(project: Project) -> None:
    project.edit("src/net.py", "x: float = 0.1", "x: float = 0.2")


def parameter(project: Project) -> None:
    project.edit("params.yaml", "1", "2")


def command(project: Project) -> None:
    project.edit("dvc.yaml", "python -P train.py", "python -P ./train.py")


def out(project: Project) -> None:
    (project.folder / "out.txt").write_text("0.3")


def other_file(project: Project) -> None:
    project.edit("src/table.json", "{}", "{ }")


def added(project: Project) -> None:
    (project.folder / "src/new.py").write_text("")


def renamed(project: Project) -> None:
    (project.folder / "src/net.py").rename(project.folder / "src/network.py")


def missing(project: Project) -> None:
    shutil.rmtree(project.folder / "src")


def broken(project: Project) -> None:
    project.edit("src/net.py", "x: float = 0.1", "x: float = = 0.1")


def never_committed(project: Project) -> None:
    project.edit("src/net.py", "0.1", "0.10")
    with chdir(project.folder), Repo() as repo:
        repo.commit("train", force=True)
    project.edit("src/net.py", "0.10", "0.1")


REFUSED = [
    (real, "src/net.py:2: `x: float = 0.2  # a tenth` was `x = 0.1`"),
    (parameter, "rate of params.yaml is modified"),
    (command, "its command has changed"),
    (out, "out.txt is modified"),
    (other_file, "src/table.json is modified"),
    (added, "src/new.py was added"),
    (renamed, "src/net.py was removed"),
    (missing, "src is missing"),
    (broken, "src/net.py cannot be compared: line 2: invalid syntax"),
    (never_committed, "src is modified, and no commit holds it as dvc.lock recorded it"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED, ids=[f.__name__ for f, _ in REFUSED])
def test_refuses_a_stage_that_anything_else_makes_stale(
    project: Project,
    change: Callable[[Project], None],
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project.form()
    change(project)
    before = project.lock()
    with chdir(project.folder):
        assert accept(Options(targets=("train",), single_item=True), dry=False) == 1
    assert capsys.readouterr().out == (
        f"train: not accepted: {reason}\naccepted 0 of 1 stale stages\n"
    )
    assert project.lock() == before


def test_finds_what_was_amended_or_lies_on_another_branch(project: Project) -> None:
    project.form()
    project.commit("--amend")
    git(project.folder, "checkout", "-q", "-b", "away")
    project.edit("src/net.py", "a tenth", "10 %")
    project.commit()
    assert project.accept("train") == 0


def test_what_stands_in_the_way_is_one_sentence(project: Project) -> None:
    project.form()
    state = project.folder / ".dvc/tmp/parallel"
    state.mkdir(exist_ok=True, parents=True)
    lock = LockFile(str(state / "run.lock"))
    with pytest.raises(InputError, match="another run is under way in this workspace"):
        project.accept()
    lock.close()
    ended = parallel(project.folder, "--accept", "--jobs", "2")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "error: --accept runs nothing: only --dry, --downstream and --single-item go with it\n"
    )
    (project.folder / "dvc.lock").write_bytes(project.lock()[:-100] + b"{")
    with pytest.raises(InputError, match=r"dvc\.lock is damaged: restore it"):
        project.accept()
    with chdir(project.folder), Repo() as repo, repo.config.edit("local") as local:
        local["core"] = {"no_scm": True}
    with pytest.raises(InputError, match="--accept needs a git repository"):
        project.accept()
