"""What no source of the project does, beyond what ruff's rules forbid."""

import ast
from collections.abc import Iterator

from tests.conftest import ROOT

# Except the original, in its own way: it reads the file that it has just written.
ORIGINAL = ROOT / "benchmarks/original.py"
SOURCES = sorted(
    path
    for folder in ("fashion_mnist", "stages", "benchmarks", "comparison", "fuzz")
    for path in (ROOT / folder).rglob("*.py")
    if path != ORIGINAL
)
RUNNING = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle"}
# Keras's own ways to read a model, and to fetch and unpack what a file names.
CALLS = {"load_model", "model_from_json", "get_file", "enable_unsafe_deserialization"}
OURS = "loading.load_model"  # which reads a model as data


def offences(source: str) -> Iterator[str]:
    """Whatever runs code from a file, or may."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            yield from RUNNING & {name.split(".")[0] for name in names}
        elif isinstance(node, ast.Call):
            arguments = {each.arg: ast.unparse(each.value) for each in node.keywords}
            called = ast.unparse(node.func)
            if called in ("np.load", "numpy.load") and arguments.get("allow_pickle") != "False":
                yield f"{called} without allow_pickle=False"
            if called.startswith("yaml.") and called.endswith(("load", "load_all", "Loader")):
                yield from {called} - {"yaml.safe_load", "yaml.SafeLoader"}
            if arguments.get("shell", "False") != "False":
                yield "shell=True"
            if called != OURS:
                yield from CALLS & {called.split(".")[-1]}


def test_no_source_lets_a_file_run_code():
    found = {path: list(offences(path.read_text(encoding="utf-8"))) for path in SOURCES}
    assert {path: offence for path, offence in found.items() if offence} == {}


def test_what_would_is_noticed():
    for source in (
        "import pickle",
        "from pickle import load",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, yaml.Loader)",
        "yaml.unsafe_load(text)",
        "subprocess.run('ls', shell=True)",
        "keras.saving.load_model(path)",
        "keras.utils.get_file(url)",
    ):
        assert list(offences(source)), source
