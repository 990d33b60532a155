"""Where experiments come from: what a grid, a search or anything else has to offer."""

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, Protocol

Overrides = Mapping[str, list[str]]  # a file to its changes, KEY=VALUE each


class Experiment(NamedTuple):
    """An experiment to run.

    Attributes:
        name: its name in `dvc exp show`.
        overrides: the changes of its parameters.
    """

    name: str
    overrides: Overrides


class Ended(NamedTuple):
    """How an experiment ended.

    Attributes:
        revision: the commit that was saved; None if it failed or was stopped.
        error: why it failed, in one sentence, or an empty text.
        read: the content of a file after the run, by its path as seen from the folder in which
            the command was called; FileNotFoundError if there is none. It works only
            during `Source.finished`.
    """

    revision: str | None
    error: str
    read: Callable[[str], bytes]


class Source(Protocol):
    """Gives experiments to the schedule, one at a time.

    All methods are called in the main thread, in the folder in which the command was called.

    Attributes:
        files: the files of parameters that its experiments change.
        total: how many experiments there will be; None if that is not known.
        ahead: whether the next experiment may be asked for while all cores are busy, because it
            does not depend on how the running ones end: a grid's does not, a search's does.
        deadline: the `time.monotonic()` at which the experiments that still run are stopped, or
            None. It is read again and again, and may change.
    """

    @property
    def files(self) -> Collection[str]: ...  # noqa: D102

    @property
    def total(self) -> int | None: ...  # noqa: D102

    @property
    def ahead(self) -> bool: ...  # noqa: D102

    @property
    def deadline(self) -> float | None: ...  # noqa: D102

    def next(self) -> Experiment | None:
        """The next experiment; None if there is none now.

        Called when a core would be idle otherwise. After None it is called again when another
        experiment has ended. The schedule ends when nothing runs and this gives None.
        """

    def finished(self, experiment: Experiment, ended: Ended) -> None:
        """Called once for each experiment that `next` gave, when it is saved or has failed.

        An experiment of the same name that was saved by an earlier call, from the same files and
        parameters, is not run again, and ends at once with its revision.
        """
