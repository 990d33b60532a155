"""Mistakes in a job are found before anything is trained, each told in one sentence."""

from pathlib import Path

import numpy as np
import pytest

from fashion_mnist.checking import memory, trial
from fashion_mnist.errors import InputError
from fashion_mnist.learning import loop, precision, recipes
from fashion_mnist.learning.batches import Examples
from tests.conftest import tiny_set
from tests.jobs import ADAM, CLASSIFIER, SMALL, job, run

tf = pytest.importorskip("tensorflow")


def sentence(text: str, how: str = ADAM, **changes: object) -> str:
    """The message about a job with these layers and this recipe."""
    with pytest.raises(InputError) as error:
        trial.check(job(text, how, **changes))
    message = str(error.value)
    assert message.isprintable()
    return message.removeprefix("params.yaml: ")


LAYERS = [
    ("Rescaling: {scale: {a: 1}}", ".scale: must be a number, not {'a': 1}"),
    ("Dropout: {rate: low}", ".rate: must be a number, not 'low'"),
    ("Dropout: {rate: 2}", ": Invalid value received for argument `rate`, expected a float"),
    ("Dropout", ".rate: is missing"),
    ("Conv2D: {kernel_size: 3}", ".filters: is missing"),
    ("Conv2D: {filters: yes, kernel_size: 3}", ".filters: must be a whole number, not 'yes'"),
    ("Conv2D: {filters: true, kernel_size: 3}", ".filters: must be a whole number, not True"),
    ("Conv2D: {filters: 4.0, kernel_size: 3}", ".filters: must be a whole number, not 4.0"),
    ("Conv2D: {filters: 4, kernel_size: [3, 0.5]}", ".kernel_size: must be a whole number"),
    ("Conv2D: {filters: 4, kernel_size: 3, use_bias: no}", ".use_bias: must be true or false"),
    (
        "Conv2D: {filter: 3, kernel_size: 3}",
        " has no argument 'filter'; did you mean filters?",
    ),
    (
        "Conv2D: {filters: 3, kernel_size: 30}",
        " cannot take an input (28, 28, 1): Computed output size would be zero or negative",
    ),
    (
        "Reshape: {target_shape: [27, 27]}",
        " cannot take an input (28, 28, 1): The total size of the tensor must be unchanged",
    ),
    (
        "Residual: {layers: [MaxPooling2D], shortcut: [AveragePooling2D: {pool_size: 4}]}",
        ": layers give (14, 14, 1) and shortcut (7, 7, 1); only equal shapes can be added",
    ),
    (
        "Concatenate: {branches: [[], [MaxPooling2D]]}",
        ": its branches give (28, 28, 1), (14, 14, 1): A `Concatenate` layer requires inputs",
    ),
    ("BatchNormalization: {momentum: 1}", ".momentum: must be at least 0 and less than 1, not"),
    ("BatchNormalization: {epsilon: -1}", ".epsilon: must be at least 0, not -1"),
    ("Softmax: {axis: 0}", ".axis: must not be 0, along which the images of a batch lie"),
    ("UnitNormalization: {axis: [0, 1]}", ".axis: must not be 0, along which the images of a"),
    (
        "Rescaling: {scale: 1/255}",
        ".scale: must be a number, not '1/255'; images are in [0, 1] already",
    ),
]


def test_a_mistake_in_a_layer_is_named_by_its_place(subtests: pytest.Subtests):
    for layer, message in LAYERS:
        with subtests.test(layer):
            said = sentence(f"- {layer}\n{CLASSIFIER}")
            assert said.startswith(f"architectures.x[0].{layer.partition(':')[0]}{message}")


def test_a_mistake_within_blocks_is_named_by_its_place():
    block = "Repeat: {times: 2, layers: [Residual: {layers: [Dropout: {rate: 2}]}]}"
    where = "architectures.x[0].Repeat.layers[0].Residual.layers[0].Dropout: Invalid value"
    assert sentence(f"- {block}\n{CLASSIFIER}").startswith(where)


PROBABILITIES = (
    "the last layer must give probabilities: end with Dense: {units: classes, activation: softmax}"
)
TEN = "the last layer must give 10 class probabilities per image, not an output"


