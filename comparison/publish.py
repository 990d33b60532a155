"""Write the model named by `best` to its path in git, with calibrated probabilities."""

from pathlib import Path
from typing import TYPE_CHECKING

from comparison.calibrated import jobs
from comparison.talk import params
from fashion_mnist.checking import guard
from fashion_mnist.storage import parameters, records
from fashion_mnist.talk import console

if TYPE_CHECKING:
    from fashion_mnist.learning.backend import keras

BEST = Path("best_model.h5")
CALIBRATION = Path("calibration.json")


def main() -> None:
    """Run the stage."""
    console.takes_no_arguments(__doc__, "python -m comparison.publish")
    params.load()
    with guard.unchanged(parameters.read):
        publish(parameters.read()["best"], *jobs.read())


def publish(name: str, job: jobs.Job, split: jobs.Split) -> None:
    """Write the model with its logits divided by the temperature that fits the held-out images.

    Args:
        name: of the model to publish.
        job: of the model that was trained without the held-out images; its layers are the same.
        split: decides which images are held out.
    """
    # Keras takes seconds to load.
    from comparison.calibrated import images
    from fashion_mnist.learning import backend, networks, prediction, saving
    from fashion_mnist.scoring import calibration, scores

    backend.make_reproducible(job.threads)
    network = networks.build(job.layers, job.kind)
    saving.load_weights(network, jobs.MODEL)
    _, (held_out, labels) = images.divided(split)
    probabilities = prediction.predict(network, held_out)
    temperature = calibration.fitted_temperature(probabilities, labels)
    saving.load_weights(network, Path("models", f"{name}.h5"))
    divide_logits(network, temperature)
    saving.save(network, BEST, job.kind.classes)
    calibrated = calibration.at_temperature(probabilities, temperature)
    records.write_json(
        CALIBRATION,
        {
            "temperature": temperature,
            "images": len(labels),
            "before": scores.scores(probabilities, labels),
            "after": scores.scores(calibrated, labels),
        },
    )
    console.say(
        f"wrote {BEST}, which is {name} at temperature {temperature:.3f}, and {CALIBRATION}"
    )


def divide_logits(network: "keras.Model", temperature: float) -> None:
    """Scale the last layer, a dense one with softmax, so that its logits are divided."""
    last = network.layers[-1]
    last.set_weights([weights / temperature for weights in last.get_weights()])


if __name__ == "__main__":
    console.run(main)
