"""Training, on a network and a data set so small that an epoch takes no time."""

import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from fashion_mnist.learning import batches, loop, precision, recipes, saving, state, training
from fashion_mnist.learning.batches import Examples
from fashion_mnist.learning.state import Checkpoint, Epoch
from fashion_mnist.talk import training_log
from tests.conftest import tiny_set
from tests.jobs import ADAM, SMALL, job, recipe, run

TRAINING = Examples(*tiny_set(200, seed=1))
VALIDATION = Examples(*tiny_set(50, seed=2))


class Listener:
    """Calls `on_epoch` when an epoch has ended."""

    def __init__(self, on_epoch: Callable[[Sequence[Epoch]], None]) -> None:
        self.finish_epoch = on_epoch

    def start_epoch(self, history: Sequence[Epoch], batches: int) -> None:
        pass

    def finish_batches(self, count: int) -> None:
        pass


class Result(NamedTuple):
    history: list[Epoch]
    kept: Epoch
    probabilities: np.ndarray  # of the validation images


def train(
    checkpoint: Checkpoint | None = None,
    on_epoch: Callable[[Sequence[Epoch]], None] = lambda _: None,
    validation: Examples | None = VALIDATION,
    how: str = ADAM,
    **changes: object,
) -> Result:
    planned = job(SMALL, how, **changes)
    network = loop.build(planned)
    history = loop.fit(network, planned, TRAINING, validation, Listener(on_epoch), checkpoint)
    images = VALIDATION.images[..., np.newaxis] * np.float32(1 / 255)
    return Result(history, state.kept(history, planned.recipe), np.asarray(network(images)))


