"""The benchmark's page is made of its results, which are read from what programs print."""

import json

import pytest

from benchmarks import page, run
from fashion_mnist.learning.state import Epoch
from fashion_mnist.talk.training_log import epoch_line
from tests.conftest import ROOT

RESULTS = ROOT / "benchmarks/results.json"


def test_the_page_is_made_from_the_committed_results():
    measured = json.loads(RESULTS.read_text())
    assert page.text(measured) == (page.HERE / "README.md").read_text(encoding="utf-8")


def test_every_ratio_is_explained_and_follows_from_the_figures():
    measured = json.loads(RESULTS.read_text())
    assert set(measured["ratios"]) == set(page.RATIOS)
    for key, ratio in run.ratios(measured).items():
        assert ratio == pytest.approx(measured["ratios"][key], rel=1e-4)


def test_seconds_of_epochs_are_read_from_a_stages_log():
    seconds = [34.3, 20.0, 22.0]
    lines = [epoch_line(Epoch(i, 0.7, 0.9, 0.6, 0.8, 0.1), epochs=3) for i in (1, 2, 3)]
    log = "\n".join(f"{line}  {took} s" for line, took in zip(lines, seconds, strict=True))
    assert run.epochs(log) == seconds
    assert run.typical(seconds) == 21.0


def test_the_row_that_is_timed_is_as_accurate_as_the_original():
    assert run.quickest(ROOT)["accuracy"] >= run.ACCURACY
