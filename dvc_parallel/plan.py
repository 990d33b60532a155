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
    """A stage as the plan has found it.

    A file that dvc.yaml takes values from may change during the run, so workers read neither.

    Attributes:
        path: the file that it is written in.
        name: its name, if that file is a dvc.yaml.
        definition: what dvc.yaml defines, with all values filled in.
        locked: its entry in dvc.lock.
    """

    path: str
    name: str | None
    definition: dict[str, Any] | None = None
    locked: dict[str, Any] | None = None

    def load(self, repo: "Repo") -> "Stage":
        """DVC's stage."""
        from dvc.dvcfile import load_file
        from dvc.stage.loader import StageLoader

        file = load_file(repo, self.path)
        if self.name is None:
            return file.stage
        return StageLoader.load_stage(file, self.name, self.definition, self.locked)


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
        stages: the same stages.
        locks: each dvc.lock, with its stages in the order in which `dvc repro` runs them.
        ignores: each .gitignore, with the lines that these stages need in that order.
        damaged: those of them that DVC cannot read.
    """

    steps: dict[str, Step]
    order: list[str]
    stages: list[Reference]
    locks: dict[Path, list[str]]
    ignores: dict[Path, list[str]]
    damaged: set[Path]

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
    # A data set that dvc.yaml only names has no path.
    read = {dep.fs_path for stage in own if not stage.frozen for dep in stage.deps if dep.fs_path}
    alone = _with_parents(read).isdisjoint(made_elsewhere) and _with_parents(
        made_elsewhere
    ).isdisjoint(read)
    if not own or not alone or any(stage.changed() for stage in own):
        return None
    return Plan({}, [stage.addressing for stage in own], [], {}, {}, set())


def _with_parents(paths: Iterable[str]) -> set[str]:
    return {str(part) for path in paths for part in (Path(path), *Path(path).parents)}


def stages_of(repo: "Repo", options: Options) -> tuple[Any, list["Stage"]]:
    """DVC's graph of the stages, and those that a run looks at, in the order of `dvc repro`.

    Raises:
        InputError: there is none.
    """
    from dvc.dvcfile import PROJECT_FILE
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    graph = get_active_graph(repo.index.graph)
    order: list[Stage] = collect_stages(repo, options.targets or [PROJECT_FILE])
    if not options.single_item:
        order = plan_repro(graph, order, downstream=options.downstream)
    if not order:
        raise InputError(f"there is no stage in {' '.join(options.targets) or Path.cwd()}")
    return graph, order


def _stale(repo: "Repo", options: Options, unreadable: set[Path]) -> Plan:
    from dvc.stage import PipelineStage

    graph, order = stages_of(repo, options)
    stale: set[Any] = set()
    for stage in order:
        upstream = list(graph.successors(stage))
        changed = options.force or not stale.isdisjoint(upstream)
        if changed or stage.changed(options.allow_missing, upstream):
            stale.add(stage)
    needs = _needs(repo, graph, order, stale)
    references = References(repo)
    steps = {
        stage.addressing: Step(
            references.of(stage),
            frozenset(above.addressing for above in needs[stage]),
            _threads(stage),
            tuple(map(references.of, graph.successors(stage))),
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
    return Plan(
        steps,
        [stage.addressing for stage in order],
        list(map(references.of, order)),
        locks,
        _ignores(order),
        unreadable & written,
    )


def _needs(repo: "Repo", graph: Any, order: "list[Stage]", stale: set[Any]) -> dict[Any, set[Any]]:
    """The stale stages that each of them has to wait for.

    DVC does not run what a frozen stage depends on for its sake, but still reads it: the two keep
    their order.
    """
    needs = {stage: stale.intersection(graph.successors(stage)) for stage in stale}
    position = {stage: place for place, stage in enumerate(order)}
    for frozen in stale:
        if frozen.frozen:
            for above in stale.intersection(repo.index.graph.successors(frozen)):
                first, second = sorted((frozen, above), key=position.__getitem__)
                needs[second].add(first)
    return needs


def _ignores(order: "list[Stage]") -> dict[Path, list[str]]:
    from pathspec.patterns import GitWildMatchPattern

    ignores: dict[Path, list[str]] = {}
    for stage in order:
        for out in stage.outs:
            if out.use_scm_ignore:
                path = Path(out.fs_path)
                line = f"/{GitWildMatchPattern.escape(path.name)}"
                ignores.setdefault(path.with_name(".gitignore"), []).append(line)
    return ignores


class References:
    """Refers to stages; reads each dvc.yaml and dvc.lock once."""

    def __init__(self, repo: "Repo") -> None:
        self._repo = repo
        self._files: dict[str, Any] = {}

    def of(self, stage: "Stage") -> Reference:
        """The stage as it is now."""
        from dvc.dvcfile import load_file
        from dvc.stage import PipelineStage

        if not isinstance(stage, PipelineStage):
            return Reference(stage.path, None)
        if stage.path not in self._files:
            self._files[stage.path] = load_file(self._repo, stage.path)
        file, name = self._files[stage.path], str(stage.name)
        definition = file.resolver.resolve_one(name)[name]
        return Reference(stage.path, name, definition, self.locked(stage.path, name))

    def locked(self, path: str, name: str) -> dict[str, Any]:
        """What dvc.lock tells about a stage."""
        from dvc.dvcfile import load_file

        if path not in self._files:
            self._files[path] = load_file(self._repo, path)
        return dict((self._files[path].lockfile_contents.get("stages") or {}).get(name) or {})


def edited_during(repo: "Repo", plan: Plan, options: Options) -> list[str]:
    """The stages that are stale after the run of a plan, because something was edited beside it."""
    from dvc.repo import lock_repo

    with dvc_errors(), lock_repo(repo):
        references = References(repo)
        stale = []
        for name, reference in zip(plan.order, plan.stages, strict=True):
            if reference.name is not None:
                locked = references.locked(reference.path, reference.name)
                reference = reference._replace(locked=locked)
            stage = reference.load(repo)
            always = stage.is_callback or stage.always_changed
            if not always and stage.changed(options.allow_missing):
                stale.append(name)
        return stale


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
