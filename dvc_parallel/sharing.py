"""Stages that several experiments share: one runs, the others take its result.

What they take is in DVC's run cache, so they only have to wait. DVC decides by the contents of
the dependencies whether the result is really theirs. The run cache leaves out stages without
dependencies: their result is handed over.
"""

import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvc_parallel.plan import Plan
from dvc_parallel.schedule import Task
from dvc_parallel.worker import Job

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage


class Sharing:
    """Lets each stage wait for the one of another experiment that will have the same result."""

    def __init__(self, tasks: dict[str, Task], jobs: dict[str, Job]) -> None:
        """Begin without stages; the arguments are those of all experiments and are changed."""
        self._tasks = tasks
        self._jobs = jobs
        self._first: dict[str, str] = {}  # what is run, by whom
        self._others: dict[str, dict[str, tuple[Task, Job]]] = {}  # as they would run themselves
        self._of: dict[str, str] = {}  # a label to what it runs
        self._known: dict[str, Any] = {}  # what has been run, and its entry in dvc.lock
        self._changed = False

    def add(self, signatures: Mapping[str, str]) -> None:
        """Look for an experiment's stages among those that were added before.

        Args:
            signatures: the tasks' names to what `signatures_of` gave for them.
        """
        for label, same in signatures.items():
            self._of[label] = same
            if same in self._known or same in self._first:
                self._wait(label, same)
            else:
                self._first[same] = label

    def _wait(self, label: str, same: str) -> None:
        task, job = self._tasks[label], self._jobs[label]
        first = {self._first[same]} if same in self._first else set()
        self._tasks[label] = task._replace(needs=task.needs | first, seconds=0.0)
        # What is forced is forced once.
        options = {**job.options, "force": False}
        self._jobs[label] = job._replace(options=options, result=self._known.get(same))
        if first:
            self._others.setdefault(same, {})[label] = task, job

    def ended(self, label: str, well: bool, entry: Any = None) -> None:
        """A stage has run well, with this entry in dvc.lock if it did anything, or it will not."""
        same = self._of.pop(label, None)
        if same is None:
            return
        if self._first.get(same) != label:
            self._others.get(same, {}).pop(label, None)
            return
        del self._first[same]
        others = self._others.pop(same, {})
        if well:
            self._known[same] = entry
            for other in others:
                self._jobs[other] = self._jobs[other]._replace(result=entry)
        elif others:
            self._changed = True
            for other, (task, job) in others.items():
                self._tasks[other], self._jobs[other] = task, job
            first, *rest = others
            self._first[same] = first
            for other in rest:
                self._wait(other, same)

    def changed(self) -> bool:
        """Whether stages have become more urgent since the last call."""
        changed, self._changed = self._changed, False
        return changed


def signatures_of(repo: "Repo", plan: Plan) -> dict[str, str]:
    """For each step whose result can be shared, what that depends on, as one hash.

    Args:
        repo: the repository in the current folder.
        plan: its plan.
    """
    by_name = {stage.addressing: stage for stage in repo.index.stages}
    made: dict[str, str] = {}  # a file or folder that a step makes, to the step's signature
    signatures: dict[str, str] = {}
    for name in plan.order:
        if name not in plan.steps:
            continue
        stage = by_name[name]
        deps = {str(dep): repr(_state(dep, made)) for dep in stage.deps}
        outs = [(out.def_path, out.use_cache, out.persist) for out in stage.outs]
        wdir = os.path.relpath(stage.wdir, repo.root_dir)
        content = repr((stage.cmd, wdir, sorted(deps.items()), outs))
        signature = sha256(content.encode()).hexdigest()
        made.update((out.fs_path, signature) for out in stage.outs)
        if _is_restorable(stage):
            signatures[name] = signature
    return signatures


def _state(dep: Any, made: Mapping[str, str]) -> Any:
    """What a dependency will be like, as far as it can be told before the run."""
    from dvc.exceptions import DvcException

    if isinstance(dep.def_path, str) and dep.protocol == "local" and not hasattr(dep, "params"):
        path = Path(dep.fs_path)
        above = [
            signature
            for out, signature in made.items()
            if path.is_relative_to(out) or Path(out).is_relative_to(path)
        ]
        if above:
            return sorted(above)
    try:
        return dep.get_hash().value
    except (DvcException, OSError):
        return None  # the stage will fail


def _is_restorable(stage: "Stage") -> bool:
    """As in DVC's run cache, except that the dependencies may not be there yet.

    Stages without dependencies are handed over if DVC's cache has all of their outs.
    """
    return bool(
        not (stage.is_callback or stage.always_changed)
        and stage.cmd
        and stage.outs
        and all(dep.protocol == "local" and dep.def_path for dep in stage.deps)
        and all(
            out.protocol == "local"
            and out.def_path
            and not out.persist
            and out.is_in_repo
            and (out.use_cache or stage.deps)
            for out in stage.outs
        )
    )
