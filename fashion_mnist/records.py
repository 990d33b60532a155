"""The small files that people and git compare: JSON metrics, CSV tables."""

import csv
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

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
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(rounded(value), indent=2, ensure_ascii=False)
    Path(path).write_text(text + "\n", encoding="utf-8", newline="\n")


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
    with CsvWriter(path, list(rows[0])) as table:
        for row in rows:
            table.add(row)


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


class CsvWriter:
    """A table that grows on disk row by row."""

    def __init__(self, path: str | Path, columns: Sequence[str]) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._file = Path(path).open("w", encoding="utf-8", newline="")  # noqa: SIM115
        self._rows = csv.DictWriter(self._file, columns, lineterminator="\n")
        self._rows.writeheader()
        self._file.flush()

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one row at once."""
        self._rows.writerow(rounded(row))
        self._file.flush()

    def __enter__(self) -> "CsvWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
