"""dvc.lock: written whole, in the order in which `dvc repro` would have written it."""

import contextlib
import json
import os
import subprocess
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from dvc_parallel import files
from dvc_parallel.errors import InputError

if TYPE_CHECKING:
    from dvc.repo import Repo

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


def write(path: Path, entries: Mapping[str, Any], order: Sequence[str] = ()) -> None:
    """Put the stages' entries into a dvc.lock: in that order, others behind, as they were."""
    from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

    text = path.read_text(encoding="utf-8") if path.exists() else ""
    data = parse_yaml_for_update(text, str(path)) or {"schema": "2.0"}
    stages = data.get("stages") or OrderedDict()
    data["stages"] = stages
    stages.update(entries)
    order = [name for name in order if name in stages]
    order += [name for name in stages if name not in order]
    if order != list(stages):
        for name in order:
            stages.move_to_end(name)
    files.write(path, dumps_yaml(data))


class LockFiles:
    """Writes what becomes of the stages into the dvc.lock files of a run.

    DVC reads and writes the whole file for each stage. Here several stages share a write, as
    long as the work that a kill would undo takes less than RISK times as long as a write.

    When a new stage is done, DVC appends it to dvc.lock; with several running at once, the order
    would be arbitrary. The order is saved before the first stage runs and deleted when the last
    one has run, so that an interrupted run and the one that continues it leave what a single
    `dvc repro` would have left.
    """

    def __init__(self, repo: "Repo", note: Path, serial: Mapping[Path, list[str]]) -> None:
        self._repo = repo
        self._note = note
        self._serial = serial
        self._orders: dict[str, list[str]] = files.read_json(note)
        for path, names in serial.items():
            before = self._orders.get(str(path)) or _stages_in(path)
            self._orders[str(path)] = list(dict.fromkeys([*before, *names]))
        files.write(note, json.dumps(self._orders))
        self._pending: dict[Path, dict[str, Any]] = {}
        self._at_risk = 0.0
        self._cost = 0.0

    def add(self, path: Path, name: str, entry: Any, seconds: float) -> None:
        """Queue a stage's entry for the next `save`; `seconds` is how long the stage took."""
        self._pending.setdefault(path, {})[name] = entry
        self._at_risk += seconds

    def save(self, idle: bool) -> None:
        """Write what is not written yet, if it is worth it or there is nothing else to do."""
        from dvc.repo import lock_repo

        if not self._pending or not (idle or self._at_risk >= RISK * self._cost):
            return
        with lock_repo(self._repo):
            started = monotonic()
            for path, entries in self._pending.items():
                write(path, entries, self._orders[str(path)])
            self._cost = monotonic() - started
        self._pending = {}
        self._at_risk = 0.0

    def close(self) -> None:
        """Write the rest, and forget the order of each file that is complete."""
        self.save(True)
        for path, names in self._serial.items():
            if set(_stages_in(path)) >= set(names):
                del self._orders[str(path)]
        if self._orders:  # what an earlier run has left undone elsewhere, or this one here
            files.write(self._note, json.dumps(self._orders))
        else:
            self._note.unlink()


def _stages_in(path: Path) -> list[str]:
    from dvc.utils.serialize import load_yaml

    return list(load_yaml(path).get("stages") or {}) if path.exists() else []
