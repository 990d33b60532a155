"""What a search proposes, and what it makes of the results."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from dvc_parallel.errors import InputError
from dvc_parallel.findings import findings
from dvc_parallel.objective import Objective, read_objective
from dvc_parallel.search import STOPPED, Search, Terms
from dvc_parallel.source import Ended, Experiment
from dvc_parallel.space import read_space, read_values
from dvc_parallel.study import Study

LOSS = Objective("metrics.json", "loss", maximize=False)
Result = Callable[[dict[str, str]], Any]


def valley(x: dict[str, str]) -> float:
    """Lowest for a learning rate of 0.01 and a large model."""
    return (math.log10(float(x["lr"])) + 2) ** 2 + (x["model"] == "small")


class World:
    """Runs the experiments of a search, `jobs` at once; the oldest ends first."""

    def __init__(self, folder: Path, result: Result, jobs: int = 1, **terms: Any) -> None:
        space = read_space(["lr=tag(log, interval(1e-4, 1))", "model=choice(small, large)"])
        self.terms = Terms(**{"name": "tune", "space": space, "objective": LOSS} | terms)
        self.path = folder / "tune.journal"
        self.result = result
        self.jobs = jobs
        self.said: list[str] = []
        self.done: list[tuple[str, dict[str, str]]] = []
        self.running: list[Experiment] = []
        self.open()

    def open(self) -> None:
        """Begin, or go on after the end of the program."""
        self.study = Study(self.path, self.terms.objective.maximize)
        saved = {name for name, _ in self.done}
        self.search = Search(self.terms, self.study, 1, saved.__contains__, self.said.append)
        self.running = []

    def step(self) -> bool:
        """Start what can be started and end one; False if the search is over."""
        while len(self.running) < self.jobs and (found := self.search.next()):
            self.running.append(found)
        if not self.running:
            return False
        experiment = self.running.pop(0)
        values = dict(change.split("=") for change in experiment.overrides["params.yaml"])
        self.done.append((experiment.name, values))
        result = self.result(values)
        text = json.dumps({"loss": result}).encode()
        error = result if isinstance(result, str) else ""
        self.search.finished(experiment, Ended(None if error else "a", error, lambda _: text))
        return True

    def play(self) -> "World":
        """Go on to the end."""
        while self.step():
            pass
        return self

    @property
    def found(self) -> str:
        return findings(self.terms, self.study)

    def names(self) -> list[str]:
        return [name for name, _ in self.done]


def test_a_search_learns_where_the_best_is(tmp_path: Path) -> None:
    world = World(tmp_path, valley, jobs=2, trials=40).play()
    assert len(world.done) == len({str(values) for _, values in world.done}) == 40
    early, late = world.done[:10], world.done[-10:]
    assert sum(valley(x) for _, x in late) < sum(valley(x) for _, x in early) / 3
    best = min(world.done, key=lambda done: valley(done[1]))
    assert world.found.splitlines()[2].startswith(f"{best[0]} ")
    assert "the same in all of them: model=large" in world.found


def test_with_one_job_a_seed_repeats_the_search_even_if_it_is_killed(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = World(tmp_path / "whole", valley, trials=15).play()
    killed = World(tmp_path, valley, trials=15)
    for _ in range(12):
        killed.step()
    killed.running.append(killed.search.next())
    with killed.path.open("ab") as journal:
        journal.write(b'{"op_code": 5, "trial')
    killed.open()
    killed.play()
    assert killed.done == whole.done


def test_each_choice_is_tried_once(tmp_path: Path) -> None:
    space = read_space(["a=1,2", "b=int(interval(1, 2))", "c=range(0, 1, 0.5)"])
    world = World(tmp_path, lambda x: float(x["a"]), jobs=3, space=space).play()
    assert len({str(values) for _, values in world.done}) == len(world.done) == 12
    assert "every choice of values has been tried" in world.said


def test_the_best_third_go_on_with_the_next_rung(tmp_path: Path) -> None:
    rungs = read_values("--rungs", "epochs=2,4,8")

    def trained(x: dict[str, str]) -> float:
        return valley(x) + 10 / int(x["epochs"])

    world = World(tmp_path, trained, jobs=2, trials=27, rungs=rungs).play()
    on = {n: [values for _, values in world.done if values["epochs"] == n] for n in "248"}
    assert len(on["2"]) == 27
    assert 9 <= len(on["4"]) < 27
    assert 3 <= len(on["8"]) < len(on["4"])
    climbed = [{**values, "epochs": "2"} for values in on["4"]]
    third = sorted(on["2"], key=trained)[:9]
    assert all(values in climbed for values in third)
    assert all(f"tune-{n}" in world.names() for n in range(1, 28))
    top = min(on["8"], key=trained)
    assert f"{trained(top):.6g}       8" in world.found.splitlines()[2]


def test_a_small_search_reaches_the_highest_rung(tmp_path: Path) -> None:
    rungs = read_values("--rungs", "epochs=2,4,8")
    world = World(tmp_path, valley, trials=2, rungs=rungs).play()
    best = min((1, 2), key=lambda n: valley(world.done[n - 1][1]))
    assert world.names() == ["tune-1", "tune-2", f"tune-{best}-epochs-4", f"tune-{best}-epochs-8"]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ("stage train: exit code 1", "stage train: exit code 1"),
        (math.nan, "metrics.json:loss is nan"),
        (-math.inf, "metrics.json:loss is -inf"),
        ([1, 2], "there is no number loss; those in it are: loss.0, loss.1"),
    ],
)
def test_a_failed_trial_is_named_and_three_at_the_start_end_the_search(
    tmp_path: Path, result: Any, reason: str
) -> None:
    world = World(tmp_path, lambda _: result, trials=10)
    with pytest.raises(InputError) as told:
        world.play()
    assert str(told.value) == f"the first 3 trials failed, tune-3 because of this: {reason}"
    assert world.said == [f"tune-{n} failed: {reason}" for n in (1, 2, 3)]
    # After the cause is removed, the same command goes on.
    world.result = valley
    world.open()
    world.play()
    assert world.names() == [f"tune-{n}" for n in range(1, 11)]
    assert f"failed: tune-1, tune-2, tune-3: {reason}" in world.found


def test_minutes_end_a_search_over_all_its_calls(tmp_path: Path) -> None:
    def slow(x: dict[str, str]) -> float:
        sleep(0.3)
        return valley(x)

    world = World(tmp_path, slow, minutes=0.2 / 60).play()
    count = len(world.done)
    assert count <= 1
    world.open()
    assert not world.step()
    world.terms = world.terms._replace(minutes=60.0, trials=count + 2)
    world.open()
    world.play()
    assert len(world.done) == count + 2


def test_what_is_stopped_goes_on_with_more_minutes(tmp_path: Path) -> None:
    world = World(tmp_path, valley, minutes=0.5 / 60, grace=0.0)
    running = world.search.next()
    assert running is not None
    assert world.search.deadline is not None
    sleep(0.6)
    world.search.finished(running, Ended(None, STOPPED, lambda _: b""))
    assert world.search.next() is None
    assert world.said == ["tune-1 is stopped: it lasts longer than --grace"]
    world.terms = world.terms._replace(minutes=1.0, trials=1)
    world.open()
    assert world.search.next() == running


def test_a_trial_that_would_last_too_long_is_not_started(tmp_path: Path) -> None:
    world = World(tmp_path, valley, minutes=60.0, grace=1.0)
    world.study.add({"lr": 0.1, "model": "small"}, world.terms.space.distributions)
    world.study.ran(1, 0, 2 * 3600.0)
    world.study.report(1, 0, 1.0, last=True)
    assert not world.step()
    world.terms = world.terms._replace(minutes=180.0)
    world.open()
    assert world.step()


def test_the_luck_of_the_best_is_told(tmp_path: Path) -> None:
    confirm = read_values("--confirm", "seed=1,2,3")

    def lucky(x: dict[str, str]) -> float:
        once = "seed" not in x and x["model"] == "small"
        return valley(x) + 0.1 * int(x.get("seed", 0)) - 5 * once

    world = World(tmp_path, lucky, jobs=2, trials=12, confirm=confirm)
    while not world.names()[-1:] or "-seed-" not in world.names()[-1]:
        assert world.step()
    world.open()  # killed while it confirms
    world.play()
    assert len(world.names()) == len(set(world.names())) == 12 + 9
    *_, table = world.found.partition("run again, by their mean loss:\n")
    head, *rows, luck = table.partition("\n\n")[0].splitlines()
    assert luck.startswith("luck of the search's best, tune-")
    assert head.split()[:5] == ["trial", "mean", "seed=1", "seed=2", "seed=3"]
    means = [float(row.split()[1]) for row in rows]
    assert means == sorted(means)
    assert len(means) == 3
    for row in rows:
        _, mean, first, _, third, before = map(str, row.split())
        assert float(mean) == pytest.approx((float(first) + float(third)) / 2, rel=1e-4)
        assert float(before) < float(mean)


@pytest.mark.parametrize("maximize", [False, True])
def test_the_objective_is_a_number_in_a_file(maximize: bool) -> None:
    option = "--maximize" if maximize else "--minimize"
    for path, content in (
        ("a/b.json", b'{"test": {"loss": [1, 0.5]}}'),
        ("b.yaml", b"test:\n  loss: [1, 0.5]\n"),
        ("b.toml", b"[test]\nloss = [1.0, 0.5]\n"),
    ):
        objective = read_objective(option, f"{path}:test.loss.1", maximize)
        assert objective.value({path: content}.__getitem__) == 0.5
        assert objective.rank(2.0) == (-2.0 if maximize else 2.0)
    for wrong in ("loss", "metrics.json:", ":loss", "metrics.csv:loss"):
        with pytest.raises(InputError, match=f"{option} {wrong}: "):
            read_objective(option, wrong, maximize)
