"""Predict the test images from six views with one model; keep the mean."""

import argparse
from pathlib import Path

import numpy as np

from comparison import params, predictions, six_views
from fashion_mnist.running import console, provenance

TEST = Path("../data/processed/test.npz")


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m comparison.views five-conv-1"
    )
    parser.add_argument("name", help="one of the models in params.yaml")
    name = parser.parse_args().name
    with provenance.unchanged(lambda: params.load().job(name)) as job:
        predict(name, job.threads)


def predict(name: str, threads: int) -> None:
    """Write the mean of the model's class probabilities over the views."""
    # Keras takes seconds to load.
    from fashion_mnist.learning import backend, dataset, prediction
    from fashion_mnist.model_files import loading

    backend.make_reproducible(threads)
    images, labels = dataset.read(TEST)
    model = loading.load_model(Path("models", f"{name}.h5"))
    by_view = [prediction.predict(model, seen) for seen in six_views.of(images)]
    kept = six_views.name_of_mean(name)
    predictions.write(kept, np.mean(by_view, axis=0), labels)
    console.say(f"wrote {predictions.FOLDER}/{kept}.npz")


if __name__ == "__main__":
    console.run(main)
