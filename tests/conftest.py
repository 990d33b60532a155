"""A small copy of the project: the real DAG and code, on data that the tests make."""

import copy
import hashlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml

from fashion_mnist.ingest import idx
from fashion_mnist.talk import console
from tests import browser
from tests.processes import only_once

# What is started in the background may be deaf to Ctrl-C, and all its children with it.
signal.signal(signal.SIGINT, signal.default_int_handler)
ROOT = Path(__file__).parent.parent
TINY_NETWORK = [
    {"Conv2D": {"filters": 2, "kernel_size": 3, "activation": "relu"}},
    {"MaxPooling2D": {"pool_size": 2}},
    {"Dropout": {"rate": 0.1}},
    "Flatten",
    {"Dense": {"units": "classes", "activation": "softmax"}},
]
TINY_RECIPE = {"optimizer": {"Adam": {"learning_rate": 0.01}}, "batch_size": 32, "epochs": 2}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process runs the pipeline first; meanwhile another one runs what does not need it."""
    needing = [i for i in items if "finished_workspace" in getattr(i, "fixturenames", ())]
    others = [item for item in items if item not in needing]
    items[:] = [*needing[:1], *others, *needing[1:]]


def tiny_set(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 28, 28), a bright bar whose place is the class, and labels uint8 (N,)."""
    random = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.uint8) % 10
    images = random.integers(0, 120, (count, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 2 : 2 * label + 6, 4:24] += 120
    return images, labels


def write_tiny_data(folder: Path) -> None:
    """Four IDX files, as a mirror of the data set would have them."""
    for prefix, count, seed in (("train", 400, 1), ("t10k", 100, 2)):
        images, labels = tiny_set(count, seed)
        idx.write(folder / f"{prefix}-images-idx3-ubyte", images)
        idx.write(folder / f"{prefix}-labels-idx1-ubyte", labels)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def tiny_data(shared: Path) -> Path:
    """A directory that holds such files."""
    folder = shared / "tiny-data"

    def make() -> None:
        folder.mkdir()
        write_tiny_data(folder)

    only_once(folder, make)
    return folder


class Workspace:
    """A copy of the project in a git repository of its own, in which DVC is really run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(
        self, *command: str, folder: str = ".", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` here as a user would who has activated the virtual environment."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        packages = [str(self.path.resolve()), os.environ.get("PYTHONPATH")]
        return subprocess.run(
            command,
            cwd=self.path / folder,
            env={
                **os.environ,
                "PATH": path,
                # For comparison/, this copy's code.
                "PYTHONPATH": os.pathsep.join(filter(None, packages)),
                "CI": "true",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=560,
        )

    def git(self, *arguments: str) -> str:
        """Run git, which must succeed; what it prints."""
        done = self.run("git", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def repro(self, *arguments: str, folder: str = ".") -> list[str]:
        """`dvc repro`, which must succeed; the stages that ran, in order."""
        done = self.run("dvc", "repro", *arguments, folder=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = done.stdout.splitlines()
        return [line.split("'")[1] for line in lines if line.startswith("Running stage")]

    def params(self) -> dict:
        return yaml.safe_load((self.path / "params.yaml").read_text())

    def set_params(self, **changes: object) -> None:
        """Set keys of params.yaml by their dotted path, with __ for the dot."""
        params = self.params()
        for key, value in changes.items():
            section = params
            *parents, last = key.split("__")
            for parent in parents:
                section = section[parent]
            section[last] = value
        (self.path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def describe(self, name: str = "fashion-mnist", **changes: object) -> None:
        """Set keys of a data set's file, which is made if there is none."""
        path = self.path / f"datasets/{name}.yaml"
        described = yaml.safe_load(path.read_text()) if path.exists() else {}
        path.write_text(yaml.safe_dump(described | changes, sort_keys=False))

    def files(self) -> dict[str, bytes]:
        """Every file here, by its path, but those of git, of DVC's own and of Python's own."""
        return {
            path.relative_to(self.path).as_posix(): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file() and not {".git", ".dvc", "__pycache__"} & set(path.parts)
        }

    def copy(self, path: Path) -> "Workspace":
        shutil.copytree(self.path, path, symlinks=True)
        return Workspace(path)


OF_PROJECT = ("params.yaml", "datasets", "stages")  # by which a command knows the project's folder


def as_project(folder: Path) -> Path:
    """The folder, taken by the commands for the project's; its params.yaml may be edited."""
    for name in OF_PROJECT:
        if name == "params.yaml":
            shutil.copy(ROOT / name, folder)
        else:
            (folder / name).symlink_to(ROOT / name)
    return folder


def added(folder: Path) -> list[str]:
    """What else lies in such a folder."""
    return sorted({path.name for path in folder.iterdir()} - {*OF_PROJECT})


def commit(workspace: Workspace, message: str) -> None:
    """Commit everything that git does not ignore."""
    workspace.git("add", ".")
    workspace.git("commit", "-qm", message)


def copy_project(path: Path) -> Workspace:
    """All that git tracks, as it is in the working tree, committed in a repository of its own."""
    copy_files(path)
    return begun(path, "The project")


def copy_files(path: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().rstrip("\0").split("\0"):
        if (ROOT / name).exists():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, path / name)


def begun(path: Path, message: str) -> Workspace:
    """A repository whose first commit is all that lies there."""
    workspace = Workspace(path)
    workspace.git("init", "-q")
    workspace.git("config", "user.name", "Test")
    workspace.git("config", "user.email", "test@example.invalid")
    commit(workspace, message)
    return workspace


RESULTS = (
    *("metrics/**/*.*", "plots/**/*.*", "models/best_model.h5", "**/dvc.lock"),
    *("comparison/predictions/*", "comparison/times/*"),
    *("comparison/results.json", "comparison/calibration.json", "comparison/best_model.h5"),
)


def new_workspace(path: Path, data: Path) -> Workspace:
    """The project without results, with the data set in `data` and a small network."""
    copy_files(path)
    for pattern in RESULTS:
        for file in [*path.glob(pattern)]:
            file.unlink()
    shutil.rmtree(path / "tests")
    workspace = Workspace(path)
    files = {
        path.name: {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(data.iterdir())
    }
    workspace.describe(sources=[str(data)], files=files)
    workspace.set_params(
        architectures={"tiny": TINY_NETWORK, "unused": copy.deepcopy(TINY_NETWORK)},
        recipes={"quick": TINY_RECIPE, "unused": copy.deepcopy(TINY_RECIPE)},
        train__architecture="tiny",
        train__recipe="quick",
        train__splits=[1, 2],
        baseline__architecture="tiny",
        baseline__recipe="quick",
    )
    begun(path, "The project with a small data set")
    workspace.git("gc", "-q")  # few files: tests copy them often
    return workspace


@pytest.fixture(scope="session")
def fresh_workspace(shared: Path, tiny_data: Path) -> Workspace:
    """Nothing has run here. Copy it before running anything."""
    path = shared / "fresh"
    only_once(path, lambda: new_workspace(path, tiny_data))
    return Workspace(path)


@pytest.fixture(scope="session")
def finished_workspace(fresh_workspace: Workspace, shared: Path) -> Workspace:
    """The same after one `dvc repro`, committed. Copy it before changing anything.

    What that printed lies beside it, in finished.log and finished.err.
    """
    path = shared / "finished"

    def finish() -> None:
        workspace = fresh_workspace.copy(path)
        done = workspace.run("bash", "-c", "dvc repro >../finished.log 2>../finished.err")
        assert done.returncode == 0, (shared / "finished.err").read_text()
        commit(workspace, "Results")

    only_once(path, finish)
    return Workspace(path)


@pytest.fixture(scope="session")
def real_project(shared: Path) -> Workspace:
    """The project as it is, with its committed results. Copy it before changing anything."""
    path = shared / "real"
    only_once(path, lambda: copy_project(path))
    return Workspace(path)


@pytest.fixture
def workspace(finished_workspace: Workspace, tmp_path: Path) -> Workspace:
    """A finished workspace of the test's own."""
    return finished_workspace.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def chromium() -> Iterator[browser.Chromium]:
    """A headless browser that can reach nothing but files."""
    if browser.EXECUTABLE is None:
        pytest.skip("no chromium or chromium-browser on the PATH: pages are not looked at")
    with browser.started() as running:
        yield running


class Said(NamedTuple):
    """How a program ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


Call = Callable[..., Said]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a module's `main` as `python -m` would, in this process: TensorFlow is loaded once."""

    def run(folder: Path, module: str, *arguments: str) -> Said:
        from fashion_mnist.learning import backend

        monkeypatch.chdir(folder)
        monkeypatch.setattr("sys.argv", [module, *arguments])
        # Threads can be set once in a process only.
        monkeypatch.setattr(backend, "make_reproducible", lambda *_, **__: None)
        main = importlib.import_module(module).main
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            console.run(main)
        return Said(ended.value.code or 0, *capsys.readouterr())

    return run
