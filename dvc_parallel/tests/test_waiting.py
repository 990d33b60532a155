"""DVC's locks: waited for, but not in silence, and not for the dead."""

import subprocess
import sys
from pathlib import Path

import pytest
from dvc.lock import LockError, make_lock
from dvc.repo import Repo

from dvc_parallel import waiting, workspace
from dvc_parallel.tests.conftest import PATIENCE, Pipeline, until

# Takes DVC's lock, as DVC does, and keeps it until it is killed. Named as a DVC would be.
HOLD = """
import sys, time
from dvc.lock import make_lock
lock = make_lock(sys.argv[1], tmp_dir=sys.argv[2], hardlink_lock=sys.argv[3] == "hard")
lock.lock()
print("locked", flush=True)
time.sleep(600)
"""


def use_hard_locks(pipeline: Pipeline) -> None:
    with (pipeline.folder / ".dvc/config").open("a") as config:
        config.write("[core]\nhardlink_lock = true\n")
    for name in ("lock", "rwlock.lock"):  # which DVC's other kind of lock leaves behind
        (pipeline.folder / ".dvc/tmp" / name).unlink(missing_ok=True)


def hold(pipeline: Pipeline, kind: str) -> subprocess.Popen:
    tmp = pipeline.folder / ".dvc/tmp"
    tmp.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp / "lock"), str(tmp), kind],
        cwd=pipeline.folder,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"locked\n"
    return process


def wait_as(program: str, *arguments: str, folder: Path | None = None) -> subprocess.Popen:
    """A process with such a command line, which ends with its standard input."""
    shell = [program, "-c", "read line", *arguments]
    return subprocess.Popen(shell, executable="/bin/sh", cwd=folder, stdin=subprocess.PIPE)


USES_DVC = {
    "dvc repro": True,
    "/usr/bin/dvc repro": True,
    "/usr/bin/python3.12 /usr/bin/dvc repro": True,
    "python -X dev -W ignore -m dvc repro": True,
    "Python -m dvc_parallel.tests.benchmark": True,
    "pypy3 -u /lib/python3/site-packages/dvc daemon": True,
    "python -c import_dvc.api": True,
    "vim dvc.yaml": False,
    "git add dvc.lock .dvc": False,
    "python train.py --data data.dvc": False,
    "sh -c dvc_repro": False,
    "python": False,
    "": False,
}


def test_tells_dvc_from_what_handles_its_files() -> None:
    assert {words: waiting.runs_dvc(words.split()) for words in USES_DVC} == USES_DVC


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_a_run_tells_what_it_waits_for(done: Pipeline, kind: str) -> None:
    if kind == "hard":
        use_hard_locks(done)
    with hold(done, kind) as holder, done.running() as process:
        line = process.stdout.readline()
        assert line.startswith(f"waiting for DVC's lock {done.folder}/.dvc/tmp/lock, which ")
        if kind == "soft":
            assert line.endswith(f"process {holder.pid} holds\n")
        holder.kill()
        if kind == "soft":
            assert "nothing to do" in process.communicate(timeout=PATIENCE)[0]


def test_a_hard_lock_whose_owner_is_dead_is_not_waited_for(done: Pipeline) -> None:
    use_hard_locks(done)
    with hold(done, "hard") as holder:
        holder.kill()
    with wait_as("vim", "dvc.yaml", folder=done.folder) as editor:
        ended = done.run()
        editor.stdin.close()
    assert ended.returncode == 1
    path = done.folder / ".dvc/tmp/lock"
    assert ended.stderr == (
        "error: DVC's lock was left behind by a process that has ended: "
        f"remove {path}, unless DVC runs here on another machine\n"
    )
    path.unlink()
    assert "nothing to do" in done.run().stdout


def test_hard_locks_work(fresh: Pipeline, serial: bytes) -> None:
    use_hard_locks(fresh)
    held = fresh.order("train-1", "hold")
    with fresh.running("--jobs", "1") as process:
        until(lambda: "train-1" in fresh.started(), "the stage")
        fresh.kill_worker(process)
        held.unlink()
        output = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, output
    assert fresh.lock() == serial


def test_counts_the_time_away(tmp_path: Path) -> None:
    inner = make_lock(str(tmp_path / "lock"))
    lock = waiting.PatientLock(inner, tmp_path, print)
    with lock:
        assert lock.is_locked
        with pytest.raises(LockError):
            make_lock(str(tmp_path / "lock"))._do_lock()
        lock.unlock()
        assert not lock.is_locked
        lock.lock()
        assert 0 < lock.away < 1
    with lock:
        assert lock.away == 0


STAYS = {
    '{"write": {"/a": {"pid": 1': False,
    "": False,
    '{"write": {"/a": {"pid": 999999999, "cmd": "dvc repro"}}, "read": {}}': False,
    '{"write": {}, "read": {"/a": [{"pid": OWN, "cmd": "dvc repro"}]}}': False,
    '{"write": {}, "read": {"/a": [{"pid": DVC, "cmd": "dvc repro"}]}}': True,
}


def test_forgets_the_claims_of_the_dead(done: Pipeline) -> None:
    path = done.folder / ".dvc/tmp/rwlock"
    with (
        wait_as("dvc", "repro") as live,
        wait_as("vim", "dvc.yaml") as foreign,
        Repo(str(done.folder)) as repo,
    ):
        for content, stays in STAYS.items():
            claims = content.replace("OWN", str(foreign.pid)).replace("DVC", str(live.pid))
            path.write_text(claims)
            workspace.forget_dead_claims(repo)
            assert path.exists() == stays, content
        assert path.read_text() == claims
        live.stdin.close()
        foreign.stdin.close()
