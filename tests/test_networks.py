"""From a list of layers to a Keras network."""

import hashlib

import numpy as np
import pytest

from fashion_mnist.candidates.jobs import LAYERS as LAYERS_OF
from fashion_mnist.checking import params
from fashion_mnist.learning import networks, recipes, saving
from fashion_mnist.learning.backend import keras
from fashion_mnist.model_files.names import ACTIVATIONS, AUGMENTATIONS, LAYERS, OPTIMIZERS
from fashion_mnist.storage import parameters
from tests.conftest import ROOT
from tests.jobs import CLASSIFIER, FASHION, layers

KNOWN = {
    keras.layers: LAYERS | AUGMENTATIONS,
    keras.optimizers: OPTIMIZERS,
    keras.activations: ACTIVATIONS,
}


def test_every_name_that_params_may_use_is_one_of_keras():
    missing = {
        name for module, names in KNOWN.items() for name in names if not hasattr(module, name)
    }
    assert missing == set()


def test_the_improved_network_has_the_originals_parameters():
    published = params.load(ROOT / "params.yaml").architectures
    assert networks.build(published["improved"], FASHION).count_params() == 225_034


def test_a_network_gives_probabilities_of_ten_classes():
    network = networks.build(layers(CLASSIFIER), FASHION)
    given = network(np.zeros((2, 28, 28, 1), np.float32)).numpy()
    np.testing.assert_allclose(given.sum(axis=1), 1, rtol=1e-6)


# The first digits of the SHA-256 of each untrained network's file: the names of its layers, the
# order of its weights and the weights themselves.
FILES = {
    ("params.yaml", "first-version"): "971104a5c5bd2920",
    ("params.yaml", "improved"): "6ef1f03847ed1c2d",
    ("params.yaml", "lenet"): "8af414939e50ea1c",
    ("comparison/params.yaml", "softmax-regression"): "efe729aff5347bd1",
    ("comparison/params.yaml", "perceptron"): "a8f73d1de18b86df",
    ("comparison/params.yaml", "two-conv"): "6ef1f03847ed1c2d",
    ("comparison/params.yaml", "two-epochs"): "f6600b325c258eae",
    ("comparison/params.yaml", "two-conv-preprocessed"): "58ed587e2259f2a5",
    ("comparison/params.yaml", "two-conv-two-dense"): "eee08907f3d3f85a",
    ("comparison/params.yaml", "two-conv-normalized"): "7fe7fc719992bb7f",
    ("comparison/params.yaml", "two-conv-longer"): "6ef1f03847ed1c2d",
    ("comparison/params.yaml", "four-conv"): "672a6c26becd8f32",
    ("comparison/params.yaml", "five-conv-shorter"): "6426057f29abb5ab",
    ("comparison/params.yaml", "five-conv"): "6426057f29abb5ab",
    ("comparison/params.yaml", "five-conv-longer"): "6426057f29abb5ab",
    ("comparison/params.yaml", "residual"): "17fa1d67abe79f85",
    ("comparison/params.yaml", "residual-longer"): "17fa1d67abe79f85",
    ("comparison/params.yaml", "wide-residual"): "78cfc149daae33dd",
    ("comparison/params.yaml", "deep-residual-shorter"): "108c9d3842f3c53a",
    ("comparison/params.yaml", "deep-residual"): "108c9d3842f3c53a",
    ("comparison/params.yaml", "resnet-20"): "d98bf030a82b8891",
}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the file names the backend")
def test_the_networks_of_both_projects_keep_their_bytes():
    values = {file: parameters.read(ROOT / file) for file, _ in FILES}
    for (file, name), expected in FILES.items():
        listed = values[file].get("architectures", {}).get(name)
        listed = listed or values[file]["rows"][name]["layers"]
        keras.utils.set_random_seed(101)
        network = networks.build(LAYERS_OF.validate_python(listed, strict=True), FASHION)
        assert hashlib.sha256(saving.content(network)).hexdigest().startswith(expected), name


def test_the_names_of_layers_do_not_depend_on_what_was_built_before():
    one, two = (networks.build(layers(CLASSIFIER), FASHION) for _ in range(2))
    assert [layer.name for layer in one.layers] == [layer.name for layer in two.layers]


def test_a_residual_adds_its_input():
    network = networks.build(
        layers(f"- Residual: {{layers: [Rescaling: {{scale: 2.0}}]}}\n{CLASSIFIER}"), FASHION
    )
    images = np.random.default_rng(0).random((2, 28, 28, 1), dtype=np.float32)
    inner = keras.Model(network.input, network.get_layer("add_1").output)
    np.testing.assert_allclose(inner.predict(images, verbose=0), 3 * images, rtol=1e-6)


