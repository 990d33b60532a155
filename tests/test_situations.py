"""Situations from public bug reports of projects like this one, each tried on the real files.

Each row is what a user does and what they are told. What takes a training, a server or a second
user to show is tested in the module of its own kind.
"""

import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.conftest import ROOT, Call, Said, Workspace

PROGRAM = "fashion_mnist.__main__"
MODELS = ROOT / "tests/models"
PICTURES = ROOT / "tests/pictures"


@pytest.fixture(scope="module")
def project(real_project: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real project with its committed results."""
    return real_project.copy(tmp_path_factory.mktemp("situations") / "project").path


Check = Callable[[str, str], Said]


@pytest.fixture
def check(project: Path, call: Call) -> Iterator[Check]:
    """Runs `python -m fashion_mnist check` with a text in params.yaml replaced for the test."""
    params = project / "params.yaml"
    good = params.read_text()

    def run(old: str, new: str) -> Said:
        assert old in good
        params.write_text(good.replace(old, new, 1))
        return call(project, PROGRAM, "check")

    yield run
    params.write_text(good)


NADAM = "optimizer: {Nadam: {learning_rate: 0.006, beta_2: 0.98}}"
ADAMW = "optimizer: {AdamW: {learning_rate: 0.001, "
CONV = "Conv2D: {filters: 32, kernel_size: 3, activation: relu}"
FIRST = "architectures.improved[0].Conv2D"
RATE = "recipes.one-cycle.optimizer"


RIGHT = [
    ("learning_rate: 0.001", "learning_rate: 5e-05"),  # as `dvc exp run -S` writes it
    ("learning_rate: 0.004", "learning_rate: 4E-3"),
    ("learning_rate: 0.006", "learning_rate: .006"),
    ("kernel_size: 3", "kernel_size: [3, 3]"),
    ("seed: 101", "seed: 0101"),  # 101 in YAML 1.2, 65 in YAML 1.1
    ("threads: 1", "threads: 1 # yes"),
    ("  lenet:", "  lenet-5_1:"),
]


def test_what_is_right_passes_the_check(project: Path, check: Check):
    text = (project / "params.yaml").read_text()
    changed = text
    for old, new in RIGHT:
        assert old in changed
        changed = changed.replace(old, new, 1)
    assert check(text, changed) == (0, "", "")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        # Numbers that are text
        (NADAM, ADAMW + 'weight_decay: "5e-4"}}', f"{RATE}.AdamW.weight_decay: must be a number"),
        (NADAM, ADAMW + 'clipnorm: "1"}}', f"{RATE}.AdamW.clipnorm: must be a number, not the te"),
        (NADAM, ADAMW + 'beta_2: "0.98"}}', f"{RATE}.AdamW.beta_2: must be a number, not the text"),
        (
            NADAM,
            ADAMW + "gradient_accumulation_steps: 2.0}}",
            f"{RATE}.AdamW.gradient_accumulation_steps: must be a whole number, not 2.0",
        ),
        (
            "learning_rate: 0.006",
            "learning_rate: '1e-3'",
            f"{RATE}.Nadam.learning_rate: must be a number, not the text '1e-3': remove the quotes",
        ),
        (
            "learning_rate: 0.006",
            "learning_rate: 1e-3f",
            f"{RATE}.Nadam.learning_rate: must be a number above 0, not '1e-3f'",
        ),
        ("learning_rate: 0.006", "learning_rate: .nan", f"{RATE}.Nadam.learning_rate: must be a"),
        ("learning_rate: 0.006", "learning_rate: .inf", f"{RATE}.Nadam.learning_rate: must be a"),
        ("rate: 0.25", 'rate: "0.1"', "architectures.improved[2].Dropout.rate: must be a number"),
        ("filters: 32", "filters: yes", f"{FIRST}.filters: must be a whole number, not 'yes'"),
        (CONV, 'Rescaling: {scale: "0.1"}', "architectures.improved[0].Rescaling.scale: must be a"),
        # YAML
        ("epochs: 7", "epochs: 1:30", "recipes.one-cycle.epochs: must be a whole number"),
        ("epochs: 7", "epochs: 7\n    epochs: 9", "is not YAML: line "),
        ("epochs: 7", "epochs: 7.5", "recipes.one-cycle.epochs: must be a whole number"),
        ("seed: 101", "seed: on", "split.seed: must be a whole number, not 'on'"),
        ("train:", "train: &t", ""),
        # Keras's arguments
        ("kernel_size: 3", "kernel_size: (3,3)", f"{FIRST}: write a pair as [3, 3], not as (3, 3)"),
        ("activation: relu", "activation: ReLU", f"{FIRST}.activation: no activation is named 'Re"),
        ("activation: softmax", "activation: softmax_v2", "did you mean softmax?"),
        ("kernel_size: 3", "kernel_sise: 3", f"{FIRST} has no argument 'kernel_sise'; did you mea"),
        ("kernel_size: 3", "kernel_size: 29", f"{FIRST} cannot take an input (28, 28, 1)"),
        ("units: classes", "units: 9", "the last layer must give 10 class probabilities per image"),
        # Names that DVC cannot use
        ("  lenet:", "  lenet-5.1:", "architectures: the name 'lenet-5.1' must consist of letters"),
        ("  lenet:", "  lenet[5]:", "architectures: the name 'lenet[5]' must consist of letters"),
        ("architecture: improved", "architecture: Improved", "did you mean improved?"),
    ],
)
def test_a_mistake_in_params_is_told_before_any_stage(check: Check, old: str, new: str, told: str):
    # The architecture of the baseline comes first in the file: edit the candidates'.
    section = "  improved:\n"
    good = (ROOT / "params.yaml").read_text()
    place = good.index(section) if old in good[good.index(section) :] else 0
    before, after = good[:place], good[place:]
    done = check(good, before + after.replace(old, new, 1))
    if not told:
        assert done == (0, "", "")
        return
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith("error: params.yaml")
    assert told in line


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("keras2-depthwise.h5", ""),
        ("keras2-nested.h5", ""),
        ("two-nested.keras", ""),
        ("augmented.keras", ""),
        ("keras2-hard-sigmoid.h5", ""),
        ("keras2-tutorial.h5", "note: MODEL: its last layer 'dense_9' gives logits: a softmax was"),
        ("logits.h5", "note: MODEL: its last layer 'dense_1' gives logits: a softmax was added"),
        ("rescaled-inside.h5", "note: MODEL: its layer 'rescaling' expects images from 0 to 255"),
        ("dictionary-output.keras", "error: MODEL has outputs named probs; needed is a model"),
    ],
)
def test_a_model_of_another_project_is_read_or_refused_in_a_sentence(
    project: Path, call: Call, model: str, told: str
):
    path = str(MODELS / model)
    done = call(project, PROGRAM, "predict", "--json", "--model", path, "docs/t-shirt.png")
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


@pytest.mark.parametrize("name", GOOD)
def test_a_picture_is_answered_whatever_became_of_it(project: Path, call: Call, name: str):
    image = GOOD[name]
    file = io.BytesIO()
    image.save(file, "PNG" if name.endswith("png") else "JPEG")
    (project / name).write_bytes(file.getvalue())
    done = call(project, PROGRAM, "predict", "--json", name)
    (project / name).unlink()
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)[0]["class"] == "Ankle boot"


@pytest.mark.parametrize("name", ["a.avif", "b.heic", "c.jp2", "d.png"])
def test_a_picture_that_cannot_be_read_is_named(
    project: Path, call: Call, tmp_path: Path, name: str
):
    (tmp_path / name).write_bytes(b"\0\0\0\x1cftypavif\0\0\0\0")
    done = call(project, PROGRAM, "predict", str(tmp_path))
    assert done.code == 1
    assert done.err.startswith(f"error: {tmp_path / name}: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("command", ["results", "check"])
def test_a_reader_that_has_gone_ends_a_command_in_silence(project: Path, command: str):
    done = Workspace(project).run(
        "bash", "-o", "pipefail", "-c", f"python -m fashion_mnist {command} | true"
    )
    assert done.returncode in (0, 141)  # 0 if all was written before
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
@pytest.mark.parametrize(
    "module", [["fashion_mnist", "results"], ["dvc_parallel", "--dry", "--allow-missing"]]
)
def test_output_that_cannot_be_written_is_one_sentence(project: Path, module: list[str]):
    command = " ".join(["python", "-m", *module])
    done = Workspace(project).run("bash", "-c", f"{command} >/dev/full")
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
