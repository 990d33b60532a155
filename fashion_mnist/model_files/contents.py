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


class Contents(NamedTuple):
    """What a model file holds."""

    description: dict[str, Any]
    weights: bytes  # an HDF5 file: a `.h5` file's is plain already, a `.keras` file's is not
    keras_2: bool  # whether Keras 2 wrote it
    classes: tuple[str, ...]  # their names, if the file remembers them


def read(path: Path) -> Contents:
    """Read a model file as data.

    Raises:
        InputError: it is missing or too large, or is not a Keras model with its architecture.
        OSError: it cannot be read.
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file: name a .h5 or .keras model")
    if path.suffix not in (".h5", ".hdf5", ".keras"):
        raise InputError(f"{path} is no model, by its name: it must end in .h5 or .keras")
    if path.stat().st_size > LARGEST:
        raise InputError(f"{path} is larger than {LARGEST // 2**30} GiB: refused")
    try:
        text, weights, version, classes = (
            _of_archive(path) if path.suffix == ".keras" else _of_hdf5(path)
        )
        if len(text) > LARGEST_DESCRIPTION:
            raise ValueError(f"its description is over {LARGEST_DESCRIPTION // 2**20} MiB long")
        description = json.loads(text)
        if not isinstance(description, dict):
            raise ValueError("its description is no mapping")
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise InputError(
            f"{path} is not a Keras model ({first_sentence(error)}): "
            "needed is a .h5 or .keras file with its architecture"
        ) from None
    # Keras 3 has no such argument; a file may lack its version.
    keras_2 = version.startswith(("1.", "2.")) or '"batch_input_shape"' in _text(text)
    return Contents(description, weights, keras_2, classes)


def _of_hdf5(path: Path) -> tuple[str | bytes, bytes, str, tuple[str, ...]]:
    weights = hdf5.plain(path.read_bytes())
    with h5py.File(io.BytesIO(weights)) as file:
        version, classes = _text(file.attrs.get("keras_version", "")), _names(file)
        return file.attrs["model_config"], weights, version, classes


def _names(file: h5py.File) -> tuple[str, ...]:
    """The classes that `saving.save` wrote; none if another program wrote the file."""
    names = json.loads(_text(file.attrs.get(CLASSES, "[]")))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"its attribute {CLASSES!r} is no list of names")
    return tuple(names)


def _of_archive(path: Path) -> tuple[bytes, bytes, str, tuple[str, ...]]:
    most = min(LARGEST, max(LEAST_ALLOWED, MOST_COMPRESSED * path.stat().st_size))
    try:
        with zipfile.ZipFile(path) as archive:
            text = _member(archive, "config.json", LARGEST_DESCRIPTION)
            weights = _member(archive, "model.weights.h5", most)
            metadata = b"{}"
            if "metadata.json" in archive.namelist():
                metadata = _member(archive, "metadata.json", LARGEST_DESCRIPTION)
    except OSError:
        raise
    except Exception as error:  # zipfile raises anything at all over damaged bytes
        raise ValueError(first_sentence(error) or type(error).__name__) from None
    return text, weights, str(json.loads(metadata).get("keras_version", "")), ()


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    # Of the compressions that zipfile knows, it unpacks only this one in parts of limited size.
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in another way than by deflate")
    with archive.open(name) as member:
        data = member.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{name} in it is larger than {most:,} bytes")
    return data


def _text(text: str | bytes) -> str:
    return text.decode() if isinstance(text, bytes) else str(text)
