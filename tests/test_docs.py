"""Every command in README and docs is run as it stands there, on a small data set."""

import copy
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, TINY_NETWORK, TINY_RECIPE, Workspace

pytestmark = pytest.mark.slow

PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
# These install, test or measure for minutes: that make knows them has to do.
LONG = tuple(
    f"make {name}" for name in ("test", "test-slow", "lint", "bench", "bench-full", "crash", "fuzz")
)


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """The lines of the page's shell blocks, without comments."""
    lines = "".join(blocks(page, "sh")).splitlines()
    return [command for line in lines if (command := re.sub(r"(^|\s)#.*", "", line).strip())]


@pytest.fixture(scope="module")
def documented(fresh_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose architectures and recipes have the project's names, but are small."""
    workspace = fresh_workspace.copy(tmp_path_factory.mktemp("documented") / "project")
    real = yaml.safe_load((ROOT / "params.yaml").read_text())
    workspace.set_params(
        architectures={name: copy.deepcopy(TINY_NETWORK) for name in real["architectures"]},
        recipes={name: copy.deepcopy(TINY_RECIPE) for name in real["recipes"]},
        train__splits=[1],
        **{
            f"{section}__{key}": real[section][key]
            for section in ("train", "baseline")
            for key in ("architecture", "recipe")
        },
    )
    for text in blocks("README.md", "yaml"):
        for section, entries in yaml.safe_load(text).items():
            for name, value in entries.items():
                workspace.set_params(**{f"{section}__{name}": value})
    shutil.copytree(ROOT / "docs", workspace.path / "docs")
    for name in ("Makefile", "requirements.txt", "constraints.txt"):
        shutil.copy2(ROOT / name, workspace.path)  # with its time, by which make decides
    workspace.repro()
    for command in (("git", "add", "."), ("git", "commit", "-qm", "Results")):
        assert workspace.run(*command).returncode == 0
    return workspace


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_works(documented: Workspace, tmp_path: Path, page: str):
    workspace = documented.copy(tmp_path / "project")
    installed = ROOT / ".venv/installed"
    if installed.exists():
        (workspace.path / ".venv").symlink_to(ROOT / ".venv")
    for command in commands(page):
        words = shlex.split(command)
        if words[0] == "source":
            assert words[1] == ".venv/bin/activate"
            continue
        if words[0] == "make" and (command in LONG or not installed.exists()):
            words.insert(1, "--dry-run")
        done = workspace.run(*words)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_the_table_of_experiments_that_is_documented_has_few_columns(
    documented: Workspace, tmp_path: Path
):
    workspace = documented.copy(tmp_path / "project")
    (shown,) = (line for line in commands("docs/experiments.md") if line.startswith("dvc exp show"))
    changed = ("-S", "recipes.one-cycle.epochs=3", "-S", "train.architecture=first-version")
    assert workspace.run("dvc", "exp", "run", "--name", "other", *changed).returncode == 0
    done = workspace.run(*shlex.split(shown), "--csv")
    columns = done.stdout.splitlines()[0].split(",")
    assert [name for name in columns if "epochs" in name or "architecture" in name]
    assert [name for name in columns if name.endswith("accuracy")]
    assert len(columns) <= 12, columns


@pytest.mark.parametrize("page", PAGES)
def test_a_page_links_to_files_that_are_there(page: str):
    links = re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text(encoding="utf-8"))
    for link in links:
        if not link.startswith("http"):
            assert ((ROOT / page).parent / link).exists(), link
