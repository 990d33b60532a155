"""Cheaper kernels compute what Keras's own compute, and leave no trace."""

import inspect
from typing import Any, NamedTuple

import numpy as np
import pytest

from fashion_mnist.learning import batches, kernels, networks, precision, recipes
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


class Step(NamedTuple):
    """What one step of training computes."""

    outputs: list[np.ndarray]
    penalties: list[np.ndarray]
    gradients: list[np.ndarray]
    averages: list[np.ndarray]


def step(model: keras.Model) -> Step:
    with tf.GradientTape() as tape:
        outputs = model(IMAGES, training=True)
        penalties = [tf.cast(each, tf.float32) for each in model.losses]
        loss = tf.reduce_mean(keras.losses.categorical_crossentropy(TARGETS, outputs))
        loss = tf.add_n([loss, *penalties])
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    averages = [v.numpy() for v in model.non_trainable_variables if v.dtype != "uint32"]
    return Step([outputs.numpy()], penalties, [g.numpy() for g in gradients], averages)


CONV = "Conv2D: {filters: 4, kernel_size: 3"
POOL = "MaxPooling2D: {pool_size: 2}"
PENALIZED = "activity_regularizer: l2"

# For each kernel, its layer with every argument that Keras's class has, and values that it takes.
NORMALIZATIONS = {
    "axis": [3, 1],
    "momentum": [0.5],
    "epsilon": [0.1, 0],
    "center": ["false"],
    "scale": ["false"],
    "beta_initializer": ["ones"],
    "gamma_initializer": ["random_uniform"],
    "moving_mean_initializer": ["ones"],
    "moving_variance_initializer": ["zeros"],
    "beta_regularizer": ["l1"],
    "gamma_regularizer": ["l2"],
    "beta_constraint": ["non_neg"],
    "gamma_constraint": ["max_norm"],
    "synchronized": ["false"],
    "renorm": ["true"],
    "renorm_clipping": ["{rmax: 2.0}"],
    "renorm_momentum": [0.5],
    "activity_regularizer": ["l1"],  # the squares of normalized values do not depend on a weight
    "trainable": ["false"],
    "dtype": ["float64", "float16"],
    "autocast": ["false"],
}
POOLINGS = {
    "pool_size": [3, "[1, 3]"],
    "strides": [1, 3],
    "padding": ["same"],
    "data_format": ["channels_last"],
    "activity_regularizer": ["l2"],
    "trainable": ["false"],
    "dtype": ["float64"],
    "autocast": ["false"],
}
WITHOUT_A_VALUE = {"name", "kwargs", "self"}


def each_value(arguments: dict[str, list]) -> list[str]:
    return [f"{{{name}: {value}}}" for name, values in arguments.items() for value in values]


def test_every_argument_of_a_layer_with_a_cheaper_kernel_is_tried():
    for cls, tried in (
        (keras.layers.BatchNormalization, NORMALIZATIONS),
        (keras.layers.MaxPooling2D, POOLINGS),
        (keras.layers.Dropout, {"rate", "noise_shape", "seed"}),  # see below
    ):
        declared = set(inspect.signature(cls.__init__).parameters) - WITHOUT_A_VALUE
        assert declared <= set(tried), cls


NORMALIZED = f"- {CONV}, use_bias: false}}\n- BatchNormalization"
STEPS = {
    "pooling": [
        f"- {CONV}, activation: relu}}\n- {POOL[:-1]}, padding: same}}",
        *(f"- {CONV}, activation: relu}}\n- MaxPooling2D: {each}" for each in each_value(POOLINGS)),
        f"- {CONV}, activation: relu, {PENALIZED}}}\n- {POOL}",
        f"- {CONV}, activation: relu, kernel_regularizer: l2, bias_regularizer: l1, "
        f"kernel_constraint: max_norm}}\n- {POOL}",
        f"- {CONV}}}\n- ReLU\n- {POOL}",
        f"- {CONV}}}\n- ReLU: {{{PENALIZED}}}\n- {POOL}",
        f"- {CONV}}}\n- Activation: {{activation: relu, {PENALIZED}}}\n- {POOL}",
        f"- {CONV}}}\n- Dense: {{units: 3, activation: relu, {PENALIZED}}}\n- {POOL}",
    ],
    "normalization": [
        f"{NORMALIZED}\n- ReLU",
        *(f"{NORMALIZED}: {each}" for each in each_value(NORMALIZATIONS)),
        "- ResidualBlock: {filters: 4}",
        # In front of a Flatten: a batch of vectors is normalized by Keras.
        "- Flatten\n- BatchNormalization\n- Reshape: {target_shape: [784]}",
        # Few values a channel: the average is of a variance that is corrected for their number.
        "- Cropping2D: {cropping: 13}\n"
        "- BatchNormalization: {momentum: 0.1, moving_variance_initializer: zeros}\n"
        f"- {CONV[:-1]}1}}",
        # One value a channel.
        f"- GlobalAveragePooling2D: {{keepdims: true}}\n- BatchNormalization\n- {CONV[:-1]}1}}",
    ],
}


