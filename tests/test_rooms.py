"""What an edit can change: a stage depends on all code that can change its outs, as folders."""

import ast
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from fashion_mnist.candidates import jobs
from fashion_mnist.checking import versions
from fashion_mnist.learning.schema import Job
from fashion_mnist.storage import dataset, outs
from tests.conftest import ROOT, Workspace
from tests.imports import project_files

# Folders that no stage depends on: what they hold may stop a stage, and never feeds one.
SILENT = {
    "fashion_mnist": {"checking", "commands", "demo", "exporting", "reporting", "talk"},
    "comparison": {"talk"},
}
WRITING = {
    *("write_text", "write_bytes", "write_json", "write_csv", "write_arrays"),
    *("save", "savefig"),
}


class Stage(NamedTuple):
    """A stage of the root's dvc.yaml or of the comparison's."""

    name: str
    module: str
    deps: list[str]
    params: list


def stages() -> Iterator[Stage]:
    for folder in (".", "comparison"):
        definitions = yaml.safe_load((ROOT / folder / "dvc.yaml").read_text())["stages"]
        for name, definition in definitions.items():
            definition = definition.get("do", definition)
            yield Stage(
                posixpath.normpath(f"{folder}/{name}"),
                definition["cmd"].split()[2],
                [posixpath.normpath(f"{folder}/{dep}") for dep in definition["deps"]],
                definition["params"],
            )


STAGES = list(stages())
TRAININGS = {"baseline", "train", "comparison/train"}


def is_silent(file: str) -> bool:
    package, *folders = Path(file).parent.parts
    if not folders:  # fashion_mnist/errors.py, and scripts that are no stage's
        return package == "fashion_mnist"
    return folders[0] in SILENT.get(package, set())


def covers(dep: str, file: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


def test_a_stages_deps_are_its_script_whole_folders_and_data(subtests: pytest.Subtests):
    for stage in STAGES:
        with subtests.test(stage.name):
            scripts = [dep for dep in stage.deps if dep.endswith(".py")]
            assert scripts == [f"{stage.module.replace('.', '/')}.py"]
            for dep in stage.deps:
                assert not is_silent(f"{dep}/x.py"), "silent code feeds no stage"


def test_a_stage_depends_on_all_code_that_can_change_its_outs(subtests: pytest.Subtests):
    for stage in STAGES:
        with subtests.test(stage.name):
            used = project_files(stage.module, is_silent)
            missing = sorted(
                file for file in used if not any(covers(dep, file) for dep in stage.deps)
            )
            assert not missing, f"{stage.name} in dvc.yaml lacks the folders of {missing}"


def test_a_training_depends_on_no_code_that_it_does_not_use():
    trainings = [stage for stage in STAGES if stage.name in TRAININGS]
    assert len(trainings) == len(TRAININGS)
    for stage in trainings:
        used = project_files(stage.module, is_silent)
        for dep in stage.deps:
            for file in (ROOT / dep).rglob("*.py"):
                path = file.relative_to(ROOT).as_posix()
                assert path in used or not file.stat().st_size, f"{stage.name} does not use {path}"


def silent_files() -> list[Path]:
    paths = {path for package in SILENT for path in (ROOT / package).rglob("*.py")}
    paths.remove(ROOT / "fashion_mnist/__init__.py")  # how modules are found, not what they compute
    return sorted(path for path in paths if is_silent(path.relative_to(ROOT).as_posix()))


def test_silent_code_that_a_stage_uses_writes_no_file():
    used = set().union(*(project_files(stage.module) for stage in STAGES))
    for path in silent_files():
        if path.relative_to(ROOT).as_posix() in used:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    called = ast.unparse(node.func)
                    assert called != "files.write", path
                    assert called.rpartition(".")[2] not in WRITING, (path, called)


# Each field of a job, and an edit of params.yaml that changes it.
EDITS = {
    "layers_key": {"train__architecture": "unused"},
    "layers": {"architectures__tiny": ["Flatten", {"Dense": {"units": 10}}]},
    "recipe_key": {"train__recipe": "unused"},
    "recipe": {"recipes__quick__epochs": 9},
    "seed": {"train__seed": 9},
    "threads": {"train__threads": 9},
}


def test_each_field_of_a_job_follows_from_parameters_and_data_through_a_trainings_deps(
    finished_workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    subtests: pytest.Subtests,
):
    workspace = finished_workspace.copy(tmp_path / "project")
    monkeypatch.chdir(workspace.path)
    good = Path("params.yaml").read_bytes()
    before, _ = jobs.read("model-1")
    for field in Job._fields:
        if field == "kind":
            train = dataset.read(outs.TRAIN)
            dataset.write(outs.TRAIN, train._replace(classes=tuple("0123456789")))
        else:
            workspace.set_params(**EDITS[field])
        with subtests.test(field):
            after, _ = jobs.read("model-1")
            assert getattr(after, field) != getattr(before, field)
        Path("params.yaml").write_bytes(good)
    training = next(stage for stage in STAGES if stage.name == "train")
    for file in project_files("fashion_mnist.candidates.jobs", is_silent):
        assert any(covers(dep, file) for dep in training.deps), file


NOTHING = """
class Nothing:
    def __getattr__(self, name): return self
    def __call__(self, *arguments, **options): return self
    def __enter__(self): return self
    def __exit__(self, *error): pass
    def __iter__(self): return iter(())
    def __bool__(self): return False
"""


class GivesNothing(ast.NodeTransformer):
    """Makes every function, method and property give `Nothing`."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        manages = any("contextmanager" in ast.unparse(each) for each in node.decorator_list)
        if node.name != "__init__":
            node.body = [ast.parse("yield Nothing()" if manages else "return Nothing()").body[0]]
        return node


# All stages in one process, so that TensorFlow is loaded once.
RUN = """
import importlib, sys
for command in ("fetch", "preprocess", "train baseline", "train model-1", "train model-2",
                "select_best", "evaluate"):
    module, *sys.argv[1:] = command.split()
    importlib.import_module(f"stages.{module}").main()
"""


def test_the_outs_are_the_same_if_silent_code_gives_nothing(
    fresh_workspace: Workspace, finished_workspace: Workspace, tmp_path: Path
):
    silenced = fresh_workspace.copy(tmp_path / "project")
    for path in silent_files():
        tree = GivesNothing().visit(ast.parse(path.read_text()))
        code = ast.unparse(ast.fix_missing_locations(tree))
        (silenced.path / path.relative_to(ROOT)).write_text(code + NOTHING)
    done = silenced.run("python", "-c", RUN)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    outs = {name: data for name, data in finished_workspace.files().items() if is_out(name)}
    assert len(outs) > 15
    for name, data in outs.items():
        assert (silenced.path / name).read_bytes() == data, name


def is_out(name: str) -> bool:
    return name.startswith(("data/", "models/", "metrics/", "plots/")) and ".git" not in name


def test_the_versions_that_stages_depend_on_are_those_that_are_installed():
    sections = yaml.safe_load((ROOT / "versions.yaml").read_text())
    constraints = (ROOT / "constraints/run.txt").read_text()
    pins = [pin for section in sections.values() for pin in section.items()]
    for library, pin in pins:
        assert re.search(rf"^{library}=={re.escape(str(pin))} ", constraints, re.MULTILINE)
        assert versions.installed(library) == str(pin)
