"""What is fuzzed: each reader of a file that may come from anywhere.

A reader may refuse a file with InputError; any other exception is a find.
"""

import contextlib
import os
import signal
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py

from fashion_mnist.errors import InputError
from fashion_mnist.ingest import idx
from fashion_mnist.model_files import hdf5
from fashion_mnist.pictures import garments
from fashion_mnist.storage import dataset, records
from fashion_mnist.storage.dataset import Kind

CORPUS = Path(__file__).parent / "corpus"
HDF5_SECONDS = 2
KIND = Kind((28, 28, 1), tuple(map(str, range(10))))  # of the images that the models are for


class Target(NamedTuple):
    """A reader of the file of that name."""

    file: str
    read: Callable[[Path], object]
    most_bytes: int = 4096  # of a file that libFuzzer makes


def picture(path: Path) -> object:
    """A picture to classify."""
    with path.open("rb") as file:
        return garments.read(file)


def model(path: Path) -> object:
    """A whole model file."""
    from fashion_mnist.model_files import loading  # Keras takes seconds to load

    return loading.load_model(path, KIND)


def description(path: Path) -> object:
    """A model file with this description, and bytes that are not weights."""
    with zipfile.ZipFile(path.with_name("model.keras"), "w") as archive:
        archive.write(path, "config.json")
        archive.writestr("model.weights.h5", bytes(100_000))
    return model(path.with_name("model.keras"))


def plain_hdf5(path: Path) -> None:
    """What `hdf5.plain` does, in a fork instead of a new process, which is a hundred times faster.

    Crashes and hangs of the HDF5 library stay in the fork; this process must be able to read
    what comes out of it.
    """
    copy = path.with_name("copy")
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(HDF5_SECONDS)
        code = 1
        with (
            contextlib.suppress(Exception),
            path.open() as sys.stdin,
            copy.open("w") as sys.stdout,
            Path(os.devnull).open("w") as sys.stderr,
        ):
            code = hdf5.main()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return
    if os.WEXITSTATUS(status) == hdf5.REFUSED:
        raise InputError("refused")
    if status:
        raise AssertionError(f"exit code {os.WEXITSTATUS(status)}")
    with h5py.File(copy) as file:
        file.visititems(lambda _, found: found[()] if isinstance(found, h5py.Dataset) else None)


# hdf5 comes first, because a fork does not inherit TensorFlow's threads.
TARGETS = {
    "hdf5": Target("weights.h5", plain_hdf5, 16_384),
    "idx": Target("images", lambda path: idx.read(path, dimensions=3)),
    "npz": Target("train.npz", dataset.read),
    "csv": Target("history.csv", lambda path: records.read_csv(path, texts=("model", "images"))),
    "json": Target("metrics.json", records.read_json),
    "picture": Target("picture", picture),
    "description": Target("config.json", description),
    "keras": Target("whole.keras", model, 32_768),
}


def attempt(target: Target, data: bytes, folder: Path) -> None:
    """Let the target read `data`.

    Raises:
        Exception: anything except InputError that the reader raises.
    """
    path = folder / target.file
    path.write_bytes(data)
    with contextlib.suppress(InputError):
        target.read(path)
