"""The likeliest mistakes: each ends in one sentence that says what to change, and loses nothing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

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


def network(*layers: object) -> Callable[[Path], object]:
    """Makes these the layers of the architecture that is trained."""

    def change(folder: Path) -> None:
        values = yaml.safe_load((folder / "params.yaml").read_text())
        values["architectures"]["tiny"] = list(layers)
        (folder / "params.yaml").write_text(yaml.safe_dump(values))

    return change


DENSE = {"Dense": {"units": 10, "activation": "softmax"}}

MISTAKES = {
    "a typo in a layer's name": Mistake(
        edited("Conv2D", "Conv2d"), CHECK, "no layer is named 'Conv2d'; did you mean Conv2D?"
    ),
    "a typo in a key": Mistake(
        edited("batch_size", "batchsize"), CHECK, "did you mean batch_size?"
    ),
    "a typo in an argument": Mistake(
        network({"Conv2D": {"filter": 2, "kernel_size": 3}}, "Flatten", DENSE),
        TRAIN,
        "architectures.tiny[0].Conv2D has no argument 'filter'; did you mean filters?",
    ),
    "a kernel larger than the image": Mistake(
        network({"Conv2D": {"filters": 2, "kernel_size": 29}}, "Flatten", DENSE),
        TRAIN,
        "architectures.tiny[0].Conv2D cannot take an input (28, 28, 1)",
    ),
    "a last layer of nine classes": Mistake(
        network("Flatten", {"Dense": {"units": 9, "activation": "softmax"}}),
        TRAIN,
        "the last layer must give 10 class probabilities per image, not an output (9,)",
    ),
    "a last layer without softmax": Mistake(
        network("Flatten", {"Dense": {"units": 10}}),
        TRAIN,
        "end with Dense: {units: classes, activation: softmax}",
    ),
    "a forgotten Flatten": Mistake(network(DENSE), TRAIN, "not an output (28, 28, 10)"),
    "no epochs": Mistake(
        edited("epochs: 2", "epochs: 0"), CHECK, "recipes.quick.epochs: must be greater than"
    ),
    "a learning rate in quotes": Mistake(
        edited("learning_rate: 0.01", "learning_rate: '1e-3'"),
        CHECK,
        "Adam.learning_rate: must be a number, not the text '1e-3': remove the quotes",
    ),
    "an unknown architecture": Mistake(
        edited("architecture: tiny", "architecture: tinny"), CHECK, "did you mean tiny?"
    ),
    "an unknown recipe": Mistake(
        edited("recipe: quick", "recipe: quik"), CHECK, "did you mean quick?"
    ),
    "an unknown split": Mistake(
        edited("strategy: stratified", "strategy: random"),
        CHECK,
        "split.strategy: must be 'stratified', 'shuffled' or 'nested'",
    ),
    "a validation fraction in percent": Mistake(
        edited("validation_fraction: 0.2", "validation_fraction: 20"),
        CHECK,
        "split.validation_fraction: must be less than 1",
    ),
    "a tab in the YAML": Mistake(
        edited("  seed:", "\tseed:"), CHECK, "params.yaml is not YAML: line "
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
    "a model file that is none": Mistake(
        written("notes.h5", b"not a model"),
        (*SCORE, "notes.h5"),
        "notes.h5 is not a Keras model",
    ),
    "a model that is not there": Mistake(
        lambda _: None,
        (*SCORE, "models/model-9.h5"),
        "models/model-9.h5 is not a file: name a .h5 or .keras model",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_sentence(call: Call, workspace: Workspace, mistake: Mistake):
    mistake.make(workspace.path)
    before = workspace.files()
    done = call(workspace.path, *mistake.command)
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


@pytest.mark.parametrize("version", ["3.10", "3.14"])
def test_a_python_that_tensorflow_does_not_run_on_is_refused(tmp_path: Path, version: str):
    old = tmp_path / "python"
    old.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"sys.version_info = ({version.replace('.', ', ')}, 4, 'final', 0)\n"
        "exec(sys.argv[2])\n"
    )
    old.chmod(0o755)
    for name in (
        "Makefile",
        "constraints/run.txt",
        "pyproject.toml",
        "dvc_parallel/pyproject.toml",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    done = subprocess.run(
        ["make", "repro", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert (
        f"error: this is Python {version}, and TensorFlow needs 3.11, 3.12 or 3.13" in done.stderr
    )
    assert not (tmp_path / ".venv").exists()
