"""What was fetched, as images and labels, whatever its format."""

from pathlib import Path

from fashion_mnist.errors import InputError
from fashion_mnist.ingest import arrays, folders, idx
from fashion_mnist.ingest.downloads import Progress
from fashion_mnist.ingest.schema import DataSet
from fashion_mnist.storage import dataset
from fashion_mnist.storage.dataset import Labelled


def read(folder: Path, described: DataSet, progress: Progress) -> tuple[Labelled, Labelled]:
    """The training and test images in `folder`, checked; both have the training images' classes.

    Raises:
        InputError: they are not as the data set is described, or cannot be used.
        OSError: a file cannot be read.
    """
    match described.format:
        case "idx":
            training, test = idx.read_set(folder, described)
        case "npz":
            training, test = arrays.read(folder, described)
        case _:
            training, test = folders.read(folder, described, progress)
    test = test._replace(classes=training.classes)
    for name, labelled in (("training", training), ("test", test)):
        dataset.check(f"the {name} images in {folder}", labelled)
    if training.kind != test.kind:
        raise InputError(
            f"{folder}: the training images are {training.kind.image_shape} "
            f"and the test images {test.kind.image_shape}: they must have one shape"
        )
    if (wanted := described.image) and training.kind.image_shape != tuple(dict(wanted).values()):
        raise InputError(
            f"image: the images are {training.kind.image_shape}, not {tuple(dict(wanted).values())}"
        )
    return training, test
