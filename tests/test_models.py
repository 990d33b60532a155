"""Model files: the same weights, the same bytes; any network that fits is read, and none runs.

`models/` holds files of Keras 2 and 3, and what Keras itself predicts with them for `images.npz`,
the first 100 test images.
"""

import inspect
import json
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from fashion_mnist.errors import InputError
from fashion_mnist.learning import networks, prediction, saving
from fashion_mnist.learning.backend import keras, legacy_h5_format
from fashion_mnist.model_files import allowed, descriptions, hdf5, loading, names
from tests.jobs import FASHION

LAYERS = [
    ("Conv2D", {"filters": 2, "kernel_size": 3, "activation": "relu"}),
    ("BatchNormalization", {}),
    ("Dropout", {"rate": 0.5}),
    ("Flatten", {}),
    ("Dense", {"units": 10, "activation": "softmax", "kernel_regularizer": "l2"}),
]
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)


@pytest.fixture
def model() -> keras.Model:
    return networks.build(LAYERS, FASHION)


MODELS = Path(__file__).parent / "models"
L = keras.layers


def hundred_images() -> np.ndarray:
    """The first 100 test images, float32 (100, 28, 28, 1) in [0, 1]."""
    with np.load(MODELS / "images.npz", allow_pickle=False) as file:
        return file["images"][..., np.newaxis].astype(np.float32) / np.float32(255)


def predicted(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(images, training=False))


def unchanged(rows: np.ndarray) -> np.ndarray:
    return rows


def softmax(rows: np.ndarray) -> np.ndarray:
    return normalized(np.exp(rows))


def normalized(rows: np.ndarray) -> np.ndarray:
    return rows / rows.sum(axis=1, keepdims=True)


SOFTMAX = "its last layer '{}' gives logits: a softmax was added"
EXP = "its last layer '{}' gives log-probabilities: exp was taken"
NORMALIZED = (
    "its last layer '{}' gives each class a number of its own ({}): they were divided by their sum"
)
BYTES = "its layer '{}' expects images from 0 to 255: it is given these"

FILES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], list[str]]] = {
    "augmented.keras": (unchanged, []),
    "keras2-depthwise.h5": (unchanged, []),
    "keras2-nested.h5": (unchanged, []),
    "keras2-tutorial.h5": (softmax, [SOFTMAX.format("dense_9")]),
    "logits.h5": (softmax, [SOFTMAX.format("dense_1")]),
    "rescaled-inside.h5": (unchanged, [BYTES.format("rescaling")]),
    "two-nested.keras": (unchanged, []),
    # Written by Keras 2: attention, arithmetic by functions of TensorFlow, its hard_sigmoid,
    # layers and arguments that Keras 3 dropped, recurrent layers, a network called twice.
    "keras2-more-functions.h5": (unchanged, [BYTES.format("tf.nn.bias_add")]),
    # AutoKeras's own layers are only named in the file; its normalization is of bytes.
    "keras2-autokeras.h5": (unchanged, [BYTES.format("normalization")]),
    "keras2-attention.h5": (np.exp, [EXP.format("dense_10")]),
    "keras2-functions.h5": (unchanged, [BYTES.format("tf.math.truediv")]),
    "keras2-functions.keras": (unchanged, [BYTES.format("tf.math.truediv_1")]),
    "keras2-hard-sigmoid.h5": (unchanged, []),
    "keras2-hard-sigmoid.keras": (unchanged, []),
    "keras2-layers.keras": (unchanged, []),
    "keras2-normalized.h5": (
        normalized,
        [BYTES.format("normalization"), NORMALIZED.format("dense_9", "sigmoid")],
    ),
    "keras2-recurrent.h5": (unchanged, []),
    "keras2-twice.h5": (unchanged, []),
}


