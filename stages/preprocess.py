"""Turn the IDX files into npz files, and count what is in them."""

import argparse
from pathlib import Path

import numpy as np

from fashion_mnist.ingest import duplicates, idx
from fashion_mnist.learning import dataset
from fashion_mnist.running import console, params, provenance
from fashion_mnist.storage import records

RAW = Path("data/raw")
PROCESSED = Path("data/processed")
METRICS = Path("metrics/data.json")


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
    argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m stages.preprocess"
    ).parse_args()
    with provenance.unchanged(lambda: params.load().preprocess) as wanted:
        train_images, train_labels = read("train")
        test_images, test_labels = read("t10k")
        shared = duplicates.also_in(train_images, test_images)
        counts = {
            "train": summary(train_images, train_labels),
            "test": summary(test_images, test_labels),
            "train_images_in_test": int(shared.sum()),
        }
        if wanted.drop_test_duplicates:
            train_images, train_labels = train_images[~shared], train_labels[~shared]
        dataset.write(PROCESSED / "train.npz", train_images, train_labels)
        dataset.write(PROCESSED / "test.npz", test_images, test_labels)
        records.write_json(METRICS, counts)
    console.say(
        f"wrote {PROCESSED}/train.npz ({len(train_images):,} images), "
        f"{PROCESSED}/test.npz ({len(test_images):,} images) and {METRICS}"
    )


if __name__ == "__main__":
    console.run(main)
