"""dvc.lock: written whole; and, like .gitignore, in the order in which `dvc repro` fills it."""

import contextlib
import os
import subprocess
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from dvc_parallel import files
from dvc_parallel.errors import InputError

if TYPE_CHECKING:
    from dvc.repo import Repo

    from dvc_parallel.plan import Plan, Reference
    from dvc_parallel.worker import Outcome

RISK = 10  # a kill may undo work of at most this many times the duration of a write


@contextlib.contextmanager
def unreadable_as_empty() -> Iterator[set[Path]]:
    """Make DVC treat each dvc.lock that it cannot read as empty; yields their paths.

    Without this, DVC would refuse to plan because of a file that the run may not even need.
    """
    from dvc.dvcfile import FileIsGitIgnored, Lockfile
    from dvc.exceptions import DvcException

    unreadable: set[Path] = set()
    load = Lockfile.load

    def lenient(self: Lockfile, **options: Any) -> Any:
        try:
            return load(self, **options)
        except FileIsGitIgnored:
            raise
        except DvcException:
            unreadable.add(Path(self.path))
            return {}

    Lockfile.load = lenient
    try:
        yield unreadable
    finally:
        Lockfile.load = load


def refuse_conflict(path: Path) -> None:
    """Raise InputError if a dvc.lock that DVC cannot read is in the middle of a merge."""
    lines = path.read_bytes().splitlines()
    marked = any(line.startswith((b"<<<<<<< ", b">>>>>>> ")) for line in lines)
    if marked or _is_unmerged(path):
        shown = _shown(path)
        raise InputError(
            f"{shown} holds a merge conflict: choose a side with `git checkout --ours {shown}` "
            f"or `git checkout --theirs {shown}`, then run it again"
        )


def _is_unmerged(path: Path) -> bool:
    command = ["git", "ls-files", "--unmerged", "--", path.name]
    with contextlib.suppress(OSError):
        listed = subprocess.run(command, cwd=path.parent, capture_output=True, check=False)
        return bool(listed.stdout)
    return False


def set_aside(path: Path, folder: Path) -> str:
    """Move a damaged dvc.lock into `folder`; returns a message about it.

    DVC leaves half a file if it is killed while it writes. The stages that it listed are in
    DVC's run cache, so most of them need not run again.
    """
    shown = _shown(path)
    aside = path.replace(folder / shown.replace("/", "-"))
    return f"{shown} is damaged: moved it to {aside}, and started a new one"


def _shown(path: Path) -> str:
    return Path(os.path.relpath(path)).as_posix()


def write(
    path: Path, entries: Mapping[str, Any], sort: Callable[[list[str]], list[str]] = list
) -> None:
    """Put the stages' entries into a dvc.lock, and its stages into the order that `sort` gives."""
    from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

    text = path.read_text(encoding="utf-8") if path.exists() else ""
    data = parse_yaml_for_update(text, str(path)) or {"schema": "2.0"}
    stages = data.get("stages") or OrderedDict()
    data["stages"] = stages
    stages.update(entries)
    names = list(stages)
    order = sort(names)
    if order != names:
        for name in order:
            stages.move_to_end(name)
    files.write(path, dumps_yaml(data))


class Order(NamedTuple):
    """In which order `dvc repro` fills a file, whatever order the stages finish in.

    Attributes:
        before: what was in the file before the run.
        added: what the run adds to it, in the order of `dvc repro`.
    """

    before: list[str]
    added: list[str]

    def sort(self, present: list[str]) -> list[str]:
        """What is in the file now, in that order; as it is if somebody else has changed it."""
        if present[: len(self.before)] != self.before:
            return present
        rank = {item: place for place, item in enumerate(self.added)}
        rest = present[len(self.before) :]
        return [*self.before, *sorted(rest, key=lambda item: rank.get(item, len(rank)))]

    def continued(self, present: list[str], items: list[str]) -> "Order":
        """The order for a run that adds such items after one that was interrupted, or failed.

        A `dvc repro` that stopped at the first stage that is not done would have left the ones
        before it.
        """
        if self.sort(present) != present or not set(present) <= {*self.before, *self.added}:
            return Order(present, items)
        done = takewhile(present.__contains__, self.added)
        return Order(self.before, list(dict.fromkeys([*done, *items, *self.added])))


