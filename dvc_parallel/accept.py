"""Records edits of Python code that change nothing, so that the stages need not run again."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvc_parallel import dvclock, history, syntax
from dvc_parallel.command import say, warn
from dvc_parallel.errors import InputError, dvc_errors
from dvc_parallel.history import Entry
from dvc_parallel.plan import Options, stages_of
from dvc_parallel.workspace import forget_dead_claims, open_workspace

if TYPE_CHECKING:
    from dvc.dependency import Dependency
    from dvc.repo import Repo
    from dvc.stage import PipelineStage, Stage
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta

SHOWN = 60  # characters of a line of code in a message


class UnprovenError(Exception):
    """An edit may change a stage's results; the message tells where."""


def accept(options: Options, dry: bool) -> int:
    """Record in dvc.lock the code of stages that it does not change, or only tell if `dry`.

    Args:
        options: which stages are meant; as for a run.
        dry: whether dvc.lock stays as it is.

    Returns:
        the exit code: 1 if a stage is stale whose code, or anything else, may change its results.

    Raises:
        InputError: there is no such target, no git repository, or DVC cannot read its files.
    """
    from dvc.repo import lock_repo
    from dvc.scm import NoSCM

    with open_workspace(warn) as workspace, dvc_errors():
        repo = workspace.repo
        if isinstance(repo.scm, NoSCM):
            raise InputError(
                "--accept needs a git repository: it finds there what dvc.lock recorded"
            )
        with lock_repo(repo), dvclock.unreadable_as_empty() as unreadable:
            forget_dead_claims(repo)
            stages = _stages(repo, options)
            for path in sorted(unreadable & {_lock_of(stage) for stage, _ in stages}):
                dvclock.refuse_conflict(path)
                raise InputError(f"{_shown(path)} is damaged: restore it with git checkout")
            accepted, stale = _judge(stages, "would be accepted" if dry else "accepted")
            if accepted and not dry:
                _record(repo, accepted)
    if not stale:
        say(f"nothing to accept: {len(stages)} of {len(stages)} stages are up to date")
        return 0
    what = "would accept" if dry else "accepted"
    say(f"{what} {len(accepted)} of {stale} stale stages")
    return 0 if len(accepted) == stale else 1


def _stages(repo: "Repo", options: Options) -> list[tuple["PipelineStage", list["Stage"]]]:
    """The stages that a run would look at, each with those directly above it."""
    from dvc.stage import PipelineStage

    graph, stages = stages_of(repo, options)
    return [
        (stage, list(graph.successors(stage)))
        for stage in stages
        if isinstance(stage, PipelineStage) and not (stage.is_callback or stage.always_changed)
    ]


def _judge(
    stages: Sequence[tuple["PipelineStage", list["Stage"]]], verdict: str
) -> tuple[list["PipelineStage"], int]:
    """The stages whose code can be recorded, and how many are stale; tells about each."""
    accepted = []
    stale = 0
    proofs = Proofs()
    for stage, upstream in stages:
        if not stage.changed(allow_missing=True, upstream=upstream):
            continue
        stale += 1
        try:
            edited = _edited(stage, upstream, proofs)
        except UnprovenError as reason:
            say(f"{stage.addressing}: not accepted: {reason}")
        else:
            accepted.append(stage)
            say(f"{stage.addressing}: {verdict}: {_listed(edited)} changed in form only")
    return accepted, stale


def _edited(stage: "PipelineStage", upstream: Iterable["Stage"], proofs: "Proofs") -> list[str]:
    """The stage's files that were edited without changing it; its deps then hold the new hashes.

    Raises:
        UnprovenError: anything else has changed.
    """
    from dvc.dependency import Dependency

    if not any(item.hash_info for item in (*stage.deps, *stage.outs)):
        raise UnprovenError("it has not run yet")
    if stage.changed_stage():
        raise UnprovenError("its command has changed")
    for out in stage.outs:
        if out.exists and (status := out.workspace_status()):
            raise UnprovenError(_told(out, status))
    recorded = [(dep.hash_info, dep.meta) for dep in stage.deps]
    for dep in stage.deps:
        if not dep.exists:
            _check_missing(dep, upstream)
        elif type(dep) is not Dependency and (status := dep.status()):
            raise UnprovenError(_told(dep, status))
    stage.save_deps(allow_missing=True)
    edited: dict[str, None] = {}
    for dep, (before, meta) in zip(stage.deps, recorded, strict=True):
        if type(dep) is Dependency and dep.hash_info != before:
            edited |= dict.fromkeys(proofs.of(dep, before, meta))
    return list(edited)


