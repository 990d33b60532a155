"""The exception for errors that the user can fix, and how system errors are worded."""

import errno
import re

# The disk is full, or as full as a quota or a limit allows; Windows does not know them all.
NO_ROOM = {getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EFBIG")} - {None}
CALLED = re.compile(r"\x1b\[1m(.*?)\x1b\[0m", re.DOTALL)  # what Keras wraps if a call fails
COLORS = re.compile(r"\x1b\[[0-9;]*m")
NO_RIGHT = {errno.EACCES, errno.EPERM}


class InputError(ValueError):
    """What was given cannot be used.

    The message is one sentence that says what is wrong, where, and what is
    expected. Every entry point prints it without a traceback and exits with code 1.
    """


def why(error: OSError) -> str:
    """What the operating system objects to, and what would help."""
    reason = error.strerror or first_sentence(error)
    if error.errno in NO_ROOM:
        return f"{reason}: make room on the disk and run it again"
    if error.errno in NO_RIGHT:
        return f"{reason}: check the permissions there and run it again"
    return reason


def first_sentence(error: BaseException) -> str:
    """The first sentence of a library's multi-line error, and what it expects instead."""
    called = CALLED.search(str(error))
    first, *others = re.split(r"(?<=[.!]) (?=[A-Z])", one_line(called[1] if called else error))
    expected = [f", {other[0].lower()}{other[1:]}" for other in others if "xpected" in other][:1]
    return "".join([first.rstrip("."), *expected]).rstrip(".")


def one_line(text: object) -> str:
    """The text without line breaks, runs of spaces and a terminal's colors, as Keras has them."""
    return " ".join(COLORS.sub("", str(text)).split())
