"""What `-S` means to a search."""

from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from ruamel.yaml import YAML

from dvc_parallel.errors import InputError
from dvc_parallel.space import by_file, read_space, read_values, refuse_endless

SWEEPS: dict[str, BaseDistribution] = {
    "interval(0, 1)": FloatDistribution(0.0, 1.0),
    "tag(log, interval(1e-4, 1e-1))": FloatDistribution(1e-4, 1e-1, log=True),
    "int(interval(1, 8))": IntDistribution(1, 8),
    "tag(int, interval(1, 8))": IntDistribution(1, 8),
    "tag(log, int(interval(1, 64)))": IntDistribution(1, 64, log=True),
    "tag(int, log, interval(1, 64))": IntDistribution(1, 64, log=True),
    "choice(small, large)": CategoricalDistribution(["small", "large"]),
    "small,large,small": CategoricalDistribution(["small", "large"]),
    "choice(1, 'a b', [1, 2])": CategoricalDistribution(["1", r"a\ b", "[1,2]"]),
    "range(1, 8)": IntDistribution(1, 8),
    "range(1, 8, step=3)": IntDistribution(1, 7, step=3),
    "range(0, 1, 0.25)": FloatDistribution(0, 1, step=0.25),
}


def test_a_sweep_is_what_optuna_chooses_from() -> None:
    for text, distribution in SWEEPS.items():
        assert read_space([f"x={text}"]).distributions["x"] == distribution
    shuffled = read_space(["x=shuffle(range(1, 4))"]).distributions["x"]
    assert isinstance(shuffled, CategoricalDistribution)
    assert sorted(shuffled.choices) == ["1", "2", "3"]


def test_a_choice_becomes_what_dvc_writes(tmp_path: Path) -> None:
    space = read_space(
        [
            "a=choice('x y', 1)",
            "b.c=range(0, 1, 0.1)",
            "b.e=7",
            f"{tmp_path}/other.yaml:d=interval(0, 1)",
        ]
    )
    (label,) = space.dimensions.keys() - {"a", "b.c"}
    changes = by_file(space.changes({"a": r"x\ y", "b.c": 0.1 + 0.1 + 0.1, label: 1e-5}))
    path, other = tmp_path / "params.yaml", tmp_path / "other.yaml"
    path.write_text("a: 0\nb: {c: 0, e: 0}\n")
    other.write_text("d: 0\n")
    apply_overrides(path, changes["params.yaml"])
    apply_overrides(other, next(texts for name, texts in changes.items() if "other" in name))
    assert YAML(typ="safe").load(path) == {"a": "x y", "b": {"c": 0.3, "e": 7}}
    assert YAML(typ="safe").load(other) == {"d": 1e-5}


WRONG = [
    (["x"], "missing EQUAL"),
    (["=1,2"], "a parameter is missing before the ="),
    (["x=interval(1,"], "no viable alternative"),
    (["x=interval(1)"], "missing a required argument: 'end'"),
    (["x=intrval(1, 2)"], "Unknown function 'intrval'"),
    (["x=interval(2, 1)"], "the interval must end above its start"),
    (["x=interval(0, inf)"], "the ends of an interval must be finite"),
    (["x=tag(log, interval(0, 1))"], "a logarithmic interval must start above 0"),
    (["x=tag(int, interval(1, 2.5))"], "an interval of whole numbers needs whole ends"),
    (["x=tag(lgo, interval(1, 2))"], "the tags are int and log, not lgo"),
    (["x=tag(log, tag(int, interval(1, 2)))"], "write several tags as one"),
    (["x=tag(log, range(1, 9))"], "tag(...) needs an interval(...)"),
    (["x=range(9, 1)"], "a range must go up"),
    (["x=range(1, 9, 0)"], "a range must go up"),
    (["x=shuffle(range(1, 9, 0))"], "the step of a range must not be 0"),
    (["x=shuffle(range(9, 1))"], "the range is empty"),
    (["x=glob(*)"], "glob(...) is not supported"),
    (["x=1", "x=interval(1, 2)"], "x is given twice"),
]


def test_what_cannot_be_searched_is_told() -> None:
    for params, reason in WRONG:
        with pytest.raises(InputError) as told:
            read_space(params)
        assert str(told.value).startswith(f"-S {params[-1]}: ")
        assert reason in str(told.value)
        assert "\n" not in str(told.value)


def test_a_list_of_values_has_two_or_more() -> None:
    assert [change.text for change in read_values("--rungs", "e=2,4,8")] == ["2", "4", "8"]
    assert [change.text for change in read_values("--rungs", "e=range(1,3)")] == ["1", "2"]
    for wrong in ("e=2", "e=interval(1,2)", "e=2,2"):
        with pytest.raises(InputError, match=r"--rungs .*: give two or more"):
            read_values("--rungs", wrong)


def test_a_grid_has_no_intervals() -> None:
    refuse_endless(["x=1,2", "y=range(1,3)", "~z", "what Hydra cannot read"])
    with pytest.raises(InputError, match="the step of a range must not be 0"):
        refuse_endless(["x=range(1, 9, 0)"])
    with pytest.raises(InputError, match=r"-S x=.*: an interval needs --minimize FILE:KEY"):
        refuse_endless(["x=interval(1, 2)"])
