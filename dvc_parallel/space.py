"""What a search may change: `-S` in Hydra's sweep grammar, as Hydra's Optuna sweeper reads it."""

import math
import os
import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from dvc_parallel.errors import InputError

if TYPE_CHECKING:
    from dvc.repo import Repo
    from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
    from optuna.distributions import BaseDistribution

TAGS = {"log", "int"}


class Change(NamedTuple):
    """A parameter and one of its values.

    Attributes:
        path: the file, as seen from the current folder.
        key: the parameter in Hydra's grammar, such as `train.lr` or `+train.momentum`.
        text: its value in Hydra's grammar.
    """

    path: str
    key: str
    text: str

    @property
    def label(self) -> str:
        """The parameter as `-S` takes it."""
        return _label(self.path, self.key)


class Dimension(NamedTuple):
    """A parameter and what Optuna may choose for it."""

    path: str
    key: str
    distribution: "BaseDistribution"

    def change(self, value: Any) -> Change:
        """The change that gives it this value, which is one of its distribution's."""
        if isinstance(value, float):
            value = float(f"{value:.12g}")  # steps add up to 0.30000000000000004
        return Change(self.path, self.key, str(value))


class Space(NamedTuple):
    """What every trial changes, and what it chooses, by the parameter as `-S` takes it."""

    fixed: tuple[Change, ...]
    dimensions: dict[str, Dimension]

    @property
    def distributions(self) -> dict[str, "BaseDistribution"]:
        """What Optuna chooses from."""
        return {label: dimension.distribution for label, dimension in self.dimensions.items()}

    @property
    def size(self) -> float:
        """How many trials differ; infinite if a parameter is continuous."""
        return math.prod(map(_count, self.distributions.values()))

    def changes(self, chosen: Mapping[str, Any]) -> tuple[Change, ...]:
        """The changes of a trial with these values."""
        return (
            *self.fixed,
            *(dimension.change(chosen[label]) for label, dimension in self.dimensions.items()),
        )

    def examples(self) -> list[tuple[Change, ...]]:
        """The changes of some trials, in which each choice of a list occurs."""
        lists = {
            label: getattr(distribution, "choices", [getattr(distribution, "low", None)])
            for label, distribution in self.distributions.items()
        }
        return [
            self.changes({label: values[number % len(values)] for label, values in lists.items()})
            for number in range(max(map(len, lists.values()), default=1))
        ]


def read_space(params: Sequence[str]) -> Space:
    """The space that these values of `-S` span.

    Raises:
        InputError: one of them is not in Hydra's grammar, is empty, or is given twice.
    """
    fixed: list[Change] = []
    dimensions: dict[str, Dimension] = {}
    for given in params:
        path, override = _parse("-S", given)
        key = override.get_key_element()
        label = _label(path, key)
        if label in dimensions or label in {change.label for change in fixed}:
            raise InputError(f"-S {given}: {label} is given twice")
        if override.is_sweep_override():
            dimensions[label] = Dimension(path, key, _distribution(given, override))
        else:
            text = "" if override.is_delete() else override.get_value_element_as_str()
            fixed.append(Change(path, key, text))
    return Space(tuple(fixed), dimensions)


def read_values(option: str, given: str) -> tuple[Change, ...]:
    """The changes that a list of values such as `train.seed=1,2,3` means, in its order.

    Raises:
        InputError: it is no list, or has fewer than two different values.
    """
    path, override = _parse(option, given)
    if not override.is_discrete_sweep():
        raise InputError(f"{option} {given}: give two or more values, as in {option} KEY=1,2,3")
    key = override.get_key_element()
    _refuse_endless(f"{option} {given}", override)
    texts = dict.fromkeys(str(text) for text in override.sweep_string_iterator())
    if len(texts) < 2:
        raise InputError(f"{option} {given}: give two or more different values")
    return tuple(Change(path, key, text) for text in texts)


def refuse_endless(params: Iterable[str]) -> None:
    """Raise InputError if a grid is given what has no list of values, such as an interval."""
    for given in params:
        try:
            _, override = _parse("-S", given)
        except InputError:
            continue  # reported when the grid is made
        if override.is_interval_sweep():
            raise InputError(
                f"-S {given}: an interval needs --minimize FILE:KEY or --maximize FILE:KEY"
            )
        _refuse_endless(f"-S {given}", override)


def by_file(changes: Iterable[Change]) -> dict[str, list[str]]:
    """The changes as DVC takes them: KEY=VALUE by file; a later one of a key replaces it."""
    files: dict[str, dict[str, str]] = {}
    for change in changes:
        text = change.key if change.key.startswith("~") else f"{change.key}={change.text}"
        files.setdefault(change.path, {})[change.key] = text
    return {path: list(texts.values()) for path, texts in files.items()}


def check(repo: "Repo", option: str, changes: Iterable[Change]) -> None:
    """Raise InputError if DVC cannot make these changes to the files of the workspace."""
    from dvc.dependency.param import ParamsDependency

    composed = repo.config["hydra"].get("enabled", False)
    for path, texts in by_file(changes).items():
        with TemporaryDirectory() as folder:
            copy = Path(folder, Path(path).name)
            if composed and path == ParamsDependency.DEFAULT_PARAMS_FILE:
                _compose(repo, option, copy, texts)
                continue
            if not Path(path).is_file():
                raise InputError(f"{option}: there is no file {path}")
            shutil.copy(path, copy)
            for text in texts:
                _apply(option, copy, text)


