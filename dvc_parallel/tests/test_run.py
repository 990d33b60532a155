"""What a run does and guarantees, on this machine."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from dvc_parallel.tests.conftest import ENVIRONMENT, PATIENCE, Pipeline, alive, call, until


def in_order(log: list[tuple[str, str, int]]) -> bool:
    """Whether each step started after the end of those that it needs."""
    events = [f"{name} {what}" for name, what, _ in log]
    return all(
        events.index("fetch end") < events.index(f"train-{k} start")
        and events.index(f"train-{k} end") < events.index("select start")
        for k in (1, 2, 3)
    )


def test_runs_what_is_ready_at_once_but_never_more_than_jobs(
    fresh: Pipeline, serial: bytes
) -> None:
    held = {k: fresh.order(f"train-{k}", "hold") for k in (1, 2, 3)}
    with fresh.running("--jobs", "2") as process:
        until(lambda: len(fresh.started()) == 3, "two at once")
        time.sleep(1)
        first, second = (int(name[-1]) for name in fresh.started()[1:])
        held.pop(second).unlink()
        until(lambda: len(fresh.started()) == 4, "the third")
        assert {name for name, what, _ in fresh.log() if what == "end"} == {
            "fetch",
            f"train-{second}",
        }
        for path in held.values():
            path.unlink()
        output = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, output
    assert "5 of 5 stages done" in output
    assert f"train@{first} | > python step.py train-{first}" in output
    assert in_order(fresh.log())
    assert fresh.lock() == serial


@pytest.mark.parametrize("threads", [2, 4])
def test_a_stages_threads_count_against_jobs(fresh: Pipeline, threads: int) -> None:
    fresh.edit("params.yaml", "threads: 1", f"threads: {threads}")
    ended = fresh.run("--jobs", "2")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    whats = [what for _, what, _ in fresh.log()]
    assert whats == ["start", "end"] * 5


def test_nothing_to_do_is_found_out_fast(done: Pipeline) -> None:
    ended = call(done.folder, sys.executable, "-X", "importtime", "-m", "dvc_parallel")
    assert ended.returncode == 0
    assert ended.stdout == "nothing to do: 5 of 5 stages are up to date\n"
    assert "dvc.repo" in ended.stderr
    for slow in ("networkx", "distributed", "rich", "hydra"):
        assert f" {slow}\n" not in ended.stderr
    assert done.started() == []


def test_plans_what_dvc_repro_would_run(done: Pipeline) -> None:
    trains = {"train@1", "train@2", "train@3"}
    assert done.planned("--force") == {"fetch", *trains, "select"}
    done.edit("params.yaml", "select: 1", "select: 2")
    assert done.planned() == {"select"}
    assert done.planned("fetch") == set()
    assert done.planned("--downstream", "--force", "train@1") == {"train@1", "select"}
    done.edit("params.yaml", "fetch: 1", "fetch: 2")
    assert done.planned("train@1") == {"fetch", "train@1"}
    assert done.planned("--single-item", "select") == {"select"}
    assert done.started() == []


def test_missing_data_alone_is_no_reason_with_allow_missing(done: Pipeline) -> None:
    for name in ("data.txt", "model-1.txt"):
        (done.folder / name).unlink()
    assert done.planned("--allow-missing") == set()
    assert done.run("--allow-missing", "--force", "fetch").returncode == 0
    assert done.started() == ["fetch"]


@pytest.mark.slow
def test_pull_downloads_what_is_missing(done: Pipeline) -> None:
    remote = done.folder.parent / "remote"
    for arguments in (["remote", "add", "-d", "there", str(remote)], ["push", "-q"]):
        assert call(done.folder, "dvc", *arguments).returncode == 0
    call(done.folder, "rm", "-r", ".dvc/cache", "data.txt", "model-1.txt", "best.txt")
    ended = done.run("--pull")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (done.folder / "best.txt").exists()
    assert done.started() == []


def test_the_plan_tells_how_long_it_will_take(done: Pipeline) -> None:
    unknown = done.run("--dry", "--force").stdout
    assert "?        ?        1  fetch\n" in unknown
    assert (
        "5 stages on 2 cores: how long they take is known after"
        in done.run("--dry", "--force", "--jobs", "2").stdout
    )
    assert done.run("--force", "fetch").returncode == 0
    known = done.run("--dry", "--force", "--jobs", "1").stdout
    assert "    0:00     0:00        1  fetch\n" in known
    assert "5 stages on 1 core: about 0:0" in known


def test_runs_no_command_whose_result_is_known(done: Pipeline) -> None:
    done.edit("params.yaml", "fetch: 1", "fetch: 2")  # its output stays as it is
    (done.folder / "model-2.txt").unlink()
    ended = done.run("train@1", "train@2")
    assert ended.returncode == 0
    assert "to run: 3 of 3 stages" in ended.stdout
    assert "train@1 | Stage 'train@1' didn't change, skipping" in ended.stdout
    assert "train@2 | Stage 'train@2' is cached - skipping run" in ended.stdout
    assert (done.folder / "model-2.txt").exists()
    assert done.started() == ["fetch"]


def test_a_failure_stops_only_what_needs_it(done: Pipeline) -> None:
    done.edit("dvc.yaml", "python step.py train", "python  step.py train")
    done.order("train-2", "fail")
    ended = done.run()
    assert ended.returncode == 1
    assert ended.stderr == ""
    _, report = ended.stdout.split("\nfailed: ")
    assert report.startswith("train@2; its last lines:\n")
    assert "what went wrong\nERROR: failed to run: python  step.py train-2" in report
    assert "not run, because they depend on it: select\n2 of 4 stages done" in report
    assert "memory" not in report
    assert {name for name, what, _ in done.log() if what == "end"} == {"train-1", "train-3"}
    assert done.planned() == {"train@2", "select"}


@pytest.mark.parametrize(
    ("how", "shell"),
    [
        ("SIGKILL", ""),
        ("SIGSEGV", " || exit $?"),  # then the shell cannot become the step, and reports it
    ],
)
def test_a_stage_that_the_system_kills_was_probably_short_of_memory(
    done: Pipeline, how: str, shell: str
) -> None:
    done.edit("dvc.yaml", "model-2.txt model-3.txt\n", f"model-2.txt model-3.txt{shell}\n")
    done.order("select", how)
    done.edit("params.yaml", "select: 1", "select: 2")
    ended = done.run()
    assert ended.returncode == 1
    assert "\nthe operating system killed it, probably because memory ran out: " in ended.stdout


@pytest.mark.parametrize(
    ("number", "code", "order"),
    [
        (signal.SIGINT, 130, "hold"),
        (signal.SIGTERM, 143, "stubborn"),
        (signal.SIGKILL, -9, "hold"),
    ],
)
def test_an_interrupted_run_leaves_no_child_and_can_go_on(
    done: Pipeline, number: int, code: int, order: str
) -> None:
    done.edit("params.yaml", "select: 1", "select: 2")
    held = done.order("select", order)
    with done.running() as process:
        until(lambda: done.started() == ["select"], "the stage")
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2  # the worker and the step, perhaps with a shell
        sent = time.monotonic()
        process.send_signal(number)
        output = process.communicate(timeout=PATIENCE)[0]
        assert time.monotonic() - sent < 10
    assert process.returncode == code, output
    if number != signal.SIGKILL:
        assert "stopped: the next run goes on from here" in output
        assert not any(map(alive, children))
    held.unlink()
    ended = done.run()  # waits for what a killed run has left behind
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert not any(map(alive, children))
    assert [(name, what) for name, what, _ in done.log()] == [
        ("select", what) for what in ("start", "start", "end")
    ]


def test_a_dead_workers_stage_runs_in_another_one(fresh: Pipeline, serial: bytes) -> None:
    held = fresh.order("train-1", "hold")
    with fresh.running("--jobs", "1") as process:
        until(lambda: "train-1" in fresh.started(), "the stage")
        first = fresh.step("train-1")
        fresh.kill_worker(process)
        until(lambda: fresh.started().count("train-1") == 2, "a second start")
        assert not alive(first)
        held.unlink()
        output = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, output
    assert "train@1 | starts again: its worker died" in output
    assert fresh.lock() == serial


def test_what_a_stage_leaves_behind_may_print_after_its_end(fresh: Pipeline, serial: bytes) -> None:
    fresh.order("train-1", "leave")
    held = fresh.order("train-2", "hold")
    with fresh.running("--jobs", "3") as process:
        until((fresh.folder / "said").exists, "the output")
        held.unlink()
        output = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, output
    assert fresh.lock() == serial


def test_stages_pause_and_go_on_with_the_run(fresh: Pipeline, serial: bytes) -> None:
    held = fresh.order("train-1", "hold")
    with fresh.running("--jobs", "1") as process:
        until(lambda: "train-1" in fresh.started(), "the stage")
        step, run = fresh.step("train-1"), psutil.Process(process.pid)
        for _ in range(2):
            process.send_signal(signal.SIGTSTP)
            until(lambda: {psutil.STATUS_STOPPED} == {step.status(), run.status()}, "the pause")
            process.send_signal(signal.SIGCONT)
            until(lambda: psutil.STATUS_STOPPED not in (step.status(), run.status()), "its end")
        held.unlink()
        output = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, output
    assert fresh.lock() == serial


def test_a_paused_run_that_is_killed_leaves_no_child(fresh: Pipeline) -> None:
    fresh.order("fetch", "hold")
    with fresh.running("fetch") as process:
        until(lambda: "fetch" in fresh.started(), "the stage")
        step, run = fresh.step("fetch"), psutil.Process(process.pid)
        children = run.children(recursive=True)
        process.send_signal(signal.SIGTSTP)
        until(lambda: {psutil.STATUS_STOPPED} == {step.status(), run.status()}, "the pause")
        process.kill()
        until(lambda: not any(map(alive, [step, *children])), "the end of the stage")


ANSWER = """
stages:
  one:
    cmd: python -c 'open("one", "w").write(input())'
    outs: [one]
  two:
    cmd: python -c 'open("two", "w").write("two")'
    outs: [two]
