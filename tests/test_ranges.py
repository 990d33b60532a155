"""The range of numbers in which a model expects its images: found by `score`, given by --range."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.learning.backend import keras
from fashion_mnist.model_files import ranges
from fashion_mnist.storage import dataset, outs
from tests.conftest import ROOT, Call, as_project
from tests.jobs import FASHION

SCORE = "fashion_mnist.__main__", "score"
PREDICT = "fashion_mnist.__main__", "predict"
LABELS = np.repeat(np.arange(10, dtype=np.uint8), 10)
IMAGES = np.tile(20 + 20 * LABELS[:, None, None], (1, 28, 28))  # the brighter, the higher a class
RANGES = {
    "0...1": ranges.UNIT,
    "-1...1": ranges.SIGNED,
    "0...255": ranges.BYTES,
    "standardized": ranges.standardized(IMAGES),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with these images as the test set."""
    (tmp_path / outs.TEST).parent.mkdir(parents=True)
    dataset.write(tmp_path / outs.TEST, dataset.Labelled(IMAGES, LABELS, FASHION.classes))
    return as_project(tmp_path)


def of_brightness(expected: ranges.Range) -> keras.Model:
    """A model that finds the class whose brightness, in this range, is nearest."""
    size = expected.white - expected.black
    classes = (20 + 20 * np.arange(10)) / 255
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    # -(x - black - size * c)**2 without x**2, which is the same for all classes c
    shifted = expected.black + size * classes
    model.set_weights([2000 / size**2 * shifted[None], -1000 / size**2 * shifted**2])
    return model


MODEL = "a-model-with-a-long-name.keras"


def test_score_finds_the_range_that_a_model_was_trained_on(
    call: Call, folder: Path, subtests: pytest.Subtests
):
    for name, expected in RANGES.items():
        of_brightness(expected).save(folder / MODEL)
        advised = call(folder, *SCORE, MODEL)
        done = call(folder, *SCORE, MODEL, "--range", name)
        with subtests.test(name):
            assert advised.code == 0
            if name == "0...1":
                assert advised.err == ""
            else:
                found = f"it was probably trained on images in {name}: 100.0% of the first 100"
                assert found in advised.err
                assert advised.err.endswith(f": add --range {name}\n")
            assert (done.code, done.err) == (0, "")
            title, scores = done.out.splitlines()[1:3]
            assert title == MODEL
            assert "100.00%" in scores
            assert max(map(len, done.out.splitlines())) <= 80


def test_predict_takes_the_range(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
):
    from fashion_mnist.commands import models

    seen = []
    load = models.load
    monkeypatch.setattr(models, "load", lambda *given: seen.append(load(*given)) or seen[-1])
    of_brightness(ranges.SIGNED).save(folder / "signed.keras")
    shutil.copy(ROOT / "docs/t-shirt.png", folder / "-1.png")
    for written in ("-1...1", "-1..1", "-1,1"):
        done = call(folder, *PREDICT, "--range", written, "--model", "signed.keras", "-1.png")
        with subtests.test(written):
            assert done.code == 0, done.err
            found = seen.pop().model.predict(IMAGES[:, ..., None] / 255, verbose=0)
            assert (found.argmax(axis=1) == LABELS).all()


def test_what_is_no_range_is_one_sentence(call: Call, folder: Path, subtests: pytest.Subtests):
    of_brightness(ranges.UNIT).save(folder / "model.keras")
    for written in ("0", "1...1", "low...high", "-1...inf", ""):
        done = call(folder, *SCORE, "model.keras", "--range", written)
        with subtests.test(repr(written)):
            assert (done.code, done.out) == (1, "")
            assert done.err == (
                f"error: --range {written}: needed are the numbers of black and white, such as "
                "-1...1, or standardized\n"
            )


def test_an_untrained_model_gets_no_advice(call: Call, folder: Path):
    model = of_brightness(ranges.UNIT)
    model.set_weights([np.zeros((1, 10)), np.zeros(10)])
    model.save(folder / "untrained.keras")
    assert call(folder, *SCORE, "untrained.keras").err == ""


def test_names_in_a_model_change_no_terminal(call: Call, folder: Path):
    names = "\x1b[31mred\x07", "é", "è", "last one"
    layers = [*map(keras.layers.ReLU, [None] * 3), keras.layers.Flatten(), keras.layers.Dense(10)]
    for layer, name in zip((*layers[:3], layers[-1]), names, strict=True):
        layer.name = name
    model = keras.Sequential([keras.Input((28, 28, 1)), *layers])
    model.save(folder / "red.keras")
    (folder / "red.keras").rename(folder / "\x1b[2Jred.keras")
    for name in ("\x1b[2Jred.keras", "\x1b[2Jnone.keras"):
        done = call(folder, *SCORE, name)
        assert "red.keras" in done.out if "red" in name else done.code == 1
        assert not {"\x1b", "\x07"} & set(done.out + done.err)
