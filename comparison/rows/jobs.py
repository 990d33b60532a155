"""The trainings that the comparison's `params.yaml` describes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fashion_mnist.errors import InputError
from fashion_mnist.learning.schema import Job, Layer, Recipe, Section, Seed, Threads
from fashion_mnist.storage import dataset, parameters
from fashion_mnist.storage.dataset import Kind

TIMES = Path("times")
IMAGE_SHAPE, CLASSES = (28, 28, 1), 10  # Fashion-MNIST's
ANY = Kind(IMAGE_SHAPE, tuple(map(str, range(CLASSES))))


class Model(Section):
    """One model: the row that it belongs to, and how it is computed."""

    row: str
    seed: Seed
    threads: Threads


class Row(Section):
    """A network and how it is trained."""

    layers: list[Layer]
    recipe: Recipe


def read(name: str, images: Path) -> Job:
    """Everything that the model `name` stands for.

    Args:
        name: of the model.
        images: an npz file of the images that it takes.

    Raises:
        InputError: these are not Fashion-MNIST's.
    """
    values = parameters.read()
    model = Model.model_validate(values["models"][name])
    row, at = Row.model_validate(values["rows"][model.row]), f"rows.{model.row}"
    kind = dataset.read_kind(images)
    if (kind.image_shape, len(kind.classes)) != (IMAGE_SHAPE, CLASSES):
        raise InputError(
            f"{images}: the comparison is about Fashion-MNIST: set `dataset: fashion-mnist` in "
            "../params.yaml and run `dvc repro preprocess` there"
        )
    return Job(
        f"{at}.layers", row.layers, f"{at}.recipe", row.recipe, model.seed, model.threads, kind
    )


def models_of(values: Mapping[str, Any], row: str) -> dict[str, Model]:
    """A row's models, by name."""
    models = {name: Model.model_validate(model) for name, model in values["models"].items()}
    return {name: model for name, model in models.items() if model.row == row}
