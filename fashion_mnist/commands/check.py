"""Find mistakes in params.yaml before anything runs, even those that only Keras can detect."""

import argparse
import contextlib
from typing import Any

from fashion_mnist.errors import InputError
from fashion_mnist.learning.schema import Baseline, Train
from fashion_mnist.running import params

EXAMPLE = "python -m fashion_mnist check"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--used",
        action="store_true",
        help="skip what Keras would detect in architectures and recipes that nothing uses",
    )


def run(arguments: argparse.Namespace) -> None:
    """Check the file; print nothing about a good one.

    Raises:
        InputError: there is a mistake.
    """
    config = params.load()
    chosen: list[Train | Baseline] = [config.baseline, config.train]
    if not arguments.used:  # each of the others beside what `train` names
        for key, names in (("architecture", config.architectures), ("recipe", config.recipes)):
            chosen += [config.train.model_copy(update={key: name}) for name in names]
    jobs = {(job.layers_key, job.recipe_key): job for job in map(config.job, chosen)}
    trained: dict[str, dict[str, Any]] = {}
    with contextlib.suppress(InputError):  # a damaged dvc.lock is not a mistake in params.yaml
        trained = params.recorded()
    values = params.read(params.PARAMS)
    # A job that was trained before is valid: it needs no Keras, which takes seconds to load.
    unknown = [
        job
        for keys, job in jobs.items()
        if not any(
            all(key in used and used[key] == params.value_of(values, key) for key in keys)
            for used in trained.values()
        )
    ]
    if unknown:
        from fashion_mnist import checks

        for job in unknown:
            checks.check(job)
