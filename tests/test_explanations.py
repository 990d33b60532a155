"""What a decision rests on, for models of which it is known."""

from collections.abc import Callable

import numpy as np
import pytest

from fashion_mnist.scoring import occlusion

ROWS, COLUMNS = slice(6, 12), slice(14, 22)  # all that the models of `looking` look at


def looking(log_odds: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """A model that decides between classes 3 and 0 by a place's mean brightness alone.

    Args:
        log_odds: of class 3, by the brightness.
    """

    def model(images: np.ndarray) -> np.ndarray:
        given = np.zeros((len(images), 10))
        brightness = images[:, ROWS, COLUMNS].mean(axis=(1, 2))
        given[:, 3] = 1 / (1 + np.exp(-log_odds(brightness)))
        given[:, 0] = 1 - given[:, 3]
        return given

    return model


@pytest.fixture
def images() -> np.ndarray:
    random = np.random.default_rng(1)
    images = random.integers(0, 40, (2, 28, 28), dtype=np.uint8)
    images[:, ROWS, COLUMNS] = 200
    return images


def test_a_decision_rests_on_the_place_that_the_model_looks_at(images: np.ndarray):
    for values in occlusion.evidence(looking(lambda x: (x - 100) / 10), images):
        row, column = np.unravel_index(values.argmax(), values.shape)
        assert 6 <= row < 12
        assert 14 <= column < 22
        assert values[ROWS, COLUMNS].min() > 0
        near = 5 - 1  # a patch's edge
        values[6 - near : 12 + near, 14 - near : 22 + near] = 0
        np.testing.assert_allclose(values, 0, atol=1e-9)


def test_what_speaks_against_the_decision_is_negative(images: np.ndarray):
    in_spite_of_the_light = looking(lambda x: (240 - x) / 10)
    assert (occlusion.evidence(in_spite_of_the_light, images)[:, ROWS, COLUMNS] < 0).all()


def test_a_pixel_that_decides_alone_is_worth_its_log_odds():
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 8, 16] = 196  # the image's mean, which fills the patches, rounds to 0
    values = occlusion.evidence(looking(lambda x: x), image)[0]
    assert values[8, 16] == values.max() == pytest.approx(196 / (6 * 8))
    assert not values[14:].any()


def test_a_model_that_is_sure_beyond_doubt_is_explained_too(images: np.ndarray):
    def certain(images: np.ndarray) -> np.ndarray:
        return np.eye(10)[np.full(len(images), 4)]

    assert not occlusion.evidence(certain, images).any()


def test_every_pixel_is_covered_as_often_as_its_neighbours():
    times = occlusion.patches(28, 28).sum(axis=0)
    assert times.min() >= 4
    assert times.max() <= 9


def test_no_images_need_no_explanation():
    assert occlusion.evidence(looking(lambda x: x), np.zeros((0, 28, 28), np.uint8)).shape[0] == 0
