"""A checkpoint comes back whole, to the run that saved it, or not at all."""

from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.checking import guard
from fashion_mnist.learning.state import Checkpoint

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


def test_a_key_is_made_of_parameters_data_and_the_code_that_can_change_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data, other = tmp_path / "data.npz", tmp_path / "other.npz"
    data.write_bytes(b"images")
    other.write_bytes(b"other images")
    key = guard.fingerprint("a job", data)
    assert guard.fingerprint("a job", data) == key
    assert guard.fingerprint("another job", data) != key
    assert guard.fingerprint("a job", other) != key
    code = guard._code()
    for name, matters in (
        ("fashion_mnist/learning/state.py", True),
        ("fashion_mnist/running/provenance.py", False),  # silent
        ("comparison/never_loaded.py", False),
    ):
        edited = code | {name: "edited"}
        monkeypatch.setattr(guard, "_code", lambda edited=edited: edited)
        assert (guard.fingerprint("a job", data) != key) == matters, name


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