@pytest.fixture
def quickly_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of known origin are copied in this process, without a start of Python for each."""
    monkeypatch.setattr(hdf5, "plain", hdf5.copied)


@pytest.mark.usefixtures("quickly_read")
def test_a_file_predicts_what_keras_predicts_with_it(subtests: pytest.Subtests):
    expected = {}
    for archive in ("expected.npz", "expected-keras2.npz"):
        with np.load(MODELS / archive, allow_pickle=False) as file:
            expected |= file
    for name, (change, notes) in FILES.items():
        with subtests.test(name):
            loaded = loading.load(MODELS / name, FASHION)
            rows = predicted(loaded.model, hundred_images())
            np.testing.assert_allclose(rows, change(expected[name]), atol=1e-5)
            np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
            assert loaded.notes == notes


def network(
    body: Callable[[keras.KerasTensor], keras.KerasTensor], shape: tuple = (28, 28, 1)
) -> keras.Model:
    image = keras.Input(shape)
    return keras.Model(image, body(image))


def pooled(last: str | None = "softmax", name: str = "last") -> keras.Sequential:
    """From an image, or an array like one, to ten numbers."""
    dense = L.Dense(10, activation=last, name=name)
    return keras.Sequential([L.AveragePooling2D(4), L.Flatten(), dense])


def called_twice() -> keras.Model:
    inner = network(lambda x: L.BatchNormalization()(L.Conv2D(1, 3, padding="same")(x)))
    return network(lambda x: pooled()(L.Subtract()([inner(inner(x)), L.Minimum()([inner(x), x])])))


def augmented() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.Sequential(
                [L.RandomFlip(), L.RandomShear(0.1), L.RandomInvert(), L.Rescaling(2)]
            ),
            L.GaussianNoise(0.1),
            L.ActivityRegularization(0.1),
            L.SpatialDropout2D(0.1),
            L.AlphaDropout(0.1),
            pooled(),
        ]
    )


def of_brightness(mean: float) -> keras.Model:
    layer = L.BatchNormalization(name="bright")
    model = keras.Sequential([keras.Input((28, 28, 1)), layer, pooled()])
    layer.moving_mean.assign([mean])
    return model


def with_operations(x: keras.KerasTensor) -> keras.KerasTensor:
    """From rows of an image to ten numbers, through functions of keras.ops."""
    ops = keras.ops
    x = ops.pad(x[..., None], ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    x = ops.image.resize(ops.repeat(x, 3, axis=-1), (16, 16))[:, ::-1, 1:]
    x = ops.tile(ops.where(ops.cast(x * 3, "int32") > 1, x, x - np.arange(3.0)), (1, 1, 1, 2))
    x = ops.stack([ops.swapaxes(x, 1, 2)[..., 0], ops.reshape(x, (-1, 15, 16, 6))[..., 4]], -1)
    return pooled()(ops.gelu(x) + ops.concatenate([x[..., :1], ops.maximum(x, 0.2)[..., 1:]], -1))


def preprocessed_as_for(application: str) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    preprocess = getattr(keras.applications, application).preprocess_input
    return lambda x: pooled()(preprocess(L.Concatenate()([x, x, x])))


def of_two_images() -> keras.Model:
    images = [keras.Input((28, 28, 1), name=name) for name in "ij"]
    return keras.Model(images, pooled()(L.Add()(images)))


# Networks, as Keras 3 writes them: how, the range of images that each expects, what becomes of
# its predictions, and the note.
NETWORKS: dict[str, tuple[Callable[[], keras.Model], int, Callable, list[str]]] = {
    "rows of an image": (
        lambda: network(lambda x: L.Dense(10, activation="softmax")(L.SimpleRNN(3)(x)), (28, 28)),
        1,
        unchanged,
        [],
    ),
    "a row of numbers": (
        lambda: network(lambda x: L.Dense(10, name="last")(x), (784,)),
        1,
        softmax,
        [SOFTMAX.format("last")],
    ),
    "any size": (
        lambda: network(lambda x: L.GlobalMaxPooling2D()(L.Conv2D(10, 3)(x)), (None, None, 1)),
        1,
        softmax,
        [],
    ),
    "a network called twice": (called_twice, 1, unchanged, []),
    "augmentation": (augmented, 1, unchanged, []),
    "dropout in prediction": (
        lambda: network(lambda x: pooled()(L.Dropout(1e-7)(x, training=True))),
        1,
        unchanged,
        [],
    ),
    "arithmetic": (
        lambda: network(lambda x: keras.ops.softmax(pooled(None)((x - 127.5) / 127.5))),
        255,
        unchanged,
        [BYTES],
    ),
    "rescaling in a nested network behind others": (
        lambda: network(
            lambda x: pooled()(
                network(lambda y: L.Rescaling(1 / 127.5, -1, name="inner")(L.Dropout(0.1)(y)))(
                    L.Reshape((28, 28, 1))(x)
                )
            ),
            (784,),
        ),
        255,
        unchanged,
        [BYTES.format("inner")],
    ),
    "rescaling of images in [0, 1]": (
        lambda: network(lambda x: pooled()(L.Rescaling(2, -1)(x))),
        1,
        unchanged,
        [],
    ),
    "normalization of bright images": (
        lambda: of_brightness(72.9),
        255,
        unchanged,
        [BYTES.format("bright")],
    ),
    "normalization of images in [0, 1]": (lambda: of_brightness(0.286), 1, unchanged, []),
    "sigmoids": (
        lambda: network(pooled("sigmoid")),
        1,
        normalized,
        [NORMALIZED.format("last", "sigmoid")],
    ),
    "log-probabilities": (
        lambda: network(pooled("log_softmax")),
        1,
        np.exp,
        [EXP.format("last")],
    ),
    "logits of a nested network": (
        lambda: network(lambda x: L.Activation("linear")(pooled(None)(x))),
        1,
        softmax,
        [SOFTMAX.format("last")],
    ),
    "the mean of two": (
        lambda: network(lambda x: L.Average()([pooled()(x), pooled()(x)])),
        1,
        unchanged,
        [],
    ),
    "the sum of two": (
        lambda: network(lambda x: L.Add()([pooled(name="a")(x), pooled(name="b")(x)])),
        1,
        normalized,
        [NORMALIZED.format("a", "softmax")],
    ),
    "probabilities in one place": (
        lambda: network(lambda x: L.Softmax()(L.Conv2D(10, 28)(x))),
        1,
        unchanged,
        [],
    ),
    "functions of keras.ops": (lambda: network(with_operations, (28, 28)), 1, unchanged, []),
    "input for a ResNet": (
        lambda: network(preprocessed_as_for("resnet50")),
        255,
        unchanged,
        [BYTES],
    ),
    "input for a DenseNet": (
        lambda: network(preprocessed_as_for("densenet")),
        255,
        unchanged,
        [BYTES],
    ),
    "an argument that Keras warns of": (
        lambda: network(lambda x: pooled()(L.LayerNormalization(axis=1, rms_scaling=True)(x))),
        1,
        unchanged,
        [],
    ),
    "an input named as this project's": (
        lambda: keras.Sequential(
            [
                keras.Input((28, 28, 1), name="image"),
                L.Rescaling(1 / 255, name="rescaling_4"),
                pooled(),
            ],
            name="network",
        ),
        255,
        unchanged,
        [BYTES.format("rescaling_4")],
    ),
    "a layer as an activation": (
        lambda: network(lambda x: pooled()(L.Conv2D(2, 3, activation=L.LeakyReLU(0.1))(x))),
        1,
        unchanged,
        [],
    ),
}


@pytest.mark.usefixtures("quickly_read")
def test_a_network_predicts_what_keras_predicts_with_it(tmp_path: Path, subtests: pytest.Subtests):
    path = tmp_path / "model.KERAS"
    images = hundred_images()[:20]
    for name, (make, brightest, change, notes) in NETWORKS.items():
        with subtests.test(name):
            model = make()
            random = np.random.default_rng(0)
            for weight in model.trainable_weights:
                weight.assign(random.normal(0, 0.3, weight.shape))
            model.save(path.with_suffix(".keras"))
            path.with_suffix(".keras").rename(path)
            with warnings.catch_warnings(action="error"):
                loaded = loading.load(path, FASHION)
            seen = brightest * images.reshape(20, *(n or 28 for n in model.input_shape[1:]))
            expected = change(predicted(model, seen).reshape(20, 10))
            np.testing.assert_allclose(predicted(loaded.model, images), expected, atol=1e-5)
            if notes == [BYTES]:  # the layer is named by Keras
                assert "expects images from 0 to 255" in loaded.notes[0]
            elif notes or change is unchanged:
                assert loaded.notes == notes


def test_an_operation_is_told_from_a_layer_of_its_name_in_hdf5_too(tmp_path: Path):
    model = network(with_operations, (28, 28))
    model.save(tmp_path / "model.h5")
    images = hundred_images()[:20]
    found = predicted(loading.load_model(tmp_path / "model.h5", FASHION), images)
    np.testing.assert_allclose(found, predicted(model, images[..., 0]), atol=1e-5)


# Each argument of a layer that changes what it computes, with a value other than its default.
ARGUMENTS = {
    **dict.fromkeys(["filters", "groups", "kernel_size", "pool_size", "size", "units"], 3),
    **dict.fromkeys(["cropping", "depth_multiplier", "dilation_rate", "key_dim", "num_heads"], 2),
    **dict.fromkeys(["lora_rank", "output_padding", "sliding_window", "value_dim"], 1),
    **dict.fromkeys(["alpha", "epsilon", "negative_slope", "offset", "threshold"], 0.2),
    **dict.fromkeys(["center", "reset_after", "scale", "use_bias"], False),
    **dict.fromkeys(["go_backwards", "keepdims", "return_sequences", "use_gate"], True),
    **dict.fromkeys(["activation", "recurrent_activation"], "gelu"),
    **{"attention_axes": [1], "axis": 1, "bias_axes": "e", "data_format": "channels_first"},
    **{"dims": [2, 1, 3], "equation": "abcd,de->abce", "interpolation": "bicubic"},
    **{"lora_alpha": 4, "max_value": 5.0, "output_shape": [5, 5, 5], "padding": "same"},
    **{"shared_axes": [1], "strides": 2, "target_shape": [7, 112]},
}
# Those that change only training, how the same is computed, or what no architecture may say.
OTHERS = re.compile(
    r".*_(initializer|regularizer|constraint)|renorm.*|dropout|recurrent_dropout|seed|momentum|"
    r"unit_forget_bias|synchronized|unroll|stateful|return_state|use_cudnn|flash_attention|"
    r"gptq_.*|quantization_config|name|dtype|kwargs|self"
)


def test_each_layer_of_an_architecture_keeps_its_arguments(subtests: pytest.Subtests):
    for kind in sorted(names.LAYERS & allowed.COMPUTING):
        for left_out in ("strides", "dilation_rate"):  # Keras takes only one of them
            with subtests.test(kind, without=left_out):
                written, read = config_and_its_copy(kind, left_out)
                assert read == written


def config_and_its_copy(kind: str, left_out: str) -> tuple[dict, dict]:
    """The layer's arguments, none of which has its default, and what is read of them."""
    cls = getattr(L, kind)
    declared = {name for name in inspect.signature(cls).parameters if not OTHERS.fullmatch(name)}
    arguments = {name: ARGUMENTS[name] for name in declared if name != left_out}
    if kind == "Conv2DTranspose":
        arguments["output_padding"] = 0 if left_out == "strides" else 1  # must be less than these
    if kind == "ZeroPadding2D":
        arguments["padding"] = 2
    written = cls(**arguments).get_config()
    image = {"class_name": "InputLayer", "config": {"batch_shape": [None, 28, 28, 1]}}
    layers = [image, {"class_name": kind, "config": json.loads(json.dumps(written))}]
    file = {"class_name": "Sequential", "config": {"name": "x", "layers": layers}}
    clean = descriptions.inert(Path("x.h5"), file)["config"]["layers"][1]
    read = cls.from_config(clean["config"]).get_config()
    return {name: written[name] for name in arguments}, {name: read[name] for name in arguments}


