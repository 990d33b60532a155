"""Projects of all shapes, run by `dvc repro` and by dvc-parallel: both leave the same bytes."""

import os
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from dvc.cli import main as dvc_main
from dvc.repo import Repo
from dvc.utils.serialize import dumps_yaml, load_yaml

from dvc_parallel.tests.conftest import git, parallel

SHAPES: dict[str, dict[str, Any]] = load_yaml(Path(__file__).with_name("shapes.yaml"))
FEW = ("a diamond", "a folder as an out", ".dvc files", "uncached", "foreach over a list", "wdir")
# How a repository is configured, the folder in it where `.dvc` lies, and the shapes that it holds.
REPOSITORIES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "git": ("", ".", tuple(SHAPES)),
    "no git": ("[core]\n  no_scm = true\n", ".", FEW),
    "autostage": ("[core]\n  autostage = true\n", ".", FEW),
    "a folder of a monorepo": ("", "deep/project", FEW),
    "symlinks": ("[cache]\n  type = symlink\n", ".", FEW),
    "hard links": ("[cache]\n  type = hardlink\n", ".", FEW),
    "remotes that cannot be reached": (
        "[core]\n  remote = r\n['remote \"r\"']\n  url = s3://bucket/x\n"
        "['remote \"w\"']\n  url = webdav://localhost/x\n  ask_password = true\n",
        ".",
        FEW,
    ),
}
SLOW = {"hard links", "no git", "remotes that cannot be reached"}


def write(folder: Path, files: dict[str, str | None]) -> None:
    for path, text in files.items():
        if text is None:
            (folder / path).unlink()
        else:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)


def make(top: Path, repository: str) -> Path:
    """A repository with its shapes; returns where `.dvc` lies."""
    config, subfolder, shapes = REPOSITORIES[repository]
    root = top / subfolder
    root.mkdir(parents=True)
    no_scm = "no_scm" in config
    if not no_scm:
        git(top, "init", "-q")
    Repo.init(str(root), no_scm=no_scm, subdir=subfolder != ".").close()
    (root / ".dvc/config").write_text(config)
    with chdir(root), Repo() as repo:
        for name in shapes:
            shape = SHAPES[name]
            write(root / name, shape.get("files", {}))
            for path in shape.get("add", ()):
                repo.add(f"{name}/{path}")
            for source, target in shape.get("import", {}).items():
                repo.imp_url(f"{name}/{source}", f"{name}/{target}")
            definition = {**shape.get("top", {}), "stages": shape["stages"]}
            write(root / name, {"dvc.yaml": dumps_yaml(definition)})
    return root


def edit(root: Path, shapes: tuple[str, ...]) -> None:
    """What changes after the first run."""
    for name in shapes:
        write(root / name, SHAPES[name].get("edit", {}))


def lose(root: Path, shapes: tuple[str, ...]) -> None:
    """Delete all outs, except those of frozen stages, which DVC does not restore."""
    for name in shapes:
        if "frozen" in name:
            continue
        for key, entry in load_yaml(root / name / "dvc.lock")["stages"].items():
            wdir = SHAPES[name]["stages"].get(key, {}).get("wdir", ".")
            for out in entry.get("outs", ()):
                path = root / name / wdir / out["path"]
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)


def contents(top: Path) -> dict[str, object]:
    """All files, their modes and links, except git's and what DVC forgets."""
    found: dict[str, object] = {}
    for path in top.rglob("*"):
        name = path.relative_to(top).as_posix()
        if ".git/" in name or ".dvc/tmp" in name:
            continue
        if path.is_symlink():
            found[name] = os.path.relpath(path.readlink(), path.parent)
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = (path.stat().st_mode, path.stat().st_nlink, path.read_bytes())
    return found


@pytest.mark.parametrize(
    "repository",
    [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in REPOSITORIES],
)
def test_both_leave_the_same_bytes(repository: str, tmp_path: Path) -> None:
    shapes = REPOSITORIES[repository][2]
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    roots = make(ours, repository), make(theirs, repository)
    targets = [f"{name}/dvc.yaml" for name in shapes]
    for changes in ((), (lose, edit)):
        for root in roots:
            for change in changes:
                change(root, shapes)
        ended = parallel(roots[0], "--jobs", "2", *targets)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        with chdir(roots[1]):
            assert dvc_main(["repro", "-q", *targets]) == 0
        mine, dvcs = contents(ours), contents(theirs)
        assert {path for path in mine | dvcs if mine.get(path) != dvcs.get(path)} == set()
        if repository == "autostage":
            assert git(ours, "status", "--porcelain") == git(theirs, "status", "--porcelain")


def test_there_are_at_least_sixty_shapes() -> None:
    assert len(SHAPES) >= 60
