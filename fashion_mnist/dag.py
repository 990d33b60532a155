"""What DVC knows of the pipeline, and one of its stages run on a leash.

As a script, `python dag.py LOCK STAGE`, this reproduces one stage for as long as its
standard input stays open. Whoever started it has only to die for the stage to end, be it
by a signal that cannot be caught: the operating system closes the pipe.

What is imported from this project or from DVC is imported where it is used: the script
runs under any Python that has DVC, wherever this project lies, and starts at once.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
from zc.lockfile import LockError, LockFile

if TYPE_CHECKING:
    from dvc.repo import Repo

GRACE = 2.0  # seconds that an interrupted stage has before it is killed


class Plan(NamedTuple):
    """What a run has to do.

    Attributes:
        needs: each stage that is to run, in the order of dvc.yaml, and those of them
            that it has to wait for.
        total: how many stages were asked for, fresh ones included.
        locks: each dvc.lock with its stages, in the order in which `dvc repro` runs them.
    """

    needs: dict[str, frozenset[str]]
    total: int
    locks: dict[Path, list[str]]


@contextlib.contextmanager
def workspace() -> Iterator["Repo"]:
    """The DVC repository around the working directory, for one run at a time.

    Raises:
        InputError: another run is under way, or DVC cannot use what it finds.
    """
    from dvc.repo import Repo

    from fashion_mnist.errors import InputError

    with _one_sentence():
        repo = Repo(_wait_for_lock=True)
    with contextlib.closing(repo):
        path = Path(repo.tmp_dir, "parallel.lock")
        try:
            lock = LockFile(str(path))
        except LockError:
            owner = path.read_text(encoding="ascii").strip()
            raise InputError(
                f"another run is under way in this workspace (process {owner}): "
                "wait for it or stop it"
            ) from None
        with contextlib.closing(lock):
            yield repo


def plan(repo: "Repo", targets: Iterable[str]) -> Plan:
    """What of `targets` and of all above them has to run; no target means all of dvc.yaml.

    A stage is in the plan if DVC finds it changed or if one that it needs is in the plan:
    `dvc repro` decides about the latter again, when its turn comes.

    Raises:
        InputError: there is no such target, or DVC cannot read dvc.yaml or what it names.
    """
    from dvc.dvcfile import PROJECT_FILE
    from dvc.repo import lock_repo
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
    from dvc.stage import PipelineStage

    targets = list(targets)
    with _one_sentence(), lock_repo(repo):
        _forget_dead_claims(Path(repo.tmp_dir, "rwlock"))
        _set_aside_damaged_locks(repo)
        # Where all is fresh no graph is needed, which takes an eighth of a second to import.
        if not targets:
            own = [stage for stage in repo.index.stages if stage.path_in_repo == PROJECT_FILE]
            if not any(stage.changed() for stage in own):
                return Plan({}, len(own), {})
        graph = get_active_graph(repo.index.graph)
        order = plan_repro(graph, collect_stages(repo, targets or [PROJECT_FILE]))
        needs: dict[Any, frozenset[Any]] = {}
        for stage in order:
            above = frozenset(needs.keys() & graph.successors(stage))
            if above or stage.changed():
                needs[stage] = above
        in_file = [stage for stage in repo.index.stages if stage in needs]
    locks: dict[Path, list[str]] = {}
    for stage in order:
        if isinstance(stage, PipelineStage):
            locks.setdefault(Path(stage.path).with_suffix(".lock"), []).append(stage.name)
    return Plan(
        {
            stage.addressing: frozenset(upper.addressing for upper in needs[stage])
            for stage in in_file
        },
        len(order),
        locks,
    )


@contextlib.contextmanager
def _one_sentence() -> Iterator[None]:
    """Turns what DVC says of bad input into one sentence that names the place in dvc.yaml."""
    from dvc.exceptions import DvcException
    from voluptuous import Invalid

    from fashion_mnist.errors import InputError, first_sentence

    try:
        yield
    except DvcException as error:
        cause = error.__cause__
        said = first_sentence(error)
        if mark := getattr(cause, "problem_mark", None):
            said += f" (line {mark.line + 1})"
        elif isinstance(cause, Invalid):
            said += f" ({cause})"
        raise InputError(said) from None


def _forget_dead_claims(path: Path) -> None:
    """Remove DVC's list of the files in use if no DVC is left that uses them.

    A killed DVC leaves its claims behind, perhaps cut off in the middle. DVC itself then
    stumbles over half a file, and over a process id that now belongs to something else.
    """
    try:
        claims = json.loads(path.read_text(encoding="utf-8"))
        readers = [claim for claims in claims["read"].values() for claim in claims]
        owners = {claim["pid"] for claim in [*claims["write"].values(), *readers]}
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError, AttributeError):
        owners = set()
    if not any(_is_dvc(owner) for owner in owners):
        path.unlink()


def _set_aside_damaged_locks(repo: "Repo") -> None:
    """Begin a dvc.lock anew if it is cut off, as a DVC leaves it that is killed while it writes.

    The stages that it told of are in DVC's run cache, and need not run again.
    """
    from dvc.dvcfile import LOCK_FILE, Lockfile
    from dvc.exceptions import DvcException

    from fashion_mnist.running import console

    root = Path(repo.root_dir)
    for path in (root / LOCK_FILE, *root.glob(f"*/{LOCK_FILE}")):
        if not path.exists():
            continue
        try:
            Lockfile(repo, str(path)).load()
            whole = path.read_bytes().endswith(b"\n")
        except DvcException:
            whole = False
        if not whole:
            name = path.relative_to(root)
            aside = path.replace(Path(repo.tmp_dir, "-".join(name.parts)))
            console.say(f"{name} is damaged: it is now {aside}, and begun anew")


def _is_dvc(process_id: int) -> bool:
    try:
        # A process that nobody has reaped still has its id, but no command line.
        return any("dvc" in word for word in psutil.Process(process_id).cmdline())
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False


@contextlib.contextmanager
def lock_order(repo: "Repo", plan: Plan) -> Iterator[None]:
    """Leave each dvc.lock in the order in which `dvc repro` would have written it.

    DVC puts a stage that is new to dvc.lock behind the others when it is done: with
    several at once that is a matter of luck. The order is noted before the first stage
    runs and forgotten when the last one has run, so that a run that was killed, stopped or
    failed and the one that goes on from there leave what a single one would have left.
    """
    from fashion_mnist.storage import files

    note = Path(repo.tmp_dir, "lock-order.json")
    orders = _noted_orders(note)
    for path, serial in plan.locks.items():
        before = orders.get(str(path)) or _stages_in(path)
        orders[str(path)] = list(dict.fromkeys([*before, *serial]))
    if not orders:
        yield
        return
    files.write(note, json.dumps(orders).encode())
    try:
        yield
    finally:
        _put_in_order(repo, orders)
        for path, serial in plan.locks.items():
            if set(_stages_in(path)) >= set(serial):
                del orders[str(path)]
        if orders:  # what an earlier run has left undone in another pipeline, or this one here
            files.write(note, json.dumps(orders).encode())
        else:
            note.unlink()


def _noted_orders(note: Path) -> dict[str, list[str]]:
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def _stages_in(lock: Path) -> list[str]:
    from dvc.utils.serialize import load_yaml

    return list(load_yaml(lock).get("stages") or {}) if lock.exists() else []


def _put_in_order(repo: "Repo", orders: dict[str, list[str]]) -> None:
    from dvc.repo import lock_repo
    from dvc.utils.serialize import modify_yaml

    with lock_repo(repo):
        for path, order in orders.items():
            now = _stages_in(Path(path))
            wanted = [name for name in order if name in now]
            wanted += [name for name in now if name not in wanted]
            if wanted != now:
                with modify_yaml(path) as content:
                    for name in wanted:
                        content["stages"].move_to_end(name)


def leash(lock: str, stage: str) -> int:
    """Reproduce `stage` until it is done or standard input ends; return its exit code.

    `lock` is held meanwhile, so that a stage whose worker died is not started again
    before it has ended.
    """
    over = threading.Event()
    let_go = threading.Event()

    def watch_input() -> None:
        while os.read(0, 1024):  # not sys.stdin, whose lock would be held at exit
            pass
        let_go.set()
        over.set()

    threading.Thread(target=watch_input, daemon=True).start()
    while True:
        try:
            held = LockFile(lock)
            break
        except LockError:
            if let_go.wait(0.1):
                return 1
    # A shell's background job ignores interrupts, and would hand that on to the stage.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    own_group: dict[str, Any] = (
        {"creationflags": 0x200}  # CREATE_NEW_PROCESS_GROUP
        if os.name == "nt"
        else {"process_group": 0}
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage],
        stdin=subprocess.DEVNULL,
        **own_group,
    )

    def watch_process() -> None:
        process.wait()
        over.set()

    threading.Thread(target=watch_process, daemon=True).start()
    with contextlib.closing(held):
        try:
            over.wait()
        finally:
            end(process)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def end(process: subprocess.Popen) -> None:
    """End a process that leads a group, and all of its group; it has `GRACE` seconds.

    An interrupt comes first, on which DVC ends its stage and gives back what it claims.
    """
    if os.name == "nt":
        if process.poll() is None:
            command = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
            subprocess.run(command, check=False, capture_output=True)
    else:
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                process.wait(GRACE)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    sys.exit(leash(*sys.argv[1:]))
