"""params.yaml: read as DVC reads it, and each mistake told in one sentence by the key's path."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import dump_yaml, load_yaml
from ruamel.yaml import YAML

from comparison.rows import jobs
from comparison.talk import params as comparison
from fashion_mnist.checking import params
from fashion_mnist.errors import InputError
from fashion_mnist.storage import parameters
from tests.conftest import ROOT

PROJECT = ROOT / "params.yaml"
VALUES = parameters.read(PROJECT)
LAYERS = "architectures.improved"
RECIPE = "recipes.original"


HUGE = {"Repeat": {"times": 1000, "layers": [{"Repeat": {"times": 1000, "layers": ["ReLU"]}}]}}


def set_in(values: Any, path: str, value: object) -> None:
    """Set the value at a dotted path of keys and positions."""
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for parent in parents:
        values = values[parent]
    values[last] = value


def message_about(file: Path, load: Callable[[Path], object] = params.load) -> str:
    """What is wrong with a file, without its name."""
    with pytest.raises(InputError) as error:
        load(file)
    message = str(error.value)
    assert message.isprintable()
    return message.removeprefix(f"{file}: ")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a test may write a params.yaml."""
    return tmp_path / "params.yaml"


def test_the_projects_own_file_is_good():
    assert params.load(PROJECT).train.splits == [1, 2, 3, 4]


def test_the_comparisons_own_file_is_good(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT / "comparison")
    compared = comparison.load()
    for name in compared.models:
        row = compared.models[name].row
        assert jobs.Row.model_validate(parameters.read()["rows"][row]) == compared.rows[row]


