"""Feeds endless bad input to readers of files: `python -m fuzz --seconds 60 [TARGET ...]`."""

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fashion_mnist.talk import console

# No input may take a reader longer, or more memory.
MOST_SECONDS = 20
MOST_MEMORY = 2048  # MiB
MOST_AT_ONCE = 1024  # MiB
FINDS = Path(tempfile.gettempdir(), "fashion-mnist-finds")
INSTRUMENTED = ["fashion_mnist", "keras.src.models", "keras.src.saving", "numpy.lib", "PIL"]


def fuzz(name: str, seconds: int, keep: bool) -> bool:
    """Fuzz one target in a process of its own and print a summary; False if it found something."""
    from fuzz.targets import CORPUS, TARGETS

    finds = FINDS / name
    finds.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as new:
        done = libfuzzer(
            name,
            f"-max_total_time={seconds}",
            f"-max_len={TARGETS[name].most_bytes}",
            f"-timeout={MOST_SECONDS}",
            f"-rss_limit_mb={MOST_MEMORY}",
            f"-malloc_limit_mb={MOST_AT_ONCE}",
            f"-artifact_prefix={finds}/",
            "-print_final_stats=1",
            new,
            str(CORPUS / name),
        )
        if keep and not done.returncode:
            libfuzzer(name, "-merge=1", str(CORPUS / name), new)
    console.say(summary(name, seconds, done.stderr))
    if done.returncode:
        console.say(f"{done.stderr}\n{name}: the input that failed is in {finds}")
    return not done.returncode


def libfuzzer(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it on one target."""
    command = [sys.executable, "-m", "fuzz", "--inside", name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, errors="replace")


def summary(name: str, seconds: int, log: str) -> str:
    """The figures in libFuzzer's log, on one line."""

    def last(pattern: str) -> int:
        found = re.findall(pattern, log)
        return int(found[-1]) if found else 0

    tried = last(r"number_of_executed_units: *(\d+)") or last(r"#(\d+)\t")
    edges, memory = last(r"cov: (\d+)"), last(r"peak_rss_mb: *(\d+)")
    return f"{name:12} {tried:10,} inputs  {seconds:4} s  {edges:6,} edges  {memory:5,} MiB at most"


def inside(name: str, arguments: Sequence[str]) -> None:
    """Be libFuzzer on one target; does not return."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        from fuzz.targets import TARGETS, attempt

        if name in ("description", "keras"):
            from fashion_mnist.model_files import loading  # noqa: F401
    with tempfile.TemporaryDirectory() as folder:
        target = TARGETS[name]
        atheris.Setup(["fuzz", *arguments], lambda data: attempt(target, data, Path(folder)))
        atheris.Fuzz()


def replay(name: str) -> None:
    """Try the corpus, without atheris."""
    from fuzz.targets import CORPUS, TARGETS, attempt

    inputs = sorted((CORPUS / name).iterdir())
    with tempfile.TemporaryDirectory() as folder:
        for path in inputs:
            attempt(TARGETS[name], path.read_bytes(), Path(folder))
    console.say(f"{name:12} {len(inputs):10,} inputs of the corpus")


def main() -> int:
    """Fuzz the targets one after the other; return 1 if anything was found."""
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], sys.argv[3:])
    from fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(
        prog="python -m fuzz",
        description="Feed bad input to every reader of files, and check that it refuses it.",
        epilog="example: python -m fuzz --seconds 60 npz picture",
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--keep", action="store_true", help="add new inputs to the corpus")
    parser.add_argument("--replay", action="store_true", help="try only the corpus")
    arguments = parser.parse_args()
    names = arguments.targets or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        parser.error(f"no target is named {', '.join(unknown)}")
    if arguments.replay:
        for name in names:
            replay(name)
        return 0
    if importlib.util.find_spec("atheris") is None:
        console.say("atheris is not installed: it is for Linux; --replay works without it")
        return 0
    # Each target is fuzzed, also after a find.
    return 1 - min([fuzz(name, arguments.seconds, arguments.keep) for name in names])


if __name__ == "__main__":
    console.run(main)
