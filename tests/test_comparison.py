"""The comparison's own pipeline, on a small data set, and its networks."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from fashion_mnist.rows import model_file

from comparison import page
from fashion_mnist.learning import dataset, networks, prediction
from fashion_mnist.model_files import loading
from fashion_mnist.running import params
from tests.conftest import ROOT, Workspace

pytestmark = pytest.mark.slow

SIZES = {  # millions of parameters, as their authors give them
    "resnet-20": 0.27,
    "wide-resnet-28-10": 36.5,
    "wide-resnet-40-4": 8.9,
}


@pytest.fixture(scope="session")
def compared(finished_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which two small rows were trained, and a third was only counted."""
    workspace = finished_workspace.copy(tmp_path_factory.mktemp("compared") / "project")
    shutil.copytree(
        ROOT / "comparison", workspace.path / "comparison", ignore=shutil.ignore_patterns("*.lock")
    )
    row = {"architecture": "tiny", "recipe": "quick", "threads": 1, "published": {"someone": 0.9}}
    workspace.set_params(
        comparison={
            "one": row | {"seeds": [1, 2]},
            "other": row | {"seeds": [3]},
            "counted": row | {"seeds": []},
        },
        ensemble=["one", "other"],
    )
    done = workspace.run("python", "-m", "fashion_mnist.parallel", "comparison/dvc.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace


def comparison(workspace: Workspace) -> dict:
    return json.loads((workspace.path / "metrics/comparison.json").read_text())


def test_each_row_has_its_accuracy_with_an_interval_beside_what_is_published(compared: Workspace):
    one, other, counted, _ = comparison(compared)["rows"]
    assert [one["name"], other["name"], counted["name"]] == ["one", "other", "counted"]
    assert one["accuracy_low"] < one["accuracy"] < one["accuracy_high"]
    assert one["accuracy"] == pytest.approx(sum(one["by_seed"]) / 2)
    assert one["by_seed"][0] != one["by_seed"][1]
    assert one["published"] == {"someone": 0.9}
    assert (one["seeds"], other["seeds"], counted["seeds"]) == ([1, 2], [3], [])


def test_a_row_without_seeds_is_counted_and_not_trained(compared: Workspace):
    one, _, counted, _ = comparison(compared)["rows"]
    assert counted["accuracy"] is None
    assert (counted["parameters"], counted["multiply_adds"]) == (
        one["parameters"],
        one["multiply_adds"],
    )


def test_two_rows_are_compared_image_by_image(compared: Workspace):
    pair = comparison(compared)["pairs"][0]
    assert (pair["a"], pair["b"]) == ("one", "other")
    one, other, *_ = comparison(compared)["rows"]
    difference = (pair["only_a"] - pair["only_b"]) / 100
    assert difference == pytest.approx(one["by_seed"][0] - other["by_seed"][0])
    assert 0 < pair["p"] <= 1


def test_the_ensemble_is_as_large_as_all_of_its_models(compared: Workspace):
    one, other, _, together = comparison(compared)["rows"]
    assert together["name"] == "ensemble"
    for key in ("parameters", "multiply_adds"):
        assert together[key] == 2 * one[key] + other[key]


def test_the_ensemble_averages_the_probabilities_of_its_models(compared: Workspace):
    images, labels = dataset.read(compared.path / "data/processed/test.npz")
    files = [model_file(name, seed) for name, seed in (("one", 1), ("one", 2), ("other", 3))]
    said = [prediction.predict(loading.load_model(compared.path / file), images) for file in files]
    *_, together = comparison(compared)["rows"]
    right = np.mean(said, axis=0).argmax(axis=1) == labels
    assert together["accuracy"] == pytest.approx(right.mean())


def test_a_row_can_be_scored_again_from_its_file(compared: Workspace):
    done = compared.run(
        "python", "-m", "stages.evaluate", "--model", "models/comparison/one/seed-1.h5"
    )
    accuracy = comparison(compared)["rows"][0]["by_seed"][0]
    assert f"accuracy {accuracy:.2%}" in done.stdout


def test_only_what_an_edit_can_have_changed_runs_again(compared: Workspace, tmp_path: Path):
    workspace = compared.copy(tmp_path / "project")
    rows = workspace.params()["comparison"]
    rows["other"]["seeds"] = [4]
    rows["one"]["published"] = {}
    del rows["counted"]
    workspace.set_params(comparison=rows)
    ran = workspace.repro("comparison/dvc.yaml")
    assert ran == ["comparison/dvc.yaml:row@other", "comparison/dvc.yaml:tabulate"]
    assert not (workspace.path / "models/comparison/counted").exists()
    assert [row["name"] for row in comparison(workspace)["rows"]] == ["one", "other", "ensemble"]


def test_the_pipeline_itself_does_not_see_the_comparison(compared: Workspace):
    assert compared.run("dvc", "repro").stdout.count("Running stage") == 0
    done = compared.run("python", "-m", "fashion_mnist.parallel")
    assert done.stdout == "nothing to do: 7 of 7 stages are up to date\n"


def test_an_unknown_row_is_one_sentence(compared: Workspace):
    done = compared.run("python", "-m", "stages.compare", "on")
    assert done.returncode == 1
    assert done.stderr == ("error: params.yaml: comparison has no row 'on'; did you mean one?\n")


@pytest.mark.parametrize(("name", "millions"), SIZES.items())
def test_a_network_is_as_large_as_its_authors_say(name: str, millions: float):
    layers = params.load(ROOT / "params.yaml").architectures[name]
    size = networks.build(name, layers).count_params() / 1e6
    assert size == pytest.approx(millions, rel=0.02)


def test_the_page_shows_what_was_measured(compared: Workspace):
    shutil.copy(ROOT / "README.md", compared.path)
    done = compared.run("python", "-m", "comparison.page")
    assert done.returncode == 0, done.stderr
    one, other, _, together = comparison(compared)["rows"]
    for name in ("comparison/README.md", "README.md"):
        text = (compared.path / name).read_text()
        assert f"| `one` | {one['accuracy']:.2%} (" in text
        assert f"| `other` | {other['accuracy']:.2%} (" in text
        assert "| `counted` | not trained |" in text
        assert f"| `ensemble` | {together['accuracy']:.2%} (" in text
    assert (compared.path / "comparison/accuracy.png").stat().st_size > 10_000


def test_the_pages_are_made_from_the_committed_results():
    compared = json.loads((ROOT / "metrics/comparison.json").read_text())
    times = {row["name"]: page.seconds(row) for row in compared["rows"]}
    assert (ROOT / "comparison/README.md").read_text("utf-8") == page.page(compared, times)
    assert page.table(compared["rows"]) in (ROOT / "README.md").read_text("utf-8")