def _apply(option: str, copy: Path, text: str) -> None:
    from dvc.exceptions import InvalidArgumentError
    from dvc.utils.hydra import apply_overrides

    try:
        apply_overrides(copy, [text])
    except InvalidArgumentError as error:
        reason = _first_line(error.__cause__ or error)
        raise InputError(f"{option} {text}: {reason}") from None
    except KeyError:  # no such kind of file
        raise InputError(f"{option}: {copy.name} is no file of parameters") from None


def _compose(repo: "Repo", option: str, copy: Path, texts: list[str]) -> None:
    from dvc.utils.hydra import compose_and_dump
    from hydra.errors import HydraException

    settings = repo.config["hydra"]
    root = Path(repo.root_dir)
    module = settings.get("config_module")
    try:
        compose_and_dump(
            str(copy),
            None if module else str(root / settings.get("config_dir", "conf")),
            module,
            settings.get("config_name", "config"),
            str(root / settings.get("plugins_path", "")),
            texts,
        )
    except HydraException as error:
        raise InputError(f"{option} {' '.join(texts)}: {_first_line(error)}") from None


def _parse(option: str, given: str) -> tuple[str, "Override"]:
    """The file and the change of `[FILE:]KEY=VALUE`."""
    from dvc.utils.cli_parse import to_path_overrides
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import ValueType
    from hydra.errors import HydraException

    ((path, (text,)),) = to_path_overrides([given]).items()
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise InputError(f"{option} {given}: {_first_line(error)}") from None
    if not override.key_or_group:
        raise InputError(f"{option} {given}: a parameter is missing before the =")
    if override.value_type == ValueType.GLOB_CHOICE_SWEEP:
        raise InputError(f"{option} {given}: glob(...) is not supported")
    # An absolute path would lead out of the experiment's folder.
    return os.path.relpath(os.path.realpath(path)), override


def _distribution(given: str, override: "Override") -> "BaseDistribution":
    from hydra.core.override_parser.types import IntervalSweep, RangeSweep, Sweep
    from optuna.distributions import CategoricalDistribution

    value = override.value()
    if not isinstance(value, Sweep):
        raise InputError(f"-S {given}: these values cannot be searched")
    where = f"-S {given}"
    if given.count("tag(") > 1:  # Hydra keeps the outer one only
        raise InputError(f"{where}: write several tags as one, as in tag(int, log, interval(1, 9))")
    if unknown := value.tags - TAGS:
        raise InputError(f"{where}: the tags are int and log, not {', '.join(sorted(unknown))}")
    if isinstance(value, IntervalSweep):
        return _interval(where, value)
    if value.tags:
        raise InputError(f"{where}: tag(...) needs an interval(...)")
    if isinstance(value, RangeSweep) and not value.shuffle:
        return _range(where, value)
    _refuse_endless(where, override)
    texts = list(dict.fromkeys(map(str, override.sweep_string_iterator())))
    if not texts:
        raise InputError(f"{where}: the range is empty")
    return CategoricalDistribution(texts)


def _interval(where: str, sweep: "IntervalSweep") -> "BaseDistribution":
    from optuna.distributions import FloatDistribution, IntDistribution

    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"{where}: the ends of an interval must be finite")
    if low >= high:
        raise InputError(f"{where}: the interval must end above its start")
    if log and low <= 0:
        raise InputError(f"{where}: a logarithmic interval must start above 0")
    whole = isinstance(low, int) and isinstance(high, int)
    if whole or "int" in sweep.tags:
        if low != int(low) or high != int(high):
            raise InputError(f"{where}: an interval of whole numbers needs whole ends")
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(low, high, log=log)


def _range(where: str, sweep: "RangeSweep") -> "BaseDistribution":
    """As Hydra's Optuna sweeper has it, `stop` is one of the values if the steps reach it."""
    from optuna.distributions import FloatDistribution, IntDistribution

    start, stop, step = sweep.start, sweep.stop, sweep.step
    if start is None or stop is None or not all(map(math.isfinite, (start, stop, step))):
        raise InputError(f"{where}: the ends of a range must be finite")
    if step <= 0 or start > stop:
        raise InputError(f"{where}: a range must go up, by a step above 0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a stop that the steps do not reach
        if all(isinstance(number, int) for number in (start, stop, step)):
            return IntDistribution(int(start), int(stop), step=int(step))
        return FloatDistribution(start, stop, step=step)


def _refuse_endless(where: str, override: "Override") -> None:
    from hydra.core.override_parser.types import RangeSweep

    value = override.value()
    if isinstance(value, RangeSweep) and (value.step == 0 or not math.isfinite(value.step)):
        raise InputError(f"{where}: the step of a range must not be 0")


def _count(distribution: "BaseDistribution") -> float:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return (distribution.high - distribution.low) // distribution.step + 1
    if isinstance(distribution, FloatDistribution) and distribution.step:
        return round((distribution.high - distribution.low) / distribution.step) + 1
    return math.inf


def _label(path: str, key: str) -> str:
    from dvc.dependency.param import ParamsDependency

    return key if path == ParamsDependency.DEFAULT_PARAMS_FILE else f"{path}:{key}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
