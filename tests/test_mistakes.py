"""The likeliest mistakes: each ends in one sentence that says what to change, and loses nothing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT, Call, Workspace

TRAIN = ("stages.train", "model-1")
CHECK = ("fashion_mnist.__main__", "check")
SCORE = ("fashion_mnist.__main__", "score")


class Mistake(NamedTuple):
    make: Callable[[Path], object]
    command: tuple[str, ...]
    said: str


def edited(old: str, new: str) -> Callable[[Path], object]:
    """Replaces text in params.yaml."""

    def edit(folder: Path) -> None:
        text = (folder / "params.yaml").read_text()
        assert old in text
        (folder / "params.yaml").write_text(text.replace(old, new, 1))

    return edit


def no_source(folder: Path) -> None:
    path = folder / "datasets/fashion-mnist.yaml"
    path.write_text(path.read_text().replace("/tiny-data", "/gone"))


def written(name: str, content: bytes) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return write


def removed(name: str) -> Callable[[Path], object]:
    def remove(folder: Path) -> None:
        (folder / name).unlink()

    return remove


MISTAKES = {
    "a typo in a layer's name": Mistake(
        edited("Conv2D", "Conv2d"), CHECK, "no layer is named 'Conv2d'; did you mean Conv2D?"
    ),
    "a kernel larger than the image": Mistake(
        edited("kernel_size: 3", "kernel_size: 29"),
        TRAIN,
        "architectures.tiny[0].Conv2D cannot take an input (28, 28, 1)",
    ),
    "no params.yaml": Mistake(
        removed("params.yaml"), TRAIN, "params.yaml is missing: run this from the project's folder"
    ),
    "no source of the data": Mistake(
        lambda folder: (shutil.rmtree(folder / "data/raw"), no_source(folder)),
        ("stages.fetch",),
        "connect to the network, or put the data into a directory and name it in `sources`",
    ),
    "a damaged data file": Mistake(
        written("data/processed/train.npz", b"PK\3\4 and no more"),
        TRAIN,
        "data/processed/train.npz is damaged",
    ),
    "a truncated raw file": Mistake(
        written("data/raw/t10k-labels-idx1-ubyte", b"\0\0\x08\1\0\0\0\x64"),
        ("stages.preprocess",),
        "data/raw/t10k-labels-idx1-ubyte must be 108 bytes long",
    ),
    "a stage out of turn": Mistake(
        removed("data/processed/test.npz"),
        ("stages.evaluate",),
        "data/processed/test.npz is missing: `dvc repro preprocess` makes it",
    ),
    "a model that is not there": Mistake(
        lambda _: None,
        (*SCORE, "models/model-9.h5"),
        "models/model-9.h5 is not a file: name a .h5 or .keras model",
    ),
}


def test_a_mistake_is_one_sentence(
    call: Call, finished_workspace: Workspace, tmp_path: Path, subtests: pytest.Subtests
):
    for name, mistake in MISTAKES.items():
        workspace = finished_workspace.copy(tmp_path / name)
        mistake.make(workspace.path)
        before = workspace.files()
        done = call(workspace.path, *mistake.command)
        with subtests.test(name):
            assert done.code == 1, done.out
            (line,) = done.err.splitlines()
            assert line.startswith("error: ")
            assert mistake.said in line
            assert workspace.files() == before, "nothing is lost and nothing half-written"


@pytest.mark.parametrize("library", ["numpy", "tensorflow"])
def test_a_stage_does_not_compute_with_another_version_than_is_recorded(
    workspace: Workspace, library: str
):
    (workspace.path / "versions.yaml").write_text(f"learning: {{{library}: 1.0.0}}\n")
    done = workspace.run("python", "-m", "stages.select_best")
    assert done.returncode == 1
    assert "is installed, and versions.yaml names 1.0.0: run `make install`" in done.stderr


LIMITED = """
import resource, runpy, signal, sys
size, *sys.argv = sys.argv[1:]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))
runpy.run_module(sys.argv[0], run_name="__main__")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize(
    ("bytes_left", "command", "file"),
    [
        (2000, ("stages.preprocess",), "data/processed/train.npz"),
        (200, ("stages.select_best",), "models/best_model.h5"),
        pytest.param(2000, TRAIN, "models/checkpoints/model-1", marks=pytest.mark.slow),
        pytest.param(
            3000, ("stages.evaluate",), "plots/training_baseline.png", marks=pytest.mark.slow
        ),
    ],
)
def test_a_full_disk_is_one_sentence(
    workspace: Workspace, bytes_left: int, command: tuple[str, ...], file: str
):
    before = workspace.files()
    done = workspace.run("python", "-c", LIMITED, str(bytes_left), *command)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {file}")
    assert line.endswith(": File too large: make room on the disk and run it again")
    assert workspace.files() == before


def test_a_python_that_tensorflow_does_not_run_on_is_refused(tmp_path: Path):
    for name in (
        "Makefile",
        "constraints/run.txt",
        "pyproject.toml",
        "dvc_parallel/pyproject.toml",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    old = tmp_path / "python"
    for version in ("3.10", "3.14"):
        old.write_text(
            f"#!{sys.executable}\n"
            "import sys\n"
            f"sys.version_info = ({version.replace('.', ', ')}, 4, 'final', 0)\n"
            "exec(sys.argv[2])\n"
        )
        old.chmod(0o755)
        done = subprocess.run(
            ["make", "repro", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode != 0, version
        said = f"error: this is Python {version}, and TensorFlow needs 3.11, 3.12 or 3.13"
        assert said in done.stderr
        assert not (tmp_path / ".venv").exists(), version
