"""Model files made to do harm: refused, before any of it runs and any large memory is taken.

Each way into a program through Keras's loading that has a CVE number is tried by that number.
"""

import base64
import contextlib
import io
import json
import marshal
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pytest

from fashion_mnist.errors import InputError
from fashion_mnist.learning import networks
from fashion_mnist.model_files import hdf5, loading
from tests.conftest import ROOT
from tests.jobs import FASHION

NETWORK = [
    ("Conv2D", {"filters": 2, "kernel_size": 3}),
    ("Flatten", {}),
    ("Dense", {"units": 10, "activation": "softmax"}),
]
KERNEL = (1352, 10)  # the shape of the last layer's

Layers = list[dict]


def untouched(*_: object) -> None:
    """The part that an attack leaves alone."""


class Attack(NamedTuple):
    """What is done to a good file; the path is of a file that must not come to be."""

    suffix: str
    said: str
    layers: Callable[[Layers, Path], object] = untouched
    weights: Callable[[h5py.File, Path], object] = untouched


def described(kind: str, module: str = "keras.layers", **config: object) -> dict:
    return {"module": module, "class_name": kind, "config": {"name": "x", **config}}


def first(kind: str, module: str = "keras.layers", **config: object) -> Callable:
    """Puts a layer behind the input."""
    return lambda layers, _: layers.insert(1, described(kind, module, **config))


def last(**changes: object) -> Callable:
    """Changes arguments of the last layer."""
    return lambda layers, _: layers[-1]["config"].update(changes)


def function(module: str, name: str) -> dict:
    return {"module": module, "class_name": "function", "config": name}


def code(trap: Path) -> dict:
    """A function that makes the trap, as a Lambda layer holds it."""
    compiled = compile(f"lambda x: open({str(trap)!r}, 'w') and x", "x", "eval").co_consts[0]
    text = base64.b64encode(marshal.dumps(compiled)).decode()
    return {"class_name": "__lambda__", "config": {"code": text, "defaults": None, "closure": None}}


def with_code(layers: Layers, trap: Path) -> None:
    layers.insert(1, described("Lambda", function=code(trap)))


def with_safe_mode_off(layers: Layers, trap: Path) -> None:
    with_code(layers, trap)
    off = function("keras.config", "enable_unsafe_deserialization")
    layers.insert(1, described("Lambda", function=off))


def enlarged(kind: str, **config: object) -> Callable:
    """A layer that makes an image large, and two that bring it back to its size."""
    back = [
        described("GlobalMaxPooling2D", keepdims=True, name="y"),
        described("UpSampling2D", size=28, name="z"),
    ]
    return lambda layers, _: layers.__setitem__(slice(1, 1), [described(kind, **config), *back])


def of_size(*sizes: int | None) -> Callable:
    """Another input."""
    return lambda layers, _: layers[0]["config"].update(batch_shape=[None, *sizes])


def nested(file: h5py.File, _: Path) -> None:
    group = file
    for _level in range(3000):
        group = group.create_group("g")


def models_in_models(layers: Layers, _: Path) -> None:
    """Thirty, of which each calls the one within it twice."""

    def call(name: str, node: int) -> dict:
        tensor = {"shape": [None, 28, 28, 1], "dtype": "float32", "keras_history": [name, node, 0]}
        return {"args": [{"class_name": "__keras_tensor__", "config": tensor}], "kwargs": {}}

    layer = described("ReLU")
    image = {**described("InputLayer", batch_shape=[None, 28, 28, 1], name="i"), "name": "i"}
    for _level in range(30):
        calls = {"name": "x", "inbound_nodes": [call("i", 0), call("x", 0)]}
        ends = {"input_layers": [["i", 0, 0]], "output_layers": [["x", 1, 0]]}
        layer = described("Functional", "keras", layers=[image, layer | calls], **ends)
    layers.insert(1, layer)


def nested_of_unknown_size(layers: Layers, _: Path) -> None:
    """A network that makes any image large, and its result small."""
    image = described("InputLayer", batch_shape=[None, None, None, 1])
    large = described("UpSampling2D", size=10**4, name="l")
    small = described("GlobalMaxPooling2D", keepdims=True, name="s")
    layers.insert(1, described("Sequential", "keras", layers=[image, large, small]))


def wrapped_network(layers: Layers, _: Path) -> None:
    inner = described("Sequential", "keras", layers=[described("ReLU")])
    layers.insert(1, described("TimeDistributed", layer=inner))