OF_NO_USE: dict[str, Callable[[], keras.Model]] = {
    "ends in tanh (layer 'last')": lambda: network(pooled("tanh")),
    "ends in relu (layer ": lambda: network(lambda x: L.ReLU()(pooled(None)(x))),
    "has outputs named p; needed is": lambda: network(lambda x: {"p": pooled()(x)}),
    "has outputs named sequential": lambda: network(lambda x: [pooled()(x), pooled()(x)]),
    "has inputs named i, j; needed is": of_two_images,
    "numbers that are not finite": lambda: network(lambda x: pooled()(x * np.nan)),
    "an activation": lambda: network(lambda x: pooled()(L.Conv2D(2, 3, activation=lambda y: y)(x))),
    "maps (32, 32, 3) to (3072,)": lambda: network(lambda x: L.Flatten()(x), (32, 32, 3)),
}


def test_a_network_that_gives_nothing_of_use_is_refused(tmp_path: Path, subtests: pytest.Subtests):
    for reason, make in OF_NO_USE.items():
        with subtests.test(reason):
            make().save(tmp_path / "model.keras")
            with pytest.raises(InputError, match=re.escape(reason)) as refused:
                loading.load(tmp_path / "model.keras", FASHION)
            assert "\n" not in str(refused.value)


def test_a_network_of_this_project_sees_what_it_was_trained_on(tmp_path: Path):
    layers = [("Rescaling", {"scale": 1 / 255}), *LAYERS]
    saving.save(networks.build(layers, FASHION), tmp_path / "ours.h5")
    assert loading.load(tmp_path / "ours.h5", FASHION).notes == []


