"""The whole pipeline and its commands on other data: digits, and Fashion-MNIST as pictures."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from fashion_mnist.storage import dataset
from tests.conftest import Call, Said, Workspace, tiny_set
from tests.jobs import FASHION

DIGITS = tuple("0123456789")


def write_pictures(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """PNG files in a folder for each class; their names are the order of the images."""
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / str(label) / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def tiny_pictures(folder: Path, paint: Callable[[np.ndarray], np.ndarray]) -> None:
    for part, count, seed in (("train", 400, 1), ("test", 100, 2)):
        images, labels = tiny_set(count, seed)
        write_pictures(folder / part, paint(images), labels)


def digits(project: Path) -> tuple[tuple[str, ...], tuple[int, int, int]]:
    images, labels = load_digits(return_X_y=True)
    levels = (images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    np.savez(project / "digits.npz", train_images=levels, train_labels=labels)
    Image.fromarray(levels[0]).save(project / "picture.png")
    described = {"format": "npz", "sources": ["digits.npz"], "test_fraction": 0.2}
    (project / "datasets/other.yaml").write_text(json.dumps(described))
    return DIGITS, (8, 8, 1)


def red_on_white(images: np.ndarray) -> np.ndarray:
    return np.stack([np.full_like(images, 255), 255 - images, 255 - images], axis=3)


def in_colour(project: Path) -> tuple[tuple[str, ...], tuple[int, int, int]]:
    tiny_pictures(project / "pictures", red_on_white)
    Image.fromarray(red_on_white(tiny_set(1, 3)[0])[0]).save(project / "picture.png")
    described = {
        "format": "folder",
        "sources": ["pictures"],
        "image": {"height": 28, "width": 28, "channels": 3},
        "background": "white",
    }
    (project / "datasets/other.yaml").write_text(json.dumps(described))
    return DIGITS, (28, 28, 3)


@pytest.mark.parametrize("describe", [digits, in_colour])
def test_every_stage_and_command_serves_another_data_set(
    fresh_workspace: Workspace, tmp_path: Path, call: Call, describe: Callable
):
    workspace = fresh_workspace.copy(tmp_path / "project")
    path = workspace.path
    classes, image_shape = describe(path)
    workspace.set_params(dataset="other", train__splits=[1])

    def run(module: str, *arguments: str) -> Said:
        done = call(path, module, *arguments)
        assert done.code == 0, done.err
        return done

    def command(*arguments: str) -> str:
        return run("fashion_mnist.__main__", *arguments).out

    for stage in (
        "fetch",
        "preprocess",
        "train baseline",
        "train model-1",
        "select_best",
        "evaluate",
    ):
        module, *arguments = stage.split()
        run(f"stages.{module}", *arguments)
    assert dataset.read_kind(path / "data/processed/test.npz") == (image_shape, classes)
    scores = json.loads((path / "metrics/test.json").read_text())
    assert scores["accuracy"] > 0.3, "chance is 0.1"
    rows = list(csv.DictReader((path / "plots/per_class.csv").open()))
    assert tuple(row["class"] for row in rows) == classes
    for name in ("confusion.png", "explanations.png", "training_best_model.png"):
        assert (path / "plots" / name).stat().st_size > 1000

    (answer,) = json.loads(command("predict", "--json", "--show", "seen.png", "picture.png"))
    assert tuple(answer["probabilities"]) == classes
    assert f"{scores['accuracy']:.2%}" in command("score", "models/best_model.h5")
    command("export", "--out", "model.onnx")
    (kept,) = onnx.load(path / "model.onnx").metadata_props
    assert json.loads(kept.value) == list(classes)
    assert "original" not in command("results")
    command("report")
    page = (path / "plots/report.html").read_text()
    assert re.search(r"<h1>other: classification results</h1>", page)
    assert "original" not in re.sub(r"(?s)<(style|script).*?</\1>", "", page)


def test_a_model_remembers_its_classes_whatever_the_data_set_is(workspace: Workspace, call: Call):
    digits(workspace.path)
    workspace.set_params(dataset="other")
    Image.fromarray(tiny_set(1, 3)[0][0]).save(workspace.path / "garment.png")
    done = call(workspace.path, "fashion_mnist.__main__", "predict", "--json", "garment.png")
    assert tuple(json.loads(done.out)[0]["probabilities"]) == FASHION.classes


def test_runs_on_other_data_are_compared_apart(workspace: Workspace, call: Call):
    workspace.set_params(dataset="other")
    said = call(workspace.path, "fashion_mnist.__main__", "compare").out
    assert re.findall(r"^(\w+) .*?(?: of ([\w-]+))?$", said, re.MULTILINE) == [
        *[("run", "fashion-mnist"), ("HEAD", "")],
        *[("run", "other"), ("workspace", "")],
    ]


def test_the_data_set_as_pictures_gives_the_same_bytes_and_trains_nothing(workspace: Workspace):
    tiny_pictures(workspace.path / "pictures", lambda images: images)
    workspace.describe(
        "pictures",
        format="folder",
        sources=["pictures"],
        image={"height": 28, "width": 28, "channels": 1},
        classes=list(FASHION.classes),
    )
    before = workspace.files()
    workspace.set_params(dataset="pictures")
    assert workspace.repro() == ["fetch", "preprocess"]
    after = workspace.files()
    for name in ("data/processed/train.npz", "data/processed/test.npz", "metrics/data.json"):
        assert after[name] == before[name], name
