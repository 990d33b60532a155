"""What a search has found: its tables."""

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from dvc_parallel.search import Terms, confirmation, ranked, to_confirm

if TYPE_CHECKING:
    from dvc_parallel.study import Study, Trial

BEST = 5


def findings(terms: Terms, study: "Study") -> str:
    """The best trials, what differs between them, their luck, and where the time went."""
    trials = study.trials()
    parts = [_best(terms, trials), _failed(terms, trials), _time(terms, study)]
    if terms.confirm:
        parts.insert(1, _confirmed(terms, study))
    return "\n\n".join(filter(None, parts))


def _best(terms: Terms, trials: "Sequence[Trial]") -> str:
    best = ranked(trials, terms.objective)[:BEST]
    if not best:
        return "no trial has succeeded"
    changes = [
        {change.label: change.text for change in terms.space.changes(trial.chosen)}
        for trial in best
    ]
    differing = [
        label
        for label in terms.space.dimensions
        if len(best) == 1 or len({texts[label] for texts in changes}) > 1
    ]
    head = ["trial", terms.objective.key, *differing]
    rows = [
        [
            terms.trial_name(trial.number),
            _number(trial.values[-1]),
            *(_short(trial.chosen[label]) for label in differing),
        ]
        for trial in best
    ]
    if terms.rungs:
        key = terms.rungs[0].label
        head.insert(2, key)
        for row, trial in zip(rows, best, strict=True):
            row.insert(2, terms.rungs[len(trial.values) - 1].text)
    text = f"the best {len(best)} of {len(trials)} trials:\n{_table(head, rows)}"
    same = [
        f"{label}={_short(best[0].chosen[label])}"
        for label in terms.space.dimensions
        if label not in differing
    ]
    return f"{text}\nthe same in all of them: {' '.join(same)}" if same else text


def _confirmed(terms: Terms, study: "Study") -> str:
    trials, rung = to_confirm(study.trials(), terms.objective)
    done = study.notes.get("confirmed", {})
    found: list[tuple[bool, float, list[str]]] = []
    luck = ""
    for trial in trials:
        results = [done.get(confirmation(trial.number, rung, c), {}) for c in terms.confirm]
        values = [result["value"] for result in results if "value" in result]
        if not values:
            continue
        name, mean, before = terms.trial_name(trial.number), fmean(values), trial.values[-1]
        cells = [_number(result["value"]) if "value" in result else "-" for result in results]
        row = [name, _number(mean), *cells, _number(before)]
        found.append((len(values) < len(results), terms.objective.rank(mean), row))
        if trial is trials[0]:
            luck = (
                f"\nluck of the search's best, {name}: "
                f"{_number(before)} there, {_number(mean)} on average"
            )
    if not found:
        return ""
    key = terms.objective.key
    head = ["trial", "mean", *(f"{c.label}={c.text}" for c in terms.confirm), "in the search"]
    table = _table(head, [row for _, _, row in sorted(found)])
    return f"run again, by their mean {key}:\n{table}{luck}"


def _failed(terms: Terms, trials: "Sequence[Trial]") -> str:
    by_reason: dict[str, list[str]] = {}
    for trial in trials:
        if trial.failure:
            by_reason.setdefault(trial.failure, []).append(terms.trial_name(trial.number))
    return "\n".join(f"failed: {', '.join(names)}: {reason}" for reason, names in by_reason.items())


def _time(terms: Terms, study: "Study") -> str:
    rungs = [f"{rung.label}={rung.text}" for rung in terms.rungs] or ["trials"]
    spent: dict[str, list[float]] = {what: [] for what in (*rungs, "failed")}
    for trial in study.trials():
        for number, (rung, seconds) in enumerate(trial.runs, 1):
            failed = trial.failure and number == len(trial.runs)
            spent["failed" if failed else rungs[rung]].append(seconds)
    confirmed = study.notes.get("confirmed", {})
    spent["confirmation"] = [result["seconds"] for result in confirmed.values()]
    total = sum(map(sum, spent.values()))
    if not total:
        return ""
    rows = [
        [what, str(len(each)), f"{sum(each) / 60:.1f}", f"{sum(each) / total:.0%}"]
        for what, each in spent.items()
        if each
    ]
    minutes = study.notes.get("spent", 0) / 60
    table = _table(["experiments", "number", "minutes", "share"], rows)
    return f"where the time went, in a search of {minutes:.1f} minutes:\n{table}"


def _number(value: float) -> str:
    return f"{value:.6g}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns, the first one flush left and the others flush right."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
