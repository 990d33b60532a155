"""Metrics and tables: what is written comes back, and every number is finite."""

import itertools
import json
import math
from functools import partial
from pathlib import Path

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


def test_a_number_that_is_not_finite_is_never_written(tmp_path: Path, subtests: pytest.Subtests):
    new, old = tmp_path / "new" / "record", tmp_path / "old"
    old.write_bytes(b"what was there\n")
    for number, path in itertools.product(NOT_FINITE, (new, old)):
        rows = ({"model": "a", "loss": number} for _ in range(2))
        for where, write, record in (
            ("loss", records.write_json, {"accuracy": 0.5, "loss": number}),
            ("classes: Bag: 1", records.write_json, {"classes": {"Bag": [0.5, number]}}),
            ("row 2: val_loss", records.write_csv, [{"val_loss": 0.5}, {"val_loss": number}]),
            ("row 1: loss", records.write_csv, rows),
        ):
            with subtests.test(where, number=repr(number), path=path.name):
                with pytest.raises(InputError) as refused:
                    write(path, record)
                said = f"{path}: {where} must be a finite number, not {number}"
                assert str(refused.value) == said
                assert [*tmp_path.rglob("*")] == [old]
                assert old.read_bytes() == b"what was there\n"


def test_a_number_that_is_not_finite_is_never_read(tmp_path: Path, subtests: pytest.Subtests):
    for number in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999"):
        (tmp_path / "m.json").write_text(f'{{"classes": {{"Bag": [0.5, {number}]}}}}')
        (tmp_path / "t.csv").write_text(f"epoch,val_loss\n1,0.5\n2,{number}\n")
        for read, name in ((records.read_json, "m.json"), (records.read_csv, "t.csv")):
            with subtests.test(name, number=number):
                with pytest.raises(InputError) as refused:
                    read(tmp_path / name)
                assert str(refused.value) == (
                    f"{tmp_path / name} is damaged ({number} is not a finite number): "
                    "`dvc repro` makes it again"
                )


DAMAGED_TABLES = (
    b"epoch,loss\n1\n",
    b"epoch,loss\n1,\n",
    b"epoch,loss\n1,x\n",
    b"epoch\n1,2\n",
    b"epoch,model\n1\n",
    b"epoch\n\xff\n",
    b'epoch\n"1',
)
DAMAGED_METRICS = (b"", b"{", b"\xff", b"[" * 50_000, b"9" * 5000)


def test_a_damaged_record_is_refused(tmp_path: Path, subtests: pytest.Subtests):
    path = tmp_path / "record"
    read_table = partial(records.read_csv, texts=("model",))
    for read, contents in ((read_table, DAMAGED_TABLES), (records.read_json, DAMAGED_METRICS)):
        for content in contents:
            path.write_bytes(content)
            with subtests.test(repr(content[:20])), pytest.raises(InputError, match="is damaged"):
                read(path)


def test_a_file_that_is_missing_or_that_no_stage_wrote_is_not_read(tmp_path: Path):
    (tmp_path / "large").write_bytes(bytes(records.LARGEST + 1))
    for read in (records.read_json, records.read_csv):
        with pytest.raises(InputError, match="larger than 16 MiB"):
            read(tmp_path / "large")
        with pytest.raises(InputError, match="none is missing: `dvc repro` makes it"):
            read(tmp_path / "none")
