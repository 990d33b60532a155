"""Tables in Markdown, and pages of which a section is written by a program."""

import re
from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A header, and a line a row."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_section(page: str, name: str, content: str) -> str:
    """The page with `content` between `<!-- name -->` and `<!-- end of name -->`."""
    section = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end of {name} -->)", re.DOTALL)
    return section.sub(lambda _: f"\n{content}\n\n", page)
