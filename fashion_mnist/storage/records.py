"""Read and write the small files that people and git compare: JSON metrics and CSV tables.

They hold only finite numbers: a metric that is NaN or infinite can be neither ranked nor
plotted, and standard JSON has no way to write it.
"""

import csv
import io
import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

from fashion_mnist.errors import InputError
from fashion_mnist.storage import files

T = TypeVar("T")

LARGEST = 16 * 2**20  # bytes; a thousand times more than the pipeline writes
DIGITS = 6  # further decimals differ between machines and tell nothing


def rounded(value: Any, *where: object) -> Any:
    """Return `value` with every float in it, at any depth, rounded to DIGITS decimals.

    Args:
        value: text, numbers, and mappings and sequences of them.
        where: what leads to `value`, for the message: a file, a row, keys.

    Raises:
        InputError: a number is not finite.
    """
    if isinstance(value, Mapping):
        return {key: rounded(item, *where, key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item, *where, index) for index, item in enumerate(value)]
    if isinstance(value, Real) and not isinstance(value, int) and not math.isfinite(value):
        raise InputError(f"{': '.join(map(str, where))} must be a finite number, not {value}")
    return round(value, DIGITS) if isinstance(value, float) else value


def write_json(path: str | Path, value: Mapping[str, Any]) -> None:
    """Write metrics, one key a line, rounded to DIGITS decimals.

    Raises:
        InputError: a number is not finite; nothing is written.
        OSError: the file cannot be written; its old content is still there.
    """
    text = json.dumps(rounded(value, path), indent=2, ensure_ascii=False)
    files.write(path, f"{text}\n".encode())


def read_json(path: str | Path) -> Any:
    """Read what `write_json` wrote.

    Raises:
        InputError: the file is missing or is not JSON, or a number is not finite.
        OSError: the file cannot be read.
    """
    return _read(path, lambda text: json.loads(text, parse_float=_number, parse_constant=_number))


def write_csv(
    path: str | Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()
) -> None:
    """Write a table, rounded to DIGITS decimals.

    Args:
        path: of the file.
        rows: with the same keys.
        columns: their names; by default the first row's keys.

    Raises:
        InputError: a number is not finite; nothing is written.
        OSError: the file cannot be written; its old content is still there.
    """
    rows = [rounded(row, path, f"row {number}") for number, row in enumerate(rows, start=1)]
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns or list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    files.write(path, text.getvalue().encode())


def read_csv(path: str | Path, texts: Collection[str] = ()) -> list[dict[str, Any]]:
    """Read a table of numbers, as floats; the columns `texts` hold text.

    Raises:
        InputError: the file is missing, a row is too short or too long, or a field of
            another column is not a finite number.
        OSError: the file cannot be read.
    """
    return _read(path, lambda text: _table(text, texts))


def _table(text: str, texts: Collection[str]) -> list[dict[str, Any]]:
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("a row is shorter or longer than the header")
    return [
        {key: field if key in texts else _number(field) for key, field in row.items()}
        for row in rows
    ]


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _read(path: str | Path, parse: Callable[[str], T]) -> T:
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError(f"it is larger than {LARGEST // 2**20} MiB")
        return parse(data.decode())
    except FileNotFoundError:
        raise InputError(f"{path} is missing: `dvc repro` makes it") from None
    except (ValueError, RecursionError, csv.Error) as error:
        raise InputError(f"{path} is damaged ({error}): `dvc repro` makes it again") from None
