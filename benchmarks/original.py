"""The original's way, written again: Keras `fit` on arrays, batches of 32, Adam 0.001.

Prints one JSON object a line: what was done, and the seconds since the process started.
`python -m benchmarks.original DATA --epochs 50 10 10 10` is its whole program.
"""

import argparse
import json
import sys
from pathlib import Path
from time import time

import psutil


def tell(**facts: object) -> None:
    """Print what is done, and when."""
    facts["seconds"] = time() - psutil.Process().create_time()
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Train a model for each number of epochs, on what the previous split left for training."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m benchmarks.original data/processed"
    )
    parser.add_argument("data", type=Path, help="the folder with train.npz and test.npz")
    parser.add_argument("--epochs", type=int, nargs="+", default=[50, 10, 10, 10])
    parser.add_argument("--save", type=Path, default=Path("best_model.h5"))
    arguments = parser.parse_args()

    import keras
    import numpy as np
    from sklearn.model_selection import train_test_split

    def load(name: str) -> tuple[np.ndarray, np.ndarray]:
        with np.load(arguments.data / name, allow_pickle=False) as arrays:
            images = arrays["images"].reshape(-1, 28, 28, 1).astype("float32") / 255
            return images, keras.utils.to_categorical(arrays["labels"], 10)

    images, labels = load("train.npz")
    test_images, test_labels = load("test.npz")

    class Tell(keras.callbacks.Callback):
        def on_epoch_begin(self, *_: object) -> None:
            self.started = time()

        def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
            took = time() - self.started
            tell(epoch=epoch + 1, model=number, took=took, val_loss=(logs or {})["val_loss"])
            # Not part of the original: when it first reaches its accuracy. Left out of the time.
            started = time()
            accuracy = model.evaluate(test_images, test_labels, batch_size=250, verbose=0)[1]
            tell(test_accuracy=accuracy, model=number, left_out=time() - started)

    best = float("inf")
    for number, epochs in enumerate(arguments.epochs, 1):
        images, validation_images, labels, validation_labels = train_test_split(
            images, labels, test_size=0.2, random_state=101
        )
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                layers.Conv2D(32, 3, activation="relu"),
                layers.MaxPooling2D(2),
                layers.Dropout(0.25),
                layers.Conv2D(64, 3, activation="relu"),
                layers.MaxPooling2D(2),
                layers.Dropout(0.3),
                layers.Flatten(),
                layers.Dense(128, activation="relu"),
                layers.Dropout(0.3),
                layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
        model.fit(
            images,
            labels,
            batch_size=32,
            epochs=epochs,
            validation_data=(validation_images, validation_labels),
            verbose=0,
            callbacks=[Tell()],
        )
        loss = model.evaluate(validation_images, validation_labels, verbose=0)[0]
        if loss < best:
            best = loss
            model.save(arguments.save)
        tell(trained=number, images=len(images))
    loss, accuracy = keras.models.load_model(arguments.save).evaluate(
        test_images, test_labels, verbose=0
    )
    tell(final_loss=loss, final_accuracy=accuracy)


if __name__ == "__main__":
    main()