# The gradient of a penalty on normalized values is almost nothing: what is left of large numbers.
# In float32, Keras's own differs from the one in float64 by 0.0002 of its largest value.
ROUNDING = {"float32": 1e-4, "bfloat16": 0.05}
OF_SMALL_DIFFERENCES = ROUNDING | {"float32": 1e-3}


@pytest.mark.parametrize("kernel", STEPS)
def test_a_training_step_gives_the_same_as_with_keras(
    kernel: str, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
):
    for text in STEPS[kernel]:
        model = network(text)
        start = model.get_weights()
        cancels = kernel == "normalization" and "activity_regularizer" in text
        for dtype, rounding in (OF_SMALL_DIFFERENCES if cancels else ROUNDING).items():
            monkeypatch.setattr(precision, "has_fast_bfloat16", lambda x=dtype: x == "bfloat16")
            with subtests.test(text.replace("\n", " "), dtype=dtype):
                model.set_weights(start)
                with precision.half_precision(model):
                    expected = step(model)
                model.set_weights(start)
                with cheaper(model), precision.half_precision(model):
                    found = step(model)
                for name in expected._fields:
                    for a, b in zip(getattr(expected, name), getattr(found, name), strict=True):
                        scale = max(np.abs(a).max(initial=0), 1e-2)
                        np.testing.assert_allclose(
                            b / scale, a / scale, atol=rounding, rtol=0, err_msg=name
                        )


USED = {
    f"- {CONV}, activation: relu}}\n- {POOL}": {"_RectifiedMaxPooling"},
    f"- {CONV}}}\n- ReLU\n- {POOL}": {"_RectifiedMaxPooling", "_Identity"},
    f"{NORMALIZED}\n- ReLU": {"_FusedBatchNormalization"},
    "- ResidualBlock: {filters: 4}": {"_FusedBatchNormalization"},
    "- Dropout: {rate: 0.5}": {"_ByteDropout"},
    f"- {CONV}, activation: elu}}\n- {POOL}": set(),
    f"- {CONV}, activation: relu, {PENALIZED}}}\n- {POOL}": set(),
    f"- {CONV}}}\n- ReLU: {{max_value: 6}}\n- {POOL}": set(),
    f"- {CONV}, activation: relu}}\n- AveragePooling2D: {{pool_size: 2}}": set(),
    "- BatchNormalization: {renorm: true}": set(),
    "- BatchNormalization: {scale: false}": set(),
    "- SpatialDropout2D: {rate: 0.5}": set(),
}


def test_only_what_computes_the_same_is_replaced(subtests: pytest.Subtests):
    for text, kinds in USED.items():
        model = network(text)
        with subtests.test(text.replace("\n", " ")), cheaper(model):
            used = {type(layer).__name__ for layer in model.layers}
            assert {kind for kind in used if kind.startswith("_")} == kinds


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


def test_dropout_drops_its_rate_in_steps_of_a_256th():
    for rate in (0.0625, 0.075, 0.3, 0.5, 0.999):
        left = dropped(rate)
        exact = min(round(rate * 256), 255) / 256
        assert set(np.unique(left)) == {0, np.float32(1 / (1 - exact))}, rate
        assert (left == 0).mean() == pytest.approx(exact, abs=0.005), rate
        assert left.mean() == pytest.approx(1, abs=0.1), rate


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
