"""Scores held against values worked out by hand, and against scikit-learn."""

import itertools

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, log_loss

from fashion_mnist.checking import params
from fashion_mnist.learning import networks
from fashion_mnist.learning.prediction import loss_and_accuracy
from fashion_mnist.scoring import calibration, scores
from fashion_mnist.scoring.significance import holm, paired_permutation
from fashion_mnist.scoring.size import multiply_adds
from tests.conftest import ROOT
from tests.jobs import CLASSIFIER, FASHION, layers

RANDOM = np.random.default_rng(3)
LABELS = RANDOM.integers(0, 10, 500)
PROBABILITIES = RANDOM.dirichlet(np.ones(10), 500)


def test_loss_and_accuracy_are_scikit_learns():
    loss, accuracy = loss_and_accuracy(PROBABILITIES, LABELS)
    expected = log_loss(LABELS, PROBABILITIES, labels=range(10))
    assert loss == pytest.approx(expected, rel=1e-4)
    assert accuracy == accuracy_score(LABELS, PROBABILITIES.argmax(axis=1))


def test_a_sure_mistake_costs_a_finite_loss():
    loss, accuracy = loss_and_accuracy(np.eye(10)[[0]], np.array([1]))
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


def test_a_temperature_divides_logits():
    logits = RANDOM.normal(size=(4, 10))
    found = calibration.at_temperature(softmax(logits, axis=1), 0.5)
    np.testing.assert_allclose(found, softmax(logits / 0.5, axis=1))


def test_the_fitted_temperature_undoes_the_one_that_made_a_model_overconfident():
    true = RANDOM.dirichlet(np.ones(10), 50_000)
    labels = (true.cumsum(axis=1) > RANDOM.random((len(true), 1))).argmax(axis=1)
    overconfident = calibration.at_temperature(true, 1 / 3)
    found = calibration.fitted_temperature(overconfident, labels)
    assert found == pytest.approx(3, rel=0.02)
    calibrated = calibration.at_temperature(overconfident, found)
    assert scores.expected_calibration_error(overconfident, labels) > 0.1
    assert scores.expected_calibration_error(calibrated, labels) < 0.01


def test_the_interval_contains_the_accuracy():
    found = scores.scores(PROBABILITIES, LABELS)
    assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]
    assert found.keys() == {*scores.in_short(PROBABILITIES, LABELS), "calibration_error"}


def test_each_class_has_its_precision_recall_and_f1():
    labels = np.array([0, 0, 0, 1])
    rows = scores.by_class(np.array([0, 0, 1, 1]), labels, FASHION.classes)
    assert tuple(row["class"] for row in rows) == FASHION.classes
    first, second, third = (tuple(row.values())[1:] for row in rows[:3])
    assert first == pytest.approx((1, 2 / 3, 0.8))
    assert second == pytest.approx((1 / 2, 1, 2 / 3))
    assert third == (0, 0, 0)  # neither predicted nor there


def test_mistakes_come_surest_first_and_are_all_wrong():
    worst = scores.most_confident_mistakes(PROBABILITIES, LABELS, 20)
    confidence = PROBABILITIES.max(axis=1)[worst]
    assert (np.diff(confidence) <= 0).all()
    assert (PROBABILITIES.argmax(axis=1)[worst] != LABELS[worst]).all()


def test_networks_that_are_right_about_the_same_images_do_not_differ():
    right = np.array([[False, True, True]])
    assert paired_permutation(right, right) == 1


def test_of_one_seed_each_the_p_value_is_a_binomial_tests():
    # as McNemar's exact test
    expected = {(0, 5): 2 / 2**5, (2, 10): 2 * (1 + 12 + 66) / 2**12, (3, 3): 1}
    for (only_a, only_b), p in expected.items():
        a = np.array([[True] * only_a + [False] * only_b + [True] * 100])
        b = np.array([[False] * only_a + [True] * only_b + [True] * 100])
        assert paired_permutation(a, b) == pytest.approx(p), (only_a, only_b)
        assert paired_permutation(b, a) == pytest.approx(p), (only_a, only_b)


def test_of_several_seeds_the_p_value_counts_every_exchange():
    random = np.random.default_rng(1)
    a, b = random.random((3, 10)) < 0.5, random.random((2, 10)) < 0.8
    differences = b.mean(axis=0) - a.mean(axis=0)
    signs = np.array(list(itertools.product((-1, 1), repeat=10)))
    sums = np.abs((signs * differences).sum(axis=1))
    expected = (sums >= abs(differences.sum()) - 1e-9).mean()
    assert paired_permutation(a, b) == pytest.approx(expected)


def test_a_clear_difference_stays_significant_however_many_pairs_are_tested():
    assert 1000 * paired_permutation(np.zeros((1, 200), bool), np.ones((1, 200), bool)) < 1e-9


def test_holms_correction_multiplies_the_smallest_p_value_by_the_number_of_tests():
    # Holm 1979: 3 * 0.01, then 2 * 0.02, then the larger of 1 * 0.03 and the one before.
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.5, 0.9]) == [1.0, 1.0]


def test_multiply_adds_of_the_improved_network_are_those_counted_by_hand():
    published = params.load(ROOT / "params.yaml").architectures["improved"]
    first = 26 * 26 * 32 * (3 * 3 * 1)
    second = 11 * 11 * 64 * (3 * 3 * 32)
    dense = 5 * 5 * 64 * 128 + 128 * 10
    assert multiply_adds(networks.build(published, FASHION)) == first + second + dense


PIXELS = 28 * 28
DENSE = PIXELS * 10  # after one channel
CONVOLUTION = "Conv2D: {filters: 4, kernel_size: 3, padding: same}"


COUNTED = [
    (f"- {CONVOLUTION}", PIXELS * 9 * 4 + 4 * DENSE),
    ("- SeparableConv2D: {filters: 5, kernel_size: 1}", PIXELS * (1 + 5) + 5 * DENSE),
    ("- PReLU", DENSE),
    (
        "- Conv2DTranspose: {filters: 4, kernel_size: 2, strides: 2}",
        PIXELS * 4 * 4 + 4 * (4 * DENSE),
    ),
    (
        "- Reshape: {target_shape: [28, 28]}\n- LSTM: {units: 3}",
        28 * (28 + 3) * 4 * 3 + 3 * 10,
    ),
    ("- PReLU: {shared_axes: [1, 2]}\n- BatchNormalization", DENSE),
    ("- LayerNormalization: {axis: [1, 2, 3]}", DENSE),
    (
        f"- Repeat: {{times: 3, layers: [{CONVOLUTION}]}}",
        PIXELS * 9 * (1 * 4 + 4 * 4 + 4 * 4) + 4 * DENSE,
    ),
    (
        f"- Residual: {{layers: [{CONVOLUTION}], "
        "shortcut: [Conv2D: {filters: 4, kernel_size: 1}]}",
        PIXELS * (9 * 4 + 4) + 4 * DENSE,
    ),
]


def test_multiply_adds_are_those_of_convolutions_and_dense_layers_only(subtests: pytest.Subtests):
    for text, count in COUNTED:
        with subtests.test(text.replace("\n", " ")):
            network = networks.build(layers(f"{text}\n{CLASSIFIER}"), FASHION)
            assert multiply_adds(network) == count