"""


def test_standard_input_is_read_by_one_stage_at_a_time(fresh: Pipeline) -> None:
    (fresh.folder / "dvc.yaml").write_text(ANSWER)
    command = [sys.executable, "-m", "dvc_parallel"]
    ended = call(fresh.folder, *command, "--jobs", "2", standard_input="yes")
    assert ended.returncode == 1
    assert "they run one after the other: use --jobs 1\n" in ended.stdout
    ended = call(fresh.folder, *command, "--jobs", "2", "one", standard_input="yes")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (fresh.folder / "one").read_text() == "yes"
    ended = call(fresh.folder, *command, "--force", "--jobs", "1", standard_input="no")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (fresh.folder / "one").read_text() == "no"


def test_stages_find_the_programs_that_the_shell_finds(fresh: Pipeline) -> None:
    tools = fresh.folder.parent / "tools"
    tools.mkdir()
    (tools / "python").write_text("#!/bin/sh\necho the shell\nexec touch data.txt\n")
    (tools / "python").chmod(0o755)
    environment = ENVIRONMENT | {"PATH": f"{tools}:{ENVIRONMENT['PATH']}"}
    command = [sys.executable, "-m", "dvc_parallel", "fetch"]
    ended = call(fresh.folder, *command, environment=environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "fetch | the shell\n" in ended.stdout


def test_a_long_line_is_printed_whole_in_linear_time(fresh: Pipeline) -> None:
    count = 20_000_000
    text = f"stages: {{long: {{cmd: head -c {count} /dev/zero | tr '\\0' x; echo; echo end}}}}\n"
    (fresh.folder / "dvc.yaml").write_text(text)
    before = time.process_time() + sum(os.times()[2:4])
    ended = fresh.run()
    assert ended.returncode == 0, ended.stderr
    assert f"long | {'x' * count}\nlong | end\n" in ended.stdout
    # Time of the processor: 3 s, of which 2.5 s are Python's start; 13 s if it were quadratic.
    assert time.process_time() + sum(os.times()[2:4]) - before < 8


def test_a_second_run_is_refused_and_disturbs_nothing(fresh: Pipeline, serial: bytes) -> None:
    held = fresh.order("train-1", "hold")
    with fresh.running("--jobs", "1") as process:
        until(lambda: "train-1" in fresh.started(), "the stage")
        beside = fresh.run()
        dvc_beside = call(fresh.folder, sys.executable, "-m", "dvc", "repro")
        held.unlink()
        output = process.communicate(timeout=PATIENCE)[0]
    assert beside.returncode == 1
    assert beside.stderr == (
        f"error: another run is under way in this workspace (process {process.pid}): "
        "wait for it or stop it\n"
    )
    assert dvc_beside.returncode != 0
    assert "is busy, it is being blocked by" in dvc_beside.stderr
    assert process.returncode == 0, output
    assert fresh.lock() == serial
    assert sorted(fresh.started()) == ["fetch", "select", "train-1", "train-2", "train-3"]


def test_a_run_beside_dvc_is_refused_and_disturbs_nothing(fresh: Pipeline, serial: bytes) -> None:
    held = fresh.order("train-1", "hold")
    with subprocess.Popen(["dvc", "repro", "-q"], cwd=fresh.folder) as process:
        until(lambda: "train-1" in fresh.started(), "the stage")
        beside = fresh.run("train@1")
        held.unlink()
        assert process.wait(PATIENCE) == 0
    assert beside.returncode == 1
    assert "is busy, it is being blocked by" in beside.stderr
    assert len(beside.stderr.splitlines()) == 1
    assert fresh.lock() == serial


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, "failed"])
def test_a_run_that_goes_on_from_another_leaves_the_bytes_of_a_single_one(
    fresh: Pipeline, serial: bytes, how: signal.Signals | str
) -> None:
    control = fresh.order("train-1", "fail" if how == "failed" else "hold")
    with fresh.running("--jobs", "2") as process:
        until(lambda: (fresh.folder / "dvc.lock").exists(), "the first stage")
        until(lambda: b"train@2:" in fresh.lock() and b"train@3:" in fresh.lock(), "the others")
        if how != "failed":
            process.send_signal(how)
        process.communicate(timeout=PATIENCE)
        assert process.returncode != 0
    assert b"train@1:" not in fresh.lock()
    control.unlink()
    ended = fresh.run()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert fresh.lock() == serial


def test_output_that_nobody_reads_ends_the_run_in_silence(fresh: Pipeline) -> None:
    command = f"{sys.executable} -m dvc_parallel 2>errors | head -n 1; echo ${{PIPESTATUS[0]}}"
    ended = call(fresh.folder, "bash", "-c", command)
    first, code = ended.stdout.splitlines()
    assert first.startswith("to run: 5 of 5 stages on ")
    assert code == str(128 + signal.SIGPIPE)
    assert (fresh.folder / "errors").read_text() == ""


BAD_ARGUMENTS = [
    (["trian"], "Stage 'trian' not found inside 'dvc.yaml' file"),
    (["--jobs", "0"], "--jobs must be a whole number, 1 or more, not 0"),
    (["--nonsense"], "unrecognized arguments: --nonsense (see dvc-parallel --help)"),
    (["--dry", "-n", "x"], "--dry shows no experiments: leave it out"),
]
BAD_DVC_YAML = [
    ("stages:", "stages: [", "'dvc.yaml', YAML file structure is corrupted (line "),
    ("[1, 2, 3]", "${absent}", "Could not find 'absent'"),
    ("[step.py, data.txt]", "[step.py, best.txt]", "both a dependency and an output"),
    ("cmd:", "command:", "dvc.yaml' validation failed"),
    ('threads: "${threads}"', "threads: two", "meta.threads must be a whole number, 1 or more"),
]


def test_bad_input_is_one_sentence(done: Pipeline) -> None:
    for arguments, said in BAD_ARGUMENTS:
        ended = done.run(*arguments)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr.startswith(f"error: {said}")
        assert len(ended.stderr.splitlines()) == 1
    for old, new, said in BAD_DVC_YAML:
        done.edit("dvc.yaml", old, new)
        ended = done.run("--force")
        assert (ended.returncode, ended.stdout) == (1, "")
        assert said in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
        done.edit("dvc.yaml", new, old)


def test_outside_of_a_repository(tmp_path: os.PathLike[str]) -> None:
    ended = Pipeline(tmp_path).run()
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: you are not inside of a DVC repository")
