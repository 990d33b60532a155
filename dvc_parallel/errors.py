"""Errors that the user can fix, and how other libraries' errors read in one sentence."""

import contextlib
import errno
import re
from collections.abc import Iterator

NO_SPACE = {getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EFBIG")} - {None}
NO_RIGHT = {errno.EACCES, errno.EPERM}


class InputError(ValueError):
    """Something the user can fix; the message is one sentence with the problem and the remedy."""


def first_sentence(error: BaseException) -> str:
    """The first sentence of a library's error, on one line."""
    text = " ".join(str(error).split())
    return re.split(r"(?<=[.!]) (?=[A-Z])", text)[0].rstrip(".") or type(error).__name__


def in_one_line(error: BaseException) -> str:
    """An error and its causes on one line, as `dvc` prints them."""
    causes = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(" ".join(str(cause).splitlines()) or type(cause).__name__)
        cause = cause.__cause__
    return ": ".join(causes)


def os_error(error: OSError) -> str:
    """A system error in one sentence, with a remedy if there is an obvious one."""
    where = f"{error.filename}: " if error.filename else ""
    reason = error.strerror or first_sentence(error)
    if error.errno in NO_SPACE:
        reason += ": free some disk space and run it again"
    elif error.errno in NO_RIGHT:
        reason += ": check the permissions there and run it again"
    return where + reason


@contextlib.contextmanager
def dvc_errors() -> Iterator[None]:
    """Turn DVC's errors about bad input into one sentence that names the place."""
    from dvc.exceptions import DvcException

    try:
        yield
    except DvcException as error:
        from dvc.repo.datasets import DatasetNotFoundError
        from voluptuous import Invalid

        sentence = first_sentence(error)
        cause = error.__cause__
        if mark := getattr(cause, "problem_mark", None):
            sentence += f" (line {mark.line + 1})"
        elif isinstance(cause, Invalid):
            sentence += f" ({cause})"
        elif isinstance(error, DatasetNotFoundError):
            sentence += f": dvc.yaml lists no data set named {error.name}"
        elif sentence.endswith("is not a git repository"):
            sentence += ": run `git init`, or `dvc config core.no_scm true` to do without git"
        raise InputError(sentence) from None
    except TypeError as error:
        sentence = first_sentence(error)
        if not sentence.startswith("Unsupported value of type"):
            raise
        raise InputError(f"{sentence}: put it in quotes") from None
