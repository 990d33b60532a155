"""Which room may import which: an import in another direction is a mistake."""

import pytest

from tests.conftest import ROOT
from tests.imports import imported_names

PACKAGE = "fashion_mnist"
# Top to bottom: a room may import those above it. All may import the first two.
BASE = {"errors", "talk.quiet"}
ROOMS = {
    "errors": set(),
    "storage": BASE,
    "learning": BASE | {"storage"},
    "candidates": BASE | {"storage", "learning"},
    "pictures": BASE,
    "ingest": BASE | {"storage", "pictures"},
    "model_files": BASE | {"storage", "learning"},
    "scoring": BASE | {"storage", "learning"},
}
OUTSIDE = {"benchmarks", "comparison", "dvc_parallel", "fuzz", "stages", "tests"}
FEEDING = {*ROOMS}
SILENT = ("talk", "checking", "exporting", "reporting", "demo", "commands", "__main__")
for number, room in enumerate(SILENT):
    ROOMS[room] = FEEDING | {*SILENT[:number]}


def rooms() -> set[str]:
    paths = (ROOT / PACKAGE).iterdir()
    return {path.stem for path in paths if path.suffix == ".py" or (path / "__init__.py").exists()}


def test_every_room_is_in_the_table():
    assert rooms() - {"__init__"} == {*ROOMS}


def test_a_room_imports_only_what_it_may(subtests: pytest.Subtests):
    for room in ROOMS:
        with subtests.test(room):
            check(room)


def check(room: str) -> None:
    folder = ROOT / PACKAGE / room
    paths = folder.rglob("*.py") if folder.is_dir() else [folder.with_suffix(".py")]
    for path in paths:
        for name in imported_names(path):
            package, _, inner = name.partition(".")
            assert package not in OUTSIDE, path
            if package != PACKAGE or not inner or inner.split(".")[0] == room:
                continue
            allowed = any(inner == each or inner.startswith(f"{each}.") for each in ROOMS[room])
            # `from fashion_mnist.learning import schema` names the folder, too.
            is_folder = any(each.startswith(f"{inner}.") for each in ROOMS[room])
            assert allowed or is_folder, f"{path.relative_to(ROOT)} imports {name}"
