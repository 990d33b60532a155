"""Train the published row without the held-out images, so that these can calibrate it."""

from typing import TYPE_CHECKING

from comparison.calibrated import jobs
from comparison.talk import params
from fashion_mnist.checking import guard
from fashion_mnist.talk import console

if TYPE_CHECKING:
    from fashion_mnist.learning.training import Trained


def main() -> None:
    """Run the stage."""
    console.takes_no_arguments(__doc__, "python -m comparison.hold_out")
    params.load()
    with guard.unchanged(jobs.read):
        trained = hold_out(*jobs.read())
    trained.checkpoint.remove()  # only now: after an edit, the next run continues from it


def hold_out(job: jobs.Job, split: jobs.Split) -> "Trained":
    """Train the model and write it."""
    # Only now, because Keras takes seconds to load and params.yaml is known to be good.
    from comparison.calibrated import images
    from fashion_mnist.checking import trial
    from fashion_mnist.learning import backend, saving, training
    from fashion_mnist.talk.training_log import TrainingLog

    backend.make_reproducible(job.threads, parts=job.threads)
    trial.check(job)
    taught, _ = images.divided(split)
    with trial.in_words(job), TrainingLog(jobs.NAME, job) as log:
        trained = training.train(jobs.NAME, job, taught, None, log)
    saving.save(trained.network, jobs.MODEL, job.kind.classes)
    console.say(f"wrote {jobs.MODEL}")
    return trained


if __name__ == "__main__":
    console.run(main)
