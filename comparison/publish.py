"""Copy the model named by `best` to its path in git."""

from pathlib import Path

from comparison.talk import params
from fashion_mnist.checking import guard
from fashion_mnist.storage import files, parameters
from fashion_mnist.talk import console

BEST = Path("best_model.h5")


def read() -> str:
    """The model's name."""
    return parameters.read()["best"]


def main() -> None:
    """Run the stage."""
    console.takes_no_arguments(__doc__, "python -m comparison.publish")
    params.load()
    with guard.unchanged(read):
        best = read()
        files.write(BEST, Path("models", f"{best}.h5").read_bytes())
        console.say(f"wrote {BEST}, which is {best}")


if __name__ == "__main__":
    console.run(main)
