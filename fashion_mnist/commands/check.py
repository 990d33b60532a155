"""Find mistakes in params.yaml before anything runs, even those that only Keras can detect."""

import argparse
import contextlib
from typing import Any

from fashion_mnist.errors import InputError
from fashion_mnist.running import params

EXAMPLE = "python -m fashion_mnist check"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Takes no arguments."""


def run(_: argparse.Namespace) -> None:
    """Check the file; print nothing about a good one.

    Raises:
        InputError: there is a mistake.
    """
    config = params.load()
    jobs = [config.job(config.baseline), config.job(config.train)]
    trained: dict[str, dict[str, Any]] = {}
    with contextlib.suppress(InputError):  # a damaged dvc.lock is not a mistake in params.yaml
        trained = params.recorded()
    values = params.read(params.PARAMS)
    # A job that was trained before is valid: it needs no Keras, which takes seconds to load.
    unknown = [
        job
        for job in jobs
        if not any(
            all(
                key in used and used[key] == params.value_of(values, key)
                for key in (job.layers_key, job.recipe_key)
            )
            for used in trained.values()
        )
    ]
    if unknown:
        from fashion_mnist import checks

        for job in unknown:
            checks.check(job)
