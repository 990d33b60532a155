"""Builds and trains the model of a task, and tells of it as it goes."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic

from fashion_mnist import accelerators, architectures, console, engine, inputs, recipes, training
from fashion_mnist.checkpoints import Checkpoint
from fashion_mnist.engine import keras
from fashion_mnist.params import Task
from fashion_mnist.training import Epoch, Examples

CHECKPOINTS = Path("models/checkpoints")


def build(task: Task) -> keras.Model:
    """The model, untrained; call it before any data is read, as it tells a task's mistakes.

    Raises:
        InputError: a layer, the optimizer or an augmentation does not take an argument.
    """
    engine.make_reproducible(task.seed, task.threads)
    accelerators.share_batches()
    model = architectures.build(task.architecture, task.layers)
    recipes.optimizer(task.recipe_name, task.recipe, steps=1)
    recipes.augmentation(task.recipe_name, task.recipe)
    return model


def checkpoint(name: str, selected: object, data: Path) -> Checkpoint:
    """Where a training that comes from these parameters and data may have got to before.

    One in other arithmetic is another training: half precision depends on the processor.
    """
    half = accelerators.has_fast_bfloat16()
    key = inputs.fingerprint((name, selected, half), data, keras.backend.backend())
    return Checkpoint(CHECKPOINTS / name, key)


def train(
    name: str,
    task: Task,
    model: keras.Model,
    training_set: Examples,
    validation_set: Examples | None,
    checkpoint: Checkpoint,
    on_epoch: Callable[[list[Epoch]], None] = lambda _: None,
) -> Epoch:
    """Train what `build` gave; return the epoch whose weights it keeps.

    Args:
        name: of the model, before each line.
        task: that the model was built for.
        model: is changed.
        training_set: what is learnt from.
        validation_set: what is looked at after each epoch, if anything is.
        checkpoint: from which an interrupted training goes on.
        on_epoch: called with all epochs so far, as each ends.
    """
    recipe = task.recipe
    validating = f"{len(validation_set):,} validation images, " if validation_set else ""
    console.say(
        f"{name}: architecture {task.architecture}, {architectures.describe(task.layers)}, "
        f"{model.count_params():,} parameters, "
        f"{architectures.multiply_adds(model):,} multiply-adds an image"
    )
    console.say(
        f"{name}: {len(training_set):,} training images, {validating}"
        f"recipe {task.recipe_name}: {recipes.describe(recipe)}"
    )
    with console.progress(training.batches(training_set, recipe), name, "batch") as bar:
        started = monotonic()

        def begin_after(epochs: list[Epoch]) -> None:
            nonlocal started
            if epochs:
                on_epoch(epochs)
            started = monotonic()
            bar.reset()
            bar.set_description(f"{name} epoch {len(epochs) + 1}/{recipe.epochs}")

        def start(epochs: list[Epoch]) -> None:
            if epochs:
                console.say(f"{name}: goes on after epoch {len(epochs)}, where it was cut off")
            begin_after(epochs)

        def end(epochs: list[Epoch]) -> None:
            took = monotonic() - started
            console.say(f"{epochs[-1].line(recipe.epochs)}  {took:.1f} s")
            begin_after(epochs)

        return training.fit(
            model,
            task.recipe_name,
            recipe,
            training_set,
            validation_set,
            task.seed,
            on_start=start,
            on_epoch=end,
            on_batches=lambda done: bar.update(done - bar.n),
            checkpoint=checkpoint,
        )
