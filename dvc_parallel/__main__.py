"""The command `dvc-parallel`, also `python -m dvc_parallel`."""

import argparse
import gc
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from dvc_parallel.errors import InputError, os_error

DESCRIPTION = """\
Run the stages of a DVC pipeline that are out of date, as many at once as there are cores.

The results are the same as those of `dvc repro`, byte for byte. For a stage that uses N
threads, set `meta: {threads: N}` in dvc.yaml; it then counts as using N cores. The stage
with the longest remaining path starts first, judged by earlier runs."""
EPILOG = """\
examples:
  dvc-parallel                          everything in this folder's dvc.yaml
  dvc-parallel --jobs 4 train@1         one stage and all that it needs, on four cores
  dvc-parallel --dry                    what would run, and how long it would take
  dvc-parallel -S train.lr=0.1,0.01     two experiments, which `dvc exp show` lists
  dvc-parallel --accept                 no run after a comment or a formatter, see the README
  dvc-parallel -S 'train.lr=interval(0.01, 0.1)' --minimize metrics.json:loss --minutes 60
                                        a search for the best learning rate"""

ONLY_FOR_SEARCHES = ("minutes", "trials", "grace", "seed", "rungs", "confirm")


class Parser(argparse.ArgumentParser):
    """Reports bad arguments in one sentence, like all other bad input."""

    def error(self, message: str) -> NoReturn:
        """Raise InputError."""
        raise InputError(f"{message} (see {self.prog} --help)")


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(
        prog="dvc-parallel",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help="as in dvc repro: a stage, which is run with all that it needs, or a dvc.yaml "
        "(default: the dvc.yaml of this folder)",
    )
    parser.add_argument(
        "-j", "--jobs", metavar="N", help="how many cores may be used (default: all)"
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="run on a Dask cluster whose workers share this folder, such as tcp://10.0.0.1:8786",
    )
    parser.add_argument(
        "--dry", action="store_true", help="print the plan with estimated times and run nothing"
    )
    parser.add_argument("-f", "--force", action="store_true", help="also run up-to-date stages")
    parser.add_argument(
        "--downstream", action="store_true", help="run the targets and all that depends on them"
    )
    parser.add_argument(
        "-s", "--single-item", action="store_true", help="run the targets only, not their deps"
    )
    parser.add_argument(
        "--pull", action="store_true", help="download missing data instead of regenerating it"
    )
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="treat a stage as up to date if its data is missing but nothing else has changed",
    )
    parser.add_argument(
        "-S",
        "--set-param",
        action="append",
        default=[],
        metavar="[FILE:]KEY=VALUE",
        help="run as an experiment with another parameter; several values, separated by commas, "
        "make an experiment each",
    )
    parser.add_argument(
        "-n",
        "--name",
        metavar="NAME",
        help="run as an experiment of this name",
    )
    parser.add_argument(
        "--accept",
        action="store_true",
        help="run nothing: record edits of Python files that change only comments, docstrings or "
        "formatting; whether a stage reads its own source, line numbers or __doc__ is for you to "
        "know",
    )
    search = parser.add_argument_group(
        "search", "with an objective, Optuna chooses the values: see the README"
    )
    objective = search.add_mutually_exclusive_group()
    for option, what in (("--minimize", "small"), ("--maximize", "large")):
        objective.add_argument(
            option,
            metavar="FILE:KEY",
            help=f"search the values of -S, which may be intervals, that make this number {what}",
        )
    search.add_argument("--minutes", metavar="N", help="start no experiment after so many minutes")
    search.add_argument("--trials", metavar="N", help="try so many choices of values")
    search.add_argument(
        "--grace",
        metavar="N",
        help="stop what still runs so many minutes after --minutes (default: let it end)",
    )
    search.add_argument(
        "--rungs",
        metavar="[FILE:]KEY=A,B,...",
        help="start each trial with this parameter at A; the best third go on with B, and so on",
    )
    search.add_argument(
        "--confirm",
        metavar="[FILE:]KEY=A,B,...",
        help="at the end, run the best three again with each of these values",
    )
    search.add_argument(
        "--seed", metavar="N", help="what is chosen depends on it (default: a random one)"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    given = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminate)
    from dvc_parallel import command

    jobs = command.positive("--jobs", given.jobs) if given.jobs is not None else None
    options = command.Options(
        targets=tuple(given.targets),
        force=given.force,
        downstream=given.downstream,
        single_item=given.single_item,
        pull=given.pull,
        allow_missing=given.allow_missing,
    )
    if given.accept:
        from dvc_parallel.accept import accept

        if jobs or given.scheduler or given.force or given.pull or given.set_param or given.name:
            raise InputError(
                "--accept runs nothing: only --dry, --downstream and --single-item go with it"
            )
        return accept(options, given.dry)
    if given.minimize is not None or given.maximize is not None:
        from dvc_parallel.search_command import run_search

        if given.dry:
            raise InputError("--dry shows no experiments: leave it out")
        return run_search(given, options, jobs, given.scheduler)
    for option in ONLY_FOR_SEARCHES:
        if getattr(given, option) is not None:
            raise InputError(f"--{option} needs --minimize FILE:KEY or --maximize FILE:KEY")
    if given.set_param or given.name:
        from dvc_parallel.experiments import run_grid

        if given.dry:
            raise InputError("--dry shows no experiments: leave it out")
        return run_grid(options, jobs, given.scheduler, given.set_param, given.name)
    return command.reproduce(options, jobs, given.scheduler, given.dry)


def _terminate(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def _discard_output() -> None:
    """Send standard output nowhere; else Python tries again at exit, and shows a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def guarded(main: Callable[[], int]) -> int:
    """Call `main`; what the user can fix becomes one line on stderr and exit code 1."""
    try:
        return main()
    except InputError as error:
        message = str(error)
    except BrokenPipeError:
        _discard_output()  # whoever read it has gone, as `head` does
        return 128 + signal.SIGPIPE
    except OSError as error:
        message = os_error(error)
        try:
            print(end="", flush=True)
        except OSError:
            _discard_output()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    print(f"error: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return 1


def run() -> NoReturn:
    """The entry point of the console command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A stage may print characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    gc.set_threshold(100_000)  # what DVC's import creates is no garbage
    code = guarded(main)
    gc.freeze()  # nor is it searched for garbage at the end, which would take a quarter of a second
    sys.exit(code)


if __name__ == "__main__":
    run()
