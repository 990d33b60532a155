"""Name the garment in each picture: PNG, JPEG, WebP and others, of any size and colour."""

import argparse
import json
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fashion_mnist import console, dataset, pictures
from fashion_mnist.errors import InputError, why

BEST = Path("models/best_model.h5")


class Picture(NamedTuple):
    """What the network is shown: uint8 (28, 28), and whether that is the negative."""

    name: str
    image: np.ndarray
    inverted: bool


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m stages.predict --json photos/ shirt.jpg"
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a file, a folder, or - (stdin)")
    parser.add_argument(
        "--model", type=Path, default=BEST, metavar="FILE", help="a Keras .h5 or .keras model"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with all probabilities")
    parser.add_argument(
        "--show", type=Path, metavar="PNG", help="draw what the network was shown, and its answers"
    )
    arguments = parser.parse_args()

    found: list[Picture] = []
    complaints = 0
    for name in names(arguments.images):
        try:
            found.append(Picture(name, *read(name)))
        except InputError as error:
            print(f"error: {name}: {error}", file=sys.stderr, flush=True)
            complaints += 1
    if found:
        # Only now: it takes seconds to load.
        from fashion_mnist import models

        model = models.load_best_model(arguments.model)
        probabilities = models.predict(model, np.stack([each.image for each in found]))
        answers = [answer(*each) for each in zip(found, probabilities, strict=True)]
        console.say(json.dumps(answers, indent=2) if arguments.json else table(answers))
        if arguments.show:
            from fashion_mnist import figures

            images = np.stack([each.image for each in found])
            captions = [f"{Path(a['file']).name}\n{a['class']}\n{_sure(a)}" for a in answers]
            drawn = figures.gallery("What the network was shown", images, captions)
            figures.save(drawn, arguments.show)
    return 1 if complaints else 0


def names(arguments: list[str]) -> Iterator[str]:
    """Each picture that is asked for: a folder stands for those in it, in order."""
    for argument in arguments:
        if not Path(argument).is_dir():
            yield argument
            continue
        inside = sorted(Path(argument).iterdir())
        yield from (
            [str(path) for path in inside if path.suffix.lower() in pictures.SUFFIXES]
            or [argument]  # whose reading tells that it has none
        )


def read(name: str) -> tuple[np.ndarray, bool]:
    """As `pictures.read`, from a file or standard input."""
    if name == "-":
        return pictures.read(BytesIO(sys.stdin.buffer.read()))
    if Path(name).is_dir():
        raise InputError("has no pictures in it")
    try:
        with Path(name).open("rb") as file:
            return pictures.read(file)
    except OSError as error:
        raise InputError(f"cannot be read ({why(error)})") from None


def answer(picture: Picture, probabilities: np.ndarray) -> dict[str, Any]:
    """What there is to say of one picture, given its probabilities (10,)."""
    by_class = dict(zip(dataset.CLASS_NAMES, map(float, probabilities), strict=True))
    first, second = sorted(by_class, key=by_class.__getitem__, reverse=True)[:2]
    return {
        "file": picture.name,
        "class": first,
        "probability": by_class[first],
        "runner_up": {"class": second, "probability": by_class[second]},
        "inverted": picture.inverted,
        "probabilities": by_class,
    }


def table(answers: list[dict[str, Any]]) -> str:
    """A line a picture."""
    rows = [
        [
            a["file"],
            a["class"],
            _sure(a),
            a["runner_up"]["class"],
            _sure(a["runner_up"]),
            "light background: negated" if a["inverted"] else "",
        ]
        for a in answers
    ]
    rows.insert(0, ["picture", "is", "", "or else", "", ""])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _sure(one: dict[str, Any]) -> str:
    return f"{one['probability']:6.1%}"


if __name__ == "__main__":
    console.run(main)
