"""The trainings that `params.yaml` describes: the baseline's, and one for each split."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter

from fashion_mnist.learning.schema import Job, Layer, Recipe, Section, Seed, Threads
from fashion_mnist.storage import dataset, outs, parameters
from fashion_mnist.storage.dataset import Kind

LAYERS = TypeAdapter(list[Layer])


class Split(Section):
    """How training images are divided into those that train and those that validate."""

    strategy: Literal["stratified", "shuffled", "nested"]
    validation_fraction: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0, lt=2**32)


class Train(Section):
    """The candidates: one a split."""

    architecture: str
    recipe: str
    splits: list[Annotated[int, Field(ge=1, le=1000)]] = Field(min_length=1)
    seed: Seed
    threads: Threads


class Baseline(Section):
    """The model that the candidates are compared with."""

    architecture: str
    recipe: str


def read(name: str) -> tuple[Job, Split]:
    """What the baseline or a candidate is trained with, and how the images are split for it.

    Args:
        name: of the model, see `outs`.
    """
    values = parameters.read()
    train = Train.model_validate(values["train"])
    chosen = Baseline.model_validate(values["baseline"]) if name == outs.BASELINE else train
    planned = job(values, chosen.architecture, chosen.recipe, train, dataset.read_kind(outs.TRAIN))
    if split := outs.split_of(name):  # else all candidates would start from the same weights
        draw = np.random.SeedSequence([train.seed, split]).generate_state(1)
        planned = planned._replace(seed=int(draw[0]))
    return planned, Split.model_validate(values["split"])


def job(values: Mapping[str, Any], architecture: str, recipe: str, train: Train, kind: Kind) -> Job:
    """An architecture and a recipe, by their names, with the seed and the threads of `train`."""
    return Job(
        f"architectures.{architecture}",
        LAYERS.validate_python(values["architectures"][architecture], strict=True),
        f"recipes.{recipe}",
        Recipe.model_validate(values["recipes"][recipe]),
        train.seed,
        train.threads,
        kind,
    )
