"""Layers, recipes and jobs, written as in `params.yaml`."""

from ruamel.yaml import YAML

from fashion_mnist.checking import params
from fashion_mnist.learning.schema import Job, Layer, Recipe

CLASSIFIER = "- Flatten\n- Dense: {units: 10, activation: softmax}"
ADAM = "optimizer: {Adam: {learning_rate: 0.01}}"
SMALL = f"""
- Conv2D: {{filters: 2, kernel_size: 3, activation: relu}}
- MaxPooling2D: {{pool_size: 2}}
- Dropout: {{rate: 0.1}}
{CLASSIFIER}
"""


def layers(text: str) -> list[Layer]:
    """The layers in a YAML list."""
    return params.layers("architectures.x", YAML(typ="safe").load(text))


def recipe(text: str = ADAM, **changes: object) -> Recipe:
    """The recipe in a YAML mapping, with keys added or changed: two epochs of small batches."""
    values = {"batch_size": 32, "epochs": 2} | YAML(typ="safe").load(text) | changes
    parsed = params.recipe("recipes.r", values)
    return params.validated("params.yaml", {"r": parsed}, _Recipes).r


class _Recipes(params.Section):
    r: Recipe


def job(text: str = SMALL, how: str = ADAM, **changes: object) -> Job:
    """A job with these layers and this recipe."""
    return Job("architectures.x", layers(text), "recipes.r", recipe(how, **changes), 1, 1)
