"""From a list of layers to a Keras model, and what Keras alone can find wrong with it."""

import numpy as np
import pytest

from fashion_mnist import architectures, params
from fashion_mnist.errors import InputError
from tests.conftest import ROOT

PUBLISHED = params.load(ROOT / "params.yaml").architectures
SOFTMAX = ("Dense", {"units": 10, "activation": "softmax"})


def test_improved_has_the_originals_parameters():
    model = architectures.build("improved", PUBLISHED["improved"])
    assert model.count_params() == 225_034


def test_multiply_adds_are_those_counted_by_hand():
    model = architectures.build("improved", PUBLISHED["improved"])
    first = 26 * 26 * 32 * (3 * 3 * 1)
    second = 11 * 11 * 64 * (3 * 3 * 32)
    dense = 5 * 5 * 64 * 128 + 128 * 10
    assert architectures.multiply_adds(model) == first + second + dense


def test_multiply_adds_of_a_separable_convolution_are_counted_by_part():
    layers = [("SeparableConv2D", {"filters": 5, "kernel_size": 3}), ("Flatten", {}), SOFTMAX]
    model = architectures.build("x", layers)
    convolution = 26 * 26 * (3 * 3 * 1 + 1 * 5)
    assert architectures.multiply_adds(model) == convolution + 26 * 26 * 5 * 10


@pytest.mark.parametrize("name", sorted(params.LAYERS))
def test_every_layer_that_params_knows_is_one_of_keras(name: str):
    assert hasattr(architectures.keras.layers, name)


@pytest.mark.parametrize("name", sorted(params.OPTIMIZERS))
def test_every_optimizer_that_params_knows_is_one_of_keras(name: str):
    assert hasattr(architectures.keras.optimizers, name)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [("Conv2D", {"filter": 3, "kernel_size": 3})],
            r"architectures.x\[0\].Conv2D has no argument 'filter'; did you mean filters\?",
        ),
        ([("Conv2D", {"filters": 3})], r"architectures.x\[0\].Conv2D: .*kernel_size"),
        ([("Dropout", {"rate": 2})], r"architectures.x\[0\].Dropout: .*between 0 and 1"),
        (
            [("Dense", {"units": 3, "activation": "rleu"})],
            r"architectures.x\[0\].Dense: .*rleu",
        ),
        (
            [("Conv2D", {"filters": 3, "kernel_size": 30})],
            r"architectures.x\[0\].Conv2D cannot take an input \(28, 28, 1\)",
        ),
        (
            [("Flatten", {}), ("MaxPooling2D", {})],
            r"architectures.x\[1\].MaxPooling2D cannot take an input \(784,\)",
        ),
        (
            [("Flatten", {}), ("Dense", {"units": 9, "activation": "softmax"})],
            r"must give 10 class probabilities an image, not an output \(9,\)",
        ),
        ([SOFTMAX], r"not an output \(28, 28, 10\)"),
        ([("Flatten", {}), ("Dense", {"units": 10})], "the last layer must give probabilities"),
    ],
)
def test_a_mistake_is_told_in_one_sentence_with_its_place(layers: list, message: str):
    with pytest.raises(InputError, match=message) as error:
        architectures.build("x", layers)
    assert "\n" not in str(error.value)


def test_a_network_gives_probabilities_of_ten_classes():
    model = architectures.build("x", [("Flatten", {}), SOFTMAX])
    given = model(np.zeros((2, 28, 28, 1), np.float32)).numpy()
    np.testing.assert_allclose(given.sum(axis=1), 1, rtol=1e-6)


def test_names_of_layers_do_not_depend_on_what_was_built_before():
    one, two = (architectures.build("x", [("Flatten", {}), SOFTMAX]) for _ in range(2))
    assert [layer.name for layer in one.layers] == [layer.name for layer in two.layers]
