"""The one exception that means: the user can mend this."""

import re


class InputError(ValueError):
    """What was given cannot be used.

    The message is one sentence that says what is wrong, where, and what would be
    right. Every entry point prints it without a traceback and exits with code 1.
    """


def first_sentence(error: Exception) -> str:
    """What a library's many-lined error says first."""
    text = " ".join(str(error).split())
    return re.split(r"(?<=[.!]) (?=[A-Z])", text)[0].rstrip(".")
