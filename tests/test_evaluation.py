"""Scores held against values worked out by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from fashion_mnist.learning.dataset import CLASS_NAMES
from fashion_mnist.scoring import scores

RANDOM = np.random.default_rng(3)
LABELS = RANDOM.integers(0, 10, 500)
PROBABILITIES = RANDOM.dirichlet(np.ones(10), 500)


def test_loss_and_accuracy_are_scikit_learns():
    loss, accuracy = scores.loss_and_accuracy(PROBABILITIES, LABELS)
    expected = log_loss(LABELS, PROBABILITIES, labels=range(10))
    assert loss == pytest.approx(expected, rel=1e-4)
    assert accuracy == accuracy_score(LABELS, PROBABILITIES.argmax(axis=1))


def test_a_sure_mistake_costs_a_finite_loss():
    loss, accuracy = scores.loss_and_accuracy(np.eye(10)[[0]], np.array([1]))
    assert (loss, accuracy) == (pytest.approx(16.118, abs=1e-3), 0)


def test_the_interval_is_wilsons():
    # Agresti & Coull 1998: for 9 of 10 the Wilson interval is 0.596 to 0.982.
    low, high = scores.accuracy_interval(9, 10)
    assert (low, high) == (pytest.approx(0.5958, abs=1e-4), pytest.approx(0.9821, abs=1e-4))


def test_calibration_error_is_zero_when_confidence_is_accuracy():
    probabilities = np.full((10, 10), 0.2 / 9)
    probabilities[:, 0] = 0.8
    labels = np.array([0] * 8 + [1] * 2)
    assert scores.expected_calibration_error(probabilities, labels) == pytest.approx(0)


def test_calibration_error_is_the_gap_when_always_sure_and_half_right():
    labels = np.array([0, 1])
    assert scores.expected_calibration_error(np.eye(10)[[0, 0]], labels) == pytest.approx(0.5)


def test_mcnemars_test_is_exact():
    assert scores.mcnemar(2, 10) == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert scores.mcnemar(0, 0) == 1


def test_scores_name_every_class():
    scores = scores.scores(PROBABILITIES, LABELS)
    assert tuple(scores["classes"]) == CLASS_NAMES
    assert scores["accuracy_low"] < scores["accuracy"] < scores["accuracy_high"]


def test_mistakes_come_surest_first_and_are_all_wrong():
    worst = scores.most_confident_mistakes(PROBABILITIES, LABELS, 20)
    confidence = PROBABILITIES.max(axis=1)[worst]
    assert (np.diff(confidence) <= 0).all()
    assert (PROBABILITIES.argmax(axis=1)[worst] != LABELS[worst]).all()
