"""The documentation: every command runs as written, every link and every figure is right."""

import itertools
import re
import shlex
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest

from comparison.talk import params as comparison
from tests.conftest import ROOT, Call, Workspace, tiny_set

PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "comparison/notes.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")),
]
# What takes minutes, and what runs in its place.
INSTEAD = {
    r"source .venv/bin/activate": ":",  # the tests' environment is active
    r"make (?=\S)": "make --dry-run ",
    r"dvc exp run --temp": "dvc exp run --queue",
    r"dvc queue start": "dvc queue start --help",
    r"dvc commit": "dvc commit --help",  # needs the outs of a finished run
    r"(cd comparison && )?python -m dvc_parallel --accept": "python -m dvc_parallel --help",
}
ENTRY = re.compile(r"(architectures|recipes):\n((?: .*\n)+)")
# All run in this process but one, which no other test runs in a process of its own.
PROGRAM = re.compile(r"python -m fashion_mnist ((?!export$).*)")
SLOW = {"comparison/notes.md"}  # computes the whole table


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL)


def as_run(page: str) -> list[list[str]]:
    """The lines of each block; a command that an earlier page shows too is not run again."""
    earlier = {
        without_comment(line)
        for before in PAGES[: PAGES.index(page)]
        for line in "".join(blocks(before, "sh")).splitlines()
    }
    scripts = []
    for block in blocks(page, "sh"):
        lines = [line for line in map(without_comment, block.splitlines()) if line not in earlier]
        for written, run in INSTEAD.items():
            lines = [re.sub(rf"^{written}", run, line) for line in lines]
        scripts.append(lines)
    return scripts


def without_comment(line: str) -> str:
    return re.sub(r"\s+#.*", "", line)


def add_examples(page: str, workspace: Workspace) -> list[tuple[str, str]]:
    """Add what a page's YAML shows to params.yaml; the section and the name of each entry."""
    params = workspace.path / "params.yaml"
    added = []
    for section, body in ENTRY.findall("".join(blocks(page, "yaml"))):
        text = params.read_text(encoding="utf-8")
        params.write_text(text.replace(f"\n{section}:\n", f"\n{section}:\n{body}", 1), "utf-8")
        added += [(section, name) for name in re.findall(r"^  ([\w-]+):", body, re.MULTILINE)]
    return added


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow if page in SLOW else ())
        for page in PAGES
        if any(as_run(page))
    ],
)
def test_every_command_of_a_page_works(
    real_project: Workspace, call: Call, tmp_path: Path, page: str
):
    """The project's own commands run in this process, all others in a shell."""
    workspace = real_project.copy(tmp_path / "project")
    add_examples(page, workspace)
    for script in as_run(page):
        for is_own, lines in itertools.groupby(script, PROGRAM.fullmatch):
            if is_own:
                done = call(workspace.path, "fashion_mnist.__main__", *shlex.split(is_own[1]))
                assert done.code == 0, f"{is_own[0]}\n{done.err}"
                continue
            written = "\n".join(["set -ex", *lines])
            ran = workspace.run("bash", "-c", written)
            assert ran.returncode == 0, f"{written}\n{ran.stdout}\n{ran.stderr}"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml")])
def test_keras_takes_every_network_and_recipe_of_a_page(
    real_project: Workspace, tmp_path: Path, page: str
):
    from fashion_mnist.candidates import jobs
    from fashion_mnist.checking import params, trial
    from fashion_mnist.storage import parameters
    from tests.jobs import FASHION

    workspace = real_project.copy(tmp_path / "project")
    added = add_examples(page, workspace)
    assert added
    with chdir(workspace.path):
        train, values = params.load().train, parameters.read()
    for section, name in added:
        chosen = {"architecture": train.architecture, "recipe": train.recipe}
        chosen[section.removesuffix("s")] = name
        trial.check(jobs.job(values, **chosen, train=train, kind=FASHION))


@pytest.mark.parametrize(
    "name",
    [
        "squeeze-and-excite",
        "lstm-over-rows",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("inception", "densenet", "vision-transformer")
        ),
    ],
)
def test_a_network_of_branches_or_sequences_is_trained_saved_read_back_and_exported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from fashion_mnist.exporting import onnx
    from fashion_mnist.learning import saving
    from fashion_mnist.learning.batches import Examples
    from fashion_mnist.model_files import loading
    from tests.jobs import FASHION, job, run

    monkeypatch.chdir(tmp_path)
    images, labels = tiny_set(100, seed=1)
    page = "".join(
        body for _, body in ENTRY.findall("".join(blocks("docs/architectures.md", "yaml")))
    )
    (listed,) = re.findall(rf"^  {name}:\n((?:    .*\n)+)", page, re.MULTILINE)
    planned = job(listed, epochs=1)
    network = run(planned, Examples(images, labels)).network
    saving.save(network, "model.h5", FASHION.classes)
    loaded = loading.load("model.h5", None)
    assert loaded.notes == []
    pixels = images[..., np.newaxis] / np.float32(255)
    found = loaded.model.predict(pixels, verbose=0)
    np.testing.assert_allclose(found, network.predict(pixels, verbose=0), atol=1e-5)
    _, difference = onnx.to_onnx(loaded.model, loaded.kind.classes)
    assert difference < 1e-5


def test_every_local_link_of_a_page_leads_to_a_file():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)", text_of(page)):
            if not link.startswith("http"):
                assert ((ROOT / page).parent / link).exists(), f"{page}: {link}"


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"`make ([a-z][a-z-]*)", text_of(page))) <= targets, page


def test_the_model_card_describes_the_published_model(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT / "comparison")
    compared = comparison.load()
    row = compared.models[compared.best].row
    card = text_of("docs/model-card.md")
    assert f"the row `{row}` of" in card
    assert f"{compared.rows[row].recipe.epochs} epochs" in card


def test_readme_shows_the_results_the_stages_and_the_figures_that_git_keeps(
    monkeypatch: pytest.MonkeyPatch,
):
    from fashion_mnist.reporting import markdown, readme

    monkeypatch.chdir(ROOT)
    text = text_of("README.md")
    for name, section in readme.sections().items():
        assert markdown.with_section(text, name, section) == text, (
            f"{name} is out of date: run python -m fashion_mnist.reporting.readme"
        )


def test_a_diagram_leads_from_what_writes_a_file_to_all_that_read_it():
    from fashion_mnist.reporting import readme

    stages = {
        "make": {"deps": ["make.py"], "outs": ["data/raw", {"data/all.csv": {"cache": False}}]},
        "use": {"deps": ["use.py", "data/raw/a.txt"], "metrics": [{"m.json": {"cache": False}}]},
        "count": {"deps": ["data"], "matrix": {"of": [1, 2]}},
        "end": {"deps": ["m.json"]},
    }
    assert readme.diagram(stages).splitlines() == [
        "flowchart LR",
        '  count[["count, one a split"]]',
        "  make --> use",
        "  make --> count",
        "  use --> end",
    ]


def test_the_version_is_the_same_everywhere():
    project = re.search(r'^version = "(.+)"', text_of("pyproject.toml"), re.MULTILINE)[1]
    assert f"\nversion: {project}\n" in text_of("CITATION.cff")
    assert re.findall(r"^## (\d\S*)", text_of("CHANGELOG.md"), re.MULTILINE)[0] == project
