"""A model as ONNX: the same probabilities in another runtime, or one sentence and no file."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from fashion_mnist.exporting import onnx
from fashion_mnist.learning.backend import keras
from fashion_mnist.model_files import loading
from fashion_mnist.storage import outs
from tests.conftest import ROOT, Call, added, as_project
from tests.jobs import FASHION

MODELS = ROOT / "tests/models"
COMMAND = "fashion_mnist.__main__", "export"
THE_BEST = ("--model", str(ROOT / outs.BEST_MODEL), "--out", "model.onnx")


def answered(file: Path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"image": images})[0]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    with np.load(MODELS / "images.npz", allow_pickle=False) as file:
        return file["images"][..., np.newaxis] / np.float32(255)


EXPORTED = [
    ROOT / outs.BEST_MODEL,
    *(MODELS / f"keras2-{name}" for name in ("layers.keras", "normalized.h5", "recurrent.h5")),
    MODELS / "logits.h5",
]


def test_the_file_gives_keras_s_probabilities(
    call: Call, tmp_path: Path, images: np.ndarray, subtests: pytest.Subtests
):
    project = as_project(tmp_path)
    for model in EXPORTED:
        done = call(project, *COMMAND, "--model", str(model), "--out", "model.onnx")
        with subtests.test(model.name):
            assert done.code == 0, done.err
            size = (tmp_path / "model.onnx").stat().st_size
            wrote = f"wrote model.onnx: {size:,} bytes; its probabilities are within "
            assert done.out.startswith(wrote)
            expected = loading.load_model(model, FASHION).predict(images, verbose=0)
            for count in (len(images), 1):
                found = answered(tmp_path / "model.onnx", images[:count])
                np.testing.assert_allclose(found, expected[:count], rtol=0, atol=1e-5)


def test_the_file_says_what_it_takes_and_gives(call: Call, tmp_path: Path):
    (tmp_path / "mine.keras").write_bytes((MODELS / "augmented.keras").read_bytes())
    assert call(as_project(tmp_path), *COMMAND, "--model", "mine.keras").code == 0
    session = onnxruntime.InferenceSession(tmp_path / "mine.onnx")
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.name, taken.type) == ("image", "tensor(float)")
    assert taken.shape == ["N", 28, 28, 1]
    assert (given.name, given.shape) == ("probabilities", ["N", 10])
    classes = session.get_modelmeta().custom_metadata_map["classes"]
    assert json.loads(classes) == list(FASHION.classes)


L = keras.layers
CONVOLUTION = {"filters": 4, "kernel_size": 3}
# Layers and functions that the converter does not know, or not exactly.
UNKNOWN = {
    "gelu": [L.Conv2D(**CONVOLUTION, activation="gelu")],
    "celu": [L.Conv2D(**CONVOLUTION, activation="celu")],
    "groups": [L.Conv2D(**CONVOLUTION), L.Conv2D(**CONVOLUTION, groups=4, strides=2)],
    "rows in groups": [L.Reshape((28, 28)), L.Conv1D(4, 3, groups=2, padding="same")],
    "bicubic": [L.Resizing(20, 13, interpolation="bicubic")],
    "lanczos": [L.UpSampling2D((2, 1), interpolation="lanczos3"), L.AveragePooling2D(2)],
    "antialias": [L.Resizing(13, 20, antialias=True)],
}


def test_what_the_converter_does_not_know_is_made_of_what_it_knows(
    images: np.ndarray, subtests: pytest.Subtests
):
    for name, unknown in UNKNOWN.items():
        layers = [*unknown, L.Flatten(), L.Dense(10, activation="softmax")]
        model = keras.Sequential([keras.Input((28, 28, 1)), *layers])
        with subtests.test(name):
            data, _ = onnx.to_onnx(model, FASHION.classes)
            expected = model.predict(images, verbose=0)
            np.testing.assert_allclose(answered(data, images), expected, rtol=0, atol=1e-5)


def saved(folder: Path) -> str:
    """A model whose convolution ONNX Runtime does not compute."""
    layers = [L.Reshape((4, 7, 14, 2)), L.Conv3D(4, 2, groups=2), L.Flatten()]
    last = L.Dense(10, activation="softmax")
    keras.Sequential([keras.Input((28, 28, 1)), *layers, last]).save(folder / "volumes.keras")
    return "volumes.keras"


REFUSED = [
    (["--model", "none.h5"], "none.h5 is not a file: name a .h5 or .keras model"),
    (["--model", ""], "--model .: is a folder: name a .h5 or .keras file"),
    (["--out", "a.h5"], "--out a.h5: the file is ONNX: choose a name that ends in .onnx"),
    (
        ["--model", "volumes.keras"],
        "volumes.keras cannot be converted to ONNX",
    ),
]


def test_what_cannot_be_exported_is_one_sentence(
    call: Call, tmp_path: Path, subtests: pytest.Subtests
):
    saved(as_project(tmp_path))
    for arguments, message in REFUSED:
        done = call(tmp_path, *COMMAND, *arguments)
        with subtests.test(message):
            assert (done.code, done.out) == (1, "")
            assert done.err.startswith(f"error: {message}")
            assert done.err.count("\n") == 1
            assert added(tmp_path) == ["volumes.keras"]


def test_only_tensorflow_exports(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    done = call(as_project(tmp_path), *COMMAND, *THE_BEST)
    assert (done.code, done.out) == (1, "")
    assert done.err == "error: ONNX is written from TensorFlow: unset KERAS_BACKEND\n"


def test_a_file_that_disagrees_with_keras_is_not_written(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(onnx, "TOLERANCE", 0)  # no two runtimes round alike
    done = call(as_project(tmp_path), *COMMAND, *THE_BEST)
    assert (done.code, done.out) == (1, "")
    assert "gives other probabilities as ONNX, by up to" in done.err
    assert added(tmp_path) == []
