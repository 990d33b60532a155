"""For every input: a reader gives back what was written, or refuses it with InputError."""

import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw

from fashion_mnist.checking import params
from fashion_mnist.errors import InputError
from fashion_mnist.ingest import idx
from fashion_mnist.learning import networks
from fashion_mnist.model_files import allowed, descriptions, hdf5
from fashion_mnist.pictures import decoding, garments
from fashion_mnist.storage import dataset, records
from fashion_mnist.storage.dataset import Labelled
from tests.conftest import ROOT
from tests.jobs import FASHION

# The same examples in every run.
settings.register_profile(
    "tests", derandomize=True, deadline=timedelta(seconds=5), max_examples=150
)
settings.load_profile("tests")

FINITE = st.floats(-1e6, 1e6).map(lambda number: round(number, records.DIGITS))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@contextlib.contextmanager
def holding(data: bytes) -> Iterator[Path]:
    """A file with these bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(data)
        yield path


def outcome(read: Callable[[Path], object], data: bytes) -> tuple[object, str]:
    """What is read of a file with these bytes, or why it is not."""
    with holding(data) as path:
        try:
            return read(path), ""
        except InputError as error:
            message = str(error)
        assert message.startswith(str(path))
        assert "\n" not in message
        return None, message


def damages(data: bytes) -> st.SearchStrategy[bytes]:
    """The same with bytes changed, cut out, or put in."""
    place = st.integers(0, len(data))
    edit = st.tuples(place, st.integers(0, 4), st.binary(max_size=4))

    def damaged(edits: list[tuple[int, int, bytes]]) -> bytes:
        changed = data
        for start, removed, put in edits:
            changed = changed[:start] + put + changed[start + removed :]
        return changed

    return st.lists(edit, min_size=1, max_size=4).map(damaged) | place.map(lambda end: data[:end])


IMAGES = np.arange(2 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(2, 28, 28)
LABELS = np.array([3, 9], np.uint8)


def written(write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "file"))
        return Path(folder, "file").read_bytes()


IDX = written(lambda path: idx.write(path, IMAGES[:, :4, :3]))
NPZ = written(lambda path: dataset.write(path, Labelled(IMAGES, LABELS, FASHION.classes)))


@given(arrays(np.uint8, st.tuples(*[st.integers(1, 5)] * 3)))
def test_an_idx_file_holds_what_was_written(array: np.ndarray):
    data = written(lambda path: idx.write(path, array))
    with holding(data) as path:
        np.testing.assert_array_equal(idx.read(path, dimensions=3), array)


@given(damages(IDX) | st.binary(max_size=40))
def test_an_idx_file_is_refused_or_read_whole(data: bytes):
    array, refused = outcome(lambda path: idx.read(path, dimensions=3), data)
    assert refused or written(lambda path: idx.write(path, array)) == data


@given(st.integers(1, 3), st.data())
def test_an_npz_file_holds_what_was_written(count: int, data: st.DataObject):
    pixels = data.draw(
        arrays(np.uint8, data.draw(st.sampled_from([(count, 28, 28), (count, 5, 7, 3)])))
    )
    labels = data.draw(arrays(np.uint8, (count,), elements=st.integers(0, 9)))
    labelled = Labelled(pixels, labels, ("a", "b", "c", "d", "e", "f", "g", "h", "i", "Jäger / 1"))
    with holding(written(lambda path: dataset.write(path, labelled))) as path:
        found = dataset.read(path)
        assert dataset.read_kind(path) == found.kind == labelled.kind
    np.testing.assert_array_equal(found[0], pixels)
    np.testing.assert_array_equal(found[1], labels)


@given(damages(NPZ) | st.binary(max_size=40))
def test_a_damaged_npz_file_is_refused_or_gives_the_same_arrays(data: bytes):
    found, refused = outcome(dataset.read, data)
    if not refused:
        np.testing.assert_array_equal(found[0], IMAGES)
        np.testing.assert_array_equal(found[1], LABELS)


@given(st.dictionaries(TEXT, FINITE | TEXT | st.lists(FINITE, max_size=3)))
def test_metrics_come_back_as_they_were_written(values: dict):
    with holding(b"") as path:
        records.write_json(path, values)
        assert records.read_json(path) == values


NAME = TEXT.map(lambda text: text.replace("\r", ""))  # which Python's csv leaves unquoted
ROW = st.fixed_dictionaries({"model": NAME, "loss": FINITE, "accuracy": FINITE})


@given(st.lists(ROW, min_size=1, max_size=4))
def test_a_table_comes_back_as_it_was_written(rows: list[dict]):
    with holding(b"") as path:
        records.write_csv(path, rows)
        assert records.read_csv(path, texts=("model",)) == rows


@pytest.mark.parametrize("read", [records.read_json, records.read_csv])
@given(data=st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_a_record_of_any_bytes_is_read_or_refused(read: Callable[[Path], object], data: bytes):
    value, refused = outcome(read, data)
    assert refused or records.rounded(value) is not None or data.strip() == b"null"


PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


def places(value: object, path: tuple = ()) -> Iterator[tuple]:
    """Where there is a value in a nest of mappings and lists."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from places(inner, (*path, key))


def with_another(value: object, path: tuple, other: object) -> object:
    """A copy with `other` at a place."""
    changed = json.loads(json.dumps(value))
    section = changed
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = other
    return changed


