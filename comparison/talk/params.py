"""Finds mistakes in `comparison/params.yaml`, and words each in one sentence."""

from typing import Annotated

from pydantic import Field

from comparison.calibrated.jobs import Calibration
from comparison.predicted.predictions import ENSEMBLE
from comparison.rows.jobs import Model, Row
from fashion_mnist.checking import params
from fashion_mnist.errors import InputError
from fashion_mnist.learning.schema import Section
from fashion_mnist.storage import parameters
from fashion_mnist.storage.parameters import PARAMS


class Published(Section):
    """An accuracy on the test set that others report."""

    accuracy: Annotated[float, Field(gt=0, le=1)]
    source: str


class Rung(Section):
    """An accuracy that a row is to reach, within so many seconds of training or without limit."""

    accuracy: Annotated[float, Field(gt=0, le=1)]
    seconds: Annotated[int, Field(ge=1)] | None = None
    row: str
    processor: str


class Comparison(Section):
    """The whole file."""

    models: dict[str, Model]
    rows: dict[str, Row]
    ladder: list[Rung]
    ensemble: list[str]
    best: str
    calibration: Calibration
    published: dict[str, list[Published]]


def load() -> Comparison:
    """Read and check the file in the working directory.

    Raises:
        InputError: it breaks the schema; the message names the key by its path.
    """
    values = parameters.read(PARAMS)
    params.check_entries(PARAMS, values, "rows", _check_row)
    params.check_entries(PARAMS, values, "models", lambda *_: None)
    compared = params.validated(PARAMS, values, Comparison)
    trained = {model.row for model in compared.models.values()}
    tabulated = trained | {ENSEMBLE} if compared.ensemble else trained
    wanted = {
        "ladder": ({rung.row for rung in compared.ladder}, tabulated, "row with a model"),
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
    published, row = compared.models[compared.best].row, compared.calibration.row
    if row != published:
        raise InputError(
            f"{PARAMS}: calibration.row: must be {published}, the row of {compared.best}, not {row}"
        )
    kind, arguments = compared.rows[row].layers[-1]
    if (kind, arguments.get("activation")) != ("Dense", "softmax"):
        raise InputError(
            f"{PARAMS}: rows.{row}.layers: must end in Dense with softmax, so that the published "
            "model can be calibrated"
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


def check(name: str) -> None:
    """Check the file, and that it lists the model `name`.

    Raises:
        InputError: it does not, or breaks the schema.
    """
    models = load().models
    if name not in models:
        known = params.suggest(name, models)
        raise InputError(f"{PARAMS}: models: no model is named {name!r}; {known}")


def _check_row(place: str, row: object) -> None:
    if isinstance(row, dict) and "layers" in row:
        params.check_layers(f"{place}.layers", row["layers"])
    if isinstance(row, dict) and "recipe" in row:
        params.check_recipe(f"{place}.recipe", row["recipe"])
