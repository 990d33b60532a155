"""Keras as this project loads it, whatever the user's settings, and the batches it is given."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.learning.backend import in_batches, keras
from tests.conftest import ROOT

needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="other backends take the arrays themselves"
)
IMPORT = "from fashion_mnist.learning.backend import keras"


def python(code: str, home: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    """Python in the project's folder, without Keras's variables; the home folder is `home`."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("KERAS_")}
    if home:
        inherited["HOME"] = str(home)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=inherited | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_backend_that_cannot_be_used_is_told_in_a_sentence(subtests: pytest.Subtests):
    messages = {
        "theano": "theano: it must be tensorflow or jax",
        "torch": "torch: it must be tensorflow or jax",
    }
    if find_spec("jax") is None:
        messages["jax"] = "jax, which is not installed: run `pip install jax`"
    code = f"""from fashion_mnist.talk import console
def main():
    {IMPORT}
console.run(main)"""
    running = {name: python(code, KERAS_BACKEND=name) for name in messages}
    for name, message in messages.items():
        out, err = running[name].communicate()
        with subtests.test(name):
            assert (running[name].returncode, out) == (1, "")
            assert err == f"error: KERAS_BACKEND is {message}\n"


def test_the_users_settings_of_keras_change_nothing(tmp_path: Path):
    settings = {
        "floatx": "float16",
        "image_data_format": "channels_first",
        "backend": "theano",
        "epsilon": 0.1,
    }
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras/keras.json").write_text(json.dumps(settings))
    code = f"""{IMPORT}
print(keras.backend.backend(), keras.config.floatx(), keras.config.image_data_format(),
      keras.config.epsilon())"""
    done = python(
        code,
        home=tmp_path,
        KERAS_HOME=str(tmp_path / ".keras"),
        KERAS_MAX_EPOCHS="1",
        KERAS_MAX_STEPS_PER_EPOCH="1",
    )
    out, err = done.communicate()
    assert (out, err) == ("tensorflow float32 channels_last 1e-07\n", "")


@needs_tensorflow
def test_batches_hold_the_arrays_in_their_order_and_the_last_may_be_smaller():
    images = np.arange(10, dtype=np.uint8).reshape(5, 2)
    targets = np.eye(5, dtype=np.float32)
    given = in_batches(2, images, targets)["x"]
    assert not given.options().autotune.enabled  # which would take threads
    batches = list(given.as_numpy_iterator())
    assert [len(batch) for batch, _ in batches] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([batch for batch, _ in batches]), images)
    np.testing.assert_array_equal(np.concatenate([batch for _, batch in batches]), targets)
