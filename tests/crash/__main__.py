"""Kill the pipeline at many points, and say whether it always came to the same bytes.

The pipeline is the project's own, with one candidate, on a small data set.
"""

import argparse
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import crash
from tests.conftest import new_workspace, write_tiny_data


def main() -> int:
    """Strike at each point; exit code 1 if one of the runs did not survive."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash",
        description=__doc__,
        epilog="example: python -m tests.crash --points 100",
    )
    parser.add_argument("--points", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (default: 2)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data"
        data.mkdir()
        write_tiny_data(data)
        fresh = new_workspace(folder / "fresh", data)
        fresh.set_params(train__splits=[1])
        runs = {mode: crash.whole(fresh, folder / mode, mode) for mode in crash.COMMANDS}
        for mode, run in runs.items():
            print(f"{mode}: {run.seconds:.1f} s, {run.writes} writes, {len(run.files)} files")
        assert runs["serial"].files == runs["parallel"].files

        def strike(numbered: tuple[int, crash.Point]) -> crash.Outcome:
            number, point = numbered
            struck = folder / str(number)
            outcome = crash.strike(fresh, struck, runs[point.mode], point)
            print(f"{number}: {point}: {outcome}", flush=True)
            shutil.rmtree(struck)
            return outcome

        points = enumerate(crash.points(arguments.points), 1)
        with ThreadPoolExecutor(arguments.jobs) as pool:
            outcomes = list(pool.map(strike, points))
    survived = sum(outcome.survived for outcome in outcomes)
    print(
        f"{len(outcomes)} points: {sum(outcome.struck for outcome in outcomes)} runs cut off, "
        f"{survived} came to the same bytes, "
        f"{sum(outcome.mended for outcome in outcomes)} of them by `make repro` only"
    )
    return survived < len(outcomes)


if __name__ == "__main__":
    sys.exit(main())
