"""What a search makes small or large: a number in a file that the pipeline writes."""

import contextlib
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dvc_parallel.errors import InputError, dvc_errors, first_sentence
from dvc_parallel.plan import Options

if TYPE_CHECKING:
    from dvc.repo import Repo

MANY = 8  # keys of a file that a message lists


class Objective(NamedTuple):
    """A number in a file.

    Attributes:
        path: the file, as seen from the current folder.
        key: where in the file, with dots between the levels.
        maximize: whether a larger one is better.
    """

    path: str
    key: str
    maximize: bool

    def __str__(self) -> str:
        return f"{self.path}:{self.key}"

    def rank(self, value: float) -> float:
        """A number that is the smaller, the better the value is."""
        return -value if self.maximize else value

    def value(self, read: Callable[[str], bytes]) -> float:
        """The number after a run.

        Raises:
            ValueError: there is no finite number; the message tells in one sentence why.
        """
        try:
            content = read(self.path)
        except OSError:
            raise ValueError(f"{self.path} is missing") from None
        return _finite(self, _parse(self.path, content))


def read_objective(option: str, given: str, maximize: bool) -> Objective:
    """The objective that `--minimize` or `--maximize` names.

    Raises:
        InputError: it is not FILE:KEY, or DVC reads no such files.
    """
    path, _, key = given.rpartition(":")
    if not path or not key:
        raise InputError(f"{option} {given}: give FILE:KEY, as in {option} metrics.json:loss")
    if Path(path).suffix.lower() not in {".json", ".yaml", ".yml", ".toml"}:
        raise InputError(f"{option} {given}: the file must end in .json, .yaml, .yml or .toml")
    return Objective(Path(os.path.relpath(path)).as_posix(), key, maximize)


def check(repo: "Repo", option: str, objective: Objective, options: Options) -> None:
    """Raise InputError if no stage of the run writes the file, or if it lacks the number."""
    from dvc.dvcfile import PROJECT_FILE
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    path = Path(os.path.abspath(objective.path))  # noqa: PTH100 - as DVC does, links stay
    with dvc_errors():
        stages = collect_stages(repo, options.targets or [PROJECT_FILE])
        if not options.single_item:
            graph = get_active_graph(repo.index.graph)
            stages = plan_repro(graph, stages, downstream=options.downstream)
    outs = {Path(out.fs_path) for stage in stages if stage.cmd for out in stage.outs}
    if outs.isdisjoint({path, *path.parents}):
        raise InputError(f"{option} {objective}: no stage of this run writes {objective.path}")
    if path.is_file():
        try:
            _find(objective, _parse(objective.path, path.read_bytes()))
        except ValueError as error:
            raise InputError(f"{option} {objective}: {error}") from None


def _parse(path: str, content: bytes) -> Any:
    from dvc.utils.serialize import PARSERS, ParseError

    try:
        return PARSERS[Path(path).suffix.lower()](content.decode(), path)
    except (ParseError, UnicodeDecodeError) as error:
        raise ValueError(first_sentence(error)) from None


def _finite(objective: Objective, data: Any) -> float:
    found = _find(objective, data)
    if not math.isfinite(found):
        raise ValueError(f"{objective} is {found}")
    return found


def _find(objective: Objective, data: Any) -> float:
    """The number at the key, finite or not."""
    numbers = _numbers(data, "")
    if objective.key not in numbers:
        known = ", ".join([*list(numbers)[:MANY], *["..."][: len(numbers) > MANY]])
        raise ValueError(f"there is no number {objective.key}; those in it are: {known or 'none'}")
    return numbers[objective.key]


def _numbers(data: Any, prefix: str) -> dict[str, float]:
    """All numbers of nested maps and lists, by their keys with dots between the levels."""
    if isinstance(data, dict):
        items = list(data.items())
    elif isinstance(data, list):
        items = list(enumerate(data))
    elif isinstance(data, int | float) and not isinstance(data, bool):
        with contextlib.suppress(OverflowError):
            return {prefix.rstrip("."): float(data)}
        return {prefix.rstrip("."): math.inf}
    else:
        return {}
    return {
        key: number
        for name, inner in items
        for key, number in _numbers(inner, f"{prefix}{name}.").items()
    }