def _check_missing(dep: Any, upstream: Iterable["Stage"]) -> None:
    """Data that a clone does not have is no obstacle; a file of git's that was removed is."""
    made = [out for stage in upstream for out in stage.outs if out.fs_path == dep.fs_path]
    if any(out.hash_info != dep.hash_info for out in made):
        raise UnprovenError(f"{dep} is modified")
    if not dep.hash_info or (not made and history.is_tracked(Path(dep.fs_path))):
        raise UnprovenError(f"{dep} is missing")


class Proofs:
    """What is known about edits; many stages share the same deps."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, HashInfo, HashInfo], list[str] | UnprovenError] = {}

    def of(self, dep: "Dependency", before: "HashInfo", meta: "Meta") -> list[str]:
        """The files that were edited in form only since dvc.lock recorded the dep.

        Args:
            dep: as it is now.
            before: the recorded hash.
            meta: the recorded size.

        Raises:
            UnprovenError: something else has changed.
        """
        key = (dep.fs_path, before, dep.hash_info)
        if key not in self._known:
            try:
                self._known[key] = _prove(dep, before, meta)
            except UnprovenError as reason:
                self._known[key] = reason
        known = self._known[key]
        if isinstance(known, UnprovenError):
            raise known
        return known


def _prove(dep: "Dependency", before: "HashInfo", meta: "Meta") -> list[str]:
    path = Path(dep.fs_path)
    if dep.protocol != "local" or not before or before.isdir != dep.hash_info.isdir:
        raise UnprovenError(f"{dep} is modified")
    if not before.isdir:
        return [_prove_file(path, before, dep.hash_info)]
    from dvc_data.hashfile.hash_info import HashInfo

    now = {"/".join(key): Entry(entry.value, size.size) for key, size, entry in dep.obj}
    then = history.find_folder(path, before, meta, now, dep.dvcignore)
    if then is None:
        raise UnprovenError(f"{dep} is modified, and no commit holds it as dvc.lock recorded it")
    for name in sorted(now.keys() ^ then.keys()):
        raise UnprovenError(f"{_shown(path / name)} was {'added' if name in now else 'removed'}")
    return [
        _prove_file(
            path / name,
            HashInfo(before.name, then[name].hash),
            HashInfo(dep.hash_info.name, now[name].hash),
        )
        for name in sorted(now, key=lambda name: (name.endswith(".py"), name))
        if now[name].hash != then[name].hash
    ]


def _prove_file(path: Path, before: "HashInfo", now: "HashInfo") -> str:
    shown = _shown(path)
    if path.suffix != ".py":
        raise UnprovenError(f"{shown} is modified")
    content = path.read_bytes()
    if history.digest(content, str(now.name)) != now.value:
        raise UnprovenError(f"{shown} was edited in this moment: try again")
    recorded = history.find_file(path, before)
    if recorded is None:
        raise UnprovenError(f"{shown} is modified, and no commit holds it as dvc.lock recorded it")
    try:
        found = syntax.difference(recorded, content)
    except syntax.ComparisonError as error:
        raise UnprovenError(f"{shown} cannot be compared: {error}") from None
    if found is None:
        return shown
    place = f"{shown}:{found.line}"
    if not found.before:
        raise UnprovenError(f"{place}: `{_short(found.now)}` was added")
    if not found.now:
        raise UnprovenError(f"{place}: `{_short(found.before)}` was removed")
    raise UnprovenError(f"{place}: `{_short(found.now)}` was `{_short(found.before)}`")


def _record(repo: "Repo", stages: Iterable["PipelineStage"]) -> None:
    """Write the stages into dvc.lock, and into DVC's run cache, as `dvc commit` does."""
    from dvc.stage.serialize import to_lockfile

    entries: dict[Path, dict[str, Any]] = {}
    for stage in stages:
        entries.setdefault(_lock_of(stage), {}).update(to_lockfile(stage))
        if all(item.exists for item in (*stage.deps, *stage.outs)):
            repo.stage_cache.save(stage)
    for path, changed in entries.items():
        dvclock.write(path, changed)
        repo.scm_context.track_file(os.path.relpath(path))
    if repo.scm_context.autostage:
        repo.scm_context.track_changed_files()


def _lock_of(stage: "PipelineStage") -> Path:
    return Path(stage.path).with_suffix(".lock")


def _told(item: Any, status: dict[str, Any]) -> str:
    (what,) = status.values()
    if isinstance(what, dict):  # of parameters
        name, what = next(iter(what.items()))
        return f"{name} of {item} is {what}"
    return f"{item} is {what}"


def _shown(path: Path) -> str:
    return Path(os.path.relpath(path)).as_posix()


def _short(code: str) -> str:
    return code if len(code) <= SHOWN else f"{code[: SHOWN - 3]}..."


def _listed(files: list[str]) -> str:
    return ", ".join(files) if len(files) < 4 else f"{len(files)} files"
