"""Train a row of the comparison once for each seed, on all training images, and test it."""

import argparse
from pathlib import Path
from time import monotonic

from fashion_mnist import console, dataset, inputs, params, records, rows
from fashion_mnist.errors import InputError

TRAIN = Path("data/processed/train.npz")
TEST = Path("data/processed/test.npz")
TIMES = Path("comparison/times")


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m stages.compare resnet-20"
    )
    parser.add_argument("name", help="a row under comparison in params.yaml")
    name = parser.parse_args().name

    def wanted(config: params.Params) -> tuple[list[params.Layer], list[params.Task]]:
        if name not in config.comparison:
            known = params.suggest(name, config.comparison)
            raise InputError(f"params.yaml: comparison has no row {name!r}; {known}")
        row = config.comparison[name]
        layers = config.architectures[row.architecture]
        return layers, [config.task(row, seed, row.threads) for seed in row.seeds]

    with inputs.held(wanted) as (layers, tasks):
        compare(name, layers, tasks)


def compare(name: str, layers: list[params.Layer], tasks: list[params.Task]) -> None:
    """Write the row's folder: its size, a model for each task, and what each says of each image."""
    from fashion_mnist import architectures, models, trainer
    from fashion_mnist.training import Examples

    training_set = Examples(*dataset.read(TRAIN))
    images, _ = dataset.read(TEST)
    checkpoints, probabilities, seconds = [], {}, {}
    for task in tasks:
        of_seed = f"{name}-{task.seed}"
        checkpoint = trainer.checkpoint(of_seed, task, TRAIN)
        checkpoints.append(checkpoint)
        model = trainer.build(task)
        is_whole = checkpoint.load() is None
        started = monotonic()
        trainer.train(of_seed, task, model, training_set, None, checkpoint)
        if is_whole:
            seconds[str(task.seed)] = monotonic() - started
        models.save(model, rows.model_file(name, task.seed))
        probabilities[task.seed] = models.predict(model, images)
    times = TIMES / f"{name}.json"
    if seconds:
        before = records.read_json(times)["seconds"] if times.exists() else {}
        known = {seed: before[seed] for seed in map(str, probabilities) if seed in before}
        records.write_json(times, {"seconds": known | seconds})
    network = model if tasks else architectures.build(name, layers)
    size = {
        "parameters": network.count_params(),
        "multiply_adds": architectures.multiply_adds(network),
    }
    rows.write(name, size, probabilities)
    for checkpoint in checkpoints:  # with none of them gone, a row goes on where it was cut off
        checkpoint.remove()
    console.say(f"wrote {rows.FOLDER / name}")


if __name__ == "__main__":
    console.run(main)
