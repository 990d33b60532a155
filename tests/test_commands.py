"""`python -m fashion_mnist`: what each command explains, and what `check` finds."""

import importlib
import shutil
from pathlib import Path

import pytest

from fashion_mnist import __main__ as program
from fashion_mnist.checking import params
from fashion_mnist.storage import parameters
from fashion_mnist.talk import console
from tests.conftest import ROOT, Workspace, added, as_project


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a command line in this process; gives exit code, standard output and error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["__main__.py", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            console.run(program.main)
        return (ended.value.code or 0, *capsys.readouterr())

    return run


def test_without_a_command_all_are_listed(typed):
    for arguments, code in ((("--help",), 0), ((), 2)):
        found, out, err = typed(*arguments)
        assert found == code
        assert "usage: python -m fashion_mnist" in out + err
    _, out, _ = typed("--help")
    assert all(f"{name} " in out and does in out for name, does in program.COMMANDS.items())


def test_an_unknown_command_is_refused(typed):
    code, _, err = typed("chek")
    assert code == 2
    assert "check" in err.splitlines()[-1]


def test_each_command_explains_itself_with_an_example(typed, subtests: pytest.Subtests):
    for name in program.COMMANDS:
        with subtests.test(name):
            code, out, err = typed(name, "--help")
            assert (code, err) == (0, "")
            command = f"python -m fashion_mnist {name}"
            assert out.startswith(f"usage: {command} [-h]")
            example = importlib.import_module(f"fashion_mnist.commands.{name}").EXAMPLE
            assert example.startswith(command)
            assert f"example: {example}" in " ".join(out.split())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's parameters, in which nothing was trained."""
    monkeypatch.chdir(tmp_path)
    return as_project(tmp_path)


def test_check_prints_nothing_about_good_parameters(typed, project: Path):
    """Nor does it read a lock that was cut off."""
    (project / "dvc.lock").write_bytes((ROOT / "dvc.lock").read_bytes()[:300])
    assert typed("check") == (0, "", "")
    assert added(project) == ["dvc.lock"]


def test_check_looks_at_what_nothing_uses_unless_told_otherwise(
    typed, project: Path, subtests: pytest.Subtests
):
    shutil.copy(ROOT / "dvc.lock", project)  # what is used was trained before
    path = project / "params.yaml"
    good = path.read_text()
    for old, new, place in (
        ("filters: 6,", "filtres: 6,", "architectures.lenet[0].Conv2D has no argument 'filtres'"),
        (
            "Adam: {",
            "Adam: {beta_3: 0.9, ",
            "recipes.original.optimizer.Adam has no argument 'beta_3'",
        ),
    ):
        assert old in good
        path.write_text(good.replace(old, new, 1))
        with subtests.test(new):
            assert typed("check", "--used") == (0, "", "")
            code, out, err = typed("check")
            assert (code, out) == (1, "")
            assert err.startswith(f"error: params.yaml: {place}")
            assert err.count("\n") == 1


def test_check_leaves_what_was_trained_before_alone(
    typed, finished_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(finished_workspace.path)
    monkeypatch.setattr(
        "fashion_mnist.checking.trial.check", lambda *_, **__: pytest.fail("Keras was needed")
    )
    assert typed("check", "--used") == (0, "", "")


@pytest.mark.usefixtures("project")
def test_check_looks_at_a_new_pair_of_an_architecture_and_a_recipe(
    typed, monkeypatch: pytest.MonkeyPatch
):
    config = params.load()
    values = parameters.read("params.yaml")
    recorded = {
        key: {key: parameters.value_of(values, key)}
        for chosen in (config.baseline, config.train)
        for key in (f"architectures.{chosen.architecture}", f"recipes.{chosen.recipe}")
    }
    checked: list[str] = []
    monkeypatch.setattr(params, "recorded", lambda: recorded)
    monkeypatch.setattr(
        "fashion_mnist.checking.trial.check",
        lambda job, is_used: checked.append((job.layers_key, is_used)),
    )
    assert typed("check", "--used") == (0, "", "")
    assert len(checked) == 2
    assert all(is_used for _, is_used in checked)


NEEDING_A_PROJECT = (
    *("check", "results", "report", "score none.h5"),
    *("predict a.png", "export", "demo", "compare"),
)
ELSEWHERE = {
    "outside": NEEDING_A_PROJECT,
    "project/docs": NEEDING_A_PROJECT,
    # The others refuse its parameters, key by key.
    "project/comparison": ("score none.h5", "compare"),
}


def test_in_another_folder_a_command_prints_one_sentence(
    typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
):
    for folder in ELSEWHERE:
        (tmp_path / folder).mkdir(parents=True)
        shutil.copy(ROOT / "tests/pictures/0-plain.png", tmp_path / folder / "a.png")
    shutil.copy(ROOT / "params.yaml", tmp_path / "project")
    (tmp_path / "project/comparison/params.yaml").touch()
    before = sorted(tmp_path.rglob("*"))
    for folder, commands in ELSEWHERE.items():
        monkeypatch.chdir(tmp_path / folder)
        missing = "stages" if folder == "project/comparison" else "params.yaml"
        said = f"error: {missing} is missing: run this from the project's folder\n"
        for command in commands:
            with subtests.test(command, folder=folder):
                assert typed(*command.split()) == (1, "", said)
                assert sorted(tmp_path.rglob("*")) == before