MISTAKES = [
    ("train.epocs", 3, "train.epocs: no such key; known: architecture, recipe, seed, splits, "),
    ("tran", {}, "tran: no such key; did you mean train?"),
    (f"{RECIPE}.epoch", 3, f"{RECIPE}.epoch: no such key; did you mean epochs?"),
    (f"{RECIPE}.epochs", 7.5, f"{RECIPE}.epochs: must be a whole number"),
    (f"{RECIPE}.epochs", "1:30", f"{RECIPE}.epochs: must be a whole number"),
    (f"{RECIPE}.epochs", 0, f"{RECIPE}.epochs: must be greater than or equal to 1, not 0"),
    (f"{RECIPE}.batch_size", "32", f"{RECIPE}.batch_size: must be a whole number, not '32'"),
    (
        f"{RECIPE}.optimizer",
        {"Adam": {"learning_rate": "1e-3"}},
        f"{RECIPE}.optimizer.Adam.learning_rate: must be a number, not the text '1e-3': "
        "remove the quotes",
    ),
    (
        f"{RECIPE}.optimizer",
        {"Adam": {"learning_rate": 0.1, "clipnorm": "1"}},
        f"{RECIPE}.optimizer.Adam.clipnorm: must be a number, not the text '1': remove the quotes",
    ),
    (
        f"{RECIPE}.optimizer",
        {"Adam": {"learning_rate": "1e-3f"}},
        f"{RECIPE}.optimizer.Adam.learning_rate: must be a number above 0, not '1e-3f'",
    ),
    (
        f"{RECIPE}.optimizer",
        {"Adam": {"learning_rate": float("nan")}},
        f"{RECIPE}.optimizer.Adam.learning_rate: must be a finite number, not nan",
    ),
    (
        f"{RECIPE}.optimizer",
        "Adam",
        f"{RECIPE}.optimizer.Adam.learning_rate: is missing",
    ),
    (
        f"{RECIPE}.optimizer",
        {"Adam": {"lr": 0.01}},
        f"{RECIPE}.optimizer.Adam has no argument 'lr'; did you mean learning_rate?",
    ),
    (
        f"{RECIPE}.optimizer",
        {"Adam": {"learning_rate": 0.1, "name": "mein Adam"}},
        f"{RECIPE}.optimizer.Adam.name: must consist of the letters a to z, digits, - and _",
    ),
    (
        f"{RECIPE}.optimizer",
        {"SGD": {"learning_rate": 0.1, "ema_overwrite_frequency": 10**20}},
        f"{RECIPE}.optimizer.SGD.ema_overwrite_frequency: must be at most 2,147,483,647",
    ),
    (
        f"{RECIPE}.batch_size",
        10**20,
        f"{RECIPE}.batch_size: must be less than or equal to 1000000, not 1000",
    ),
    (f"{RECIPE}.epochs", 10**20, f"{RECIPE}.epochs: must be less than or equal to 1000000"),
    (
        f"{RECIPE}.optimizer",
        {"Adm": {}},
        f"{RECIPE}.optimizer: no optimizer is named 'Adm'; did you mean Adam?",
    ),
    (f"{RECIPE}.schedule", "onecycle", f"{RECIPE}.schedule: must be 'constant', 'one-cycle'"),
    ("recipes.one-cycle.warmup", 0.1, "recipes.one-cycle.warmup: only `schedule: cosine` has"),
    (f"{RECIPE}.augmentation", ["RandomFlp"], f"{RECIPE}.augmentation[0]: no augmentation is"),
    ("recipes.a.b", {}, "recipes: the name 'a.b' must consist of letters, digits, - and _"),
    ("recipes.a[0]", {}, "recipes: the name 'a[0]' must consist of letters, digits, - and _"),
    ("architectures.a b", [], "architectures: the name 'a b' must consist of letters"),
    ("architectures.5", ["Flatten"], "architectures: the name 5 is not text: quote it, '5'"),
    ("train.architecture", 12, "train.architecture: must be text, not 12: quote it, '12'"),
    ("train.architecture", "improvd", "train.architecture: no architecture is named 'improvd'"),
    ("baseline.recipe", "x", "baseline.recipe: no recipe is named 'x'; known: "),
    (
        f"{LAYERS}.0",
        {"Conv2d": {}},
        f"{LAYERS}[0]: no layer is named 'Conv2d'; did you mean Conv2D?",
    ),
    (
        f"{LAYERS}.0",
        {"Dropout": {"rate": "0.1"}},
        f"{LAYERS}[0].Dropout.rate: must be a number, not the text '0.1': remove the quotes",
    ),
    (
        f"{LAYERS}.0",
        {"Conv2D": {"filters": 4, "kernel_size": "(3, 3)"}},
        f"{LAYERS}[0].Conv2D: write a pair as [3, 3], not as (3, 3)",
    ),
    (
        f"{LAYERS}.0",
        {"Conv2D": {"kernel_size": "(3", "3)": None}},  # (3,3) within braces, as YAML reads it
        f"{LAYERS}[0].Conv2D: write a pair as [3, 3], not as (3, 3)",
    ),
    (
        f"{LAYERS}.0",
        {"Dense": {"units": 10, "activation": "softmax_v2"}},
        f"{LAYERS}[0].Dense.activation: no activation is named 'softmax_v2'; did you mean softmax?",
    ),
    (f"{LAYERS}.0", {"Conv2D": 3}, f"{LAYERS}[0]: Conv2D takes a mapping, Conv2D: {{argument"),
    (f"{LAYERS}.0", {"ReLU": {}, "ELU": {}}, f"{LAYERS}[0]: write one layer, NAME or NAME: {{"),
    (f"{LAYERS}.1", {"Lambda": {}}, f"{LAYERS}[1]: no layer is named 'Lambda'"),
    (LAYERS, [], f"{LAYERS}: must be a list of one or more layers"),
    (LAYERS, {"Flatten": {}}, f"{LAYERS}: must be a list of one or more layers"),
    (
        f"{LAYERS}.0",
        {"Repeat": {"times": 2, "layers": [{"Residual": {"layers": ["Relu"]}}]}},
        f"{LAYERS}[0].Repeat.layers[0].Residual.layers[0]: no layer is named 'Relu'; "
        "did you mean ReLU?",
    ),
    (
        f"{LAYERS}.0",
        {"Repeat": {"time": 2, "layers": ["ReLU"]}},
        f"{LAYERS}[0].Repeat.time: no such key; did you mean times?",
    ),
    (f"{LAYERS}.0", {"Repeat": {"times": 2}}, f"{LAYERS}[0].Repeat.layers: is missing"),
    (f"{LAYERS}.0", HUGE, f"{LAYERS}[0].Repeat.layers: is a network of 1,001 layers or more"),
    (
        f"{LAYERS}.0",
        {"Repeat": {"times": 9, "layers": [{"ResidualBlock": {"filters": 2}}] * 9}},
        f"{LAYERS}: is a network of 730 layers or more: at most 600 can be built",
    ),
    (
        f"{LAYERS}.0",
        {"Add": [["ReLU"], []]},
        f"{LAYERS}[0]: Add takes a mapping, Add: {{branches: [[...], [...]]}}",
    ),
    (f"{LAYERS}.0", "Multiply", f"{LAYERS}[0].Multiply.branches: is missing"),
    (
        f"{LAYERS}.0",
        {"Concatenate": {"branches": [["ReLU"]]}},
        f"{LAYERS}[0].Concatenate.branches: must list 2 or more",
    ),
    (
        f"{LAYERS}.0",
        {"Concatenate": {"branches": ["ReLU", "ELU"]}},
        f"{LAYERS}[0].Concatenate.branches[0]: must be a list of layers",
    ),
    (
        f"{LAYERS}.0",
        {"Concatenate": {"branches": [[], ["Relu"]]}},
        f"{LAYERS}[0].Concatenate.branches[1][0]: no layer is named 'Relu'; did you mean ReLU?",
    ),
    (
        f"{LAYERS}.0",
        {"ReLU": {"name": "erste Schicht"}},
        f"{LAYERS}[0].ReLU.name: must consist of the letters a to z, digits, - and _, ",
    ),
    (f"{LAYERS}.0", {"ReLU": {"name": "é"}}, f"{LAYERS}[0].ReLU.name: must consist of"),
    (f"{LAYERS}.0", {"ReLU": {"name": 1}}, f"{LAYERS}[0].ReLU.name: must be text, not 1"),
    (
        f"{LAYERS}.0",
        {"Dense": {"units": 10**20}},
        f"{LAYERS}[0].Dense.units: must be at most 2,147,483,647 in size, not 1000000000",
    ),
    (
        f"{LAYERS}.0",
        {"ResidualBlock": {"filters": 2, "strides": 0}},
        f"{LAYERS}[0].ResidualBlock.strides: must be greater than or equal to 1, not 0",
    ),
    ("split.strategy", "strat", "split.strategy: must be 'stratified', 'shuffled' or 'nested'"),
    ("split.validation_fraction", 1.5, "split.validation_fraction: must be less than 1"),
    ("train.splits", [1, 1], "train.splits: a split is listed twice: list each once"),
    ("train.splits", [], "train.splits: is empty"),
    ("train.splits", [0], "train.splits[0]: must be greater than or equal to 1, not 0"),
    ("train.threads", 0, "train.threads: must be greater than or equal to 1, not 0"),
    ("train.seed", True, "train.seed: must be a whole number, not True"),
    ("dataset", "../x", "dataset: String should match pattern"),
    ("preprocess", None, "preprocess: must be a mapping, not None"),
    ("recipes", [], "recipes: must be a mapping"),
]


