"""Tables in Markdown, and pages of which a section is written by a program."""

import re
from collections.abc import Sequence

from fashion_mnist.errors import InputError


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A header, and one line per row."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_section(page: str, name: str, content: str) -> str:
    """The page with `content` between `<!-- name -->` and `<!-- end of name -->`.

    Raises:
        InputError: the page has no such section, or more than one.
    """
    section = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end of {name} -->)", re.DOTALL)
    page, count = section.subn(lambda _: f"\n{content}\n\n", page)
    if count != 1:
        raise InputError(
            f"a page needs one section between <!-- {name} --> and <!-- end of {name} -->"
        )
    return page
