"""Which stages have to run, according to DVC, and which of them need which."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dvc_parallel import dvclock
from dvc_parallel.errors import InputError, dvc_errors
from dvc_parallel.workspace import forget_dead_claims

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage


class Options(NamedTuple):
    """The options of `dvc repro` that are heeded here."""

    targets: tuple[str, ...] = ()
    force: bool = False
    downstream: bool = False
    single_item: bool = False
    pull: bool = False
    allow_missing: bool = False


class Reference(NamedTuple):
    """Where a stage is written: the file's path, and its name if the file is a dvc.yaml."""

    path: str
    name: str | None


class Step(NamedTuple):
    """A stage that has to run.

    Attributes:
        stage: where it is written.
        needs: the steps that have to be done before.
        threads: the cores it computes with.
        upstream: all stages directly above it, whether they have to run or not.
    """

    stage: Reference
    needs: frozenset[str]
    threads: int
    upstream: tuple[Reference, ...]


class Plan(NamedTuple):
    """What a run has to do.

    Attributes:
        steps: each stage that has to run, by DVC's name for it, in the order of dvc.yaml.
        order: all stages that were meant, fresh ones included, in the order of `dvc repro`.
        locks: each dvc.lock that will be written, with its stages in the order in which
            `dvc repro` runs them.
        damaged: those of them that DVC cannot read.
        edited: the steps that are stale because something was edited, not because they always
            are or because they depend on a stale step.
    """

    steps: dict[str, Step]
    order: list[str]
    locks: dict[Path, list[str]]
    damaged: set[Path]
    edited: list[str]

    @property
    def total(self) -> int:
        """How many stages were meant."""
        return len(self.order)


def make_plan(repo: "Repo", options: Options) -> Plan:
    """The stages that `dvc repro` would look at, less those that are fresh.

    A stage is in the plan if DVC finds it changed or if one that it needs is in the plan:
    DVC decides about the latter again when its turn comes.

    Raises:
        InputError: there is no such target, DVC cannot read dvc.yaml or what it names, or a
            dvc.lock that has to be written holds a merge conflict.
    """
    from dvc.repo import lock_repo

    with dvc_errors(), lock_repo(repo), dvclock.unreadable_as_empty() as unreadable:
        forget_dead_claims(repo)
        return _fresh(repo, options) or _stale(repo, options, unreadable)


def _fresh(repo: "Repo", options: Options) -> Plan | None:
    """An empty plan if all is fresh, found out without the graph, whose import takes a while."""
    if options != Options():
        return None
    here = os.path.abspath("dvc.yaml")  # noqa: PTH100 - as DVC does, links stay
    own = [stage for stage in repo.index.stages if stage.path == here]
    others = [stage for stage in repo.index.stages if stage.path != here]
    made_elsewhere = {out.fs_path for stage in others for out in stage.outs}
    read = {dep.fs_path for stage in own if not stage.frozen for dep in stage.deps}
    alone = _with_parents(read).isdisjoint(made_elsewhere) and _with_parents(
        made_elsewhere
    ).isdisjoint(read)
    if not own or not alone or any(stage.changed() for stage in own):
        return None
    return Plan({}, [stage.addressing for stage in own], {}, set(), [])


def _with_parents(paths: Iterable[str]) -> set[str]:
    return {str(part) for path in paths for part in (Path(path), *Path(path).parents)}


def _stale(repo: "Repo", options: Options, unreadable: set[Path]) -> Plan:
    from dvc.dvcfile import PROJECT_FILE
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
    from dvc.stage import PipelineStage

    graph = get_active_graph(repo.index.graph)
    order: list[Stage] = collect_stages(repo, options.targets or [PROJECT_FILE])
    if not options.single_item:
        order = plan_repro(graph, order, downstream=options.downstream)
    if not order:
        raise InputError(f"there is no stage in {' '.join(options.targets) or Path.cwd()}")
    stale: set[Any] = set()
    edited: list[str] = []
    for stage in order:
        upstream = list(graph.successors(stage))
        if options.force or not stale.isdisjoint(upstream):
            stale.add(stage)
        elif stage.changed(options.allow_missing, upstream):
            stale.add(stage)
            if not (stage.is_callback or stage.always_changed):
                edited.append(stage.addressing)
    steps = {
        stage.addressing: Step(
            _reference(stage),
            frozenset(above.addressing for above in stale.intersection(graph.successors(stage))),
            _threads(stage),
            tuple(map(_reference, graph.successors(stage))),
        )
        for stage in repo.index.stages
        if stage in stale
    }
    locks: dict[Path, list[str]] = {}
    for stage in order:
        if isinstance(stage, PipelineStage):
            locks.setdefault(Path(stage.path).with_suffix(".lock"), []).append(stage.name)
    written = {Path(step.stage.path).with_suffix(".lock") for step in steps.values()}
    for path in sorted(unreadable & written):
        dvclock.refuse_conflict(path)
    names = [stage.addressing for stage in order]
    return Plan(steps, names, locks, unreadable & written, edited)


def _reference(stage: "Stage") -> Reference:
    return Reference(stage.path, getattr(stage, "name", None))


def _threads(stage: "Stage") -> int:
    meta = stage.meta if isinstance(stage.meta, dict) else {}
    threads = meta.get("threads", 1)
    if isinstance(threads, str) and threads.isdecimal():
        threads = int(threads)
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise InputError(
            f"{stage.addressing}: meta.threads must be a whole number, 1 or more, not {threads}"
        )
    return threads
