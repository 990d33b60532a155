"""params.yaml: what is wrong with it is told in one sentence, by the key's path."""

from pathlib import Path

import pytest
import yaml

from fashion_mnist.errors import InputError
from fashion_mnist.running import params
from tests.conftest import ROOT


def broken(tmp_path: Path, path: str, value: object) -> str:
    """The message about the project's params.yaml with `value` at the dotted `path`."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    section = values
    *parents, last = path.split(".")
    for parent in parents:
        section = section[int(parent) if parent.isdigit() else parent]
    section[int(last) if last.isdigit() else last] = value
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError) as error:
        params.load(file)
    message = str(error.value)
    assert "\n" not in message
    return message.removeprefix(f"{file}: ")


def test_the_projects_own_file_is_good():
    assert params.load(ROOT / "params.yaml").train.splits == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("train.epocs", 3, "train.epocs: no such key"),
        ("recipes.original.epoch", 3, "recipes.original.epoch: no such key; did you mean epochs?"),
        ("recipes.original.epochs", 0, "recipes.original.epochs: must be greater than or equal"),
        ("recipes.original.batch_size", "32", "recipes.original.batch_size: must be a valid int"),
        (
            "recipes.original.optimizer",
            {"Adam": {"learning_rate": "1e-3"}},
            "recipes.original.optimizer: Adam.learning_rate must be a number above 0",
        ),
        (
            "recipes.original.optimizer",
            {"Adm": {}},
            "recipes.original.optimizer: no optimizer is named 'Adm'; did you mean Adam?",
        ),
        ("recipes.original.schedule", "onecycle", "recipes.original.schedule: must be 'constant'"),
        (
            "recipes.one-cycle.warmup",
            0.1,
            "recipes.one-cycle: warmup: goes with schedule: cosine, not with one-cycle",
        ),
        ("train.architecture", "improvd", "train.architecture: no architecture is named 'improvd'"),
        ("baseline.recipe", "x", "baseline.recipe: no recipe is named 'x'; known are"),
        (
            "architectures.improved.0",
            {"Conv2d": {}},
            "architectures.improved[0]: no layer is named 'Conv2d'; did you mean Conv2D?",
        ),
        ("architectures.improved.0", {"Conv2D": 3}, "architectures.improved[0]: Conv2D must be"),
        ("architectures.improved.1", {"Lambda": {}}, "architectures.improved[1]: no layer is"),
        ("architectures.improved", [], "architectures.improved: "),
        (
            "architectures.improved.0",
            {"Repeat": {"times": 2, "layers": [{"Residual": {"layers": ["Relu"]}}]}},
            "architectures.improved[0]: Repeat.layers[0]: Residual.layers[0]: no layer is named "
            "'Relu'; did you mean ReLU?",
        ),
        (
            "architectures.improved.0",
            {"Repeat": {"time": 2, "layers": ["ReLU"]}},
            "architectures.improved[0]: Repeat.time: no such key; did you mean times?",
        ),
        (
            "architectures.improved.0",
            {"Repeat": {"times": 99, "layers": [{"Repeat": {"times": 99, "layers": ["ReLU"]}}]}},
            "architectures.improved: 9,810 layers are more than the 2,000 that may be",
        ),
        ("split.strategy", "strat", "split.strategy: must be 'stratified', 'shuffled' or 'nested'"),
        ("split.validation_fraction", 1.5, "split.validation_fraction: must be less than 1"),
        ("train.splits", [1, 1], "train: splits: each split may be named once"),
        ("train.threads", 0, "train.threads: must be greater than or equal to 1"),
        ("train.seed", True, "train.seed: must be a valid integer"),
        ("fetch.sources", [], "fetch.sources: "),
        ("preprocess", None, "preprocess: must be a mapping"),
    ],
)
def test_a_mistake_is_named_by_its_path(tmp_path: Path, path: str, value: object, message: str):
    assert broken(tmp_path, path, value).startswith(message)


@pytest.mark.parametrize("text", ["train: [", "\tx", "a: b: c", "!!python/name:os.system"])
def test_what_is_not_plain_yaml_is_refused(tmp_path: Path, text: str):
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match="is not YAML"):
        params.load(file)


def test_a_missing_file_says_where_to_run(tmp_path: Path):
    with pytest.raises(InputError, match="run this from the project's folder"):
        params.load(tmp_path / "params.yaml")


def test_a_layer_without_arguments_needs_no_braces():
    layers = params.load(ROOT / "params.yaml").architectures["improved"]
    assert layers[6] == ("Flatten", {})


BOMB = "a: &a [x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGED = BOMB.replace("[", "{<<: [").replace("]", "]}").replace("{<<: [x]}", "{x: 1}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"with what its aliases \(\*\) repeat, it has over 20,000 values"),
        (MERGED, "it has over 20,000 values"),
        ("a: &a [*a]", "it has over 20,000 values"),
        ("[" * 9000, "nested too deeply"),
        ("# " + "x" * 70_000, "larger than 64 KiB"),
        ("a: 0x" + "f" * 4000, "a value is longer than 1,000 characters"),
        ("a: 2001-99-99", "month must be in 1..12"),
        ("a: !!bool x", "a value is not of its type"),
        ("a: !!timestamp x", "a value is not of its type"),
        ("a: !!python/object/apply:os.abort []", "is not YAML: could not determine a constructor"),
        ('a: "\\ud800"', "surrogates not allowed"),
        ('"a\\nb": 1', "a b: no such key"),
    ],
)
def test_what_would_fill_the_memory_or_raise_anything_else_is_refused(
    tmp_path: Path, text: str, message: str
):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        params.load(tmp_path / "params.yaml")
    assert "\n" not in str(error.value)


def test_an_alias_is_as_good_as_what_it_stands_for(tmp_path: Path):
    text = (ROOT / "params.yaml").read_text()
    text = text.replace("  improved:\n", "  again: &network [Flatten]\n  improved:\n")
    text = text.replace("recipes:\n", "  more: *network\n\nrecipes:\n", 1)
    (tmp_path / "params.yaml").write_text(text)
    architectures = params.load(tmp_path / "params.yaml").architectures
    assert architectures["more"] == architectures["again"]
