"""A disk that is full and a memory that is short: a sentence, and the next run is clean."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import Workspace

pytestmark = pytest.mark.slow

MEMORY = "not enough memory: close other programs or lower the batch size"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc and namespaces")

# Brings a workspace onto a disk of its own that has so many KiB left, runs a command there,
# and again with more room; prints how each run went, and dvc.lock.
GROWING_DISK = """
import json, shutil, subprocess, sys
from pathlib import Path

workspace, disk, *rooms, command = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], check=True)
shutil.copytree(workspace, disk, symlinks=True, dirs_exist_ok=True)
used = shutil.disk_usage(disk).used // 1024
runs = []
for room in map(int, rooms):
    subprocess.run(["mount", "-o", f"remount,size={used + room}k", disk], check=True)
    done = subprocess.run(command.split(), cwd=disk, capture_output=True, text=True)
    parts = [str(part) for part in Path(disk).rglob("*.part")]
    runs.append([done.returncode, done.stdout + done.stderr, parts])
print(json.dumps([runs, Path(disk, "dvc.lock").read_text()]))
"""
NAMESPACE = ["unshare", "--map-root-user", "--mount"]

# Leaves a stage so many bytes more than it takes when all is imported.
SHORT = """
import importlib, re, resource, sys
from pathlib import Path

sys.path.insert(0, "")
spare, *sys.argv = sys.argv[1:]
main = importlib.import_module(sys.argv[0]).main
from fashion_mnist.talk import console

used = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + int(spare), used + int(spare)))
console.run(main)
"""


@LINUX
def test_a_run_on_a_full_disk_says_so_and_ends_well_when_there_is_room(
    fresh_workspace: Workspace, finished_workspace: Workspace, tmp_path: Path
):
    if not shutil.which("unshare") or subprocess.run([*NAMESPACE, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    (tmp_path / "disk").mkdir()
    # For a part of the raw data; for all of it, but for no more; for everything.
    rooms = ("300", "1000", "100000")
    command = "python -m dvc_parallel"
    places = (str(fresh_workspace.path), str(tmp_path / "disk"))
    done = fresh_workspace.run(*NAMESPACE, "python", "-c", GROWING_DISK, *places, *rooms, command)
    assert done.returncode == 0, done.stderr
    runs, lock = json.loads(done.stdout)
    assert [code for code, _, _ in runs] == [1, 1, 0], runs
    for (_, said, parts), file in zip(
        runs, ("data/raw/train-images", "data/processed/"), strict=False
    ):
        assert "No space left on device: make room on the disk and run it again" in said
        assert file in said
        assert "Traceback" not in said
        assert parts == []
    assert yaml.safe_load(lock) == yaml.safe_load(
        (finished_workspace.path / "dvc.lock").read_text()
    )


@LINUX
@pytest.mark.parametrize("spare", [0, 300_000, 700_000])
def test_a_stage_short_of_memory_says_so_and_loses_nothing(workspace: Workspace, spare: int):
    data = workspace.path / "data/processed/train.npz"
    before = data.read_bytes()
    done = workspace.run("python", "-c", SHORT, str(spare), "stages.preprocess")
    assert done.returncode == 1
    assert done.stderr == f"error: {MEMORY}\n"
    assert data.read_bytes() == before
    assert not list(workspace.path.rglob("*.part"))
    assert workspace.run("python", "-m", "stages.preprocess").returncode == 0
    assert data.read_bytes() == before


@LINUX
@pytest.mark.parametrize(
    ("command", "spare"),
    [
        (("stages.fetch",), 0),
        (("stages.select_best",), 0),
        (("stages.train", "baseline"), 0),
        (("stages.train", "model-1"), 0),
        (("stages.train", "model-1"), 100_000_000),  # not even TensorFlow fits
        (("stages.evaluate",), 0),
        (("stages.evaluate",), 100_000_000),
    ],
)
def test_no_stage_short_of_memory_loses_anything(
    workspace: Workspace, command: tuple[str, ...], spare: int
):
    before = workspace.files()
    done = workspace.run("python", "-c", SHORT, str(spare), *command)
    assert done.returncode == 1
    if not spare:
        assert done.stderr == f"error: {MEMORY}\n"
    assert workspace.files() == before
    assert not list(workspace.path.rglob("*.part"))
    assert workspace.repro() == []


def test_what_tensorflow_says_of_memory_is_understood(workspace: Workspace):
    program = """
from fashion_mnist.talk import console
from fashion_mnist.learning.backend import keras

console.run(lambda: keras.ops.zeros((2**20, 2**20, 2**4)))
"""
    done = workspace.run("python", "-c", program)
    assert done.returncode == 1
    assert done.stderr == f"error: {MEMORY}\n"
