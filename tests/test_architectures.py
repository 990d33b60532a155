"""From a list of layers to a Keras model, and what Keras alone can find wrong with it."""

import numpy as np
import pytest

from fashion_mnist.errors import InputError
from fashion_mnist.learning import networks
from fashion_mnist.running import params
from tests.conftest import ROOT

PUBLISHED = params.load(ROOT / "params.yaml").architectures
SOFTMAX = ("Dense", {"units": 10, "activation": "softmax"})


def test_improved_has_the_originals_parameters():
    model = networks.build("improved", PUBLISHED["improved"])
    assert model.count_params() == 225_034


def test_multiply_adds_are_those_counted_by_hand():
    model = networks.build("improved", PUBLISHED["improved"])
    first = 26 * 26 * 32 * (3 * 3 * 1)
    second = 11 * 11 * 64 * (3 * 3 * 32)
    dense = 5 * 5 * 64 * 128 + 128 * 10
    assert networks.multiply_adds(model) == first + second + dense


def test_multiply_adds_of_a_separable_convolution_are_counted_by_part():
    layers = [("SeparableConv2D", {"filters": 5, "kernel_size": 3}), ("Flatten", {}), SOFTMAX]
    model = networks.build("x", layers)
    convolution = 26 * 26 * (3 * 3 * 1 + 1 * 5)
    assert networks.multiply_adds(model) == convolution + 26 * 26 * 5 * 10


@pytest.mark.parametrize("name", sorted(params.LAYERS))
def test_every_layer_that_params_knows_is_one_of_keras(name: str):
    assert hasattr(networks.keras.layers, name)


@pytest.mark.parametrize("name", sorted(params.OPTIMIZERS))
def test_every_optimizer_that_params_knows_is_one_of_keras(name: str):
    assert hasattr(networks.keras.optimizers, name)


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
        networks.build("x", layers)
    assert "\n" not in str(error.value)


def test_a_network_gives_probabilities_of_ten_classes():
    model = networks.build("x", [("Flatten", {}), SOFTMAX])
    given = model(np.zeros((2, 28, 28, 1), np.float32)).numpy()
    np.testing.assert_allclose(given.sum(axis=1), 1, rtol=1e-6)


def test_names_of_layers_do_not_depend_on_what_was_built_before():
    one, two = (networks.build("x", [("Flatten", {}), SOFTMAX]) for _ in range(2))
    assert [layer.name for layer in one.layers] == [layer.name for layer in two.layers]


CONVOLUTION = ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "same"})
ENDING = [("Flatten", {}), SOFTMAX]


def residual(layers: list, shortcut: list) -> tuple[str, dict]:
    return "Residual", {"layers": layers, "shortcut": shortcut}


def test_a_residual_block_adds_what_went_into_it():
    block = residual([("Rescaling", {"scale": 2.0})], [])
    model = networks.build("x", [block, *ENDING])
    (add,) = (layer for layer in model.layers if layer.name == "add_1")
    images = np.random.default_rng(0).random((2, 28, 28, 1), dtype=np.float32)
    inner = networks.keras.Model(model.input, add.output)
    np.testing.assert_allclose(inner.predict(images, verbose=0), 3 * images, rtol=1e-6)


def test_repeated_layers_have_weights_of_their_own():
    model = networks.build("x", [("Repeat", {"times": 3, "layers": [CONVOLUTION]}), *ENDING])
    convolutions = [layer for layer in model.layers if layer.name.startswith("conv2d")]
    assert [layer.name for layer in convolutions] == ["conv2d_1", "conv2d_2", "conv2d_3"]
    counted = 28 * 28 * 9 * (1 * 4 + 4 * 4 + 4 * 4) + 28 * 28 * 4 * 10
    assert networks.multiply_adds(model) == counted


def test_a_shortcut_may_project():
    project = ("Conv2D", {"filters": 4, "kernel_size": 1})
    model = networks.build("x", [residual([CONVOLUTION], [project]), *ENDING])
    assert networks.multiply_adds(model) == 28 * 28 * (9 * 4 + 4) + 28 * 28 * 4 * 10


def test_two_ways_of_different_shapes_are_told():
    with pytest.raises(InputError) as error:
        networks.build("x", [residual([CONVOLUTION, ("MaxPooling2D", {})], [CONVOLUTION])])
    assert str(error.value) == (
        "architectures.x[0].Residual: layers give (14, 14, 4) and shortcut (28, 28, 4), "
        "which must be the same to be added"
    )


def test_a_mistake_within_blocks_is_named_by_its_place():
    wrong = ("Repeat", {"times": 2, "layers": [residual([("Dropout", {"rate": 2})], [])]})
    where = r"architectures.x\[0\].Repeat\[0\].Residual.layers\[0\].Dropout: "
    with pytest.raises(InputError, match=where):
        networks.build("x", [wrong])


def test_blocks_are_described_in_short():
    layers = [("Repeat", {"times": 3, "layers": [residual([CONVOLUTION, ("ReLU", {})], [])]})]
    assert networks.describe([*layers, *ENDING]) == (
        "3 x ((Conv2D > ReLU) + (identity)) > Flatten > Dense"
    )
