"""The schema of `comparison/params.yaml`."""

from typing import Annotated

from pydantic import Field

from fashion_mnist.errors import InputError
from fashion_mnist.learning.schema import Job, Layer, Recipe, Section, Seed, Threads
from fashion_mnist.running import params

PARAMS = "params.yaml"
ENSEMBLE = "ensemble"  # the line of the table that averages models


class Model(Section):
    """One model: the row that it belongs to, and how it is computed."""

    row: str
    seed: Seed
    threads: Threads


class Row(Section):
    """A network and how it is trained."""

    layers: list[Layer]
    recipe: Recipe


class Published(Section):
    """An accuracy on the test set that others report."""

    accuracy: Annotated[float, Field(gt=0, le=1)]
    source: str


class Comparison(Section):
    """The whole file."""

    models: dict[str, Model]
    rows: dict[str, Row]
    ensemble: list[str]
    best: str
    published: dict[str, list[Published]]

    def job(self, name: str) -> Job:
        """Everything that the model `name` stands for.

        Raises:
            InputError: there is no such model.
        """
        if name not in self.models:
            known = params.suggest(name, self.models)
            raise InputError(f"{PARAMS}: models: no model is named {name!r}; {known}")
        model = self.models[name]
        row, at = self.rows[model.row], f"rows.{model.row}"
        return Job(
            f"{at}.layers", row.layers, f"{at}.recipe", row.recipe, model.seed, model.threads
        )

    def models_of(self, row: str) -> list[str]:
        """The names of a row's models."""
        return [name for name, model in self.models.items() if model.row == row]


def load() -> Comparison:
    """Read and check the file in the working directory.

    Raises:
        InputError: it breaks the schema; the message names the key by its path.
    """
    values = params.read(PARAMS)

    def parsed_row(place: str, row: object) -> object:
        if not isinstance(row, dict):
            return row
        row = dict(row)
        if "layers" in row:
            row["layers"] = params.layers(f"{place}.layers", row["layers"])
        if "recipe" in row:
            row["recipe"] = params.recipe(f"{place}.recipe", row["recipe"])
        return row

    params.with_networks(PARAMS, values, "rows", parsed_row)
    params.with_networks(PARAMS, values, "models", lambda _, model: model)
    compared = params.validated(PARAMS, values, Comparison)
    trained = {model.row for model in compared.models.values()}
    wanted = {
        "ensemble": (set(compared.ensemble), trained, "row with a model"),
        "published": (set(compared.published), compared.rows.keys(), "row"),
        "models": (trained, compared.rows.keys(), "row"),
        "best": ({compared.best}, compared.models.keys(), "model"),
    }
    for key, (names, known, what) in wanted.items():
        for name in sorted(names - known):
            raise InputError(
                f"{PARAMS}: {key}: no {what} is named {name!r}; {params.suggest(name, known)}"
            )
    if ENSEMBLE in compared.rows:
        raise InputError(f"{PARAMS}: rows: the name {ENSEMBLE!r} is taken by the averaged models")
    for name in sorted(trained):
        if compared.rows[name].recipe.early_stopping:
            raise InputError(
                f"{PARAMS}: rows.{name}.recipe.early_stopping: it needs validation images, "
                "and here all images train"
            )
    return compared
