"""Ask the best model, or any other, what it sees in a picture."""

import argparse
import contextlib
import json
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fashion_mnist.commands import pictures
from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.learning.dataset import CLASS_NAMES
from fashion_mnist.running import console
from fashion_mnist.storage import records

BEST = Path("models/best_model.h5")
STANDARD_INPUT = "-"
MOST_DRAWN = 240  # which takes 20 s


class Question(NamedTuple):
    """A picture and where it comes from."""

    name: str
    picture: pictures.Picture


def main() -> int:
    """Answer every picture that can be read; 1 if there are others."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python -m stages.predict --show answers.png shirt.jpg photos/",
    )
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="a PNG, JPEG, WebP, GIF, BMP or TIFF file, a folder of them, or - for standard input",
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=BEST,
        metavar="FILE",
        help="a Keras .h5 or .keras model to ask instead of the best one",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--show",
        type=Path,
        metavar="FILE.png",
        help="draw each image as the model was shown it, with the answer",
    )
    arguments = parser.parse_args()
    # A file's name may hold what the terminal's encoding does not.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

    complaints: list[str] = []
    questions = list(read(arguments.images, complaints))
    if arguments.show:
        check_target(arguments.show, questions)
    # Keras takes seconds to load.
    probabilities = ask(arguments.model, questions) if questions else np.empty((0, 10))
    if arguments.json:
        say(json.dumps(records.rounded(answers(questions, probabilities)), indent=2))
    elif questions:
        say(table(answers(questions, probabilities)))
    if arguments.show and questions:
        draw(arguments.show, questions, probabilities)
    return 1 if complaints else 0


def read(images: Sequence[str], complaints: list[str]) -> Iterator[Question]:
    """The pictures that can be read; the others are named on standard error."""
    for image in images:
        names: list[str] = []
        with complaining(image, complaints):
            names = files_of(image)
        for name in names:
            with complaining(name, complaints):
                yield Question(name, picture(name))


@contextlib.contextmanager
def complaining(name: str, complaints: list[str]) -> Iterator[None]:
    """Say in one line why `name` cannot be read, and go on."""
    try:
        yield
    except (InputError, OSError) as error:
        reason = getattr(error, "strerror", None) or first_sentence(error)
        complaints.append(f"error: {printable(name)}: {reason}")
        print(complaints[-1], file=sys.stderr, flush=True)


def files_of(image: str) -> list[str]:
    """The pictures in a folder, or what is no folder itself."""
    folder = Path(image)
    if image == STANDARD_INPUT or not folder.is_dir():
        return [image]
    files = sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in pictures.SUFFIXES
        and not file.name.startswith(".")
        and not file.is_dir()
    )
    if not files:
        raise InputError(f"there is no {pictures.FORMAT_NAMES} file in this folder")
    return [str(file) for file in files]


def picture(name: str) -> pictures.Picture:
    """The picture in the file `name`."""
    if name != STANDARD_INPUT:
        with Path(name).open("rb") as file:
            return pictures.read(file)
    if sys.stdin is None:
        raise InputError("standard input is closed")
    return pictures.read(sys.stdin.buffer)


def check_target(path: Path, questions: Sequence[Question]) -> None:
    """Raise InputError where a drawing would be misnamed or replace a picture."""
    if path.suffix.lower() != ".png":
        raise InputError(f"--show {path}: a PNG is drawn: let its name end in .png")
    files = [question.name for question in questions if question.name != STANDARD_INPUT]
    if path.exists() and any(path.samefile(file) for file in files):
        raise InputError(f"--show {path}: would overwrite a picture that is asked about")


def ask(model: Path, questions: Sequence[Question]) -> np.ndarray:
    """Class probabilities float32 (N, 10)."""
    from fashion_mnist.learning import prediction
    from fashion_mnist.model_files import loading

    images = np.stack([question.picture.pixels for question in questions])
    return prediction.predict(loading.load_model(model), images)


def answers(questions: Sequence[Question], probabilities: np.ndarray) -> list[dict]:
    """What is printed as JSON."""
    found = []
    for question, given in zip(questions, probabilities, strict=True):
        first, second = np.argsort(-given, kind="stable")[:2]
        found.append(
            {
                "file": question.name,
                "class": CLASS_NAMES[first],
                "probability": float(given[first]),
                "runner_up": {
                    "class": CLASS_NAMES[second],
                    "probability": float(given[second]),
                },
                "probabilities": dict(zip(CLASS_NAMES, map(float, given), strict=True)),
                "inverted": question.picture.inverted,
            }
        )
    return found


def table(found: Sequence[dict]) -> str:
    """A line a picture."""
    lines = [("picture", "class", "probability", "runner-up", "probability", "")]
    for answer in found:
        second = answer["runner_up"]
        lines.append(
            (
                printable(answer["file"]),
                answer["class"],
                f"{answer['probability']:.2%}",
                second["class"],
                f"{second['probability']:.2%}",
                "light background: inverted" if answer["inverted"] else "",
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place in (2, 4) else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def draw(path: Path, questions: Sequence[Question], probabilities: np.ndarray) -> None:
    """Write the figure."""
    from fashion_mnist.reporting import figures

    images = np.stack([question.picture.pixels for question in questions[:MOST_DRAWN]])
    names = [printable(question.name) for question in questions[:MOST_DRAWN]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters in a name that the font lacks
        figures.save(figures.answers(images, names, probabilities[:MOST_DRAWN]), path)
    if len(questions) > MOST_DRAWN:
        print(f"{path} shows the first {MOST_DRAWN} pictures", file=sys.stderr, flush=True)


def printable(name: str) -> str:
    """The name on one line."""
    return name if name.isprintable() else ascii(name)[1:-1]


def say(text: str) -> None:
    """Print, though whoever reads may have read enough."""
    try:
        console.say(text)
    except OSError as error:
        # Python would try again at its end, and show a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise


if __name__ == "__main__":
    console.run(main)
