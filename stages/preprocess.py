"""Turn what was fetched into npz files, and count what is in them."""

from functools import partial
from pathlib import Path

import numpy as np

from fashion_mnist.checking import datasets, guard, params
from fashion_mnist.ingest import duplicates, reading, schema
from fashion_mnist.storage import dataset, outs, parameters, records
from fashion_mnist.storage.dataset import Labelled
from fashion_mnist.talk import console

RAW = Path("data/raw")
METRICS = Path("metrics/data.json")


def wanted() -> tuple[schema.DataSet, schema.Preprocess]:
    """What the data set is, and what is done to its images."""
    return schema.read(), schema.Preprocess.model_validate(parameters.read()["preprocess"])


def summary(labelled: Labelled, contents: duplicates.Contents) -> dict:
    """Image counts: total, per class, and duplicates."""
    counts = np.bincount(labelled.labels, minlength=len(labelled.classes)).tolist()
    ambiguous = duplicates.in_two_classes(contents, labelled.labels)
    return {
        "images": len(labelled.images),
        "duplicates": duplicates.repeated(contents),
        **({"in_two_classes": ambiguous} if ambiguous else {}),
        "classes": dict(zip(labelled.classes, counts, strict=True)),
    }


def main() -> None:
    """Run the stage."""
    console.takes_no_arguments(__doc__, "python -m stages.preprocess")
    datasets.load(params.load().dataset)
    with guard.unchanged(wanted):
        described, preprocess = wanted()
        bar = partial(console.progress, unit="picture", over_silence=True)
        train, test = reading.read(RAW, described, bar)
        of_train, of_test = duplicates.contents(train.images), duplicates.contents(test.images)
        shared = duplicates.also_in(of_train, of_test)
        counts = {
            "train": summary(train, of_train),
            "test": summary(test, of_test),
            "train_images_in_test": int(shared.sum()),
        }
        if preprocess.drop_test_duplicates and shared.any():
            train = train._replace(images=train.images[~shared], labels=train.labels[~shared])
        dataset.write(outs.TRAIN, train)
        dataset.write(outs.TEST, test)
        records.write_json(METRICS, counts)
    console.say(
        f"wrote {outs.TRAIN} ({len(train.images):,} images), "
        f"{outs.TEST} ({len(test.images):,} images) and {METRICS}"
    )


if __name__ == "__main__":
    console.run(main)
