"""The training images, divided into those that train and those that are held out."""

from comparison.calibrated.jobs import TRAIN
from fashion_mnist.candidates import splits
from fashion_mnist.candidates.jobs import Split
from fashion_mnist.learning.batches import Examples
from fashion_mnist.storage import dataset


def divided(split: Split) -> list[Examples]:
    """The images that train, and the images that are held out.

    Raises:
        InputError: there are too few images to divide them like that.
    """
    data = dataset.read(TRAIN)
    parts = splits.split(data.labels, 1, **split.model_dump())
    return [Examples(data.images[indices], data.labels[indices]) for indices in parts]