def test_a_mistake_is_named_by_its_path(file: Path, subtests: pytest.Subtests):
    for path, value, message in MISTAKES:
        values = copy.deepcopy(VALUES)
        section, _, key = path.partition(".")
        if key in ("a.b", "5"):
            values[section][5 if key == "5" else key] = value
        else:
            set_in(values, path, value)
        YAML(typ="safe").dump(values, file)
        with subtests.test(path, value=value):
            assert message_about(file).startswith(message)


def with_recipe(text: str) -> str:
    """The project's file with another recipe, written in YAML."""
    return PROJECT.read_text().replace("recipes:\n", f"recipes:\n  mine: {text}\n", 1)


NUMBERS = {
    "5e-05": 5e-5,
    "1e-3": 1e-3,
    "4E-3": 4e-3,
    "0101": 101,
    ".5": 0.5,
    "1_0": None,
    "1:30": None,
}


def test_a_number_is_read_as_dvc_reads_it(file: Path, subtests: pytest.Subtests):
    for text, rate in NUMBERS.items():
        recipe = f"{{optimizer: {{Adam: {{learning_rate: {text}}}}}, batch_size: 032, epochs: 1}}"
        file.write_text(with_recipe(recipe))
        with subtests.test(text):
            found, of_dvc = (
                values["recipes"]["mine"]["optimizer"]["Adam"]["learning_rate"]
                for values in (parameters.read(file), load_yaml(str(file)))
            )
            assert found == of_dvc
            if isinstance(of_dvc, str):  # no number in YAML 1.2
                place = "recipes.mine.optimizer.Adam.learning_rate"
                assert message_about(file).startswith(f"{place}: must be")
            else:
                assert rate in (of_dvc, None)
                mine = params.load(file).recipes["mine"]
                assert mine.batch_size == 32
                assert mine.optimizer == ("Adam", {"learning_rate": of_dvc})


