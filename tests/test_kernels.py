"""Cheaper kernels compute what Keras's own compute, and leave no trace."""

from typing import Any

import numpy as np
import pytest

from fashion_mnist.learning import batches, kernels, networks, recipes
from fashion_mnist.learning.backend import keras
from fashion_mnist.learning.kernels import cheaper
from tests.conftest import tiny_set
from tests.jobs import CLASSIFIER, FASHION, layers, recipe

tf = pytest.importorskip("tensorflow")
RANDOM = np.random.default_rng(1)
IMAGES = RANDOM.random((64, 28, 28, 1), dtype=np.float32)
TARGETS = np.eye(10, dtype=np.float32)[RANDOM.integers(0, 10, 64)]


def network(text: str) -> keras.Model:
    keras.utils.set_random_seed(1)
    return networks.build(layers(f"{text}\n{CLASSIFIER}"), FASHION)


def step(model: keras.Model) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Outputs, gradients and what is not trained (moving means), of one step of training."""
    with tf.GradientTape() as tape:
        outputs = model(IMAGES, training=True)
        loss = tf.reduce_mean(keras.losses.categorical_crossentropy(TARGETS, outputs))
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    others = [v.numpy() for v in model.non_trainable_variables if v.dtype == "float32"]
    return outputs.numpy(), [g.numpy() for g in gradients], others


CONV = "Conv2D: {filters: 4, kernel_size: 3"
POOL = "MaxPooling2D: {pool_size: 2}"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (f"- {CONV}, activation: relu}}\n- {POOL}", {"_RectifiedMaxPooling"}),
        (f"- {CONV}}}\n- ReLU\n- {POOL}", {"_RectifiedMaxPooling", "_Identity"}),
        (
            f"- {CONV}, use_bias: false}}\n- BatchNormalization\n- ReLU",
            {"_FusedBatchNormalization"},
        ),
        ("- ResidualBlock: {filters: 4}", {"_FusedBatchNormalization"}),
        # In front of a Flatten: a batch of vectors is normalized by Keras.
        ("- Flatten\n- BatchNormalization\n- Reshape: {target_shape: [784]}", set()),
    ],
    ids=["convolution", "layer", "normalization", "residual", "vectors"],
)
def test_a_training_step_gives_the_same_as_with_keras(text: str, kinds: set[str]):
    expected = step(network(text))
    model = network(text)
    with cheaper(model):
        found = step(model)
        used = {type(layer).__name__ for layer in model.layers}
    assert kinds <= used
    for theirs, ours in zip(expected, found, strict=True):
        for a, b in zip(theirs, ours, strict=True):
            np.testing.assert_allclose(b, a, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "text",
    [
        f"- {CONV}, activation: elu}}\n- {POOL}",
        f"- {CONV}}}\n- ReLU: {{max_value: 6}}\n- {POOL}",
        f"- {CONV}, activation: relu}}\n- AveragePooling2D: {{pool_size: 2}}",
        "- BatchNormalization: {renorm: true}",
        "- BatchNormalization: {scale: false}",
        "- SpatialDropout2D: {rate: 0.5}",
    ],
)
def test_what_computes_something_else_is_left_alone(text: str):
    model = network(text)
    kinds = [type(layer) for layer in model.layers]
    with cheaper(model):
        assert [type(layer) for layer in model.layers] == kinds


def test_the_network_is_keras_own_again_afterwards():
    text = f"- {CONV}, activation: relu}}\n- {POOL}\n- BatchNormalization\n- Dropout: {{rate: 0.5}}"
    model = network(text)
    before = model.to_json()
    with cheaper(model):
        assert sum(type(layer).__module__ == kernels.__name__ for layer in model.layers) == 3
    assert model.to_json() == before
    assert model.layers[0].activation is keras.activations.relu
    assert {type(layer).__module__.partition(".")[0] for layer in model.layers} == {"keras"}


def dropped(rate: float, shape: tuple[int, ...] = (100, 31, 17), **arguments: Any) -> np.ndarray:
    """What is left of ones."""
    keras.utils.set_random_seed(1)
    layer = keras.layers.Dropout(rate, **arguments)
    layer.__class__ = kernels._ByteDropout
    return layer(np.ones(shape, np.float32), training=True).numpy()


@pytest.mark.parametrize("rate", [0.0625, 0.075, 0.3, 0.5, 0.999])
def test_dropout_drops_its_rate_in_steps_of_a_256th(rate: float):
    left = dropped(rate)
    exact = min(round(rate * 256), 255) / 256
    assert set(np.unique(left)) == {0, np.float32(1 / (1 - exact))}
    assert (left == 0).mean() == pytest.approx(exact, abs=0.005)
    assert left.mean() == pytest.approx(1, abs=0.1)


def test_dropout_draws_anew_in_each_step_and_the_same_in_each_run():
    def twice() -> list[np.ndarray]:
        keras.utils.set_random_seed(1)
        layer = keras.layers.Dropout(0.5)
        layer.__class__ = kernels._ByteDropout
        return [layer(IMAGES, training=True).numpy() for _ in range(2)]

    (first, second), (again, _) = twice(), twice()
    assert (first != second).any()
    np.testing.assert_array_equal(first, again)


def test_a_shape_of_noise_is_left_to_keras():
    left = dropped(0.5, noise_shape=(100, 1, 17))
    assert (left == left[:, :1]).all()


def test_half_of_the_images_are_flipped_before_they_reach_the_network():
    images, labels = tiny_set(400, seed=1)
    flip = recipe(augmentation=[{"RandomFlip": {"mode": "horizontal"}}, "RandomErasing"])
    targets = np.eye(10, dtype=np.float32)[labels]
    plain, flipped = (
        batches.epoch(images, targets, how, np.random.default_rng(1))[0] for how in (recipe(), flip)
    )
    mirrored = (flipped == plain[:, :, ::-1]).all(axis=(1, 2, 3))
    same = (flipped == plain).all(axis=(1, 2, 3))
    assert (mirrored | same).all()
    assert 0.4 < mirrored.mean() < 0.6
    assert [type(layer).__name__ for layer in recipes.augmentation(flip)] == ["RandomErasing"]


def test_other_flips_remain_a_layer():
    for arguments in ("{mode: vertical}", "{mode: horizontal, seed: 1}"):
        how = recipe(
            f"optimizer: {{SGD: {{learning_rate: 1}}}}\naugmentation: [RandomFlip: {arguments}]"
        )
        assert not batches.flips(how)
        assert len(recipes.augmentation(how)) == 1
