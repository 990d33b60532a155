"""Finds mistakes in a file of `datasets/`, and words each in one sentence."""

from pathlib import Path

from fashion_mnist.checking import params
from fashion_mnist.errors import InputError
from fashion_mnist.ingest import schema
from fashion_mnist.ingest.schema import DataSet, Image
from fashion_mnist.pictures import garments
from fashion_mnist.storage import dataset, outs, parameters
from fashion_mnist.storage.dataset import Kind


def load(name: str) -> DataSet:
    """Read and check the file about a data set.

    Raises:
        InputError: it is missing, is not YAML, or breaks the schema; the message names the key.
        OSError: it cannot be read.
    """
    path = schema.path_of(name)
    if not path.is_file():
        known = [each.stem for each in sorted(schema.FOLDER.glob("*.yaml"))]
        raise InputError(
            f"{parameters.PARAMS}: dataset: there is no file {path}; {params.suggest(name, known)}"
        )
    found = params.validated(path, parameters.read(path), DataSet)
    for mistake in _mistakes(found):
        raise InputError(f"{path}: {mistake}")
    return found


def _mistakes(found: DataSet) -> list[str]:
    """What the schema cannot tell, as `key: what is expected`."""
    mistakes = []
    if found.format == "folder" and found.image is None:
        mistakes.append("image: is missing: pictures are brought to this size")
    if found.format != "idx" and "files" in found.model_fields_set:
        mistakes.append("files: only `format: idx` has several files")
    if found.format == "idx" and found.test_fraction:
        mistakes.append("test_fraction: `format: idx` has test images of its own")
    if found.format == "folder" and found.first_label:
        mistakes.append("first_label: the folders' names give the labels")
    if found.classes is not None and not 2 <= len(set(found.classes)) == len(found.classes):
        mistakes.append("classes: must be two or more names, each there once")
    square = Image(height=garments.EDGE, width=garments.EDGE, channels=1)
    if found.prepare == "product" and found.image != square:
        edge = garments.EDGE
        mistakes.append(
            f"prepare: `product` makes gray images of {edge} x {edge} pixels: it needs "
            f"image: {{height: {edge}, width: {edge}, channels: 1}}"
        )
    return mistakes


def kind(name: str, found: DataSet) -> Kind | None:
    """What the data set's images are, from its file or from what `preprocess` made of it.

    Returns:
        None if neither tells.
    """
    if found.image and found.classes:
        image = found.image
        return Kind((image.height, image.width, image.channels), tuple(found.classes))
    try:
        made_of = params.recorded().get("preprocess", {}).get("dataset")
    except InputError:  # a damaged dvc.lock
        return None
    if made_of != name or not Path(outs.TEST).exists():
        return None
    return dataset.read_kind(outs.TEST)