class Records:
    """Writes what becomes of the stages into the dvc.lock and .gitignore files of a run.

    DVC reads and writes the whole dvc.lock for each stage. Here several stages share a write, as
    long as the work that a kill would undo takes less than RISK times as long as a write.

    DVC appends a new stage to dvc.lock when it is done, and its outs to .gitignore; with several
    running at once, the order would be arbitrary. The order is saved before the first stage runs
    and deleted when the last one has run, so that an interrupted run and the one that continues
    it leave what a single `dvc repro` would have left.
    """

    def __init__(self, repo: "Repo", note: Path, plan: "Plan") -> None:
        self._repo = repo
        self._note = note
        self._folder = Path.cwd()
        self._added = {**plan.locks, **plan.ignores}
        saved = files.read_json(note)
        self._orders = {
            path: Order(*order) for path, order in saved.items() if Path(path) not in self._added
        }
        for path, items in self._added.items():
            present = _items_in(path)
            before = Order(*saved.get(str(path), (present, [])))
            self._orders[str(path)] = before.continued(present, items)
        files.write_json(note, self._orders)
        self._pending: dict[Path, dict[str, Any]] = {}
        self._at_risk = 0.0
        self._cost = 0.0

    def add(self, stage: "Reference", outcome: "Outcome", seconds: float) -> None:
        """Take in what became of a stage that took so many seconds."""
        self._repo.scm_context.track_file(outcome.changed)
        for changed in outcome.changed:
            self._sort_lines(self._folder / changed)
        if outcome.entry is not None:
            path = Path(stage.path).with_suffix(".lock")
            self._repo.scm_context.track_file(os.path.relpath(path, self._folder))
            self._pending.setdefault(path, {})[str(stage.name)] = outcome.entry
            self._at_risk += seconds

    def _sort_lines(self, path: Path) -> None:
        """Sort a .gitignore at once: a stage may depend on the folder that it lies in."""
        from dvc.repo import lock_repo

        order = self._orders.get(str(path))
        if order is None or path not in self._added or _is_sorted(order, path):
            return
        with lock_repo(self._repo):
            lines = order.sort(_items_in(path))
            files.write(path.resolve(), "".join(f"{line}\n" for line in lines))

    def save(self, idle: bool) -> None:
        """Write what is not written yet, if it is worth it or there is nothing else to do."""
        from dvc.repo import lock_repo

        if not self._pending or not (idle or self._at_risk >= RISK * self._cost):
            return
        with lock_repo(self._repo):
            started = monotonic()
            for path, entries in self._pending.items():
                write(path, entries, self._orders[str(path)].sort)
            self._cost = monotonic() - started
        self._pending = {}
        self._at_risk = 0.0

    def close(self) -> None:
        """Write the rest, and forget the order of each file that is complete."""
        self.save(True)
        for path, items in self._added.items():
            if set(_items_in(path)) >= set(items):
                del self._orders[str(path)]
        if self._orders:  # what an earlier run has left undone elsewhere, or this one here
            files.write_json(self._note, self._orders)
        else:
            self._note.unlink()


def _is_sorted(order: Order, path: Path) -> bool:
    lines = _items_in(path)
    return order.sort(lines) == lines


def _items_in(path: Path) -> list[str]:
    """The stages in a dvc.lock, or the lines of a .gitignore."""
    from dvc.utils.serialize import load_yaml

    if not path.exists():
        return []
    if path.suffix == ".lock":
        return list(load_yaml(path).get("stages") or {})
    with path.open(encoding="utf-8", newline="") as file:  # line ends stay as they are
        return file.read().removesuffix("\n").split("\n")
