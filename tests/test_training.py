"""Training, on a network and a data set so small that an epoch takes no time."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.errors import InputError
from fashion_mnist.learning import backend, loop, networks, precision, prediction, recipes, saving
from fashion_mnist.learning.state import Checkpoint
from fashion_mnist.running.params import Recipe
from tests.conftest import TINY_NETWORK, TINY_RECIPE, tiny_set

LAYERS = [
    (entry, {}) if isinstance(entry, str) else next(iter(entry.items())) for entry in TINY_NETWORK
]
TRAINING = loop.Examples(*tiny_set(200, seed=1))
VALIDATION = loop.Examples(*tiny_set(50, seed=2))


def train(
    checkpoint: Checkpoint | None = None,
    on_epoch: Callable[[list[loop.Epoch]], None] = lambda _: None,
    validation: loop.Examples | None = VALIDATION,
    **changes: object,
) -> tuple[list[loop.Epoch], loop.Epoch, np.ndarray]:
    """Every epoch, the one that was kept, and the validation probabilities of the model."""
    backend.keras.utils.set_random_seed(1)
    model = networks.build("tiny", LAYERS)
    recipe = Recipe.model_validate(TINY_RECIPE | changes)
    history: list[loop.Epoch] = []

    def note(epochs: list[loop.Epoch]) -> None:
        history[:] = epochs
        on_epoch(epochs)

    kept = loop.fit(
        model, "r", recipe, TRAINING, validation, 1, on_epoch=note, checkpoint=checkpoint
    )
    return history, kept, prediction.predict(model, VALIDATION.images)


def test_a_network_learns():
    history, _, _ = train(epochs=8)
    assert history[-1].loss < history[0].loss
    assert history[-1].val_accuracy > 0.5


def test_the_same_seed_gives_the_same_weights():
    np.testing.assert_array_equal(train()[2], train()[2])


def test_without_validation_the_same_is_learnt():
    history, kept, probabilities = train(validation=None)
    np.testing.assert_array_equal(probabilities, train()[2])
    assert kept.loss == history[-1].loss
    assert np.isnan(kept.val_loss)
    assert "val_" not in kept.line(epochs=2)


def test_early_stopping_without_validation_is_refused():
    with pytest.raises(InputError, match=r"^recipes\.r\.early_stopping needs validation images"):
        train(validation=None, early_stopping={"patience": 2})


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
    model = networks.build("tiny", LAYERS)
    dropout = model.layers[2]
    with recipes.scaled_dropout(model, 0.5):
        assert dropout.rate == 0.05
    assert dropout.rate == 0.1
    with pytest.raises(InputError, match="must be below 1"), recipes.scaled_dropout(model, 10):
        pass


# They have more to remember than a moment or two for each weight.
MORE_STATE = ("Adafactor", "Muon", "Nadam")
AUGMENTED = {"augmentation": [{"RandomFlip": {"mode": "horizontal"}}, {"RandomErasing": {}}]}
AVERAGED = {"optimizer": {"Adam": {"learning_rate": 0.01, "use_ema": True}}}
STOPPED = {"early_stopping": {"patience": 2}, "optimizer": {"Adam": {"learning_rate": 0.3}}}


@pytest.mark.parametrize(
    "changes",
    [
        # Those with more to remember than a moment or two for each weight.
        *(
            {"optimizer": {name: {"learning_rate": 0.01}}}
            for name in ("Adafactor", "Muon", "Nadam")
        ),
        {"optimizer": {"SGD": {"learning_rate": 0.01, "momentum": 0.9}}, "schedule": "one-cycle"},
        AUGMENTED | {"mixup": 0.2},
        AVERAGED,
        STOPPED | {"epochs": 30},
    ],
    ids=lambda changes: ",".join(map(str, changes.get("optimizer", changes))),
)
def test_a_training_that_was_cut_off_goes_on_to_the_same_end(tmp_path: Path, changes: dict):
    changes = {"epochs": 4} | changes
    now, then = tmp_path / "now", tmp_path / "then"

    def on_epoch(epochs: list[loop.Epoch]) -> None:
        if len(epochs) == 2:  # all that a run that is killed here leaves
            shutil.copy(now, then)

    whole = train(Checkpoint(now, key=b"this run"), on_epoch, **changes)
    resumed = train(Checkpoint(then, key=b"this run"), **changes)
    assert resumed[:2] == whole[:2]
    np.testing.assert_array_equal(resumed[2], whole[2])


@pytest.mark.parametrize("changes", [{"epochs": 2}, STOPPED | {"epochs": 30}])
def test_a_training_that_was_cut_off_at_its_end_trains_no_more(tmp_path: Path, changes: dict):
    checkpoint = Checkpoint(tmp_path / "model", key=b"this run")
    whole = train(checkpoint, **changes)
    history, kept, probabilities = train(checkpoint, **changes)
    assert history == []  # no epoch has ended in this run
    assert kept == whole[1]
    np.testing.assert_array_equal(probabilities, whole[2])


def test_averaged_weights_are_validated_and_kept_but_not_trained_on():
    averaged, plain = train(epochs=3, **AVERAGED), train(epochs=3)
    losses = [[epoch.loss for epoch in history] for history, _, _ in (averaged, plain)]
    assert losses[0] == losses[1]
    for history, kept, probabilities in (averaged, plain):
        right = (probabilities.argmax(axis=1) == VALIDATION.labels).mean()
        assert right == pytest.approx(history[-1].val_accuracy) == kept.val_accuracy
    assert averaged[1].val_loss != plain[1].val_loss


def test_mixup_mixes_images_and_targets_by_the_same_shares():
    images = np.zeros((200, 28, 28), np.uint8)
    images[:100] = 200
    targets = np.eye(10, dtype=np.float32)[(images[:, 0, 0] == 200).astype(int)]
    mixed, shares = loop.mixed(images, targets, 0.4, np.random.default_rng(1))
    assert mixed.dtype == np.uint8
    np.testing.assert_allclose(mixed[:, 5, 5], 200 * shares[:, 1], atol=0.51)
    assert 10 < ((mixed[:, 0, 0] > 0) & (mixed[:, 0, 0] < 200)).sum() < 150


def test_weight_decay_leaves_biases_alone():
    decay = {"SGD": {"learning_rate": 1e-12, "weight_decay": 1e9}}
    model = networks.build("tiny", LAYERS)
    weights = dict(zip([w.path for w in model.weights], model.get_weights(), strict=True))
    recipe = Recipe.model_validate(TINY_RECIPE | {"optimizer": decay, "epochs": 1})
    loop.fit(model, "r", recipe, TRAINING, VALIDATION, 1)
    for variable, now in zip(model.weights, model.get_weights(), strict=True):
        is_bias = now.ndim == 1
        assert np.allclose(now, weights[variable.path], atol=1e-6) == is_bias, variable.path


def test_a_cosine_can_be_warmed_up():
    schedule = recipes.schedule(recipe(schedule="cosine", warmup=0.2), steps=100)
    assert [float(schedule(step)) for step in (0, 10, 20, 100)] == pytest.approx(
        [0, 0.005, 0.01, 0]
    )


def test_training_may_compute_in_bfloat16_and_the_file_knows_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(accelerators, "has_fast_bfloat16", lambda: True)
    model = networks.build("tiny", LAYERS)
    with precision.half_precision(model):
        *inner, last = [layer.compute_dtype for layer in model.layers]
        assert (set(inner), last) == ({"bfloat16"}, "float32")
        assert {weight.dtype for weight in model.weights} == {"float32"}
    saving.save(model, tmp_path / "m.h5")
    assert b"bfloat16" not in (tmp_path / "m.h5").read_bytes()
    history, _, _ = train(epochs=8)
    assert history[-1].val_accuracy > 0.5