NETWORKS = [
    (
        "- Flatten\n- Dense: {units: 9, activation: softmax}",
        f"{TEN} (9,): write `units: classes`",
    ),
    (
        "- Dense: {units: 10, activation: softmax}",
        f"{TEN} (28, 28, 10): write `units: classes`",
    ),
    ("- Flatten\n- Dense: {units: 10}", PROBABILITIES),
    ("- Flatten\n- Dense: {units: 10, activation: sigmoid}", PROBABILITIES),
    (
        "- ReLU: {name: a}\n- ReLU: {name: a}\n" + CLASSIFIER,
        'The name "a" is used 2 times in the model',
    ),
    (
        f"- Reshape: {{target_shape: [784]}}\n- Rescaling: {{scale: 0.0039}}\n{CLASSIFIER}",
        "its layer 'rescaling_1' makes images almost black: they are in [0, 1] already",
    ),
    (
        "- Flatten\n- Dense: {units: 10}\n- Softmax: {axis: -2}",
        "an image's probabilities depend on the images beside it: no layer may compute along "
        "the batch",
    ),
    (
        f"- Flatten\n- Dense: {{units: 400000}}\n{CLASSIFIER}",
        "has 318,000,010 weights: a model's file holds at most 268,435,456",
    ),
]


def test_a_network_that_cannot_be_used_is_refused(subtests: pytest.Subtests):
    for text, message in NETWORKS:
        with subtests.test(text.replace("\n", " ")):
            assert sentence(text) == f"architectures.x: {message}"


OPTIMIZERS = [
    ("weight_decay: much", ".weight_decay: must be a number, not 'much'"),
    ("clipnorm: one", ".clipnorm: must be a number, not 'one'"),
    ("clipnorm: 1, clipvalue: 1", ": Only one of `clipnorm`, `clipvalue` and"),
    ("beta_2: [0.9]", ".beta_2: must be a number, not [0.9]"),
    ("beta_2: null", ".beta_2: must be a number, not None"),
    ("beta_2: 1", ".beta_2: must be at least 0 and less than 1, not 1"),
    ("use_ema: 1", ".use_ema: must be true or false, not 1"),
    ("momentum: 0.9", " has no argument 'momentum'; did you mean ema_momentum?"),
    (
        "gradient_accumulation_steps: 2.0",
        ".gradient_accumulation_steps: must be a whole number, not 2.0",
    ),
    (
        "gradient_accumulation_steps: 1",
        ": `gradient_accumulation_steps` must be an integer >= 2",
    ),
]


def test_a_mistake_in_an_optimizer_is_named_by_its_place(subtests: pytest.Subtests):
    for arguments, message in OPTIMIZERS:
        with subtests.test(arguments):
            said = sentence(SMALL, f"optimizer: {{AdamW: {{learning_rate: 0.001, {arguments}}}}}")
            assert said.startswith(f"recipes.r.optimizer.AdamW{message}")


AUGMENTATIONS = [
    ("RandomFlip: {mode: []}", ".mode: must be one of"),
    ("RandomFlip: {mod: vertical}", " has no argument 'mod'; did you mean mode?"),
    ("RandomFlip: {mode: sideways}", ".mode: must be one of horizontal, vertical, "),
    ("RandomErasing: {fill_value: 128}", ".fill_value: images are in [0, 1], not 128"),
    ("RandomErasing: {value_range: [0, 255]}", ".value_range: images are in [0, 1], not [0, "),
    (
        "RandomTranslation: {height_factor: 0.1, width_factor: 0.1, fill_value: -1}",
        ".fill_value: images are in [0, 1], not -1",
    ),
    ("RandomErasing: {factor: 3}", ": The `factor` argument should be a number"),
    ("RandomRotation", ".factor: is missing"),
    ("RandomRotation: {factor: true}", ".factor: must be a number, not True"),
    ("RandomZoom: {height_factor: 0.1, fill_mode: x}", ": Unknown `fill_mode` x, expected"),
]


