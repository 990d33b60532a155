"""What was saved between two epochs comes back whole, to the run that saved it, or not at all."""

from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.learning.state import Checkpoint
from fashion_mnist.running import training_log

ARRAYS = {"history": np.array([[1.0, 0.5]]), "variable 0": np.arange(6, dtype=np.float32)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a checkpoint that the run with the key `ours` has saved."""
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


@pytest.mark.parametrize("fast_bfloat16", [True, False])
def test_one_in_other_arithmetic_is_ignored(
    fast_bfloat16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("data.npz").write_bytes(b"images")
    monkeypatch.setattr(accelerators, "has_fast_bfloat16", lambda: fast_bfloat16)
    training_log.checkpoint("model-1", "a task", Path("data.npz")).save(ARRAYS)
    assert training_log.checkpoint("model-1", "a task", Path("data.npz")).load() is not None
    monkeypatch.setattr(accelerators, "has_fast_bfloat16", lambda: not fast_bfloat16)
    assert training_log.checkpoint("model-1", "a task", Path("data.npz")).load() is None


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
