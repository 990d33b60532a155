"""The IDX reader takes exactly what the format allows, and tells what is wrong with the rest."""

import struct
from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.errors import InputError
from fashion_mnist.ingest import idx

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    idx.write(path, IMAGES)
    return path


def test_the_header_is_the_formats(file: Path):
    assert file.read_bytes()[:16] == bytes([0, 0, 8, 3]) + struct.pack(">III", 2, 3, 4)


NOT_IDX = "is not an IDX file of uint8 with 3 dimensions: it must begin with the bytes 00 00 08 03"


DAMAGES = [
    (lambda b: b[:-1], "must be 40 bytes long, as its header declares (2, 3, 4), not 39"),
    (lambda b: b + b"x", "must be 40 bytes long, as its header declares (2, 3, 4), not 41"),
    (lambda b: b[:4] + b"\xff" * 12 + b[16:], "must be 79,228,162"),
    (lambda b: b[:4] + b"\xff" * 4 + bytes(8), "is empty: its header declares (4294967295, 0"),
    (lambda b: b[:10], "ends within its header of 16 bytes"),
    (lambda b: b[:3], NOT_IDX),
    (lambda _: b"", NOT_IDX),
    (lambda b: b"\x01" + b[1:], NOT_IDX),
    (lambda b: b[:2] + b"\x0d" + b[3:], NOT_IDX),
    (lambda b: b[:3] + b"\x01" + b[4:], NOT_IDX),
    (lambda b: b"<html>" + b, NOT_IDX),
]


def test_a_damaged_file_is_refused_with_what_was_expected(file: Path, subtests: pytest.Subtests):
    whole = file.read_bytes()
    for damage, message in DAMAGES:
        file.write_bytes(damaged := damage(whole))
        with subtests.test(message, content=damaged[:20]):
            with pytest.raises(InputError) as error:
                idx.read(file, dimensions=3)
            assert str(error.value).startswith(f"{file} {message}")


def test_a_missing_file_is_named_with_what_gets_it(tmp_path: Path):
    with pytest.raises(InputError, match="none is missing: `dvc repro fetch` gets it"):
        idx.read(tmp_path / "none", dimensions=1)


def test_only_uint8_is_written(tmp_path: Path):
    with pytest.raises(TypeError):
        idx.write(tmp_path / "file", np.array([300]))
    assert not (tmp_path / "file").exists()
