"""The command line: `python -m fashion_mnist COMMAND`."""

import argparse
import importlib
import sys

from fashion_mnist.talk import console

COMMANDS = {
    "check": "find mistakes in params.yaml before anything runs",
    "predict": "classify pictures",
    "score": "score any Keras model on the test set",
    "results": "print the last run's results beside the original's",
    "compare": "compare runs: their changed parameters and their scores",
    "report": "write all results as one HTML file",
    "export": "write a model as an ONNX file, for other programs",
    "demo": "write a page that classifies pictures in the browser",
}


def main() -> int | None:
    """Run the command that the first argument names."""
    if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
        name = sys.argv[1]
        # Only the chosen one, because some take seconds to load.
        command = importlib.import_module(f"fashion_mnist.commands.{name}")
        parser = argparse.ArgumentParser(
            prog=f"python -m fashion_mnist {name}",
            description=command.__doc__,
            epilog=f"example: {command.EXAMPLE}",
        )
        command.add_arguments(parser)
        return command.run(parser.parse_args(sys.argv[2:]))
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        prog="python -m fashion_mnist",
        description="\n".join(f"{name:{width}}  {does}" for name, does in COMMANDS.items()),
        epilog="help on one of them: python -m fashion_mnist predict --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    parser.parse_args()
    return None


if __name__ == "__main__":
    console.run(main)
