"""Metrics and tables: what is written comes back, and every number is finite."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fashion_mnist.errors import InputError
from fashion_mnist.storage import records

NOT_FINITE = [math.nan, math.inf, -math.inf, np.float64("nan"), np.float32("inf")]


def test_metrics_are_rounded_and_readable(tmp_path: Path):
    records.write_json(tmp_path / "m.json", {"loss": 1 / 3, "class": {"Bag": 2 / 3}, "n": 5})
    text = (tmp_path / "m.json").read_text()
    assert json.loads(text) == {"loss": 0.333333, "class": {"Bag": 0.666667}, "n": 5}
    assert text.endswith("}\n")


def test_a_number_of_any_size_is_finite(tmp_path: Path):
    records.write_json(tmp_path / "m.json", {"n": 10**400})
    assert records.read_json(tmp_path / "m.json") == {"n": 10**400}


def test_a_table_comes_back_as_it_was_written(tmp_path: Path):
    rows = [{"class": "Bag", "f1": 0.5}, {"class": "Dress, long\nor nan", "f1": 1.0}]
    records.write_csv(tmp_path / "t.csv", rows)
    assert records.read_csv(tmp_path / "t.csv", texts=("class",)) == rows


@pytest.mark.parametrize("number", NOT_FINITE)
@pytest.mark.parametrize("before", [None, b"what was there\n"])
def test_a_number_that_is_not_finite_is_never_written(
    tmp_path: Path, number: float, before: bytes | None
):
    path = tmp_path / "new" / "record"
    if before:
        path.parent.mkdir()
        path.write_bytes(before)

    def refused(where: str) -> Any:
        message = f"^{path}: {where} must be a finite number, not {number}$"
        return pytest.raises(InputError, match=message)

    with refused("loss"):
        records.write_json(path, {"accuracy": 0.5, "loss": number})
    with refused("classes: Bag: 1"):
        records.write_json(path, {"classes": {"Bag": [0.5, number]}})
    with refused("row 2: val_loss"):
        records.write_csv(path, [{"val_loss": 0.5}, {"val_loss": number}])
    with refused("row 1: loss"):
        records.write_csv(path, ({"model": "a", "loss": number} for _ in range(2)))

    assert [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()] == (
        [before] if before else []
    )
    assert path.parent.exists() == bool(before)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_is_not_finite_is_never_read(tmp_path: Path, number: str):
    (tmp_path / "m.json").write_text(f'{{"classes": {{"Bag": [0.5, {number}]}}}}')
    (tmp_path / "t.csv").write_text(f"epoch,val_loss\n1,0.5\n2,{number}\n")
    for read, name in ((records.read_json, "m.json"), (records.read_csv, "t.csv")):
        with pytest.raises(InputError) as refused:
            read(tmp_path / name)
        assert str(refused.value) == (
            f"{tmp_path / name} is damaged ({number} is not a finite number): "
            "`dvc repro` makes it again"
        )


@pytest.mark.parametrize(
    "content",
    [
        b"epoch,loss\n1\n",
        b"epoch,loss\n1,\n",
        b"epoch,loss\n1,x\n",
        b"epoch\n1,2\n",
        b"epoch,model\n1\n",
        b"epoch\n\xff\n",
        b'epoch\n"1',
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        records.read_csv(tmp_path / "t.csv", texts=("model",))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 50_000, b"9" * 5000])
def test_damaged_metrics_are_refused(tmp_path: Path, content: bytes):
    (tmp_path / "m.json").write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        records.read_json(tmp_path / "m.json")


@pytest.mark.parametrize("read", [records.read_json, records.read_csv])
def test_a_file_that_no_stage_wrote_is_not_read_whole(tmp_path: Path, read: Any):
    (tmp_path / "m").write_bytes(bytes(records.LARGEST + 1))
    with pytest.raises(InputError, match="larger than 16 MiB"):
        read(tmp_path / "m")


@pytest.mark.parametrize("read", [records.read_json, records.read_csv])
def test_a_missing_file_is_named(tmp_path: Path, read: Any):
    with pytest.raises(InputError, match="none is missing: `dvc repro` makes it"):
        read(tmp_path / "none")
