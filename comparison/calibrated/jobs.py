"""The training whose held-out images set the temperature of `best_model.h5`."""

from pathlib import Path

from pydantic import Field

from comparison.rows import jobs
from fashion_mnist.candidates.jobs import Split
from fashion_mnist.learning.schema import MANY, Job, Section, Seed, Threads
from fashion_mnist.storage import outs, parameters

NAME = "held-out"
MODEL = Path("models", f"{NAME}.h5")
TRAIN = Path("..") / outs.TRAIN


class Calibration(Section):
    """A shorter training of the published row, without the held-out images."""

    row: str
    epochs: int = Field(ge=1, le=MANY)
    seed: Seed
    threads: Threads
    split: Split


def read() -> tuple[Job, Split]:
    """What is trained, and how the training images are divided for it.

    Raises:
        InputError: these are not Fashion-MNIST's.
    """
    values = parameters.read()
    planned = Calibration.model_validate(values["calibration"])
    name = next(iter(jobs.models_of(values, planned.row)))  # they differ in seed and threads only
    job = jobs.read(name, TRAIN)
    recipe = job.recipe.model_copy(update={"epochs": planned.epochs})
    return job._replace(recipe=recipe, seed=planned.seed, threads=planned.threads), planned.split
