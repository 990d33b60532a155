"""Make the candidate with the lowest validation loss the best model."""

from collections.abc import Iterator, Mapping, Sequence

from fashion_mnist.checking import guard, params
from fashion_mnist.storage import files, outs, parameters, records
from fashion_mnist.talk import console, results


def main() -> None:
    """Run the stage."""
    console.takes_no_arguments(__doc__, "python -m stages.select_best")
    config = params.load()
    with guard.unchanged(read):
        select(outs.candidates(read()), config.dataset)


def read() -> list[int]:
    """The candidates' splits."""
    return parameters.read()["train"]["splits"]


def select(names: Sequence[str], dataset: str) -> None:
    """Choose among the candidates of these names; the data set's name is for the table."""
    outs.remove_all_except(names)
    scores = {name: validation(name) for name in (outs.BASELINE, *names)}
    best = min(names, key=lambda name: rank(name, scores[name]))
    files.write(outs.BEST_MODEL, outs.files(best).model.read_bytes())
    records.write_json(outs.SELECTION, {"best": best, **scores[best]})
    records.write_csv(outs.TRAINING, training_rows(list(scores)))
    console.say(results.table(scores, best, dataset))
    console.say(f"wrote {outs.BEST_MODEL} ({best}), {outs.SELECTION} and {outs.TRAINING}")


def validation(name: str) -> dict[str, float]:
    """A model's validation {"loss", "accuracy"}."""
    return records.read_json(outs.files(name).metrics)["validation"]


def rank(name: str, scores: Mapping[str, float]) -> tuple[float, float, int]:
    """Sorts the lowest loss first; then the higher accuracy, then the lower split."""
    return scores["loss"], -scores["accuracy"], outs.split_of(name) or 0


def training_rows(names: Sequence[str]) -> Iterator[dict]:
    """All histories as one table: a row for each epoch and for training and validation."""
    for name in names:
        for row in records.read_csv(outs.files(name).history):
            for images, prefix in (("training", ""), ("validation", "val_")):
                yield {
                    "model": name,
                    "images": images,
                    "epoch": int(row["epoch"]),
                    "loss": row[f"{prefix}loss"],
                    "accuracy": row[f"{prefix}accuracy"],
                }


if __name__ == "__main__":
    console.run(main)
