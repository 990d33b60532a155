"""The benchmark's page says what its results say."""

import json

import pytest

from benchmarks import page, run
from tests.conftest import ROOT

RESULTS = ROOT / "benchmarks/results.json"


def test_the_page_is_made_from_the_committed_results():
    measured = json.loads(RESULTS.read_text())
    assert page.text(measured) == (page.HERE / "README.md").read_text(encoding="utf-8")


def test_every_ratio_has_a_goal_and_follows_from_the_figures():
    measured = json.loads(RESULTS.read_text())
    assert set(measured["ratios"]) == set(page.GOALS)
    for key, ratio in run.ratios(measured).items():
        assert ratio == pytest.approx(measured["ratios"][key], abs=1e-5)


def test_seconds_of_epochs_are_read_from_a_stages_log():
    log = (
        "epoch 1/2  loss 0.7  val_accuracy 0.8588  34.3 s\ndone\nepoch 2/2  val_accuracy 0.9  20 s"
    )
    assert run.epochs(log) == [34.3, 20.0]
    assert run.typical([34.3, 20.0, 22.0]) == 21.0
