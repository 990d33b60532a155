"""Damaged dvc.lock files, and those in the middle of a merge."""

from pathlib import Path

import pytest

from dvc_parallel.tests.conftest import Pipeline, call, git

OTHER = "stages: {copy: {cmd: echo copy > copy.txt, outs: [copy.txt]}}\n"


@pytest.fixture
def with_other(done: Pipeline) -> Pipeline:
    """Beside the pipeline lies another one, whose dvc.lock cannot be read."""
    (done.folder / "other").mkdir()
    (done.folder / "other/dvc.yaml").write_text(OTHER)
    (done.folder / "other/dvc.lock").write_text("schema: '2.0'\nstages: {")
    return done


def test_a_dvc_lock_that_was_cut_off_is_made_again(done: Pipeline, serial: bytes) -> None:
    (done.folder / "dvc.lock").write_bytes(serial[:200])
    ended = done.run()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "dvc.lock is damaged: moved it to " in ended.stdout
    assert (done.folder / ".dvc/tmp/parallel/dvc.lock").read_bytes() == serial[:200]
    assert done.lock() == serial
    assert done.started() == []


def test_a_damaged_lock_of_another_pipeline_is_left_alone(with_other: Pipeline) -> None:
    damaged = (with_other.folder / "other/dvc.lock").read_bytes()
    assert with_other.run().stdout == "nothing to do: 5 of 5 stages are up to date\n"
    with_other.edit("params.yaml", "select: 1", "select: 2")
    ended = with_other.run()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (with_other.folder / "other/dvc.lock").read_bytes() == damaged


def test_a_plan_sets_nothing_aside(with_other: Pipeline) -> None:
    assert with_other.planned("other/dvc.yaml") == {"other/dvc.yaml:copy"}
    assert (with_other.folder / "other/dvc.lock").exists()


def conflict(folder: Path) -> None:
    """Merge two branches that have run different commands."""
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "base")
    git(folder, "branch", "theirs")
    for branch, parameter in (("main", 2), ("theirs", 3)):
        git(folder, "checkout", "-q", branch)
        params = folder / "params.yaml"
        params.write_text(f"fetch: 1\nselect: {parameter}\nthreads: 1\n")
        assert call(folder, "dvc", "repro", "-q").returncode == 0
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", branch)
    git(folder, "checkout", "-q", "main")
    assert call(folder, "git", "merge", "theirs").returncode == 1
    git(folder, "checkout", "--ours", "params.yaml")


def test_a_merge_conflict_is_refused_and_the_way_out_leads_out(done: Pipeline) -> None:
    conflict(done.folder)
    between = done.lock()
    assert b"<<<<<<<" in between
    ended = done.run()
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "error: dvc.lock holds a merge conflict: choose a side with "
        "`git checkout --ours dvc.lock` or `git checkout --theirs dvc.lock`, then run it again\n"
    )
    assert done.lock() == between
    git(done.folder, "checkout", "--theirs", "dvc.lock")
    ended = done.run()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 of 1 stages done" in ended.stdout
    assert done.run().stdout.startswith("nothing to do")


def test_a_merge_conflict_of_another_pipeline_does_not_matter(with_other: Pipeline) -> None:
    text = "<<<<<<< HEAD\nstages: {}\n=======\n>>>>>>> theirs\n"
    (with_other.folder / "other/dvc.lock").write_text(text)
    assert with_other.run("--force", "fetch").returncode == 0
    assert (with_other.folder / "other/dvc.lock").read_text() == text
    ended = with_other.run("other/dvc.yaml")
    assert ended.returncode == 1
    assert "other/dvc.lock holds a merge conflict" in ended.stderr
    assert (with_other.folder / "other/dvc.lock").read_text() == text
