"""What the user sees of a run: live lines on a terminal, plain lines in a log."""

import re
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDEST = 1000  # characters of a line that are looked at: no terminal is wider
COUNT = re.compile(
    r"\b(?:epoch|step|batch|iter(?:ation)?|fold|round|trial|part)s?\W{1,3}(\d+)\s*(?:/|of)\s*(\d+)",
    re.IGNORECASE,
)
PERCENT = re.compile(
    r"(?:^\W*|[:\s](?=\S+%\|)|(?:progress|complete|done)\W{1,3})(\d{1,3})(?:\.\d+)?\s?%",
    re.IGNORECASE,
)


def progress(line: str) -> tuple[str, float] | None:
    """Which kind of progress a line reports, and the part that is done; None if it reports none."""
    if (count := COUNT.search(line)) and int(count[2]):
        return "count", min(1.0, int(count[1]) / int(count[2]))
    if (percent := PERCENT.search(line)) and int(percent[1]) <= 100:
        return "percent", int(percent[1]) / 100
    return None


def cells(text: str) -> int:
    """The columns that a text takes on a terminal, where some characters take two or none."""
    from rich.cells import cell_len

    return cell_len(text)


def behind(name: str, width: int, text: str) -> str:
    """A text behind a name that is made so wide."""
    return f"{name}{' ' * (width - cells(name))} | {text}"


def clock(seconds: float) -> str:
    """Minutes and seconds, or hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def open_screen(names: Collection[str], expected: float | None) -> Iterator["Log | Terminal"]:
    """A screen for the run of these stages, which is expected to take so many seconds."""
    width = max(map(cells, names), default=0)
    if not sys.stdout.isatty():
        yield Log(width)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    terminal = Terminal(console.print, width, len(names), expected)
    with Live(get_renderable=terminal.render, console=console, transient=True):
        yield terminal


class Log:
    """Prints each line behind its stage's name."""

    def __init__(self, width: int) -> None:
        self._width = width

    def started(self, name: str) -> None:
        """Nothing but make room: its first line shows it."""
        self._width = max(self._width, cells(name))

    def line(self, name: str, text: str) -> None:
        """Print it."""
        print(behind(name, self._width, text), flush=True)

    def growing(self, name: str, text: str) -> None:
        """Nothing: its last state becomes a line."""

    def ended(self, name: str, text: str) -> None:
        """Print it."""
        self.line(name, text)

    def left(self, seconds: Callable[[], float]) -> None:
        """Nothing: the lines show how far it is."""

    def experiments(self, done: int, total: int | None) -> None:
        """Nothing: the lines show how far it is."""


class Bar(NamedTuple):
    """A stage's progress: the kind of its pattern, where and when it was first seen, and now."""

    kind: str
    first: float
    since: float
    part: float

    def left(self, now: float) -> str:
        """The time left at the pace so far."""
        if self.part <= self.first or self.part >= 1:
            return ""
        pace = (self.part - self.first) / (now - self.since)
        return f"{clock((1 - self.part) / pace)} left"


class Terminal:
    """One live line a running stage, and one for the whole run."""

    def __init__(
        self, show: Callable[..., None], width: int, total: int, expected: float | None
    ) -> None:
        self._show = show
        self._width = width
        self._total: int | None = total
        self._done = 0
        self._counted = "stages"
        self._started: dict[str, float] = {}
        self._last: dict[str, str] = {}
        self._bars: dict[str, Bar] = {}
        self._end = None if expected is None else monotonic() + expected
        self._next_look = 0.0

    def started(self, name: str) -> None:
        """Open its line."""
        self._width = max(self._width, cells(name))
        self._started[name] = monotonic()

    def line(self, name: str, text: str) -> None:
        """Make it the stage's line, or move its bar."""
        text = text[:WIDEST]
        self._last[name] = text
        found = progress(text)
        if found is None:
            return
        kind, part = found
        bar = self._bars.get(name)
        now = monotonic()
        if bar is None or (bar.kind, kind) == ("percent", "count"):
            self._bars[name] = Bar(kind, 0.0, self._started[name], part)
        elif bar.kind == kind:
            fresh = part < bar.part  # another bar has begun
            self._bars[name] = Bar(kind, part, now, part) if fresh else bar._replace(part=part)

    growing = line

    def ended(self, name: str, text: str) -> None:
        """Close its line and print how it ended."""
        if self._counted == "stages":
            self._done += 1
        for of_stages in (self._started, self._last, self._bars):
            of_stages.pop(name, None)
        self._show(behind(name, self._width, text), markup=False)

    def left(self, seconds: Callable[[], float]) -> None:
        """Note how long the rest will take, at most once a second."""
        if monotonic() >= self._next_look:
            self._end = monotonic() + seconds()
            self._next_look = monotonic() + 1

    def experiments(self, done: int, total: int | None) -> None:
        """Count experiments in the line for the whole run, not stages."""
        self._counted = "experiments"
        self._done, self._total = done, total

    def render(self) -> "RenderableType":
        """The live lines."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        now = monotonic()
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(min_width=self._width, no_wrap=True)
        table.add_column(width=20)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True)
        for name, since in list(self._started.items()):
            bar = self._bars.get(name)
            table.add_row(
                Text(name),
                ProgressBar(total=1, completed=bar.part, width=20) if bar else "",
                Text(self._last.get(name, ""), no_wrap=True, overflow="ellipsis"),
                Text((bar and bar.left(now)) or clock(now - since)),
            )
        left = "" if self._end is None else f"{clock(max(0.0, self._end - now))} left"
        table.add_row(
            Text("all"),
            ProgressBar(total=self._total, completed=self._done, width=20) if self._total else "",
            f"{self._done} of {self._total} {self._counted}"
            if self._total
            else f"{self._done} {self._counted}",
            left,
        )
        return table
