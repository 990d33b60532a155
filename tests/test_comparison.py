"""The comparison's own pipeline, on a small data set."""

import json
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import yaml
from dvc.repo import Repo

from comparison import page
from comparison.calibrated import images
from comparison.predicted import predictions, six_views
from comparison.talk import card, params
from fashion_mnist.candidates.jobs import Split
from fashion_mnist.commands import models
from fashion_mnist.errors import InputError
from fashion_mnist.learning import prediction
from fashion_mnist.model_files import contents, loading
from fashion_mnist.reporting import markdown
from fashion_mnist.scoring import calibration
from fashion_mnist.storage import dataset, parameters
from tests.conftest import ROOT, TINY_NETWORK, TINY_RECIPE, Call, Workspace
from tests.jobs import FASHION
from tests.processes import only_once
from tests.test_pipeline import stale

ROW = {"layers": TINY_NETWORK, "recipe": TINY_RECIPE}
MODELS = {
    "one-1": {"row": "one", "seed": 1, "threads": 1},
    "one-2": {"row": "one", "seed": 2, "threads": 1},
    "other-3": {"row": "other", "seed": 3, "threads": 1},
}
CALIBRATION = {
    "row": "other",
    "epochs": 1,
    "seed": 4,
    "threads": 1,
    "split": {"strategy": "stratified", "validation_fraction": 0.25, "seed": 5},
}
# All stages in one process, so that TensorFlow is loaded once.
RUN = f"""
import sys
from comparison import hold_out, predict, publish, tabulate, train
for sys.argv[1:] in ([name] for name in {[*MODELS]}):
    train.main()
    predict.main()
sys.argv[1:] = []
hold_out.main()
publish.main()
tabulate.main()
"""


def set_params(workspace: Workspace, **sections: object) -> None:
    path = workspace.path / "comparison/params.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | sections, sort_keys=False))


@pytest.fixture(scope="session")
def compared(finished_workspace: Workspace, shared: Path) -> Workspace:
    """A workspace with two rows of three models, and a row without a model."""
    path = shared / "compared"

    def make() -> None:
        workspace = finished_workspace.copy(path)
        set_params(
            workspace,
            models=MODELS,
            rows={"one": ROW, "other": ROW, "waiting": ROW},
            ladder=[{"accuracy": 0.9, "seconds": 1, "row": "one", "processor": "any"}],
            ensemble=["one", "other"],
            best="other-3",
            calibration=CALIBRATION,
            published={"one": [{"accuracy": 0.9, "source": "someone"}]},
        )
        done = workspace.run("python", "-c", RUN, folder="comparison")
        assert done.returncode == 0, done.stderr
        done = workspace.run("dvc", "commit", "--force", folder="comparison")
        assert done.returncode == 0, done.stderr
        workspace.git("add", ".")
        workspace.git("commit", "-qm", "A comparison")

    only_once(path, make)
    return Workspace(path)


@pytest.fixture
def comparing(compared: Workspace, tmp_path: Path) -> Workspace:
    """Such a workspace of the test's own."""
    return compared.copy(tmp_path / "comparing")


def results(workspace: Workspace) -> dict:
    return json.loads((workspace.path / "comparison/results.json").read_text())


def test_each_row_has_its_accuracy_with_an_interval_beside_what_is_published(compared: Workspace):
    one, other, together = results(compared)["rows"]
    assert [one["name"], other["name"], together["name"]] == ["one", "other", "ensemble"]
    assert one["accuracy_low"] < one["accuracy"] < one["accuracy_high"]
    assert one["accuracy"] == pytest.approx(sum(one["by_seed"]) / 2)
    assert one["by_seed"][0] != one["by_seed"][1]
    assert one["published"] == [{"accuracy": 0.9, "source": "someone"}]
    assert (one["seeds"], other["seeds"]) == ([1, 2], [3])
    assert 0 < one["seconds"] < 60
    assert together["seconds"] == pytest.approx(2 * one["seconds"] + other["seconds"])


def test_networks_are_compared_over_all_seeds(compared: Workspace):
    pair = results(compared)["pairs"][0]
    one, other, *_ = results(compared)["rows"]
    assert (pair["a"], pair["b"]) == ("one", "other")
    assert pair["difference"] == pytest.approx(other["accuracy"] - one["accuracy"])
    assert 0 < pair["p"] <= 1


