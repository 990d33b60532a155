"""Situations from public bug reports of projects like this one, each tried on the real files.

Each row is what a user does and what they are told. What takes a training, a server or a second
user to show is tested in the module of its own kind.
"""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.conftest import ROOT, Call, Workspace

PROGRAM = "fashion_mnist.__main__"
MODELS = ROOT / "tests/models"
PICTURES = ROOT / "tests/pictures"


@pytest.fixture(scope="module")
def project(real_project: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real project with its committed results."""
    return real_project.copy(tmp_path_factory.mktemp("situations") / "project").path


MODEL_FILES = {
    "keras2-nested.h5": "",
    "keras2-tutorial.h5": "note: MODEL: its last layer 'dense_9' gives logits: a softmax was added",
    "dictionary-output.keras": "error: MODEL has outputs named probs; needed is a model",
}


def test_a_model_of_another_project_is_read_or_refused_in_a_sentence(
    project: Path, call: Call, subtests: pytest.Subtests
):
    for model, told in MODEL_FILES.items():
        path = str(MODELS / model)
        done = call(project, PROGRAM, "predict", "--json", "--model", path, "docs/t-shirt.png")
        with subtests.test(model):
            assert done.code == told.startswith("error")
            assert done.err.startswith(told.replace("MODEL", path)), done.err
            assert done.err.count("\n") == (told != "")
            if not done.code:
                (answer,) = json.loads(done.out)
                assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-3)


PLAIN = Image.open(PICTURES / "0-plain.png").convert("L")
GOOD = {
    "plain.png": PLAIN,
    "dark-frame.png": ImageOps.expand(PLAIN, border=1, fill=20),
    "light-frame.png": ImageOps.expand(PLAIN, border=1, fill=200),
    "viridis.png": Image.open(PICTURES / "0-viridis.png"),
    "twelve-bit.png": Image.fromarray(np.asarray(PLAIN).astype(np.uint16) * 16),
    "-dash.png": PLAIN,
    "photo.jfif": PLAIN,
    "photo.jpe": PLAIN,
}


def test_a_picture_is_answered_whatever_became_of_it(project: Path, call: Call):
    for name, image in GOOD.items():
        file = io.BytesIO()
        image.save(file, "PNG" if name.endswith("png") else "JPEG")
        (project / name).write_bytes(file.getvalue())
    done = call(project, PROGRAM, "predict", "--json", *GOOD)
    for name in GOOD:
        (project / name).unlink()
    assert (done.code, done.err) == (0, "")
    found = {Path(answer["file"]).name: answer["class"] for answer in json.loads(done.out)}
    assert found == dict.fromkeys(GOOD, "Ankle boot")


def test_pictures_that_cannot_be_read_are_named(project: Path, call: Call, tmp_path: Path):
    names = ("a.avif", "b.heic", "c.jp2", "d.png")
    for name in names:
        (tmp_path / name).write_bytes(b"\0\0\0\x1cftypavif\0\0\0\0")
    done = call(project, PROGRAM, "predict", str(tmp_path))
    assert done.code == 1
    for name, line in zip(names, done.err.splitlines(), strict=True):
        assert line.startswith(f"error: {tmp_path / name}: ")


def test_a_reader_that_has_gone_ends_a_command_in_silence(project: Path):
    done = Workspace(project).run(
        "bash", "-o", "pipefail", "-c", "python -m fashion_mnist results | true"
    )
    assert done.returncode in (0, 141)  # 0 if all was written before
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_output_that_cannot_be_written_is_one_sentence(project: Path, subtests: pytest.Subtests):
    for module in ("fashion_mnist results", "dvc_parallel --dry --allow-missing"):
        done = Workspace(project).run("bash", "-c", f"python -m {module} >/dev/full")
        with subtests.test(module):
            assert done.returncode == 1
            assert done.stderr.startswith("error: No space left on device: ")
            assert done.stderr.count("\n") == 1


def test_a_folder_without_git_is_told_what_dvc_needs_and_can_be_cleaned(
    real_project: Workspace, tmp_path: Path
):
    """As in a ZIP that was downloaded."""
    folder = real_project.copy(tmp_path / "unzipped")
    shutil.rmtree(folder.path / ".git")
    done = folder.run("python", "-m", "dvc_parallel", "--dry")
    assert (done.returncode, done.stderr) == (
        1,
        f"error: {folder.path} is not a git repository: run `git init`, "
        "or `dvc config core.no_scm true` to do without git\n",
    )
    assert folder.run("dvc", "config", "core.no_scm", "true").returncode == 0
    done = folder.run("python", "-m", "dvc_parallel", "--dry")
    assert done.returncode == 0, done.stderr
    before = folder.files()
    for made in ("models/candidates/model-1.h5", "plots/history/model-1.csv"):
        (folder.path / made).parent.mkdir()
        (folder.path / made).touch()
    assert folder.run("make", "clean").returncode == 0
    assert folder.files() == before, "only what the pipeline made is gone"