def attention(layers: Layers, _: Path) -> None:
    """Between each pair of 100,000 places, in a network that gives back one image."""

    def call(kind: str, *inputs: str, **config: object) -> dict:
        tensors = [
            {"class_name": "__keras_tensor__", "config": {"keras_history": [each, 0, 0]}}
            for each in inputs
        ]
        node = {"args": [tensors if len(tensors) > 1 else tensors[0]], "kwargs": {}}
        return described(kind, **config) | {"name": config["name"], "inbound_nodes": [node]}

    image = described("InputLayer", batch_shape=[None, 28, 28, 1], name="i")
    inner = [
        image | {"name": "i", "inbound_nodes": []},
        call("UpSampling2D", "i", size=12, name="u"),
        call("Reshape", "u", target_shape=[112_896, 1], name="r"),
        call("Attention", "r", "r", name="a"),
        call("GlobalMaxPooling1D", "a", name="g"),
        call("Reshape", "g", target_shape=[1, 1, 1], name="s"),
        call("UpSampling2D", "s", size=28, name="z"),
    ]
    ends = {"input_layers": ["i", 0, 0], "output_layers": ["z", 0, 0]}
    layers.insert(1, described("Functional", "keras", layers=inner, **ends))


def instead(make: Callable[[h5py.Group, str, Path], object]) -> Callable:
    """Puts something else in the place of the last layer's kernel."""

    def change(file: h5py.File, trap: Path) -> None:
        names: list[str] = []
        file.visit(names.append)
        path = next(name for name in names if getattr(file[name], "shape", None) == KERNEL)
        group, _, name = path.rpartition("/")
        del file[path]
        make(file[group], name, trap)

    return change


def array(shape: tuple[int, ...] = KERNEL, **options: object) -> Callable:
    return instead(lambda group, name, _: group.create_dataset(name, shape, "f4", **options))


def link(target: object) -> Callable:
    return instead(lambda group, name, _: group.__setitem__(name, target))


