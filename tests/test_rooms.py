"""What an edit can change: each stage depends on just the code that can change its outs."""

import ast
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from fashion_mnist.checking.guard import SILENT, is_silent
from tests.conftest import ROOT, Workspace
from tests.imports import project_files

# params.yaml is checked whole by whatever stage reads it, and each stage uses some sections.
SECTIONS = {
    "fashion_mnist/ingest/schema.py": {"fetch", "preprocess"},
    "fashion_mnist/learning/schema.py": {"split", "train", "baseline", "recipes", "architectures"},
}
WRITING = {
    "write_text",
    "write_bytes",
    "write_json",
    "write_csv",
    "write_arrays",
    "save",
    "savefig",
}


class Stage(NamedTuple):
    """A stage of the root's dvc.yaml or of the comparison's."""

    name: str
    module: str
    deps: list[str]
    params: list[str]


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


every_stage = pytest.mark.parametrize("stage", list(stages()), ids=lambda stage: stage.name)


def covers(dep: str, file: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


def matters(file: str, stage: Stage) -> bool:
    """Whether an edit of a file that the stage imports could change what the stage writes."""
    if file in SECTIONS:
        return any(key.split(".")[0] in SECTIONS[file] for key in stage.params)
    return not is_silent(file)


@every_stage
def test_a_stage_depends_on_all_code_that_can_change_its_outs(stage: Stage):
    missing = [
        file
        for file in sorted(project_files(stage.module))
        if matters(file, stage) and not any(covers(dep, file) for dep in stage.deps)
    ]
    up = "../" if stage.name.startswith("comparison/") else ""
    lines = "\n".join(f"      - {up}{file}" for file in missing)
    assert not missing, f"add to the deps of {stage.name} in dvc.yaml:\n{lines}"


@every_stage
def test_a_stage_depends_on_no_code_that_it_does_not_use(stage: Stage):
    used = project_files(stage.module)
    for dep in stage.deps:
        path = ROOT / dep
        files = path.rglob("*.py") if path.is_dir() else [path] * (path.suffix == ".py")
        for file in files:
            name = file.relative_to(ROOT).as_posix()
            assert name in used or not file.stat().st_size, f"{stage.name} does not use {name}"


def test_each_silent_module_exists_and_has_a_reason():
    for name, reason in SILENT.items():
        assert (ROOT / name).exists(), name
        assert reason


def silent_files() -> list[Path]:
    paths = [ROOT / name for name in SILENT]
    return sorted(
        file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path])
    )


@pytest.mark.parametrize("path", silent_files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_silent_module_writes_no_file(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called != "files.write"
            assert called.rpartition(".")[2] not in WRITING, called


class Mute(ast.NodeTransformer):
    """Replaces prose, which is text with a space in it, by "x"."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        texts = [part.value for part in node.values if isinstance(part, ast.Constant)]
        return ast.Constant("x") if any(" " in str(text) for text in texts) else node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str) and " " in node.value:
            return ast.Constant("x")
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Patterns, word lists and file modes are no prose."""
        if ast.unparse(node.func).rpartition(".")[2] in ("compile", "split", "sub", "open"):
            return node
        return self.generic_visit(node)


# All stages in one process, so that TensorFlow is loaded once.
RUN = """
import importlib, sys
for command in ("fetch", "preprocess", "train baseline", "train model-1", "train model-2",
                "select_best", "evaluate"):
    module, *sys.argv[1:] = command.split()
    importlib.import_module(f"stages.{module}").main()
"""


def test_no_word_of_a_silent_module_changes_an_out(
    fresh_workspace: Workspace, finished_workspace: Workspace, tmp_path: Path
):
    muted = fresh_workspace.copy(tmp_path / "project")
    for path in silent_files():
        file = muted.path / path.relative_to(ROOT)
        tree = Mute().visit(ast.parse(file.read_text()))
        file.write_text(ast.unparse(ast.fix_missing_locations(tree)))
    done = muted.run("python", "-c", RUN)
    assert done.returncode == 0, done.stderr
    assert "x" in done.stdout.split("\n"), "it is not muted"
    outs = {name: data for name, data in finished_workspace.files().items() if is_out(name)}
    assert len(outs) > 15
    for name, data in outs.items():
        assert (muted.path / name).read_bytes() == data, name


def is_out(name: str) -> bool:
    return name.startswith(("data/", "models/", "metrics/", "plots/")) and ".git" not in name