@settings(max_examples=50)
@given(st.sampled_from(list(places(PARAMS))), VALUES)
def test_a_params_file_with_any_other_value_is_read_or_refused_on_one_line(
    place: tuple, value: object
):
    text = yaml.safe_dump(with_another(PARAMS, place, value), allow_unicode=True)
    found, refused = outcome(params.load, text.encode())
    assert refused or isinstance(found, params.Params)


@given(
    st.binary(max_size=60)
    | st.text("{}[]&*!<>|:-?,#%@'\"\\ \n\tax01.", max_size=40).map(str.encode)
)
def test_what_is_not_a_params_file_is_refused_on_one_line(data: bytes):
    _, refused = outcome(params.load, data)
    assert refused


def picture(kind: str) -> bytes:
    image = Image.new("RGB", (40, 36), "white")
    ImageDraw.Draw(image).polygon([(8, 4), (30, 4), (36, 12), (28, 30), (10, 32)], fill="navy")
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


@given(st.sampled_from(decoding.FORMATS).map(picture).flatmap(damages) | st.binary(max_size=60))
def test_a_damaged_picture_is_brought_to_form_or_refused(data: bytes):
    with contextlib.suppress(InputError):
        found = garments.read(io.BytesIO(data))
        assert found.pixels.shape == (28, 28)
        assert found.pixels.dtype == np.uint8


@given(st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16"]), st.data())
def test_a_picture_of_any_size_and_mode_is_brought_to_form(mode: str, data: st.DataObject):
    size = data.draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    pixels = data.draw(st.binary(min_size=1, max_size=30))
    image = Image.new(mode, size)
    raw = image.tobytes()
    image.frombytes((pixels * (len(raw) // len(pixels) + 1))[: len(raw)])
    file = io.BytesIO()
    image.save(file, "TIFF")
    reason = "shows nothing"
    with contextlib.suppress(InputError):
        assert garments.read(io.BytesIO(file.getvalue())).pixels.any()
        reason = ""
    if reason:
        with pytest.raises(InputError, match=reason):
            garments.read(io.BytesIO(file.getvalue()))


WIDTHS = st.tuples(*[st.integers(0, 12)] * 4)


@given(WIDTHS, st.integers(0, 240))
def test_no_frame_around_a_photograph_changes_what_is_seen(widths: tuple[int, ...], tone: int):
    plain = Image.new("L", (80, 70), 255)
    ImageDraw.Draw(plain).polygon([(28, 18), (50, 18), (56, 26), (48, 44), (30, 46)], fill=60)
    left, top, right, bottom = widths
    framed = Image.new("L", (80 + left + right, 70 + top + bottom), tone)
    framed.paste(plain, (left, top))
    pixels = []
    for image in (plain, framed):
        file = io.BytesIO()
        image.save(file, "PNG")
        pixels.append(garments.read(io.BytesIO(file.getvalue())).pixels)
    np.testing.assert_array_equal(*pixels)


DESCRIPTION = json.loads(
    networks.build(
        [
            ("Conv2D", {"filters": 2, "kernel_size": 3, "activation": "relu"}),
            ("Flatten", {}),
            ("Dense", {"units": 10, "activation": "softmax"}),
        ],
        FASHION,
    ).to_json()
)
EVIL = st.sampled_from(
    [
        "Lambda",
        "os.system",
        {"class_name": "function", "config": "system", "module": "os"},
        {"module": "os", "class_name": "system", "config": {}},
        {"class_name": "Lambda", "config": {"name": "x"}},
        {"class_name": "__lambda__", "config": {"code": "x"}},
        [{"x": {"class_name": "Popen", "config": {}}}],
    ]
)


def named_objects(value: object) -> Iterator[tuple[str | None, str]]:
    """(module, class) of each object that Keras would make."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value.get("module"), value["class_name"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from named_objects(inner)


@given(
    st.lists(st.tuples(st.sampled_from(list(places(DESCRIPTION))), EVIL | VALUES), max_size=3),
    st.booleans(),
)
def test_no_description_names_anything_but_layers_of_keras(edits: list[tuple], keras_2: bool):
    changed: object = DESCRIPTION
    for place, value in edits:
        with contextlib.suppress(LookupError, TypeError):  # an earlier edit removed the place
            changed = with_another(changed, place, value)
    try:
        clean = descriptions.inert(Path("x"), changed, keras_2)
    except Exception:  # as it says
        return
    for module, name in named_objects(clean):
        if module in ("keras.src.ops.numpy", "keras.src.ops.nn"):
            assert allowed.OPERATIONS[name] == module
        else:
            assert name in allowed.COMPUTING | allowed.CONTAINERS | {"__keras_tensor__"}
            assert module in (None, "keras", "keras.layers", "keras.src.models.functional")


def weights() -> bytes:
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file.attrs["model_config"] = "{}"
        file["a/kernel"] = np.ones((2, 3), "f4")
    return memory.getvalue()


@settings(max_examples=10, deadline=timedelta(seconds=60))
@given(damages(weights()))
def test_a_damaged_hdf5_file_is_refused_or_made_plain(data: bytes):
    with contextlib.suppress(ValueError), h5py.File(io.BytesIO(hdf5.plain(data))) as file:
        file.visititems(lambda _, found: found[()] if isinstance(found, h5py.Dataset) else None)
