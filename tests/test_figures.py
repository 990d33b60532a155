"""The pictures: what they say, and that the same numbers give the same bytes."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from fashion_mnist.reporting import report
from fashion_mnist.scoring import figures
from tests.conftest import ROOT, tiny_set
from tests.jobs import FASHION


def history(training: Sequence[float], validation: Sequence[float]) -> list[dict]:
    """A model's losses by epoch; its accuracies are 1 less these."""
    return [
        {"model": "m", "images": images, "epoch": epoch, "loss": loss, "accuracy": 1 - loss}
        for images, losses in (("training", training), ("validation", validation))
        for epoch, loss in enumerate(losses, start=1)
    ]


def texts(figure: Figure) -> list[str]:
    """All that is written in the axes and beside them, except numbers at ticks."""
    return [text.get_text() for part in (figure, *figure.axes) for text in part.texts]


LOSSES = [
    ([0.5, 0.4, 0.3, 0.2], [0.5, 0.3, 0.35, 0.4], 2),
    ([0.5, 0.4, 0.3, 0.2], [0.5, 0.4, 0.3, 0.2], None),  # still falls
    ([0.5, 0.4, 0.3, 0.2], [0.5, 0.4, 0.300, 0.301], None),  # noise
    ([0.5, 0.4, 0.9, 0.9], [0.5, 0.4, 0.9, 0.9], None),  # diverges on both
    ([0.5], [0.5], None),
    ([], [], None),
]


def test_a_model_overfits_after_its_lowest_validation_loss():
    for training, validation, epoch in LOSSES:
        found = figures.overfits_after(history(training, validation))
        assert found == epoch, (training, validation)


def test_the_epoch_is_marked_in_the_curves():
    overfitting = figures.training_curves("M", history([0.5, 0.4, 0.3], [0.5, 0.3, 0.4]))
    assert "overfits" in texts(overfitting)
    assert "overfits" not in texts(figures.training_curves("M", history([0.5, 0.4], [0.5, 0.4])))


def test_the_first_of_many_epochs_does_not_set_the_scale():
    for losses, top in (([9, 1, 0.8], 9), ([9, 1, 0.8, 0.7], 1)):
        low, high = figures.without_first(range(1, len(losses) + 1), losses)
        assert low < min(losses)
        assert top < high < 1.1 * top, losses


def test_several_models_are_a_mean_and_a_band_from_the_lowest_to_the_highest():
    axes = Figure().subplots()
    figures.draw_curves(
        axes, "loss", [history([0.5, 0.3], [0.6, 0.5]), history([0.7, 0.5], [0.6, 0.1])]
    )
    means = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert means["training"] == pytest.approx([0.6, 0.4])
    assert means["validation"] == pytest.approx([0.6, 0.3])
    band = axes.collections[1].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(0.1)
    assert band.max() == pytest.approx(0.6)


def test_the_confusion_matrix_counts_all_images_and_colours_mistakes_only():
    labels = np.repeat([0, 6, 9], [1000, 20, 5])
    predicted = labels.copy()
    predicted[1000:1004] = 0
    figure = figures.confusion(labels, predicted, FASHION.classes)
    assert sorted(texts(figure)) == sorted(["1,000", "4", "16", "5"])
    right, wrong = (image.get_array() for image in figure.axes[0].images)
    assert not wrong.mask[6, 0]
    assert wrong.mask.sum() == wrong.size - 1
    assert wrong[6, 0] == figure.axes[0].images[1].get_clim()[1] == 20  # percent
    assert not right.mask.diagonal().any()


def test_a_model_without_mistakes_has_a_confusion_matrix():
    figure = figures.confusion(np.arange(10), np.arange(10), FASHION.classes)
    assert texts(figure) == ["1"] * 10


def test_a_mistake_is_told_in_one_line_that_fits_its_picture():
    images, labels = tiny_set(10, seed=3)
    longest = sorted(range(10), key=lambda number: -len(FASHION.classes[number]))
    probabilities = np.full((10, 10), 1e-9)
    probabilities[:, longest[0]] = 0.99999
    evidence = np.ones((10, 28, 28))
    figure = figures.explanations(images, labels, probabilities, evidence, FASHION.classes)
    said = texts(figure)
    assert said[6] == "Shirt \N{RIGHTWARDS ARROW} T-shirt/top 99.9%"
    figure.canvas.draw()
    for text in figure.texts:
        assert text.get_window_extent().width < figures.EXPLANATIONS.width * figure.dpi


def test_what_speaks_for_a_decision_is_orange_and_against_it_blue():
    evidence = np.zeros((28, 28))
    evidence[3, 3], evidence[20, 20] = 2, -1
    red, _, blue = np.moveaxis(figures.tinted(np.zeros((28, 28), np.uint8), evidence), 2, 0)
    assert red[3, 3] > blue[3, 3]
    assert red[20, 20] < blue[20, 20] < red[3, 3]
    assert red.sum() == pytest.approx(red[3, 3] + red[20, 20])


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path):
    for name in ("first.png", "second.png"):
        figure = figures.training_curves("M", history([0.5, 0.4, 0.3], [0.5, 0.3, 0.4]))
        figures.save(figure, tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_no_mistakes_make_an_empty_picture(tmp_path: Path):
    nothing = np.zeros((0, 28, 28), np.uint8)
    figure = figures.explanations(
        nothing, np.zeros(0, int), np.zeros((0, 10)), nothing, FASHION.classes
    )
    figures.save(figure, tmp_path / "none.png")
    assert (tmp_path / "none.png").exists()


def test_the_plots_page_has_the_classes_in_one_order_on_both_axes():
    template = json.loads((ROOT / ".dvc/plots/confusion.json").read_text())
    for axis in ("x", "y"):
        assert template["spec"]["encoding"][axis]["sort"] == "ascending"


def test_training_and_validation_have_the_same_colours_in_every_picture():
    template = json.loads((ROOT / ".dvc/plots/training.json").read_text())
    colors = template["spec"]["encoding"]["color"]["scale"]["range"]
    assert colors == [figures.TRAINING, figures.VALIDATION]


def test_the_reports_curves_take_their_colours_from_the_style_sheet():
    svg = report.curves("a", "loss", [history([0.5, 0.4, 0.3], [0.5, 0.3, 0.4])], (0.2, 0.6))
    assert {"var(--training)", "var(--validation)", "var(--ink)"} <= set(
        re.findall(r"var\(--\w+\)", svg)
    )
    assert not re.search("#[0-9a-f]{6};", svg)  # black on a dark page could not be read
    assert svg == report.curves(
        "a", "loss", [history([0.5, 0.4, 0.3], [0.5, 0.3, 0.4])], (0.2, 0.6)
    )
