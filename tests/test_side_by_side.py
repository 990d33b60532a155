"""A batch in parts is learned from as a whole one is."""

import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from fashion_mnist.learning import loop, precision, prediction
from fashion_mnist.learning.backend import keras
from fashion_mnist.learning.batches import Examples
from fashion_mnist.learning.state import Epoch
from tests.conftest import ROOT, tiny_set
from tests.jobs import CLASSIFIER, job

pytest.importorskip("tensorflow")
TRAINING = Examples(*tiny_set(201, seed=1))  # the last of 5 batches is one image
VALIDATION = Examples(*tiny_set(50, seed=2))
# Penalties on weights count once, those on outputs are means over images.
SLIGHTLY = "{class_name: L2, config: {l2: 1.0e-5}}"
PENALIZED = f"""
- Conv2D: {{filters: 4, kernel_size: 3, activation: relu, kernel_regularizer: l2}}
- MaxPooling2D: {{pool_size: 2}}
- Conv2D: {{filters: 4, kernel_size: 3, activity_regularizer: {SLIGHTLY}}}
{CLASSIFIER}
"""
PLAIN = f"- Conv2D: {{filters: 4, kernel_size: 3, activation: relu}}\n{CLASSIFIER}"
SGD = "optimizer: {SGD: {learning_rate: 0.05, momentum: 0.9}}"


class Silent:
    """Shows no progress."""

    def start_epoch(self, history: Sequence[Epoch], batches: int) -> None:
        pass

    def finish_batches(self, count: int) -> None:
        pass

    def finish_epoch(self, history: Sequence[Epoch]) -> None:
        pass


@pytest.mark.parametrize("text", [PLAIN, PENALIZED], ids=["plain", "penalized"])
@pytest.mark.parametrize("threads", [2, 3])
def test_parts_give_the_same_as_the_whole_except_for_rounding(
    text: str, threads: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda: False)

    def train(threads: int) -> tuple[list[np.ndarray], np.ndarray]:
        planned = job(text, SGD, batch_size=50, epochs=2)._replace(threads=threads)
        network = loop.build(planned)
        history = loop.fit(network, planned, TRAINING, VALIDATION, Silent())
        figures = [(e.loss, e.accuracy, e.val_loss, e.val_accuracy) for e in history]
        return network.get_weights(), np.array(figures)

    (expected, figures), (found, found_figures) = train(1), train(threads)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-4)
    np.testing.assert_allclose(found_figures, figures, rtol=1e-4)


def one_step(text: str, images: np.ndarray, learning_rate: float = 1.0) -> keras.Model:
    """A network after a step of two parts on these images, all of the first class."""
    how = f"optimizer: {{SGD: {{learning_rate: {learning_rate}}}}}"
    planned = job(text, how, batch_size=len(images))._replace(threads=2)
    network = loop.build(planned)
    trainer = loop.compiled(network, planned.recipe, 1, loop.parts(planned))
    trainer.train_on_batch(images, np.eye(10, dtype=np.float32)[[0] * len(images)])
    return network


def test_each_part_drops_out_other_values():
    text = "- Flatten\n- Dropout: {rate: 0.5}\n- Dense: {units: 10, activation: softmax, \
        kernel_initializer: zeros}"
    white = np.full((2, 28, 28, 1), 255, np.uint8)  # a part each
    kernel = one_step(text, white).layers[-1].kernel
    steps = np.unique(np.round(np.asarray(kernel)[:, 0], 4))
    assert len(steps) == 3, "a value is dropped by none of the parts, by one, or by both"


def test_parts_move_the_averages_of_their_statistics_in_their_order():
    images = np.zeros((4, 28, 28, 1), np.uint8)
    images[2:] = 255  # the second part
    text = f"- BatchNormalization: {{momentum: 0.75}}\n{CLASSIFIER}"
    normalization = one_step(text, images, learning_rate=1e-6).layers[0]
    assert float(normalization.moving_mean[0]) == pytest.approx(0.25)
    assert float(normalization.moving_variance[0]) == pytest.approx(0.75**2, abs=1e-3)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_batch_of_any_size_is_predicted(count: int):
    network = loop.build(job(PLAIN))
    images = VALIDATION.images[:count, ..., np.newaxis]
    whole, parts = (prediction.with_uint8_input(network, parts=n) for n in (1, 3))
    expected = whole.predict(images, verbose=0)
    np.testing.assert_allclose(parts.predict(images, verbose=0), expected, atol=1e-6)


TWICE = """
from fashion_mnist.learning import backend, loop, saving
from fashion_mnist.learning.batches import Examples
from fashion_mnist.learning.state import Checkpoint
from tests.conftest import tiny_set
from tests.jobs import job
from tests.test_side_by_side import Silent

backend.make_reproducible(2, parts=2)
images = Examples(*tiny_set(201, seed=1))
NETWORK = '''
- Conv2D: {filters: 8, kernel_size: 3, use_bias: false}
- BatchNormalization
- ReLU
- MaxPooling2D: {pool_size: 2}
- Dropout: {rate: 0.25}
- Flatten
- Dense: {units: 16}
- BatchNormalization
- Dense: {units: 10, activation: softmax}
'''
RECIPE = '''
optimizer: {Nadam: {learning_rate: 0.01}}
augmentation: [RandomFlip: {mode: horizontal}, RandomErasing: {factor: [0.5, 0.5]}]
'''

class Killed(Exception):
    pass

class Kill(Silent):
    def finish_epoch(self, history):
        raise Killed

def train(progress, checkpoint=None):
    planned = job(NETWORK, RECIPE, batch_size=50, epochs=3)._replace(threads=2)
    network = loop.build(planned)
    loop.fit(network, planned, images, images, progress, checkpoint)
    return saving.content(network)

first = train(Silent())
assert train(Silent()) == first, "a second run gives other bytes"
checkpoint = Checkpoint("checkpoint", b"key")
try:
    train(Kill(), checkpoint)
except Killed:
    pass
assert train(Silent(), checkpoint) == first, "an interrupted run gives other bytes"
"""


def test_two_threads_give_the_same_bytes_in_each_run_and_after_an_interruption(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", TWICE],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
