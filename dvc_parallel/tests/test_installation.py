"""The package, installed from its folder alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from dvc_parallel.tests.conftest import ENVIRONMENT, Pipeline

PACKAGE = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_installed_command_runs_a_pipeline(
    fresh: Pipeline, serial: bytes, tmp_path: Path
) -> None:
    # DVC itself comes from the environment of the tests: this is about what this folder brings.
    target = tmp_path / "installed"
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--target", str(target)]
    source = tmp_path / "dvc_parallel"
    subprocess.run(["cp", "-r", str(PACKAGE), str(source)], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True)
    assert not (target / "dvc_parallel/tests").exists()
    ended = subprocess.run(
        [str(target / "bin/dvc-parallel")],
        cwd=fresh.folder,
        env=ENVIRONMENT | {"PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert fresh.lock() == serial


def test_knows_nothing_of_the_repository_around_it() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "mnist" not in text.replace('"mnist"', "").lower(), path