def test_the_ensemble_averages_the_probabilities_of_its_models(
    compared: Workspace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(compared.path / "comparison")
    kept = [predictions.read(name) for name in MODELS]
    averaged = np.mean([each.probabilities.astype(np.float32) for each in kept], axis=0)
    one, other, together = results(compared)["rows"]
    correct = averaged.argmax(axis=1) == kept[0].labels
    assert together["accuracy"] == pytest.approx(correct.mean())
    assert together["parameters"] == 2 * one["parameters"] + other["parameters"]


def test_six_views_are_the_image_and_its_mirror_image_at_three_places():
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 10, 5] = 1
    lit = [tuple(map(int, np.argwhere(seen[0])[0])) for seen in six_views.of(image)]
    assert lit == [(10, 5), (9, 4), (11, 6), (10, 22), (9, 21), (11, 23)]


def test_what_a_view_brings_in_is_black():
    white = np.full((1, 28, 28), 255, np.uint8)
    _, up_left, *_ = six_views.of(white)
    white[:, 27] = white[:, :, 27] = 0
    np.testing.assert_array_equal(up_left, white)


def test_the_mean_of_six_views_has_a_figure_of_its_own(
    compared: Workspace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(compared.path / "comparison")
    images, labels, _ = dataset.read("../data/processed/test.npz")
    model = loading.load_model("models/other-3.h5", FASHION)
    mean = np.mean([prediction.predict(model, seen) for seen in six_views.of(images)], axis=0)
    kept = predictions.read(six_views.name_of_mean("other-3")).probabilities
    np.testing.assert_allclose(kept, mean, atol=1e-3)
    found = results(compared)["rows"][1]["six_views"]["accuracy"]
    assert found == pytest.approx((kept.argmax(axis=1) == labels).mean())


def test_the_published_model_is_the_one_that_params_name_with_calibrated_probabilities(
    compared: Workspace,
):
    folder = compared.path / "comparison"
    shown, _, names = dataset.read(compared.path / "data/processed/test.npz")
    found = {
        name: prediction.predict(loading.load_model(folder / name, FASHION), shown)
        for name in ("best_model.h5", "models/other-3.h5")
    }
    temperature = json.loads((folder / "calibration.json").read_text())["temperature"]
    assert temperature != 1
    expected = calibration.at_temperature(found["models/other-3.h5"], temperature)
    np.testing.assert_allclose(found["best_model.h5"], expected, atol=1e-5)
    assert contents.read(folder / "best_model.h5").classes == tuple(names)


def test_the_temperature_is_the_one_that_fits_the_held_out_images_best(compared: Workspace):
    found = json.loads((compared.path / "comparison/calibration.json").read_text())
    assert found["after"]["loss"] < found["before"]["loss"]
    assert found["after"]["accuracy"] == found["before"]["accuracy"]
    with chdir(compared.path / "comparison"):
        taught, held_out = images.divided(Split(**CALIBRATION["split"]))
        every = dataset.read("../data/processed/train.npz")
    assert found["images"] == len(held_out.labels) == len(every.labels) / 4
    both = np.concatenate([taught.images, held_out.images])
    assert sorted(map(bytes, both)) == sorted(map(bytes, every.images)), "no image is in both"


def test_the_published_model_gives_the_predictions_in_git(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT / "comparison")
    kept = predictions.read(params.load().best)
    temperature = json.loads(Path("calibration.json").read_text())["temperature"]
    with np.load(ROOT / "tests/models/images.npz", allow_pickle=False) as file:
        shown = file["images"]  # the first of the test set
    model = loading.load_model(ROOT / models.model_file("best-of-comparison"), FASHION)
    found = prediction.predict(model, shown)
    expected = calibration.at_temperature(kept.probabilities[: len(shown)], temperature)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_predictions_are_those_of_the_model_on_the_test_images(
    compared: Workspace, call: Call, monkeypatch: pytest.MonkeyPatch
):
    done = call(compared.path, "fashion_mnist.__main__", "score", "comparison/models/other-3.h5")
    assert f" {results(compared)['rows'][1]['accuracy']:.2%} " in done.out
    monkeypatch.chdir(compared.path / "comparison")
    _, labels, _ = dataset.read("../data/processed/test.npz")
    np.testing.assert_array_equal(predictions.read("other-3").labels, labels)


def test_a_new_seed_trains_one_model(comparing: Workspace):
    set_params(comparing, models=MODELS | {"other-4": MODELS["other-3"] | {"seed": 4}})
    with chdir(comparing.path / "comparison"), Repo() as repo:
        assert set(repo.status()) == {"train@other-4", "predict@other-4", "tabulate"}


def test_publishing_another_seed_calibrates_with_the_same_held_out_model(comparing: Workspace):
    set_params(
        comparing, models=MODELS | {"other-4": MODELS["other-3"] | {"seed": 4}}, best="other-4"
    )
    with chdir(comparing.path / "comparison"), Repo() as repo:
        stages = {"train@other-4", "predict@other-4", "publish", "tabulate"}
        assert set(repo.status()) == stages


def test_an_edited_row_trains_its_own_models(comparing: Workspace):
    wider = ROW | {"recipe": TINY_RECIPE | {"epochs": 3}}
    set_params(comparing, rows={"one": ROW, "other": wider, "waiting": ROW})
    assert stale(comparing, "comparison") == {"train@other-3", "hold_out", "publish", "tabulate"}


def test_an_edit_of_what_is_predicted_trains_no_model(comparing: Workspace):
    for path in ("predict.py", "predicted/predictions.py"):
        with (comparing.path / "comparison" / path).open("a") as code:
            code.write("\n# edited\n")
    predict = {f"predict@{name}" for name in MODELS}
    assert stale(comparing, "comparison") == predict | {"tabulate"}


def test_a_model_that_was_trained_before_comes_from_the_run_cache(comparing: Workspace):
    folder = comparing.path / "comparison"
    model = folder / "models/other-3.h5"
    before = model.read_bytes()
    model.unlink()
    (folder / "dvc.lock").unlink()
    done = comparing.run("dvc", "repro", "train@other-3", "-s", folder="comparison")
    assert "is cached - skipping run" in done.stdout
    assert model.read_bytes() == before


def test_the_table_is_made_again_in_a_fresh_clone_without_training(
    compared: Workspace, tmp_path: Path, call: Call
):
    compared.git("clone", "-q", ".", str(tmp_path / "clone"))
    made = tmp_path / "clone/comparison/results.json"
    before = made.read_bytes()
    made.unlink()
    assert call(tmp_path / "clone/comparison", "comparison.tabulate").code == 0
    assert made.read_bytes() == before


def test_the_table_is_a_stage_that_runs_in_its_folder(comparing: Workspace):
    made = comparing.path / "comparison/results.json"
    before = made.read_bytes()
    made.unlink()
    done = comparing.run("python", "-m", "dvc_parallel", folder="comparison")
    assert done.returncode == 0, done.stdout + done.stderr
    assert made.read_bytes() == before
    assert comparing.git("status", "--porcelain") == ""


def test_the_root_does_not_see_the_comparison(compared: Workspace):
    assert stale(compared) == set()
    done = compared.run("dvc", "checkout")
    assert done.returncode == 0, done.stderr
    assert "comparison" not in done.stdout + done.stderr


def test_an_unknown_model_is_one_sentence(comparing: Workspace, call: Call):
    done = call(comparing.path / "comparison", "comparison.train", "on-1")
    assert done.code == 1
    assert done.err == (
        "error: params.yaml: models: no model is named 'on-1'; did you mean one-1?\n"
    )


MISTAKES = [
    ({"models": {"one-1": MODELS["one-1"] | {"row": "won"}}}, "models: no row is named 'won'"),
    ({"ensemble": ["waiting"]}, "ensemble: no row with a model is named 'waiting'"),
    (
        {
            "rows": {
                "one": ROW | {"layers": [*TINY_NETWORK[:-1], {"Dense": {"units": 10}}, "Softmax"]}
            }
        },
        "rows.one.layers: must end in Dense with softmax",
    ),
    (
        {"ladder": [{"accuracy": 0.9, "seconds": 1, "row": "waiting", "processor": "any"}]},
        "ladder: no row with a model is named 'waiting'",
    ),
    (
        {"ladder": [{"accuracy": 0.9, "row": "ensemble", "processor": "any"}]},
        "ladder: no row with a model is named 'ensemble'",
    ),
    ({"best": "one-3"}, "best: no model is named 'one-3'; did you mean one-"),
    (
        {"calibration": CALIBRATION | {"row": "one"}},
        "calibration.row: must be other, the row of other-3, not one",
    ),
    (
        {"published": {"one": [{"accuracy": 0.9, "source": "x", "sauce": "y"}]}},
        "published.one[0].sauce: no such key; did you mean source?",
    ),
    ({"models": {"one-1": {"row": "one", "seed": 1}}}, "models.one-1.threads: is missing"),
    (
        {"rows": {"one": ROW | {"recipe": TINY_RECIPE | {"early_stopping": {"patience": 1}}}}},
        "rows.one.recipe.early_stopping: it needs validation images",
    ),
    (
        {"rows": {"one": ROW | {"layers": ["Flaten"]}}},
        "rows.one.layers[0]: no layer is named 'Flaten'; did you mean Flatten?",
    ),
]


def test_a_mistake_is_named_by_its_path(
    comparing: Workspace, call: Call, subtests: pytest.Subtests
):
    folder = comparing.path / "comparison"
    good = (folder / "params.yaml").read_bytes()
    for sections, said in MISTAKES:
        (folder / "params.yaml").write_bytes(good)
        set_params(comparing, **{"ladder": [], "ensemble": [], "published": {}} | sections)
        if "rows" in sections:
            set_params(comparing, models={"one-1": MODELS["one-1"]}, best="one-1")
            set_params(comparing, calibration=CALIBRATION | {"row": "one"})
        with subtests.test(said):
            done = call(folder, "comparison.tabulate")
            assert done.code == 1
            assert said in done.err


def test_a_time_that_an_interrupted_run_began_is_not_reported(comparing: Workspace, call: Call):
    folder = comparing.path / "comparison"
    times = folder / "times/other-3.json"
    assert json.loads(times.read_text())["seconds"] > 0
    times.unlink()
    times.mkdir()  # ends the stage after its last epoch
    assert call(folder, "comparison.train", "other-3").code == 1
    times.rmdir()
    assert call(folder, "comparison.train", "other-3").code == 0
    assert json.loads(times.read_text()) == {"seconds": None}


def test_the_ladder_shows_what_was_wanted_beside_what_was_reached(compared: Workspace):
    one, _, together = rows = results(compared)["rows"]
    rungs = [
        {"accuracy": 0.9, "seconds": 1200, "row": "one", "processor": "quick"},
        {"accuracy": 0.91, "row": "ensemble", "processor": "slow"},
    ]
    shown = page.ladder(rows, rungs)
    assert f"| 90.00% within 1,200 s | `one` | {one['accuracy']:.2%} | 2: " in shown
    assert f"| {one['seconds']:.1f} s | quick | reached |" in shown
    assert f"| 91.00% | `ensemble` | {together['accuracy']:.2%} |  | " in shown
    assert f"| {together['seconds']:.1f} s | slow | " in shown


@pytest.mark.parametrize(
    ("accuracy", "seconds", "verdict"),
    [
        (0.9, 120, "reached"),
        (0.8974, 120, "missed by 0.26 points"),
        (0.9, 127.9, "missed by 7.9 s"),
        (0.8974, 127.9, "missed by 0.26 points, 7.9 s"),
        (0.9, None, "not measured | any | not measured"),
    ],
)
def test_a_goal_is_missed_by_points_of_accuracy_or_by_seconds(
    accuracy: float, seconds: float | None, verdict: str
):
    row = {"name": "one", "accuracy": accuracy, "seconds": seconds, "seeds": [1], "by_seed": [0.9]}
    rung = {"accuracy": 0.9, "seconds": 120, "row": "one", "processor": "any"}
    shown = page.ladder([row], [rung])
    assert f" | {verdict} |" in shown


def test_a_page_without_the_place_for_a_section_is_refused():
    assert markdown.with_section("<!-- a -->\n<!-- end of a -->", "a", "new").count("new") == 1
    with pytest.raises(InputError, match="<!-- a --> and <!-- end of a -->"):
        markdown.with_section("a page", "a", "new")


def test_the_pages_are_made_from_the_committed_results(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT / "comparison")
    compared = json.loads(Path("results.json").read_text())
    assert Path("README.md").read_text("utf-8") == page.page(compared, parameters.read()["ladder"])
    in_readme = page.table(page.in_short(compared["rows"]))
    assert in_readme in (ROOT / "README.md").read_text("utf-8")
    committed = page.CARD.read_text("utf-8")
    assert card.text(committed, params.load().best) == committed
