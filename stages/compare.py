"""Train a row of the comparison once for each seed, on all training images, and test it."""

import argparse
from pathlib import Path
from time import monotonic

from fashion_mnist import console, dataset, inputs, params, records
from fashion_mnist.errors import InputError

TRAIN = Path("data/processed/train.npz")
TEST = Path("data/processed/test.npz")
RESULTS = Path("models/comparison")
CHECKPOINTS = Path("models/checkpoints")
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
        return layers, [config.task(row, seed) for seed in row.seeds]

    with inputs.held(wanted) as (layers, tasks):
        compare(name, layers, tasks)


def compare(name: str, layers: list[params.Layer], tasks: list[params.Task]) -> None:
    """Write the row's folder: its size, a model for each task, and what each says of each image."""
    from fashion_mnist import architectures, engine, models, trainer
    from fashion_mnist.checkpoints import Checkpoint
    from fashion_mnist.training import Examples

    folder = RESULTS / name
    training_set = Examples(*dataset.read(TRAIN))
    images, _ = dataset.read(TEST)
    checkpoints, answers, seconds = [], {}, {}
    for task in tasks:
        of_seed = f"{name}-{task.seed}"
        key = inputs.fingerprint((name, task), TRAIN, engine.keras.backend.backend())
        checkpoint = Checkpoint(CHECKPOINTS / of_seed, key)
        checkpoints.append(checkpoint)
        model = trainer.build(task)
        is_whole = checkpoint.load() is None
        started = monotonic()
        trainer.train(of_seed, task, model, training_set, None, checkpoint)
        if is_whole:
            seconds[str(task.seed)] = monotonic() - started
        models.save(model, folder / f"seed-{task.seed}.h5")
        answers[str(task.seed)] = models.predict(model, images).argmax(axis=1).tolist()
    if answers:
        lines = zip(*answers.values(), strict=True)
        table = (dict(zip(answers, line, strict=True)) for line in lines)
        records.write_csv(folder / "answers.csv", table)
    times = TIMES / f"{name}.json"
    if seconds:
        before = records.read_json(times)["seconds"] if times.exists() else {}
        known = {seed: before[seed] for seed in answers if seed in before}
        records.write_json(times, {"seconds": known | seconds})
    network = model if tasks else architectures.build(name, layers)
    records.write_json(
        folder / "size.json",
        {
            "parameters": network.count_params(),
            "multiply_adds": architectures.multiply_adds(network),
        },
    )
    for checkpoint in checkpoints:  # with none of them gone, a row goes on where it was cut off
        checkpoint.remove()
    console.say(f"wrote {folder}")


if __name__ == "__main__":
    console.run(main)
