"""The small files that people and git compare: JSON metrics, CSV tables."""

import csv
import io
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from fashion_mnist import files
from fashion_mnist.errors import InputError

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
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: `dvc repro` makes it") from None
    except ValueError as error:
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
        InputError: the file is missing, or another field is no number.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            return [
                {key: value if key in texts else float(value) for key, value in row.items()}
                for row in csv.DictReader(file)
            ]
    except FileNotFoundError:
        raise InputError(f"{path} is missing: `dvc repro` makes it") from None
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        raise InputError(f"{path} is damaged ({error}): `dvc repro` makes it anew") from None