REFUSED = [
    (b"train: [", "is not YAML: line "),
    (b"\tx", "is not YAML: line 1: "),
    (b"a: b: c", "is not YAML: line 1: mapping values are not allowed here"),
    (b"a: 1\nb: 2\na: 3", 'is not YAML: line 3: found duplicate key "a"'),
    (b"!!python/name:os.system", "is not YAML: line 1: could not determine a constructor"),
    (b"[" * 600, "is not YAML: "),
    (b"a: &a [*a]", ""),
    (b"- 1", "must be a mapping, `key: value`"),
    (b"", "must be a mapping, `key: value`"),
    (b'"a\\nb": 1', "a b: no such key"),
    (b"a: 2001-99-99", ""),
    (b"a: \xff", "is not UTF-8 text: byte 3 is wrong"),
]


def test_what_is_no_mapping_in_yaml_is_refused(file: Path, subtests: pytest.Subtests):
    for text, message in REFUSED:
        with subtests.test(repr(text[:40])):
            file.write_bytes(text)
            assert message in message_about(file)


def test_a_missing_file_tells_where_to_run(file: Path):
    assert message_about(file) == f"{file} is missing: run this from the project's folder"


def test_a_layer_without_arguments_needs_no_braces():
    assert params.load(PROJECT).architectures["improved"][6] == ("Flatten", {})


def test_an_alias_stands_for_its_anchor(file: Path):
    text = PROJECT.read_text()
    text = text.replace("  improved:\n", "  again: &network [Flatten]\n  improved:\n")
    text = text.replace("recipes:\n", "  more-5_1: *network\n\nrecipes:\n", 1)
    file.write_text(text)
    architectures = params.load(file).architectures
    assert architectures["more-5_1"] == architectures["again"] == [("Flatten", {})]


FILES = {
    "params.yaml": ("train.seed=7", "train.splits=[1]", "recipes.original.epochs=1"),
    "comparison/params.yaml": ("ensemble=[perceptron]", "models.two-conv-1.seed=7"),
}


def test_dvc_and_this_project_read_the_same_values_and_dvc_writes_them(file: Path):
    for name in FILES:
        expected = load_yaml(str(ROOT / name))
        assert parameters.read(ROOT / name) == expected, name
        dump_yaml(str(file), expected)
        assert parameters.read(file) == expected, name


def test_a_file_that_dvc_exp_run_has_rewritten_holds_the_same_values(
    file: Path, subtests: pytest.Subtests
):
    for name, overrides in FILES.items():
        expected = parameters.read(ROOT / name)
        file.write_bytes((ROOT / name).read_bytes())
        for override in overrides:  # each time it is read again as it was written
            apply_overrides(file, [override])
            key, _, value = override.partition("=")
            set_in(expected, key, YAML(typ="safe").load(value))
            with subtests.test(name, override=override):
                assert parameters.read(file) == expected
