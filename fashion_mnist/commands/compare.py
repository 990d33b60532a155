"""Compare runs: print the scores of each, and the parameters that were changed.

A run is the workspace, a commit, or an experiment of `dvc exp run`.
"""

import argparse
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fashion_mnist.commands import project
from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.reporting import metrics
from fashion_mnist.storage import outs, parameters
from fashion_mnist.talk import console, results

EXAMPLE = "python -m fashion_mnist compare HEAD~1 wide-kernels"
WORKSPACE = "workspace"
FILES = (parameters.PARAMS, outs.SELECTION, outs.TEST_SCORES)
HEADER = ("run", "val. loss", "val. acc.", "test acc.", "95% interval")
MOST_CHANGES = 3  # of the parameters, on one line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The runs."""
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="REV",
        help="a commit, branch, tag or experiment (default: all experiments on this commit)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the last commit, the workspace and the runs.

    Raises:
        InputError: this is not a git repository, or there is no such run.
    """
    project.require()
    experiments = _experiments()
    runs = {name: experiments.get(name, name) for name in arguments.runs} or experiments
    found = {"HEAD": _committed("HEAD"), WORKSPACE: _in_workspace()}
    found |= {name: _committed(revision) for name, revision in runs.items()}
    base, _, _ = found["HEAD"]
    width = max(map(len, found))
    datasets = [dataset_of(values) for values, _, _ in found.values()]
    several = len(set(datasets)) > 1  # whose scores cannot be compared
    header = f"{HEADER[0]:{width}}  {'  '.join(HEADER[1:4])}  {HEADER[4]}"
    above = ""
    for dataset, (name, (values, selection, scores)) in sorted(
        zip(datasets, found.items(), strict=True), key=lambda each: datasets.index(each[0])
    ):
        if above != dataset:
            console.say(f"{header}  of {dataset}" if several else header)
            above = dataset
        console.say(f"{name:{width}}  {_scores(selection, scores)}")
        if changes := list(_changes(base, values)):
            hidden = len(changes) - MOST_CHANGES
            more = [f"and {hidden} more"] if hidden > 0 else []
            for change in [*changes[:MOST_CHANGES], *more]:
                console.say(f"  {change}")


def dataset_of(values: Mapping[str, Any]) -> str:
    """The data set of a run; the earliest runs do not name it."""
    return str(values.get("dataset", results.ORIGINALS_DATA))


def _experiments() -> dict[str, str]:
    """The experiments that start from the last commit: name to commit."""
    # As `dvc exp list` finds them, which needs a folder that it can write to.
    head = _git("rev-parse", "HEAD").decode().strip()
    listed = _git(
        "for-each-ref",
        "--format=%(refname:lstrip=4) %(objectname)",
        f"refs/exps/{head[:2]}/{head[2:]}/",
    )
    lines = listed.decode().splitlines()
    return dict(line.split() for line in lines)


def _committed(revision: str) -> tuple[Any, Any, Any]:
    """Parameters, selection and test scores of a commit."""
    verified = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    commit = verified.decode().strip()
    return _parsed(revision, [_git("show", f"{commit}:./{path}") for path in FILES])


def _in_workspace() -> tuple[Any, Any, Any]:
    try:
        return _parsed(WORKSPACE, [Path(path).read_bytes() for path in FILES])
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} is missing: `dvc repro` makes it") from None


def _parsed(run: str, contents: Sequence[bytes]) -> tuple[Any, Any, Any]:
    places = [f"{run}: {path}" for path in FILES]
    values, selection, scores = map(parameters.decoded, places, contents)
    return (
        parameters.from_yaml(places[0], values),
        metrics.checked(places[1], _parsed_json(places[1], selection), metrics.Scored),
        metrics.checked(places[2], _parsed_json(places[2], scores), metrics.TestScored),
    )


def _parsed_json(place: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place} is damaged: {first_sentence(error)}") from None


def _git(*arguments: str) -> bytes:
    in_english = os.environ | {"LC_ALL": "C"}
    done = subprocess.run(["git", *arguments], capture_output=True, env=in_english)
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").removeprefix("fatal: ").split())
        about = arguments[-1].removesuffix("^{commit}")
        raise InputError(f"{about}: {said or 'no such commit or experiment'}")
    return done.stdout


def _scores(selection: Mapping[str, float], scores: Mapping[str, float]) -> str:
    return (
        f"{selection['loss']:9.4f}  {selection['accuracy']:9.2%}  {scores['accuracy']:9.2%}  "
        f"{scores['accuracy_low']:.2%} to {scores['accuracy_high']:.2%}"
    )


def _changes(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """The parameters whose values differ, as `key: old -> new`, `key: added` or `key: removed`."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from _changes(before.get(key), after.get(key), f"{path}.{key}".lstrip("."))
    elif before is None and isinstance(after, dict | list):
        yield f"{path}: added"
    elif after is None and isinstance(before, dict | list):
        yield f"{path}: removed"
    elif before != after:
        yield f"{path}: {_in_short(before)} -> {_in_short(after)}"


def _in_short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, default=str)
    return text if len(text) <= 30 else f"{text[:27]}..."