def of_another_file(group: h5py.Group, name: str, _: Path) -> None:
    layout = h5py.VirtualLayout(KERNEL, "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "secret", KERNEL)
    group.create_virtual_dataset(name, layout)


ATTACKS = {
    "CVE-2024-3660 code in a Lambda layer": Attack(".keras", "a layer 'Lambda'", with_code),
    "CVE-2025-1550 a function of any module": Attack(
        ".keras", "an activation", last(activation=function("os", "abort"))
    ),
    "CVE-2025-1550 a class of any module": Attack(
        ".keras", "a layer 'Popen'", first("Popen", "subprocess", args="true")
    ),
    "CVE-2025-8747 a download by Keras itself": Attack(
        ".keras",
        "a layer 'Lambda'",
        first("Lambda", function=function("keras.utils", "get_file"), arguments={"origin": "x"}),
    ),
    "CVE-2025-9905 code in a Lambda layer in HDF5": Attack(".h5", "a layer 'Lambda'", with_code),
    "CVE-2025-9906 safe mode turned off by the file": Attack(
        ".keras", "a layer 'Lambda'", with_safe_mode_off
    ),
    "CVE-2025-12058 a vocabulary from any file": Attack(
        ".keras", "a layer 'StringLookup'", first("StringLookup", vocabulary="/etc/passwd")
    ),
    "CVE-2025-49655 a pickle in a layer of torch": Attack(
        ".keras",
        "a layer 'TorchModuleWrapper'",
        lambda layers, _: layers.insert(
            1,
            {
                "class_name": "TorchModuleWrapper",
                "config": {"module": base64.b64encode(b"cos\nabort\n(tR.").decode()},
            },
        ),
    ),
    "CVE-2026-0897 weights of a huge shape": Attack(
        ".keras", "that the file cannot hold", weights=array((10**6,) * 3)
    ),
    "CVE-2026-1462 a SavedModel beside the file": Attack(
        ".keras", "a layer 'TFSMLayer'", first("TFSMLayer", filepath="/x")
    ),
    "CVE-2026-1669 weights from any file": Attack(
        ".keras", "is stored elsewhere", weights=array(external=[("/etc/passwd", 0, 54_080)])
    ),
    "CVE-2026-1669 a link to another file": Attack(
        ".h5", "leads elsewhere", weights=link(h5py.ExternalLink("/etc/passwd", "/x"))
    ),
    "CVE-2026-1669 weights that stand for others": Attack(
        ".h5", "is not stored in one piece", weights=instead(of_another_file)
    ),
    "CVE-2026-12570 a gigabyte of compressed zeros": Attack(
        ".keras", "is not stored in one piece", weights=array((2**28,), compression="gzip")
    ),
    "a link within the file": Attack(
        ".keras", "leads elsewhere", weights=link(h5py.SoftLink("/layers"))
    ),
    "a group that holds itself": Attack(
        ".keras", "under another name", weights=lambda file, _: file.__setitem__("x", file["/"])
    ),
    "groups nested without end": Attack(".h5", "is not a Keras model", weights=nested),
    "texts for weights": Attack(
        ".h5",
        "does not hold numbers",
        weights=instead(lambda group, name, _: group.create_dataset(name, data=["x"] * 9)),
    ),
    "a reference in an attribute": Attack(
        ".h5", "is no text or number", weights=lambda file, _: file.attrs.create("x", file.ref)
    ),
    "an object for a number": Attack(
        ".keras", "names the object", last(units={"class_name": "x", "config": {}})
    ),
    "an activation of any name": Attack(
        ".h5", "an activation 'os.abort'", last(activation="os.abort")
    ),
    "more weights than any memory holds": Attack(
        ".keras", "weights and does not hold them: refused", first("Dense", units=10**9)
    ),
    "more weights than a machine can count": Attack(
        ".h5", "weights and does not hold them: refused", first("Dense", units=10**30)
    ),
    "an image larger than any memory": Attack(
        ".keras", "numbers of an image: refused", enlarged("UpSampling2D", size=10**5)
    ),
    "an edge larger than any memory": Attack(
        ".h5", "numbers of an image: refused", enlarged("ZeroPadding2D", padding=10**9)
    ),
    "an input larger than any memory": Attack(
        ".keras", "weights and does not hold them: refused", of_size(10**9, 10**9, 1)
    ),
    "a nested network for an input of unknown size": Attack(
        ".keras", "whose size is not known: refused", nested_of_unknown_size
    ),
    "a network in a layer": Attack(".keras", "wraps a Sequential in a layer", wrapped_network),
    "attention between more places than any memory holds": Attack(
        ".keras", "numbers of an image: refused", attention
    ),
    "an activation of no name": Attack(
        ".keras", "an activation 'an object'", last(activation={"config": {}})
    ),
    "a function of any module of TensorFlow": Attack(
        ".h5", "calls tf.io.read_file", first("TFOpLambda", function="io.read_file")
    ),
    "an operation that is not arithmetic": Attack(
        ".keras", "calls keras.ops.searchsorted", first("SearchSorted", "keras.src.ops.numpy")
    ),
    "more layers than anyone waits for": Attack(
        ".keras",
        "calls layers more than 10,000 times: refused",
        lambda layers, _: layers.extend(described("ReLU", name=f"x{n}") for n in range(9000)),
    ),
    "models in models": Attack(
        ".keras", "calls layers more than 10,000 times: refused", models_in_models
    ),
    "arguments nested without end": Attack(
        ".keras", "is not a Keras model", lambda layers, _: layers.append("[" * 50_000)
    ),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same harmless model in both formats."""
    folder = tmp_path_factory.mktemp("good")
    model = networks.build(NETWORK, FASHION)
    for suffix in (".h5", ".keras"):
        model.save(folder / f"model{suffix}")
    return folder


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    """Check that no more than 256 MiB is taken within it."""
    resource = pytest.importorskip("resource")

    def peak() -> int:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    before = peak()
    yield
    assert peak() - before < 256 * 2**20


@pytest.fixture(autouse=True)
def no_large_memory_is_taken() -> Iterator[None]:
    with little_memory():
        yield


def changed_text(text: bytes | str, attack: Attack, trap: Path) -> str:
    configuration = json.loads(text)
    attack.layers(configuration["config"]["layers"], trap)
    # What no encoder would write: as deep as it is said to be.
    return json.dumps(configuration).replace(f'"{"[" * 50_000}"', "[" * 50_000)


def tampered(good: Path, path: Path, attack: Attack, trap: Path) -> Path:
    """A copy of the good model after the attack on it."""
    data = (good / f"model{path.suffix}").read_bytes()
    if path.suffix == ".h5":
        memory = io.BytesIO(data)
        with h5py.File(memory, "r+") as file:
            text = changed_text(file.attrs["model_config"], attack, trap)
            file.attrs["model_config"] = text
            attack.weights(file, trap)
        path.write_bytes(memory.getvalue())
        return path
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        attack.weights(file, trap)
    members["config.json"] = changed_text(members["config.json"], attack, trap).encode()
    members["model.weights.h5"] = weights.getvalue()
    write_archive(path, members)
    return path


def write_archive(path: Path, members: dict[str, bytes], **options: int) -> None:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def test_the_file_is_good_but_for_the_attack(good: Path, tmp_path: Path):
    for suffix in (".h5", ".keras"):
        path = tampered(good, tmp_path / f"x{suffix}", Attack(suffix, ""), tmp_path / "trap")
        assert loading.load_model(path, FASHION).count_params() == 13_550, suffix


def test_a_hostile_file_is_refused(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name, attack in ATTACKS.items():
        path = tampered(good, tmp_path / f"x{attack.suffix}", attack, tmp_path / "trap")
        with subtests.test(name), little_memory():
            started = time.monotonic()
            with pytest.raises(InputError) as refused:
                loading.load_model(path, FASHION)
            assert attack.said in str(refused.value)
            assert "\n" not in str(refused.value)
            assert time.monotonic() - started < 20
            assert not list(folder.iterdir())
            assert not (tmp_path / "trap").exists()


def test_cve_2021_37678_a_description_in_yaml_is_no_description(good: Path, tmp_path: Path):
    path = tmp_path / "x.h5"
    path.write_bytes((good / "model.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = f"!!python/object/apply:os.mkdir ['{tmp_path}/trap']"
    with pytest.raises(InputError, match="is not a Keras model"):
        loading.load_model(path, FASHION)
    assert not (tmp_path / "trap").exists()


def test_cve_2025_12060_and_12638_no_member_of_an_archive_is_unpacked(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a/b")
    path = tampered(good, tmp_path / "x.keras", Attack(".keras", ""), tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        for member in ("../../trap", "/trap", "assets/../../../trap", "..\\..\\trap"):
            archive.writestr(member, "x")
    loading.load_model(path, FASHION)
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["a", "b", "x.keras"]


def test_cve_2026_12479_a_layer_named_like_a_path_writes_nothing(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a/b")
    for name in ("../../trap", "/trap", "..\\trap"):
        path = tampered(good, tmp_path / "x.keras", Attack(".keras", "", last(name=name)), tmp_path)
        with contextlib.suppress(InputError):
            loading.load_model(path, FASHION)
        assert sorted(each.name for each in tmp_path.rglob("*")) == ["a", "b", "x.keras"], name


def test_a_zip_bomb_is_not_unpacked(good: Path, tmp_path: Path, subtests: pytest.Subtests):
    path = tmp_path / "x.keras"
    for member in ("config.json", "model.weights.h5"):
        with zipfile.ZipFile(good / "model.keras") as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        members[member] = bytes(300 * 2**20)  # more than `little_memory` allows
        write_archive(path, members, compression=zipfile.ZIP_DEFLATED, compresslevel=1)
        members.clear()
        refused = pytest.raises(InputError, match="in it is larger than")
        with subtests.test(member), little_memory(), refused:
            loading.load_model(path, FASHION)


def test_a_file_that_is_an_archive_and_hdf5_is_read_as_its_name_says(good: Path, tmp_path: Path):
    path = tmp_path / "x.h5"
    hostile = tampered(good, path, Attack(".h5", "", with_code), tmp_path / "trap").read_bytes()
    path.write_bytes(hostile + (good / "model.keras").read_bytes())
    with pytest.raises(InputError, match="has a layer 'Lambda'"):
        loading.load_model(path, FASHION)


def test_a_file_over_which_the_hdf5_library_hangs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hdf5, "MOST_SECONDS", 2)
    shutil.copy(ROOT / "fuzz/corpus/hdf5/hangs", tmp_path / "x.h5")
    with pytest.raises(InputError, match="takes over 2 s to read"):
        loading.load_model(tmp_path / "x.h5", FASHION)


def test_what_is_plain_comes_through_as_it_was():
    memory = io.BytesIO()
    values = {
        "floats": np.arange(6, dtype="f4").reshape(2, 3),
        "number": np.float64(3),
        "none": np.zeros((0, 4), "u1"),
        "truth": np.array([True, False]),
    }
    texts = {"text": "Größe", "texts": ["a", "b"], "bytes": np.array([b"xy", b"z"]), "n": 3}
    with h5py.File(memory, "w") as file:
        group = file.create_group("a/b")
        for name, value in values.items():
            group[name] = value
        group.attrs.update(texts)
    with h5py.File(io.BytesIO(hdf5.plain(memory.getvalue()))) as file:
        group = file["a/b"]
        assert set(group) == set(values)
        for name, value in values.items():
            np.testing.assert_array_equal(group[name][()], value)
            assert group[name].dtype == value.dtype
        assert {key: np.array(group.attrs[key]).tolist() for key in texts} == {
            key: np.array(value).tolist() for key, value in texts.items()
        }
