"""Layers, recipes and jobs, written as in `params.yaml`."""

from ruamel.yaml import YAML

from fashion_mnist.candidates.jobs import LAYERS
from fashion_mnist.checking import params, trial
from fashion_mnist.learning import training
from fashion_mnist.learning.batches import Examples
from fashion_mnist.learning.schema import Job, Layer, Recipe, Section
from fashion_mnist.storage.dataset import Kind
from fashion_mnist.talk.training_log import TrainingLog

NAMES = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
FASHION = Kind((28, 28, 1), tuple(NAMES.split(",")))
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
    values = YAML(typ="safe").load(text)
    params.check_layers("architectures.x", values)
    return LAYERS.validate_python(values, strict=True)


def recipe(text: str = ADAM, **changes: object) -> Recipe:
    """The recipe in a YAML mapping, with keys added or changed: two epochs of small batches."""
    values = {"batch_size": 32, "epochs": 2} | YAML(typ="safe").load(text) | changes
    params.check_recipe("recipes.r", values)
    return params.validated("params.yaml", {"r": values}, _Recipes).r


class _Recipes(Section):
    r: Recipe


def run(planned: Job, images: Examples, validation: Examples | None = None) -> training.Trained:
    """Train as a stage does, with its log and its errors."""
    with trial.in_words(planned), TrainingLog("model-1", planned) as log:
        return training.train("model-1", planned, images, validation, log)


def job(text: str = SMALL, how: str = ADAM, **changes: object) -> Job:
    """A job with these layers and this recipe."""
    return Job("architectures.x", layers(text), "recipes.r", recipe(how, **changes), 1, 1, FASHION)
