"""DVC projects of all shapes, which the tests and the benchmark run."""

import subprocess
from pathlib import Path
from typing import NamedTuple

from dvc.repo import Repo


class Layout(NamedTuple):
    """A project.

    Attributes:
        files: its files; a path to its text.
        folder: where the commands run.
        root: where `.dvc` is.
        targets: what has to run.
        added: files that `dvc add` tracks.
        stages: how many stages run.
    """

    files: dict[str, str]
    folder: str = "."
    root: str = "."
    targets: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    stages: int = 0

    def write(self, top: Path) -> Path:
        """Make the project in the folder `top`; gives the folder where the commands run."""
        for path, text in self.files.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_text(text)
        subprocess.run(["git", "init", "-q"], cwd=top, check=True)
        with Repo.init(str(top / self.root), subdir=self.root != ".") as repo:
            for path in self.added:
                repo.add(str(top / path))
        return top / self.folder


def many(count: int, seconds: float) -> Layout:
    """A `foreach` of that many stages that sleep so long."""
    text = f"""\
stages:
  make:
    foreach: {list(range(count))}
    do:
      cmd: sleep {seconds} && echo ${{item}} > out-${{item}}
      outs: ["out-${{item}}"]
"""
    return Layout({"dvc.yaml": text}, stages=count)


def layouts(pause: float) -> dict[str, Layout]:
    """Projects whose stages take so many seconds each.

    Args:
        pause: how long a stage sleeps.
    """
    wait = f"sleep {pause} &&"
    foreach = f"""\
stages:
  first:
    cmd: {wait} echo data > data
    outs: [data]
  middle:
    foreach: [a, b, c, d]
    do:
      cmd: {wait} cat data > ${{item}} && echo ${{item}} >> ${{item}}
      deps: [data]
      outs: ["${{item}}"]
  last:
    cmd: {wait} cat a b c d > all
    deps: [a, b, c, d]
    outs: [all]
"""
    matrix = f"""\
stages:
  train:
    matrix:
      size: [1, 2]
      rate: [0.1, 1e-05]
    cmd:
      - {wait} echo ${{item.size}} ${{item.rate}} > model-${{item.size}}-${{item.rate}}
      - echo "{{}}" > score-${{item.size}}-${{item.rate}}.json
    params: [seed, names]
    outs: ["model-${{item.size}}-${{item.rate}}"]
    metrics:
      - score-${{item.size}}-${{item.rate}}.json:
          cache: false
"""
    upper = f"""\
stages:
  collect:
    cmd: {wait} cat one/made two/made > both
    deps: [one/made, two/made]
    outs: [both]
"""
    lower = f"""\
stages:
  make:
    cmd: {wait} cat seed > made
    deps: [seed]
    outs: [made]
"""
    wdir = f"""\
stages:
  inside:
    foreach: [x, y]
    do:
      wdir: part/${{item}}
      cmd: {wait} cat in > out
      deps: [in]
      outs: [out]
  outside:
    cmd: {wait} cat part/x/out part/y/out > out
    deps: [part/x/out, part/y/out]
    outs: [out]
"""
    frozen = f"""\
stages:
  held:
    frozen: true
    cmd: {wait} cat seed > held
    deps: [seed]
    outs: [held]
  late:
    foreach: [p, q]
    do:
      cmd: {wait} cat held > ${{item}}
      deps: [held]
      outs: ["${{item}}"]
"""
    without_outs = f"""\
stages:
  check:
    foreach: [1, 2, 3]
    do:
      cmd: {wait} grep -q seed seed
      deps: [seed]
  always:
    cmd: {wait} true
    always_changed: true
  several:
    cmd:
      - echo "a long command that DVC's writer has to fold because it is wider than a line can be"
      - {wait} true
    deps: [seed]
"""
    return {
        "foreach": Layout({"dvc.yaml": foreach}, stages=6),
        "matrix": Layout(
            {"dvc.yaml": matrix, "params.yaml": "seed: 1\nnames: [a, {b: 'no'}]\n"}, stages=4
        ),
        "several dvc.yaml": Layout(
            {
                "dvc.yaml": upper,
                "one/dvc.yaml": lower,
                "two/dvc.yaml": lower,
                "one/seed": "1\n",
                "two/seed": "2\n",
            },
            added=("one/seed", "two/seed"),
            stages=5,
        ),
        "wdir": Layout({"dvc.yaml": wdir, "part/x/in": "x\n", "part/y/in": "y\n"}, stages=3),
        "frozen": Layout({"dvc.yaml": frozen, "held": "1\n", "seed": "2\n"}, stages=3),
        ".dvc above": Layout({"project/dvc.yaml": foreach}, folder="project", stages=6),
        ".dvc below": Layout({"project/dvc.yaml": foreach}, "project", "project", stages=6),
        "without outs": Layout({"dvc.yaml": without_outs, "seed": "seed\n"}, stages=5),
    }
