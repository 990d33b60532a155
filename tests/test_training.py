"""Training, on a network and a data set so small that an epoch takes no time."""

import numpy as np
import pytest

from fashion_mnist import architectures, engine, models, recipes, training
from fashion_mnist.errors import InputError
from fashion_mnist.params import Recipe
from tests.conftest import TINY_NETWORK, TINY_RECIPE, tiny_set

LAYERS = [
    (entry, {}) if isinstance(entry, str) else next(iter(entry.items())) for entry in TINY_NETWORK
]
TRAINING = training.Examples(*tiny_set(200, seed=1))
VALIDATION = training.Examples(*tiny_set(50, seed=2))


def train(**changes: object) -> tuple[list[training.Epoch], training.Epoch, np.ndarray]:
    """Every epoch, the one that was kept, and the validation probabilities of the model."""
    engine.keras.utils.set_random_seed(1)
    model = architectures.build("tiny", LAYERS)
    recipe = Recipe.model_validate(TINY_RECIPE | changes)
    history: list[training.Epoch] = []
    kept = training.fit(model, "r", recipe, TRAINING, VALIDATION, 1, history.append)
    return history, kept, models.predict(model, VALIDATION.images)


def test_a_network_learns():
    history, _, _ = train(epochs=8)
    assert history[-1].loss < history[0].loss
    assert history[-1].val_accuracy > 0.5


def test_the_same_seed_gives_the_same_weights():
    np.testing.assert_array_equal(train()[2], train()[2])


def test_the_last_epoch_is_kept():
    history, kept, probabilities = train(epochs=3)
    assert kept == history[-1]
    right = (probabilities.argmax(axis=1) == VALIDATION.labels).mean()
    assert right == pytest.approx(kept.val_accuracy)


def test_early_stopping_keeps_the_best_weights():
    wild = {"Adam": {"learning_rate": 0.3}}
    history, kept, probabilities = train(optimizer=wild, epochs=30, early_stopping={"patience": 2})
    assert len(history) < 30
    assert kept.val_loss == min(epoch.val_loss for epoch in history)
    assert len(history) == kept.epoch + 2
    right = (probabilities.argmax(axis=1) == VALIDATION.labels).mean()
    assert right == pytest.approx(kept.val_accuracy)


@pytest.mark.parametrize("optimizer", ["SGD", "RMSprop", "AdamW", "Nadam", "Lion"])
def test_other_optimizers_train_too(optimizer: str):
    history, _, _ = train(optimizer={optimizer: {"learning_rate": 0.01}})
    assert np.isfinite(history[-1].val_loss)


def test_the_rest_of_a_set_that_fills_no_batch_is_trained_on():
    history, _, _ = train(batch_size=64)  # 200 = 3 x 64 + 8
    assert history[0].learning_rate == pytest.approx(0.01)


def recipe(**changes: object) -> Recipe:
    return Recipe.model_validate(TINY_RECIPE | changes)


def test_one_cycle_rises_to_its_peak_and_falls_to_nothing():
    schedule = recipes.schedule(recipe(schedule="one-cycle"), steps=100)
    rates = [float(schedule(step)) for step in range(101)]
    assert rates[0] == pytest.approx(0.01 / 25)
    assert max(rates) == rates[30] == pytest.approx(0.01)
    assert rates[100] == pytest.approx(0, abs=1e-9)


def test_cosine_falls_from_its_peak_to_nothing():
    schedule = recipes.schedule(recipe(schedule="cosine"), steps=100)
    assert [float(schedule(step)) for step in (0, 50, 100)] == pytest.approx([0.01, 0.005, 0])


def test_an_argument_that_an_optimizer_does_not_have_is_told():
    wrong = recipe(optimizer={"Adam": {"learning_rate": 0.1, "momentum": 0.9}})
    with pytest.raises(InputError, match=r"recipes.r.optimizer.Adam has no argument 'momentum'"):
        recipes.optimizer("r", wrong, steps=1)


def test_dropout_is_scaled_while_training_only():
    model = architectures.build("tiny", LAYERS)
    dropout = model.layers[2]
    with recipes.scaled_dropout(model, 0.5):
        assert dropout.rate == 0.05
    assert dropout.rate == 0.1
    with pytest.raises(InputError, match="must be below 1"), recipes.scaled_dropout(model, 10):
        pass