def same_predictions(path: Path, model: keras.Model) -> None:
    found = prediction.predict(loading.load_model(path, FASHION), IMAGES)
    np.testing.assert_array_equal(found, prediction.predict(model, IMAGES))


def test_an_archive_may_be_packed_again(tmp_path: Path, model: keras.Model):
    model.save(tmp_path / "once.keras")
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with (
            zipfile.ZipFile(tmp_path / "once.keras") as once,
            zipfile.ZipFile(tmp_path / "again.keras", "w", compression) as again,
        ):
            for name in reversed(once.namelist()):
                again.writestr(name, once.read(name))
            again.writestr("__MACOSX/._config.json", "x")
        same_predictions(tmp_path / "again.keras", model)


def functional() -> keras.Model:
    image = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(2, 3, padding="same")(image)
    x = keras.layers.Add()([x, image])
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(10, activation="softmax")(x))


def rewrite(path: Path, change: callable) -> None:
    """Edit the configuration in a .h5 file."""
    with h5py.File(path, "r+") as file:
        configuration = json.loads(file.attrs["model_config"])
        change(configuration)
        file.attrs["model_config"] = json.dumps(configuration)


def test_the_same_weights_give_the_same_bytes(tmp_path: Path, model: keras.Model):
    saving.save(model, tmp_path / "a.h5")
    saving.save(model, tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_saved_model_predicts_what_it_did(
    tmp_path: Path, model: keras.Model, subtests: pytest.Subtests
):
    for saved in (model, functional()):
        for suffix in (".h5", ".keras"):
            with subtests.test(type(saved).__name__, suffix=suffix):
                saved.save(tmp_path / f"model{suffix}")
                same_predictions(tmp_path / f"model{suffix}", saved)


def test_a_file_of_keras_2_whose_first_layer_states_the_input_is_read(
    tmp_path: Path, model: keras.Model
):
    path = tmp_path / "old.h5"
    saving.save(model, path)

    def as_keras_2_wrote_it(configuration: dict) -> None:
        layers = configuration["config"]["layers"]
        del layers[0]  # no InputLayer
        layers[0]["config"]["batch_input_shape"] = [None, 28, 28, 1]
        for layer in layers:
            layer.pop("module", None)
            layer.pop("registered_name", None)
            layer["config"]["dtype"] = "float32"
        batch_normalization = layers[1]["config"]
        batch_normalization["axis"] = [3]

    rewrite(path, as_keras_2_wrote_it)
    same_predictions(path, model)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:127a30b3\nsize 10730760\n"
PAGE = b"\n<!DOCTYPE html><html><title>404</title></html>"
CUT_OFF = "is cut off or damaged: copy it or download it again"
WEIGHTS_ONLY = "holds weights without the network: save it with `model.save()`"


FOUND = {
    b"hello": "is not a Keras model",
    b"": "is empty",
    LFS: "is a Git LFS pointer: run `git lfs pull`",
    PAGE: "is a web page",
}


def test_what_is_often_found_in_a_models_place_is_named(tmp_path: Path, subtests: pytest.Subtests):
    for content, reason in FOUND.items():
        for suffix in (".h5", ".keras"):
            path = tmp_path / f"model{suffix}"
            path.write_bytes(content)
            with subtests.test(reason, suffix=suffix):
                with pytest.raises(InputError) as refused:
                    loading.load_model(path, FASHION)
                assert str(refused.value).startswith(f"{path} {reason}")


def test_a_model_that_is_cut_off_is_told_so(
    tmp_path: Path, model: keras.Model, subtests: pytest.Subtests
):
    for suffix in (".h5", ".keras"):
        path = tmp_path / f"model{suffix}"
        model.save(path)
        whole = path.read_bytes()
        parts = [whole[: len(whole) * share // 100] for share in (10, 99)]
        if suffix == ".keras":
            parts.append(parts[0] + whole[-len(whole) // 20 :])  # only the middle is missing
        for part in parts:
            path.write_bytes(part)
            with subtests.test(suffix, size=len(part)):
                with pytest.raises(InputError) as refused:
                    loading.load_model(path, FASHION)
                assert str(refused.value) == f"{path} {CUT_OFF}"


def test_weights_without_a_network_are_told_so(tmp_path: Path, model: keras.Model):
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "keras.weights.h5")
    with h5py.File(tmp_path / "keras2.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    with (
        zipfile.ZipFile(tmp_path / "model.keras") as whole,
        zipfile.ZipFile(tmp_path / "weights.keras", "w") as part,
    ):
        part.writestr("model.weights.h5", whole.read("model.weights.h5"))
    for name in ("keras.weights.h5", "keras2.h5", "weights.keras"):
        with pytest.raises(InputError, match=re.escape(WEIGHTS_ONLY)):
            loading.load_model(tmp_path / name, FASHION)


def test_what_is_no_file_is_told_so(tmp_path: Path):
    (tmp_path / "folder.keras").mkdir()
    for name, reason in {"none.h5": "is not a file", "folder.keras": "is a folder"}.items():
        with pytest.raises(InputError, match=reason):
            loading.load_model(tmp_path / name, FASHION)


def test_the_class_of_a_network_that_its_author_wrote_is_named(tmp_path: Path, model: keras.Model):
    saving.save(model, tmp_path / "model.h5")
    rewrite(tmp_path / "model.h5", lambda description: description.update(class_name="MyNet"))
    with pytest.raises(InputError, match="is a 'MyNet', a class of its author's own"):
        loading.load_model(tmp_path / "model.h5", FASHION)