MERGED = [
    ("Add", lambda x: x + 2 * x + 3 * x),
    ("Multiply", lambda x: x * (2 * x) * (3 * x)),
    ("Concatenate", lambda x: np.concatenate([x, 2 * x, 3 * x], axis=-1)),
]


def test_branches_see_the_same_input_and_are_merged(subtests: pytest.Subtests):
    branches = "[[], [Rescaling: {scale: 2.0}], [Rescaling: {scale: 3.0}]]"
    images = np.random.default_rng(0).random((2, 28, 28, 1), dtype=np.float32)
    for merge, expected in MERGED:
        text = f"- {merge}: {{branches: {branches}}}\n{CLASSIFIER}"
        network = networks.build(layers(text), FASHION)
        inner = keras.Model(network.input, network.get_layer(f"{merge.lower()}_1").output)
        with subtests.test(merge):
            np.testing.assert_allclose(inner(images), expected(images), rtol=1e-6)


def test_a_residual_is_an_addition_of_two_branches():
    inner = "Conv2D: {filters: 1, kernel_size: 1}"
    built, expected = (
        networks.build(layers(f"- {block}\n{CLASSIFIER}"), FASHION).to_json()
        for block in (
            f"Residual: {{layers: [{inner}], shortcut: []}}",
            f"Add: {{branches: [[{inner}], []]}}",
        )
    )
    assert built == expected


SEQUENCE = "- Reshape: {target_shape: [28, 28]}"


def test_attention_is_of_a_sequence_to_itself():
    text = f"{SEQUENCE}\n- MultiHeadAttention: {{num_heads: 2, key_dim: 3}}\n{CLASSIFIER}"
    network = networks.build(layers(text), FASHION)
    attention = network.get_layer("multi_head_attention_1")
    rows = np.random.default_rng(0).random((2, 28, 28), dtype=np.float32)
    inner = keras.Model(network.get_layer("reshape_1").output, attention.output)
    np.testing.assert_allclose(inner(rows), attention(rows, rows), rtol=1e-6)


DROPPING = (
    "LSTM: {units: 3, dropout: 0.5, recurrent_dropout: 0.25}",
    "MultiHeadAttention: {num_heads: 2, key_dim: 3, dropout: 0.5}",
    "Dropout: {rate: 0.5}",
)


def test_dropout_is_scaled_wherever_it_is_while_a_network_trains(subtests: pytest.Subtests):
    rows = np.ones((2, 28, 28, 1), np.float32)
    for layer in DROPPING:
        network = networks.build(layers(f"{SEQUENCE}\n- {layer}\n{CLASSIFIER}"), FASHION)
        before = network.to_json()
        with subtests.test(layer):
            with recipes.scaled_dropout(network, 0):
                np.testing.assert_array_equal(network(rows, training=True), network(rows))
            assert not np.array_equal(network(rows, training=True), network(rows))
            rates = [rate for *_, rate in recipes.dropout_rates(network)]
            with recipes.scaled_dropout(network, 0.25):
                scaled = [rate for *_, rate in recipes.dropout_rates(network)]
            assert scaled == [0.25 * rate for rate in rates]
            assert network.to_json() == before


def test_repeated_layers_have_weights_of_their_own():
    network = networks.build(
        layers(
            "- Repeat: {times: 3, layers: [Conv2D: {filters: 4, kernel_size: 3}]}\n" + CLASSIFIER
        ),
        FASHION,
    )
    convolutions = [layer for layer in network.layers if layer.name.startswith("conv2d")]
    assert [layer.name for layer in convolutions] == ["conv2d_1", "conv2d_2", "conv2d_3"]
    assert [layer.count_params() for layer in convolutions] == [40, 148, 148]


REFUSED = [
    ("- Dropout: {rate: 2}", "[0].Dropout", None),
    ("- Conv2D: {filters: 3, kernel_size: 30}", "[0].Conv2D", [(28, 28, 1)]),
    ("- Flatten\n- MaxPooling2D", "[1].MaxPooling2D", [(784,)]),
    (
        "- Repeat: {times: 2, layers: [Residual: {layers: [Dropout: {rate: 2}]}]}",
        "[0].Repeat.layers[0].Residual.layers[0].Dropout",
        None,
    ),
    (
        "- Residual: {layers: [MaxPooling2D], shortcut: [AveragePooling2D: {pool_size: 4}]}",
        "[0].Residual",
        [(14, 14, 1), (7, 7, 1)],
    ),
    (
        "- Concatenate: {branches: [[], [Flatten]]}",
        "[0].Concatenate",
        [(28, 28, 1), (784,)],
    ),
    (
        "- Multiply: {branches: [[], [Dropout: {rate: 2}]]}",
        "[0].Multiply.branches[1][0].Dropout",
        None,
    ),
    (f"{SEQUENCE}\n- LSTM: {{units: 2, return_state: true}}", "[1].LSTM", None),
]