PLAIN = {"epochs": 3}
STOPPED = {
    "how": "optimizer: {Adam: {learning_rate: 0.3}}",
    "early_stopping": {"patience": 2},
    "epochs": 30,
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    """What the two trainings below leave."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return {name: Checkpoint(folder / name, key=b"this run") for name in ("plain", "stopped")}


@pytest.fixture(scope="module")
def plain(checkpoints: dict[str, Checkpoint]) -> Result:
    """Three epochs by the plainest recipe."""
    return train(checkpoints["plain"], **PLAIN)


@pytest.fixture(scope="module")
def stopped(checkpoints: dict[str, Checkpoint]) -> Result:
    """A training whose validation loss soon rises."""
    return train(checkpoints["stopped"], **STOPPED)


def accuracy(probabilities: np.ndarray) -> float:
    return (probabilities.argmax(axis=1) == VALIDATION.labels).mean()


def test_a_network_learns():
    history = train(epochs=8).history
    assert [epoch.epoch for epoch in history] == list(range(1, 9))
    assert history[-1].loss < history[0].loss
    assert history[-1].val_accuracy > 0.5


def test_the_same_seed_gives_the_same_weights_with_and_without_validation(plain: Result):
    for validation in (VALIDATION, None):
        again = train(validation=validation, **PLAIN)
        np.testing.assert_array_equal(again.probabilities, plain.probabilities)
    assert again.kept.loss == plain.kept.loss == again.history[-1].loss
    assert math.isnan(again.kept.val_loss)
    assert "val_" not in training_log.epoch_line(again.kept, epochs=3)


def test_the_last_epoch_is_kept(plain: Result):
    assert plain.kept == plain.history[-1]
    assert accuracy(plain.probabilities) == pytest.approx(plain.kept.val_accuracy)


def test_early_stopping_keeps_the_best_weights(stopped: Result):
    history, kept, probabilities = stopped
    assert len(history) < 30
    assert kept.val_loss == min(epoch.val_loss for epoch in history)
    assert len(history) == kept.epoch + 2
    assert accuracy(probabilities) == pytest.approx(kept.val_accuracy)


def test_images_that_fill_no_batch_are_trained_on_too():
    planned = job(SMALL, batch_size=64, epochs=1)
    assert loop.steps_per_epoch(200, planned.recipe) == 4  # 200 = 3 x 64 + 8
    finished: list[int] = []
    listener = Listener(lambda _: None)
    listener.finish_batches = finished.append
    loop.fit(loop.build(planned), planned, TRAINING, None, listener)
    assert finished[-1] == 4


RATES = [  # at each tenth of the steps
    ({}, dict.fromkeys(range(11), 1)),
    ({"schedule": "one-cycle"}, {0: 1 / 25, 3: 1, 10: 0}),
    ({"schedule": "cosine"}, {0: 1, 5: 0.5, 10: 0}),
    ({"schedule": "cosine", "warmup": 0.2}, {0: 0, 1: 0.5, 2: 1, 10: 0}),
]


def test_the_learning_rate_follows_its_schedule(subtests: pytest.Subtests):
    for changes, rates in RATES:
        rate = recipes.learning_rate(recipe(**changes), steps=100)
        found = [float(rate(10 * tenth)) if callable(rate) else rate for tenth in range(11)]
        with subtests.test(str(changes)):
            for tenth, share in rates.items():
                assert found[tenth] == pytest.approx(0.01 * share, abs=1e-9)
            assert max(found) == pytest.approx(0.01)


@pytest.mark.parametrize(
    "changes",
    [
        # Both remember more than a moment or two for each weight.
        {"how": "optimizer: {Adafactor: {learning_rate: 0.01}}", "schedule": "one-cycle"},
        {
            "how": "optimizer: {Nadam: {learning_rate: 0.01, use_ema: true}}\n"
            "augmentation: [RandomFlip: {mode: horizontal}, RandomErasing]",
            "mixup": 0.2,
        },
        STOPPED | {"validation": VALIDATION},
    ],
    ids=["schedule", "averaging and augmentation", "early stopping"],
)
def test_a_training_that_was_cut_off_comes_to_the_same_end(tmp_path: Path, changes: dict):
    changes = {"epochs": 4, "validation": None} | changes
    now, then = tmp_path / "now", tmp_path / "then"

    def on_epoch(epochs: list[Epoch]) -> None:
        if len(epochs) == 2:  # all that a run that is killed here leaves
            shutil.copy(now, then)

    whole = train(Checkpoint(now, key=b"this run"), on_epoch, **changes)
    resumed = train(Checkpoint(then, key=b"this run"), **changes)
    assert len(whole.history) > 2
    assert [*map(repr, resumed.history)] == [*map(repr, whole.history)]  # NaN is not NaN
    assert repr(resumed.kept) == repr(whole.kept)
    np.testing.assert_array_equal(resumed.probabilities, whole.probabilities)


def test_a_training_that_was_cut_off_at_its_end_trains_no_more(
    plain: Result, stopped: Result, checkpoints: dict[str, Checkpoint]
):
    for name, whole, changes in (("plain", plain, PLAIN), ("stopped", stopped, STOPPED)):
        ended: list[Sequence[Epoch]] = []
        again = train(checkpoints[name], ended.append, **changes)
        assert ended == [], name
        assert again[:2] == whole[:2], name
        np.testing.assert_array_equal(again.probabilities, whole.probabilities, err_msg=name)


def test_averaged_weights_are_validated_and_kept_but_not_trained_on(plain: Result):
    averaged = train(how="optimizer: {Adam: {learning_rate: 0.01, use_ema: true}}", **PLAIN)
    losses = [[epoch.loss for epoch in each.history] for each in (averaged, plain)]
    assert losses[0] == losses[1]
    assert accuracy(averaged.probabilities) == pytest.approx(averaged.kept.val_accuracy)
    assert averaged.kept == averaged.history[-1]
    assert averaged.kept.val_loss != plain.kept.val_loss


def test_mixup_mixes_images_and_targets_by_the_same_shares():
    images = np.zeros((200, 28, 28), np.uint8)
    images[:100] = 200
    targets = np.eye(10, dtype=np.float32)[(images[:, 0, 0] == 200).astype(int)]
    mixed, shares = batches.mixup(images, targets, 0.4, np.random.default_rng(1))
    assert mixed.dtype == np.uint8
    np.testing.assert_allclose(mixed[:, 5, 5], 200 * shares[:, 1], atol=0.51)
    assert 10 < ((mixed[:, 0, 0] > 0) & (mixed[:, 0, 0] < 200)).sum() < 150


def test_an_epoch_holds_every_image_once_with_its_target():
    images, labels = tiny_set(50, seed=1)
    targets = np.eye(10, dtype=np.float32)[labels]
    shuffled, shuffled_targets = batches.epoch(images, targets, recipe(), np.random.default_rng(1))
    assert (shuffled.shape, shuffled.dtype) == ((50, 28, 28, 1), np.uint8)
    pairs, expected = (
        sorted((image.tobytes(), target.tobytes()) for image, target in zip(*each, strict=True))
        for each in ((shuffled, shuffled_targets), (images, targets))
    )
    assert pairs == expected
    assert not np.array_equal(shuffled[..., 0], images)


def test_weight_decay_leaves_biases_alone():
    planned = job(
        SMALL, "optimizer: {SGD: {learning_rate: 1.0e-12, weight_decay: 1.0e+9}}", epochs=1
    )
    network = loop.build(planned)
    before = network.get_weights()
    loop.fit(network, planned, TRAINING, None, Listener(lambda _: None))
    for variable, then, now in zip(network.weights, before, network.get_weights(), strict=True):
        is_bias = now.ndim == 1
        assert np.allclose(now, then, atol=1e-6) == is_bias, variable.path


def test_a_training_may_compute_in_bfloat16_and_its_file_holds_no_trace_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda: True)
    network = loop.build(job())
    with precision.half_precision(network):
        *inner, last = [layer.compute_dtype for layer in network.layers]
        assert (set(inner), last) == ({"bfloat16"}, "float32")
        assert {weight.dtype for weight in network.weights} == {"float32"}
    saving.save(network, tmp_path / "m.h5")
    assert b"bfloat16" not in (tmp_path / "m.h5").read_bytes()
    assert train(epochs=8).history[-1].val_accuracy > 0.5


def test_a_job_that_is_run_again_continues_unless_its_arithmetic_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)

    def once() -> training.Trained:
        return run(job(epochs=1), TRAINING, VALIDATION)

    first, again = once(), once()
    monkeypatch.setattr(training, "has_fast_bfloat16", lambda: not precision.has_fast_bfloat16())
    other = once()
    assert first.history == again.history
    assert [trained.seconds is None for trained in (first, again, other)] == [False, True, False]
    assert capsys.readouterr().out.count("epoch 1/1") == 2
    again.checkpoint.remove()
    other.checkpoint.remove()
    assert list(training.CHECKPOINTS.iterdir()) == []
