"""A checkpoint comes back whole, to the run that saved it, or not at all."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.learning import training
from fashion_mnist.learning.batches import Examples
from fashion_mnist.learning.state import Checkpoint
from tests.conftest import tiny_set
from tests.jobs import job

ARRAYS = {"history": np.array([[1.0, 0.5]]), "variable 0": np.arange(6, dtype=np.float32)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint that the run with the key `ours` has saved."""
    Checkpoint(tmp_path / "model", b"ours").save(ARRAYS)
    return tmp_path / "model"


def test_what_was_saved_comes_back(path: Path):
    loaded = Checkpoint(path, b"ours").load()
    assert loaded.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype


def test_another_runs_is_ignored(path: Path):
    assert Checkpoint(path, b"theirs").load() is None


def test_a_key_is_made_of_the_job_the_images_and_the_code_that_can_move_a_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    images = Examples(*tiny_set(20, seed=1))
    copy = tmp_path / "learning"
    shutil.copytree(training.CODE[0], copy)
    monkeypatch.setattr(training, "CODE", (copy, *training.CODE[1:]))
    key = training.fingerprint("model-1", job(), images, None)
    assert training.fingerprint("model-1", job(), Examples(*tiny_set(20, seed=1)), None) == key
    for others in (
        ("model-2", job(), images, None),
        ("model-1", job(epochs=3), images, None),
        ("model-1", job(), Examples(*tiny_set(20, seed=2)), None),
        ("model-1", job(), images, images),
    ):
        assert training.fingerprint(*others) != key
    (copy / "loop.py").write_text("edited")
    assert training.fingerprint("model-1", job(), images, None) != key


def test_one_that_is_cut_off_anywhere_is_ignored(path: Path):
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert Checkpoint(path, b"ours").load() is None


def test_one_with_any_bit_flipped_is_ignored(path: Path):
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :]
        )
        assert Checkpoint(path, b"ours").load() is None


def test_nothing_is_left_when_it_is_removed(path: Path):
    checkpoint = Checkpoint(path, b"ours")
    checkpoint.remove()
    checkpoint.remove()
    assert checkpoint.load() is None
    assert list(path.parent.iterdir()) == []