def test_a_layer_that_keras_refuses_is_named_by_its_place(subtests: pytest.Subtests):
    for text, place, shapes in REFUSED:
        with subtests.test(text.replace("\n", " ")):
            with pytest.raises(networks.LayerError) as error:
                networks.build(layers(text), FASHION)
            assert (error.value.place, error.value.input_shape) == (place, shapes)


RESNET_STEM = """
- Conv2D: {filters: 16, kernel_size: 3, padding: same, use_bias: false}
- BatchNormalization
- ReLU
"""
WIDE_STEM = "- Conv2D: {filters: 16, kernel_size: 3, padding: same, use_bias: false}\n"
POOLED = "- GlobalAveragePooling2D\n- Dense: {units: 10, activation: softmax}\n"


def resnet(depth: int) -> str:
    """The ResNet of that depth for small images, with projections where the shape changes."""
    blocks = (depth - 2) // 6
    groups = "".join(
        f"- ResidualBlock: {{filters: {filters}, strides: {strides}}}\n"
        f"- Repeat: {{times: {blocks - 1}, layers: [ResidualBlock: {{filters: {filters}}}]}}\n"
        for filters, strides in ((16, 1), (32, 2), (64, 2))
    )
    return RESNET_STEM + groups + POOLED


def wide_resnet(depth: int, width: int) -> str:
    """WRN-depth-width."""
    blocks = (depth - 4) // 6
    groups = "".join(
        f"- ResidualBlock: {{filters: {filters}, strides: {strides}, preactivation: true}}\n"
        f"- Repeat: {{times: {blocks - 1}, layers: [ResidualBlock: "
        f"{{filters: {filters}, preactivation: true}}]}}\n"
        for filters, strides in ((16 * width, 1), (32 * width, 2), (64 * width, 2))
    )
    return WIDE_STEM + groups + "- BatchNormalization\n- ReLU\n" + POOLED


GRAYSCALE = 2 * 3 * 3 * 16  # weights fewer in the first convolution than for images in colour


def trained_parameters(network: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


def test_a_resnet_of_blocks_has_the_published_parameters():
    # He et al. 2015, arXiv:1512.03385, table 6: 0.27 million for images in colour, and without
    # weights in the shortcuts.
    counted = trained_parameters(networks.build(layers(resnet(20)), FASHION))
    projections = 16 * 32 + 32 * 64 + 2 * (32 + 64)
    assert round((counted + GRAYSCALE - projections) / 1e6, 2) == 0.27


def test_a_wide_resnet_of_blocks_has_the_published_parameters():
    # Zagoruyko & Komodakis 2016, arXiv:1605.07146, table 5
    for depth, width, millions in ((40, 4, 8.9), (16, 8, 11.0)):
        counted = trained_parameters(networks.build(layers(wide_resnet(depth, width)), FASHION))
        assert abs((counted + GRAYSCALE) / 1e6 - millions) < 0.05, (depth, width)


CONVOLUTION = (
    "Conv2D: {{filters: {}, kernel_size: {}, strides: {}, padding: same, use_bias: false}}"
)


def spelled_out(filters: int, strides: int, preactivation: bool, projects: bool) -> str:
    """What a ResidualBlock stands for, as a list of plain layers."""
    first, second, projection = (
        CONVOLUTION.format(filters, size, step)
        for size, step in ((3, strides), (3, 1), (1, strides))
    )
    normalize, rectify = "BatchNormalization", "ReLU"
    if not preactivation:
        shortcut = f"[{projection}, {normalize}]" if projects else "[]"
        branch = f"[{first}, {normalize}, {rectify}, {second}, {normalize}]"
        return f"- Residual: {{layers: {branch}, shortcut: {shortcut}}}\n- {rectify}\n"
    if projects:  # both branches start from the same activation
        branch = f"[{first}, {normalize}, {rectify}, {second}]"
        residual = f"- Residual: {{layers: {branch}, shortcut: [{projection}]}}\n"
        return f"- {normalize}\n- {rectify}\n{residual}"
    branch = f"[{normalize}, {rectify}, {first}, {normalize}, {rectify}, {second}]"
    return f"- Residual: {{layers: {branch}}}\n"


def test_a_block_is_the_same_network_as_its_layers_spelled_out(subtests: pytest.Subtests):
    for filters, strides in ((16, 1), (16, 2), (8, 1)):
        for preactivation in (False, True):
            how = f"filters: {filters}, strides: {strides}, preactivation: {preactivation}".lower()
            projects = (filters, strides) != (16, 1)
            plain = spelled_out(filters, strides, preactivation, projects)
            built, expected = (
                networks.build(layers(RESNET_STEM + each + POOLED), FASHION).to_json()
                for each in (f"- ResidualBlock: {{{how}}}\n", plain)
            )
            with subtests.test(how):
                assert built == expected
