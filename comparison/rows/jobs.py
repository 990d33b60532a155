"""The trainings that the comparison's `params.yaml` describes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fashion_mnist.learning.schema import Job, Layer, Recipe, Section, Seed, Threads
from fashion_mnist.storage import parameters

TIMES = Path("times")


class Model(Section):
    """One model: the row that it belongs to, and how it is computed."""

    row: str
    seed: Seed
    threads: Threads


class Row(Section):
    """A network and how it is trained."""

    layers: list[Layer]
    recipe: Recipe


def read(name: str) -> Job:
    """Everything that the model `name` stands for."""
    values = parameters.read()
    model = Model.model_validate(values["models"][name])
    row, at = Row.model_validate(values["rows"][model.row]), f"rows.{model.row}"
    return Job(f"{at}.layers", row.layers, f"{at}.recipe", row.recipe, model.seed, model.threads)


def models_of(values: Mapping[str, Any], row: str) -> dict[str, Model]:
    """A row's models, by name."""
    models = {name: Model.model_validate(model) for name, model in values["models"].items()}
    return {name: model for name, model in models.items() if model.row == row}
