"""Find mistakes in params.yaml and the data set's file before anything runs.

Even those that only Keras can detect are found.
"""

import argparse
import contextlib
from typing import Any

from fashion_mnist.candidates import jobs
from fashion_mnist.checking import datasets, params
from fashion_mnist.errors import InputError
from fashion_mnist.ingest import schema
from fashion_mnist.storage import parameters
from fashion_mnist.talk import console

EXAMPLE = "python -m fashion_mnist check"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--used",
        action="store_true",
        help="skip what Keras would detect in architectures and recipes that nothing uses",
    )


def run(arguments: argparse.Namespace) -> None:
    """Check the files; print nothing about good ones.

    Raises:
        InputError: there is a mistake.
    """
    config = params.load()
    kind = datasets.kind(config.dataset, datasets.load(config.dataset))
    train, baseline = config.train, config.baseline
    used = {(each.architecture, each.recipe) for each in (baseline, train)}
    chosen = used.copy()
    if not arguments.used:  # each of the others beside what `train` names
        chosen |= {(name, train.recipe) for name in config.architectures}
        chosen |= {(train.architecture, name) for name in config.recipes}
    trained: dict[str, dict[str, Any]] = {}
    with contextlib.suppress(InputError):  # a damaged dvc.lock is not a mistake in params.yaml
        trained = params.recorded()
    values = parameters.read()
    if kind is None:
        path = schema.path_of(config.dataset)
        notes = ["which architectures fit the data set is checked after `dvc repro preprocess`"]
        console.note(path, notes)
        return
    wanted = {names: jobs.job(values, *names, train, kind) for names in sorted(chosen)}
    # A job that was trained before is valid: it needs no Keras, which takes seconds to load.
    unknown = {
        names: job
        for names, job in wanted.items()
        if not any(
            all(
                key in recorded and recorded[key] == parameters.value_of(values, key)
                for key in (job.layers_key, job.recipe_key)
            )
            for recorded in trained.values()
        )
    }
    if unknown:
        from fashion_mnist.checking import trial

        for names, job in unknown.items():
            trial.check(job, is_used=names in used)
