"""The contents of a `.h5` or `.keras` file as data: a description and the bytes of its weights."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import h5py

from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.learning.saving import CLASSES
from fashion_mnist.model_files import hdf5

LARGEST = 2**30  # bytes of a file, and of the weights in a compressed one
LARGEST_DESCRIPTION = 4 * 2**20  # bytes
LEAST_ALLOWED = 2**24  # bytes of weights in an archive of any size
MOST_COMPRESSED = 8  # times: trained weights shrink by a tenth, pruned ones to a fifth
SUFFIXES = (".h5", ".hdf5", ".keras")
NEEDED = "needed is a .h5 or .keras file with its architecture"
# How files begin that are often found in a model's place.
BEGINNINGS = {
    b"version https://git-lfs": "is a Git LFS pointer: run `git lfs pull`",
    b"/annex/objects/": "is a git-annex pointer: run `git annex get`",
    b"<!doctype html": f"is a web page, perhaps of a failed download: {NEEDED}",
    b"<html": f"is a web page, perhaps of a failed download: {NEEDED}",
}
ARCHIVE, HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"


class Contents(NamedTuple):
    """What a model file holds."""

    description: dict[str, Any]
    weights: bytes  # an HDF5 file: a `.h5` file's is plain already, a `.keras` file's is not
    keras_2: bool  # whether Keras 2 wrote it
    classes: tuple[str, ...] = ()  # their names, if the file remembers them
    is_archive: bool = False  # whether it is a `.keras` file


def read(path: Path) -> Contents:
    """Read a model file as data.

    Raises:
        InputError: it is missing or too large, or is not a Keras model with its architecture.
        OSError: it cannot be read.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder: {NEEDED}")
    if not path.is_file():
        raise InputError(f"{path} is not a file: name a .h5 or .keras model")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path} is no model, by its name: it must end in .h5 or .keras")
    if path.stat().st_size > LARGEST:
        raise InputError(f"{path} is larger than {LARGEST // 2**30} GiB: refused")
    data = path.read_bytes()
    _check_beginning(path, data)
    is_archive = suffix == ".keras"
    try:
        text, weights, version, classes = _of_archive(data) if is_archive else _of_hdf5(data)
        if len(text) > LARGEST_DESCRIPTION:
            raise ValueError(f"its description is over {LARGEST_DESCRIPTION // 2**20} MiB long")
        description = json.loads(text)
        if not isinstance(description, dict):
            raise ValueError("its description is no mapping")
    except (_WeightsOnlyError, _CutOffError) as error:
        raise InputError(f"{path} {error}") from None
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise InputError(
            f"{path} is not a Keras model ({first_sentence(error)}): {NEEDED}"
        ) from None
    # Keras 3 has no such argument; a file may lack its version.
    keras_2 = version.startswith(("1.", "2.")) or '"batch_input_shape"' in _text(text)
    return Contents(description, weights, keras_2, classes, is_archive)


class _WeightsOnlyError(Exception):
    """The network is missing."""

    def __init__(self) -> None:
        super().__init__(
            "holds weights without the network: save it with `model.save()`, not `save_weights()`"
        )


class _UnwantedError(ValueError):
    """A member that is not read."""


class _CutOffError(Exception):
    """The end is missing, or what is between."""

    def __init__(self) -> None:
        super().__init__("is cut off or damaged: copy it or download it again")


def _check_beginning(path: Path, data: bytes) -> None:
    """Raise InputError if the file is known by its beginning to be something else."""
    if not data:
        raise InputError(f"{path} is empty: {NEEDED}")
    beginning = data[:64].lstrip().lower()
    for known, meaning in BEGINNINGS.items():
        if beginning.startswith(known):
            raise InputError(f"{path} {meaning}")


def _of_hdf5(data: bytes) -> tuple[str | bytes, bytes, str, tuple[str, ...]]:
    try:
        weights = hdf5.plain(data)
    except ValueError as error:
        if data.startswith(HDF5) and hdf5.CUT_OFF in str(error):
            raise _CutOffError from None
        raise
    with h5py.File(io.BytesIO(weights)) as file:
        if "model_config" not in file.attrs and _has_weights(file):
            raise _WeightsOnlyError
        version, classes = _text(file.attrs.get("keras_version", "")), _names(file)
        return file.attrs["model_config"], weights, version, classes


def _names(file: h5py.File) -> tuple[str, ...]:
    """The classes that `saving.save` wrote; none if another program wrote the file."""
    names = json.loads(_text(file.attrs.get(CLASSES, "[]")))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"its attribute {CLASSES!r} is no list of names")
    return tuple(names)


def _has_weights(file: h5py.File) -> bool:
    """Whether it holds what Keras writes in `save_weights()`, alone or within an archive."""
    groups = "layers", "_layer_checkpoint_dependencies"
    return "layer_names" in file.attrs or any(group in file for group in groups)


def _of_archive(data: bytes) -> tuple[bytes, bytes, str, tuple[str, ...]]:
    most = min(LARGEST, max(LEAST_ALLOWED, MOST_COMPRESSED * len(data)))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if "model.weights.h5" in archive.namelist() and "config.json" not in archive.namelist():
                raise _WeightsOnlyError
            text = _member(archive, "config.json", LARGEST_DESCRIPTION)
            weights = _member(archive, "model.weights.h5", most)
            metadata = b"{}"
            if "metadata.json" in archive.namelist():
                metadata = _member(archive, "metadata.json", LARGEST_DESCRIPTION)
    except (_WeightsOnlyError, _UnwantedError):
        raise
    except Exception as error:  # zipfile raises anything at all over damaged bytes
        is_kept = isinstance(error, KeyError | NotImplementedError | RuntimeError)
        if data.startswith(ARCHIVE) and not is_kept:  # no member is missing, unknown or encrypted
            raise _CutOffError from None
        raise ValueError(first_sentence(error) or type(error).__name__) from None
    return text, weights, str(json.loads(metadata).get("keras_version", "")), ()


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    # Of the compressions that zipfile knows, it unpacks only this one in parts of limited size.
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _UnwantedError(f"{name} is compressed in another way than by deflate")
    with archive.open(name) as member:
        data = member.read(most + 1)
    if len(data) > most:
        raise _UnwantedError(f"{name} in it is larger than {most:,} bytes")
    return data


def _text(text: str | bytes) -> str:
    return text.decode() if isinstance(text, bytes) else str(text)
