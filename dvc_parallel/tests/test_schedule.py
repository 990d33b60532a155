"""Which stage starts when."""

from dvc_parallel.schedule import (
    Task,
    by_urgency,
    length,
    should_be_patient,
    simulate,
    startable,
    tasks_of,
    width,
)


def task(*needs: str, threads: int = 1, seconds: float = 1.0) -> Task:
    return Task(frozenset(needs), threads, seconds)


def test_the_longest_way_to_the_end_comes_first() -> None:
    tasks = {"a": task(), "b": task(), "c": task("b"), "d": task("c"), "e": task(), "f": task("e")}
    assert by_urgency(tasks) == ["b", "c", "e", "a", "d", "f"]
    assert by_urgency(tasks | {"a": task(seconds=9)})[0] == "a"


def test_a_long_chain_is_no_trouble() -> None:
    chain = {"0": task()} | {str(k): task(str(k - 1)) for k in range(1, 3000)}
    assert by_urgency(chain) == list(chain)


def test_an_unknown_duration_is_taken_for_an_average_one() -> None:
    needs = {name: frozenset[str]() for name in "abc"}
    tasks = tasks_of(needs, dict.fromkeys(needs, 1), {"a": 2.0, "b": 4.0, "else": 99.0})
    assert [tasks[name].seconds for name in "abc"] == [2, 4, 3]


def test_threads_count_and_what_is_too_wide_runs_alone() -> None:
    tasks = {"wide": task(threads=9), "two": task(threads=2), "one": task(), "last": task("one")}

    def now(*running: str, patient: bool = False) -> list[str]:
        waiting = [name for name in tasks if name not in running]
        return list(startable(waiting, tasks, set(), running, 3, patient))

    assert now() == ["wide"]
    assert now("wide") == []
    assert now("one") == ["two"]
    assert now("one", patient=True) == []


def test_cores_stay_free_for_an_urgent_wide_stage_if_that_is_faster() -> None:
    narrow = {f"n{k}": task(seconds=4 + k) for k in range(4)}
    urgent = {"first": task(), "wide": task("first", threads=2, seconds=50)}
    assert should_be_patient(narrow | urgent | {"after": task("wide", seconds=20)}, 2)
    assert not should_be_patient(narrow, 2)


def test_a_simulation_counts_what_has_run_already() -> None:
    tasks = {"a": task(seconds=10), "b": task("a", seconds=5), "c": task(seconds=1)}
    assert length(simulate(tasks, 2, False)) == 15
    assert length(simulate(tasks, 2, False, {"a": 8.0})) == 7
    assert simulate(tasks, 1, False)["c"].start == 15


def test_width_is_the_most_that_runs_at_once() -> None:
    diamond = {"a": task(), "b": task("a"), "c": task("a"), "d": task("b", "c")}
    assert width(simulate(diamond, 8, False)) == 2
    assert width(simulate({"a": task(), "b": task("a")}, 8, False)) == 1
