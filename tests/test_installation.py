"""What is installed is what was pinned, to the byte, and nothing is fetched later but the data."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from fashion_mnist.storage.files import sha256
from tests.conftest import ROOT, Workspace

pytestmark = pytest.mark.slow

PINNED = re.compile(r"^([\w.-]+)==([\w.]+)", re.MULTILINE)


def pins(text: str) -> dict[str, str]:
    """Package to version, of each line that pins one."""
    return {re.sub(r"[_.-]+", "-", pin[1]).lower(): pin[2] for pin in PINNED.finditer(text)}


def constraints(name: str) -> str:
    return (ROOT / f"constraints/{name}.txt").read_text(encoding="utf-8")


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REQUIRED = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
NAMED = {"run": REQUIRED, **PROJECT["dependency-groups"]}


@pytest.mark.parametrize("name", NAMED)
def test_constraints_pin_all_dependencies_with_hashes_and_name_no_server(name: str):
    named = "\n".join(re.sub(r"\[\w+\]", "", each) for each in NAMED[name])
    text = constraints(name)
    assert pins(named)
    assert pins(named).items() <= pins(text).items()
    for entry in re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]:
        assert PINNED.match(entry), entry
        assert "--hash=sha256:" in entry, entry
    assert "://" not in text
    assert "-index" not in text


def test_no_two_constraints_pin_different_versions_of_a_package():
    run = pins(constraints("run"))
    for name in NAMED:
        for package, pinned in pins(constraints(name)).items():
            assert run.get(package, pinned) == pinned, (name, package)


def wheel(folder: Path, name: str, module: str = "good = True\n", command: str = "") -> str:
    """Write a package with a module that is called like it; its lines among the constraints.

    Args:
        module: its code.
        command: a script that the package installs under its name.
    """
    path = folder / f"{name}-1-py3-none-any.whl"
    info = f"{name}-1.dist-info"
    files = {
        f"{name}.py": module,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if command:
        files[f"{name}-1.data/scripts/{name}"] = command
    record = f"{info}/RECORD"
    files[record] = "".join(f"{file},,\n" for file in (*files, record))
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            entry = zipfile.ZipInfo(file)
            entry.external_attr = 0o100755 << 16  # a script may be run
            archive.writestr(entry, text)
    return f"{name}==1 \\\n    --hash=sha256:{sha256(path)}\n"


# Builds a project without setuptools, which is no real one here.
IN_PLACE = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
BACKEND = """
import shutil
from pathlib import Path

def build_editable(folder, *_):
    (wheel,) = Path(__file__).parent.glob("*.whl")
    shutil.copy(wheel, folder)
    return wheel.name
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
@pytest.mark.skipif(shutil.which("uv") is None, reason="no uv")
@pytest.mark.parametrize("has_uv", [True, False])
def test_make_installs_no_package_of_which_a_byte_is_altered(tmp_path: Path, has_uv: bool):
    uv = shutil.which("uv")
    (tmp_path / "tools").mkdir()
    if has_uv:
        (tmp_path / "tools/uv").symlink_to(uv)
    packages, pinned = tmp_path / "packages", tmp_path / "constraints"
    packages.mkdir()
    pinned.mkdir()
    (pinned / "run.txt").write_text(wheel(packages, "other") + wheel(packages, "setuptools"))
    start = f'#!/bin/sh\nexec {uv} "$@"\n'
    (pinned / "uv.txt").write_text(wheel(packages, "uv", command=start))
    shutil.copy(ROOT / "Makefile", tmp_path)
    for folder in (tmp_path, tmp_path / "dvc_parallel"):  # what is installed in place
        folder.mkdir(exist_ok=True)
        (folder / "pyproject.toml").write_text(IN_PLACE)
        (folder / "backend.py").write_text(BACKEND)
        wheel(folder, f"project_{folder.name.replace('-', '_')}")
    found = {"FIND_LINKS": str(packages), "NO_INDEX": "1", "CACHE_DIR": str(tmp_path / "cache")}
    environment = {f"{tool}_{key}": found[key] for tool in ("PIP", "UV") for key in found}
    environment["PATH"] = f"{tmp_path}/tools:/usr/bin:/bin"

    def install() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", ".venv/installed", f"PYTHON={sys.executable}"],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )

    for name in ("setuptools", "other", *([] if has_uv else ["uv"])):
        path = packages / f"{name}-1-py3-none-any.whl"
        good = path.read_bytes()
        wheel(packages, name, "good = None\n", start if name == "uv" else "")
        done = install()
        assert done.returncode != 0
        assert re.search("DO NOT MATCH THE HASHES|Hash mismatch", done.stderr), done.stderr
        assert not (tmp_path / ".venv/installed").exists()
        path.write_bytes(good)
    done = install()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".venv/installed").exists()


NETLESS = ["unshare", "--map-root-user", "--net"]


def test_the_whole_pipeline_runs_without_a_network(fresh_workspace: Workspace, tmp_path: Path):
    if not shutil.which("unshare") or subprocess.run([*NETLESS, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody run a program without a network")
    workspace = fresh_workspace.copy(tmp_path / "project")
    workspace.set_params(train__splits=[1])
    interfaces = "import socket; print(*(name for _, name in socket.if_nameindex()))"
    assert workspace.run(*NETLESS, "python", "-c", interfaces).stdout.split() == ["lo"]
    done = workspace.run(*NETLESS, "dvc", "repro")
    assert done.returncode == 0, done.stdout + done.stderr
