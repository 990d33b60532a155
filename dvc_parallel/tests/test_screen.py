"""What the user sees."""

import io
import sys

import pytest

from dvc_parallel.screen import clock, open_screen, progress

PROGRESS = {
    "epoch  3/8  loss 0.2841": ("count", 0.375),
    "Epoch 10/10": ("count", 1.0),
    "[step: 5 of 20]": ("count", 0.25),
    "40%": ("percent", 0.4),
    " 40.5% done": ("percent", 0.4),
    "train:  12%|###      | 12/100 [00:01<00:07]": ("percent", 0.12),
    "progress: 7 %": ("percent", 0.07),
    "accuracy 91 %": None,
    "accuracy: 91.3%": None,
    "wrote data/1/2 in 3.1 s": None,
    "epoch 1/0": None,
    "999%": None,
}


def test_finds_how_far_a_stage_is() -> None:
    assert {line: progress(line) for line in PROGRESS} == PROGRESS


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0.2, 59.6, 61, 3661)] == [
        "0:00",
        "1:00",
        "1:01",
        "1:01:01",
    ]


def test_a_log_has_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with open_screen({"train@1": 0, "fetch": 0}, None) as screen:
        screen.started("fetch")
        screen.growing("fetch", "40%")
        screen.line("fetch", "epoch 1/4")
        screen.ended("fetch", "done in 1.0 s")
    assert capsys.readouterr().out == "fetch   | epoch 1/4\nfetch   | done in 1.0 s\n"


def test_columns_are_straight_beside_wide_characters(capsys: pytest.CaptureFixture[str]) -> None:
    with open_screen(["訓練", "e\u0301val", "fetch"], None) as screen:
        for name in ("訓練", "e\u0301val", "fetch"):
            screen.line(name, "-")
    assert capsys.readouterr().out == "訓練  | -\ne\u0301val  | -\nfetch | -\n"


def test_a_terminal_has_live_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from dvc_parallel.screen import Terminal

    now = 100.0
    monkeypatch.setattr("dvc_parallel.screen.monotonic", lambda: now)
    printed: list[str] = []
    terminal = Terminal(lambda text, **_: printed.append(text), 7, 4, 60.0)

    def live() -> list[str]:
        console = Console(width=80, file=io.StringIO(), force_terminal=False)
        with console.capture() as capture:
            console.print(terminal.render())
        return [" ".join(line.split()) for line in capture.get().splitlines()]

    terminal.started("train@1")
    terminal.started("fetch")
    now += 10
    terminal.line("train@1", "epoch 1/4 loss 0.5")
    terminal.line("fetch", "reading")
    terminal.growing("train@1", "50% of this epoch")
    bar, text, whole = live()
    assert bar.startswith("train@1 ━")
    assert bar.endswith("50% of this epoch 0:30 left")
    assert text == "fetch reading 0:10"
    assert whole.endswith("0 of 4 stages 0:50 left")
    terminal.ended("fetch", "done in 10.0 s")
    terminal.left(lambda: 20.0)
    assert printed == ["fetch   | done in 10.0 s"]
    bar, whole = live()
    assert whole.endswith("1 of 4 stages 0:20 left")


def test_a_terminal_is_used_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    with open_screen(["train"], 10.0) as screen:
        screen.started("train")
        screen.line("train", "hello")
        screen.ended("train", "done in 1.0 s")
    assert "train | done in 1.0 s\n" in stream.getvalue()
    assert "1 stages" in stream.getvalue()
