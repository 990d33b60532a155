"""The package, installed from its folder alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import dvc
import pytest

from dvc_parallel.tests.conftest import ENVIRONMENT, call

PACKAGE = Path(__file__).parents[1]


STAGES = """
stages:
  words:
    foreach: [b, a]
    do:
      cmd: echo ${item} > ${item}.txt
      outs: ["${item}.txt"]
  all:
    cmd: cat a.txt b.txt > all.txt
    deps: [a.txt, b.txt]
    outs: [all.txt]
"""


def pip(python: str, *arguments: str) -> None:
    command = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if "NewConnectionError" in ended.stderr:
        pytest.skip("the package index cannot be reached")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.slow
def test_the_wheel_runs_a_strangers_project_beside_nothing_but_dvc(tmp_path: Path) -> None:
    source = shutil.copytree(PACKAGE, tmp_path / "dvc_parallel")
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    pip(sys.executable, "wheel", *options, str(source))
    (wheel,) = tmp_path.glob("dvc_parallel-*.whl")
    with ZipFile(wheel) as content:
        names = content.namelist()
    assert [name for name in names if name.endswith("/LICENSE")]
    assert not [name for name in names if "tests/" in name]
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    pip(str(environment / "bin/python"), "install", f"dvc=={dvc.__version__}")
    pip(str(environment / "bin/python"), "install", str(wheel))
    variables = {key: value for key, value in ENVIRONMENT.items() if key != "PYTHONPATH"}
    variables["PATH"] = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    locks = []
    for name, command in (("theirs", ["dvc", "repro"]), ("ours", ["dvc-parallel"])):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "dvc.yaml").write_text(STAGES)
        for arguments in (["git", "init", "-q"], ["dvc", "init", "-q"], command):
            ended = call(folder, *arguments, environment=variables)
            assert ended.returncode == 0, ended.stdout + ended.stderr
        assert (folder / "all.txt").read_text() == "a\nb\n"
        locks.append((folder / "dvc.lock").read_bytes())
    assert locks[0] == locks[1]


def test_knows_nothing_of_the_repository_around_it() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "mnist" not in text.replace('"mnist"', "").lower(), path
