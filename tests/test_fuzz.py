"""The fuzzer: every input of its small corpus is read or refused, and it reports other errors."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from fuzz import __main__ as runner
from fuzz.targets import CORPUS, TARGETS, Target, attempt
from tests.conftest import ROOT, Call


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fuzz", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_the_corpus_is_small_and_every_target_has_one():
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert all(any(folder.iterdir()) for folder in CORPUS.iterdir())
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 300_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the target hdf5 forks")
def test_every_input_of_the_corpus_is_read_or_refused():
    done = run("--replay")
    assert (done.returncode, done.stderr) == (0, "")
    tried = dict(re.findall(r"^(\w+) +([\d,]+) inputs", done.stdout, re.MULTILINE))
    assert tried == {name: str(len(list((CORPUS / name).iterdir()))) for name in TARGETS}


def test_whatever_a_reader_raises_except_its_own_error_is_found(tmp_path: Path):
    with pytest.raises(KeyError):
        attempt(Target("x", lambda path: {}[path]), b"", tmp_path)
    attempt(TARGETS["json"], b"{", tmp_path)


def test_a_summary_has_the_figures_of_libfuzzers_log():
    log = (
        "#2\tINITED cov: 30 ft: 31 corp: 1/40b exec/s: 0 rss: 80Mb\n"
        "#512\tNEW    cov: 44 ft: 60 corp: 2/80b\n"
        "stat::number_of_executed_units: 90123\nstat::peak_rss_mb:              120\n"
    )
    line = runner.summary("idx", 60, log)
    assert line.split() == "idx 90,123 inputs 60 s 44 edges 120 MiB at most".split()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is for Linux")
def test_a_second_of_fuzzing_tries_hundreds_of_inputs():
    done = run("--seconds", "1", "idx")
    assert done.returncode == 0, done.stdout
    (tried,) = re.findall(r"^idx +([\d,]+) inputs", done.stdout)
    assert int(tried.replace(",", "")) > 100


def test_an_unknown_target_is_refused(call: Call, tmp_path: Path):
    done = call(tmp_path, "fuzz.__main__", "none")
    assert done.code == 2
    assert "no target is named none" in done.err
