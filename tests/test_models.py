"""Model files: the same weights, the same bytes; whatever is in a file, none of it runs."""

import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from fashion_mnist.errors import InputError
from fashion_mnist.learning import networks, prediction, saving
from fashion_mnist.learning.backend import keras
from fashion_mnist.model_files import loading

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
    return networks.build("x", LAYERS)


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


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_saved_model_predicts_what_it_did(tmp_path: Path, model: keras.Model, suffix: str):
    path = tmp_path / f"model{suffix}"
    model.save(path)
    loaded = loading.load_model(path)
    np.testing.assert_array_equal(
        prediction.predict(loaded, IMAGES), prediction.predict(model, IMAGES)
    )


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_functional_model_is_read_too(tmp_path: Path, suffix: str):
    model, path = functional(), tmp_path / f"model{suffix}"
    model.save(path)
    loaded = loading.load_model(path)
    np.testing.assert_array_equal(
        prediction.predict(loaded, IMAGES), prediction.predict(model, IMAGES)
    )


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
    loaded = loading.load_model(path)
    np.testing.assert_array_equal(
        prediction.predict(loaded, IMAGES), prediction.predict(model, IMAGES)
    )


def test_a_lambda_layer_is_refused_before_it_can_run(tmp_path: Path):
    trap = tmp_path / "trap"
    source = f"lambda x: (open({str(trap)!r}, 'w'), x)[1]"
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Lambda(eval(source)),  # noqa: S307
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    trap.unlink(missing_ok=True)
    for suffix in (".h5", ".keras"):
        model.save(tmp_path / f"hostile{suffix}")
        with pytest.raises(InputError, match="has a layer 'Lambda'"):
            loading.load_model(tmp_path / f"hostile{suffix}")
    assert not trap.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"class_name": "system", "module": "os"},
        {"class_name": "TFOpLambda"},
        {"config": {"units": 10, "activation": {"class_name": "function", "config": "os.system"}}},
        {"config": {"units": 10, "activation": "os.system"}},
        {"config": {"units": {"class_name": "__lambda__", "config": {"value": "x"}}}},
    ],
    ids=str,
)
def test_whatever_is_not_a_plain_keras_layer_is_refused(
    tmp_path: Path, model: keras.Model, change: dict
):
    path = tmp_path / "hostile.h5"
    saving.save(model, path)
    rewrite(path, lambda c: c["config"]["layers"][-1].update(change))
    with pytest.raises(InputError, match="refused"):
        loading.load_model(path)


def test_what_is_no_model_is_told_so(tmp_path: Path):
    text, archive = tmp_path / "text.h5", tmp_path / "archive.keras"
    text.write_text("hello")
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme", "hello")
    for path in (text, archive):
        with pytest.raises(InputError, match="is not a Keras model"):
            loading.load_model(path)
    with pytest.raises(InputError, match="is not a file"):
        loading.load_model(tmp_path / "none.h5")


def test_a_model_for_other_images_is_told_so(tmp_path: Path):
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten()])
    model.save(tmp_path / "other.h5")
    with pytest.raises(InputError, match=r"maps \(32, 32, 3\) to \(3072,\)"):
        loading.load_model(tmp_path / "other.h5")