def test_a_mistake_in_augmentation_is_named_by_its_place(subtests: pytest.Subtests):
    for layer, message in AUGMENTATIONS:
        with subtests.test(layer):
            said = sentence(SMALL, f"{ADAM}\naugmentation: [{layer}]")
            place = f"recipes.r.augmentation[0].{layer.partition(':')[0]}"
            assert said.startswith(f"{place}{message}")


def test_what_augmentation_fills_with_is_in_the_range_of_images():
    layer = recipes.augmenting("RandomErasing", {"factor": [1, 1], "scale": [0.3, 0.3]})
    images = np.full((20, 28, 28, 1), 0.5, np.float32)
    erased = np.asarray(layer(images, training=True))
    assert (erased != 0.5).any()
    assert erased.min() >= 0
    assert erased.max() <= 1


def test_too_little_memory_is_told_with_an_estimate(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "free", lambda: 10**8)
    assert sentence(f"- Flatten\n- Dense: {{units: 100000}}\n{CLASSIFIER}") == (
        "architectures.x: not enough memory: training takes at least 1.3 GB, and 100 MB are free"
    )


def test_memory_that_ends_in_a_training_is_told_with_an_estimate():
    planned = job(SMALL)
    for error in (MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when ...")):
        with pytest.raises(InputError) as told, trial.in_words(planned):
            raise loop.Refused from error
        said = "recipes.r cannot train architectures.x: not enough memory: training takes at least"
        assert str(told.value).startswith(said)


def test_a_recipe_may_not_drop_out_everything():
    assert sentence(SMALL, dropout_scale=10) == (
        "recipes.r.dropout_scale: 10 times a rate of 0.1 drops out everything: "
        "the product must be less than 1"
    )


GOOD = [
    ("- Flatten\n- Dense: {units: 10}\n- Softmax", ADAM),
    (
        "- Conv2D: {filters: 4, kernel_size: [3, 5], strides: [1, 2], kernel_regularizer: l2}\n"
        f"- PReLU: {{shared_axes: [1, 2]}}\n- LeakyReLU: {{negative_slope: 0}}\n{CLASSIFIER}",
        "optimizer: {Muon: {learning_rate: 1, weight_decay: 0, clipnorm: 1}}",
    ),
    (
        f"- Rescaling: {{scale: 2, offset: -1, dtype: float32}}\n{SMALL}",
        "optimizer: {SGD: {learning_rate: 0.1, use_ema: true, ema_overwrite_frequency: 2}}\n"
        "augmentation: [RandomFlip, RandomErasing: {factor: [0.5, 0.5], fill_value: 0}]",
    ),
    (  # what is not computed in bfloat16
        "- Conv2D: {filters: 4, kernel_size: 3, activation: relu, activity_regularizer: l1}\n"
        "- MaxPooling2D\n- UpSampling2D: {interpolation: lanczos3}\n" + CLASSIFIER,
        ADAM,
    ),
    (f"- Reshape: {{target_shape: [28, 28]}}\n- GRU: {{units: 4}}\n{CLASSIFIER}", ADAM),
]


def test_a_good_job_is_left_alone(monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests):
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda: True)
    for text, how in GOOD:
        with subtests.test(f"{text} {how}".replace("\n", " ")):
            trial.check(job(text, how), is_used=True)


def test_a_training_that_diverges_ends_at_that_epoch_and_writes_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
):
    monkeypatch.chdir(tmp_path)
    images, labels = tiny_set(64, seed=1)
    images[:, :14] = 0  # some weights have no gradient
    for optimizer, arguments, epoch in (
        ("Adam", "epsilon: 0", 1),
        ("SGD", "weight_decay: -1.0e+9", 2),
    ):
        with subtests.test(optimizer):
            how = f"optimizer: {{{optimizer}: {{learning_rate: 0.01, {arguments}}}}}"
            diverging = job(SMALL, how, epochs=4)
            trial.check(diverging)
            with pytest.raises(InputError) as error:
                run(diverging, Examples(images, labels))
            assert str(error.value) == (
                f"the loss is not a finite number after epoch {epoch}: lower recipes.r.optimizer."
                f"{optimizer}.learning_rate (0.01), or raise its epsilon if it has one"
            )
            written = {path.parent.as_posix() for path in Path().rglob("*") if path.is_file()}
            assert written <= {".", "models/checkpoints"}
