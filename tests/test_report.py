"""The report: what is in it, that it is one file, and how a browser shows it."""

import contextlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.checking import params
from fashion_mnist.errors import InputError
from fashion_mnist.learning.prediction import predict
from fashion_mnist.model_files.loading import load_model
from fashion_mnist.reporting import report
from fashion_mnist.storage import dataset, outs, records
from fashion_mnist.talk import results, words
from tests.browser import Chromium
from tests.conftest import ROOT, Call, Workspace
from tests.jobs import CLASSIFIER, FASHION, layers, recipe

REPORT = "plots/report.html"


class Reader(HTMLParser):
    """Takes a page apart: its elements, its text, and what of it a browser would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.loads: list[str] = []
        self.words: list[str] = []
        self.style = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.elements.append((tag, given))
        self.style += given.get("style") or ""
        for name in ("src", "srcset", "data", "poster", "href", "xlink:href"):
            if given.get(name) and (name, tag) != ("href", "a"):
                self.loads.append(given[name] or "")

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "style":
            self.style += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def written(finished_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace's folder with a report in it."""
    workspace = finished_workspace.copy(tmp_path_factory.mktemp("report") / "project")
    done = workspace.run("python", "-m", "fashion_mnist", "report")
    assert done.returncode == 0, done.stderr
    assert REPORT in done.stdout
    return workspace.path


@pytest.fixture(scope="module")
def page(written: Path) -> Reader:
    return Reader((written / REPORT).read_text())


def test_it_holds_the_figures_of_the_metrics(written: Path, page: Reader):
    scores = json.loads((written / "metrics/test.json").read_text())
    accuracies = [scores[key] for key in ("accuracy", "accuracy_low", "accuracy_high")]
    for accuracy in (*accuracies, results.ORIGINAL_TEST[1]):
        assert f"{accuracy:.2%}" in page.text
    for loss in (scores["loss"], results.ORIGINAL_TEST[0]):
        assert f"loss {loss:.5f}" in page.text
    for name in ("baseline", "model-1", "model-2"):
        model = json.loads((written / outs.files(name).metrics).read_text())
        assert f"{model['validation']['loss']:.4f}" in page.text
        assert f"{model['parameters']:,}" in page.text
    best = json.loads((written / "metrics/selection.json").read_text())["best"]
    assert f"{best} best" in page.text
    classes = records.read_csv(written / "plots/per_class.csv", texts=("class",))
    weakest = min(classes, key=lambda row: row["f1"])["class"]
    assert f"{weakest} weakest" in page.text
    assert all(name in page.text for name in FASHION.classes)


def test_it_describes_data_networks_recipes_and_versions(page: Reader):
    for phrase in (
        "filters 2, kernel size 3, activation relu",
        "Adam, learning rate 0.01, constant",
        "2 epochs in batches of 32 images",
        "20% of the training images are used for validation",
        "2 candidates, on splits 1, 2",
        "training 400 10 39 to 41 0",
        "None of the training images are test images too",
        "TensorFlow 2.",
        "git commit",
    ):
        assert phrase in page.text, phrase
    assert "uncommitted" not in page.text
    assert "edited since" not in page.text


