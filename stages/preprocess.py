"""Turn the IDX files into npz files, and count what is in them."""

from pathlib import Path

import numpy as np

from fashion_mnist.checking import guard, params
from fashion_mnist.ingest import duplicates, idx
from fashion_mnist.ingest.schema import Preprocess
from fashion_mnist.storage import dataset, outs, parameters, records
from fashion_mnist.talk import console

RAW = Path("data/raw")
METRICS = Path("metrics/data.json")


def wanted() -> Preprocess:
    """What is done to the images."""
    return Preprocess.model_validate(parameters.read()["preprocess"])


def read(prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 28, 28) and labels uint8 (N,) of one set, checked."""
    images = idx.read(RAW / f"{prefix}-images-idx3-ubyte", dimensions=3)
    labels = idx.read(RAW / f"{prefix}-labels-idx1-ubyte", dimensions=1)
    dataset.check(f"{RAW}/{prefix}-*", images, labels)
    return images, labels


def summary(images: np.ndarray, labels: np.ndarray) -> dict:
    """Image counts: total, per class, and duplicates."""
    counts = np.bincount(labels, minlength=len(dataset.CLASS_NAMES)).tolist()
    return {
        "images": len(images),
        "duplicates": duplicates.repeated(images),
        "classes": dict(zip(dataset.CLASS_NAMES, counts, strict=True)),
    }


def main() -> None:
    """Run the stage."""
    console.takes_no_arguments(__doc__, "python -m stages.preprocess")
    params.load()
    with guard.unchanged(wanted):
        train_images, train_labels = read("train")
        test_images, test_labels = read("t10k")
        shared = duplicates.also_in(train_images, test_images)
        counts = {
            "train": summary(train_images, train_labels),
            "test": summary(test_images, test_labels),
            "train_images_in_test": int(shared.sum()),
        }
        if wanted().drop_test_duplicates:
            train_images, train_labels = train_images[~shared], train_labels[~shared]
        dataset.write(outs.TRAIN, train_images, train_labels)
        dataset.write(outs.TEST, test_images, test_labels)
        records.write_json(METRICS, counts)
    console.say(
        f"wrote {outs.TRAIN} ({len(train_images):,} images), "
        f"{outs.TEST} ({len(test_images):,} images) and {METRICS}"
    )


if __name__ == "__main__":
    console.run(main)
