"""The small files that people and git compare: JSON metrics, CSV tables."""

import csv
import io
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from fashion_mnist import files
from fashion_mnist.errors import InputError

LARGEST = 16 * 2**20  # bytes; what the pipeline writes has a thousandth of it
DIGITS = 6  # more would differ between machines without telling anything


def rounded(value: Any) -> Any:
    """The same with every float, however deep, brought to DIGITS decimals."""
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def write_json(path: str | Path, value: Mapping[str, Any]) -> None:
    """Write metrics, one key a line."""
    text = json.dumps(rounded(value), indent=2, ensure_ascii=False)
    files.write(path, f"{text}\n".encode())


def read_json(path: str | Path) -> Any:
    """Read what `write_json` wrote.

    Raises:
        InputError: the file is missing or is not JSON.
        OSError: it cannot be read.
    """
    try:
        return json.loads(_text(path))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: `dvc repro` makes it") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}): `dvc repro` makes it anew") from None


def write_csv(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table whose columns are the keys of its first row."""
    rows = list(rows)
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(map(rounded, rows))
    files.write(path, text.getvalue().encode())


def read_csv(path: str | Path, texts: Collection[str] = ()) -> list[dict[str, Any]]:
    """Read a table of numbers; the columns `texts` hold text.

    Raises:
        InputError: the file is missing, a field is, or another than those is no number.
        OSError: it cannot be read.
    """
    try:
        return [
            {key: _field(value, key in texts) for key, value in row.items()}
            for row in csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
        ]
    except FileNotFoundError:
        raise InputError(f"{path} is missing: `dvc repro` makes it") from None
    except (ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path} is damaged ({error}): `dvc repro` makes it anew") from None


def _field(value: str | None, is_text: bool) -> str | float:
    if value is None:
        raise ValueError("a row is too short")
    return value if is_text else float(value)


def _text(path: str | Path) -> str:
    with Path(path).open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST // 2**20} MiB")
    return data.decode()