def test_it_is_one_file_with_described_pictures_and_headings_in_order(page: Reader):
    assert page.loads
    assert all(url.startswith(("data:", "#")) for url in page.loads)
    assert set(re.findall(r"url\(.|@import", page.style)) <= {"url(#"}
    assert dict(page.elements)["html"] == {"lang": "en"}
    assert all(given.get("alt") for tag, given in page.elements if tag == "img")
    assert all(given.get("aria-label") for _, given in page.elements if given.get("role"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [given["id"] for _, given in page.elements if "id" in given]
    assert len(ids) == len(set(ids))
    assert {url[1:] for url in page.loads if url.startswith("#")} <= set(ids)


def test_git_ignores_it_and_the_same_results_give_the_same_bytes(written: Path, call: Call):
    assert Workspace(written).git("status", "--porcelain") == ""
    before = (written / REPORT).read_bytes()
    assert call(written, "fashion_mnist.__main__", "report").code == 0
    assert (written / REPORT).read_bytes() == before


RESULTS = (
    *("metrics/test.json", "metrics/candidates/model-2.json"),
    *("metrics/selection.json", "metrics/data.json"),
    *("plots/training.csv", "plots/confusion.csv", "plots/mistakes.csv"),
)


def test_a_missing_result_is_told_in_a_sentence(
    workspace: Workspace, call: Call, subtests: pytest.Subtests
):
    for name in RESULTS:
        good = (workspace.path / name).read_bytes()
        (workspace.path / name).unlink()
        with subtests.test(name):
            told = call(workspace.path, "fashion_mnist.__main__", "report")
            assert (told.code, told.err) == (1, f"error: {name} is missing: `dvc repro` makes it\n")
            assert not list((workspace.path / "plots").glob("*report*"))
        (workspace.path / name).write_bytes(good)


def test_an_empty_result_is_told_in_a_sentence(
    workspace: Workspace, call: Call, subtests: pytest.Subtests
):
    with (workspace.path / "plots/confusion.csv").open("a") as confusion:
        confusion.write("Trouser,Dress\n")  # a mistake, which mistakes.csv then lacks
    for name in ("per_class", "training", "confusion", "mistakes"):
        path = workspace.path / f"plots/{name}.csv"
        good = path.read_bytes()
        path.write_text("")
        with subtests.test(name):
            told = call(workspace.path, "fashion_mnist.__main__", "report")
            assert told.code == 1
            assert told.err == f"error: plots/{name}.csv is empty: `dvc repro` makes it again\n"
        path.write_bytes(good)


DAMAGED = {
    "metrics/test.json": ["{}", '{"accuracy": 0.9}', "[]", '{"loss": NaN, "accuracy": 0.9}'],
    "metrics/baseline.json": ['{"validation": {"loss": 1}}'],
    "metrics/selection.json": ['{"best": 3, "loss": 1, "accuracy": 1}'],
    "metrics/data.json": ['{"train": {"images": 1}}'],
    "plots/training.csv": [
        "model,images,epoch,loss,accuracy\nbaseline,training,1,1,1\n",
        "model,images,epoch,loss\nbaseline,training,1,1\n",
    ],
    "plots/per_class.csv": ["class,f1\nBag,0.5\n", "class,precision,recall,f1\nBag,1,1,2\n"],
    "plots/confusion.csv": ["actual\nBag\n"],
    "plots/mistakes.csv": ["image,actual,predicted\n1,Bag,Shirt\n"],
}
READ_BY = {  # besides the report
    "metrics/test.json": ["results", "compare"],
    "metrics/selection.json": ["results"],
    "metrics/baseline.json": ["results"],
}


def test_a_result_that_a_merge_has_damaged_is_told_in_a_sentence(
    workspace: Workspace, call: Call, subtests: pytest.Subtests
):
    for name, damaged in DAMAGED.items():
        good = (workspace.path / name).read_bytes()
        for content in damaged:
            (workspace.path / name).write_text(content)
            for command in ("report", *READ_BY.get(name, [])):
                with subtests.test(command, name=name, content=content):
                    told = call(workspace.path, "fashion_mnist.__main__", command)
                    assert told.code == 1
                    said = rf"error: (workspace: )?{name} is damaged \(.+\).*\n"
                    assert re.fullmatch(said, told.err)
                    assert told.out == ""
        (workspace.path / name).write_bytes(good)


def test_a_model_without_mistakes_has_a_report(workspace: Workspace, call: Call):
    test = workspace.path / "data/processed/test.npz"
    data = dataset.read(test)
    model = load_model(workspace.path / "models/best_model.h5", FASHION)
    labels = predict(model, data.images).argmax(axis=1).astype(np.uint8)
    dataset.write(test, data._replace(labels=labels))
    assert call(workspace.path, "stages.evaluate").code == 0
    mistakes = (workspace.path / "plots/mistakes.csv").read_text()
    assert mistakes == "image,actual,predicted,confidence\n"
    assert call(workspace.path, "fashion_mnist.__main__", "report").code == 0
    report = (workspace.path / REPORT).read_text()
    assert "every test image is classified correctly" in report


def test_edits_since_the_training_are_listed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    workspace.set_params(recipes__quick__epochs=3, recipes__unused__epochs=4, split__seed=7)
    monkeypatch.chdir(workspace.path)
    text = Reader(report.render(report.contents())).text
    assert "(recipes.quick, split)" in text
    assert "with uncommitted changes" in text


def test_without_git_no_commit_is_named(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(workspace.path)
    monkeypatch.setenv("PATH", "")
    assert "git commit" not in report.render(report.contents())


def test_a_lock_with_marks_of_a_merge_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert params.recorded() == {}
    (tmp_path / "dvc.lock").write_text("<<<<<<< HEAD\na: 1\n=======\n")
    with pytest.raises(InputError, match=r"dvc\.lock is not YAML: line 2: "):
        params.recorded()


def test_a_lock_that_was_cut_off_is_read_or_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    whole = (ROOT / "dvc.lock").read_bytes()
    for end in range(0, len(whole), 397):
        (tmp_path / "dvc.lock").write_bytes(whole[:end])
        with contextlib.suppress(InputError):
            used = params.recorded()
            assert all(isinstance(values, dict) for values in used.values())


def test_a_model_trained_after_the_last_selection_is_told_in_a_sentence():
    epoch = {"model": "model-1", "epoch": 1.0, "loss": 0.5, "accuracy": 0.8}
    history = [epoch | {"images": images} for images in ("training", "validation")]
    assert report.last_epochs(history, "model-1")["last"]["loss"] == 0.5
    with pytest.raises(InputError, match=r"training\.csv has no epochs of model-5: `dvc repro`"):
        report.last_epochs(history, "model-5")


def test_a_recipe_is_described_in_words():
    described = words.recipe(
        recipe(
            "optimizer: {SGD: {learning_rate: 0.5, momentum: 0.9}}\n"
            "augmentation: [RandomFlip: {mode: horizontal}, RandomErasing]",
            schedule="cosine",
            warmup=0.1,
            label_smoothing=0.1,
            dropout_scale=0.5,
            mixup=0.2,
            early_stopping={"patience": 3},
        )
    )
    assert described == [
        "SGD (momentum 0.9), learning rate 0.5, with cosine decay to zero, "
        "after a warm-up over the first 10% of the steps",
        "2 epochs in batches of 32 images",
        "early stopping after 3 epochs without a lower validation loss",
        "label smoothing 0.1",
        "dropout at 0.5 times the architecture's rates",
        "mixup with alpha 0.2",
        "augmentation by RandomFlip (mode horizontal)",
        "augmentation by RandomErasing",
    ]


def test_a_network_is_described_on_one_line():
    block = "- Repeat: {times: 3, layers: [Residual: {layers: [Conv2D: {filters: 1}, ReLU]}]}"
    text = f"- ResidualBlock: {{filters: 16}}\n{block}\n{CLASSIFIER}"
    assert words.network(layers(text)) == (
        "ResidualBlock 16 > 3 x ((Conv2D > ReLU) + (identity)) > Flatten > Dense"
    )


def test_a_browser_shows_it_without_errors_requests_or_sideways_scrolling(
    written: Path, chromium: Chromium
):
    for width in (390, 1200):
        tab = chromium.open(written / REPORT, width)
        assert tab.errors == []
        assert tab.requests == []
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        small = "[...document.images].every(i => i.naturalWidth > 0 && i.width > 300)"
        assert tab.evaluate(small)
        if width == 1200:  # only a phone is too narrow for a table
            wide = (
                "[...document.querySelectorAll('.scroll')].map(e => e.scrollWidth - e.clientWidth)"
            )
            assert max(tab.evaluate(wide)) == 0
