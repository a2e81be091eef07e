"""From the lines of a study to what its report shows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from pinnlab.studies.runner import DONE, Row

Errors = dict[tuple[str, str], list[float]]
"""Errors of all seeds by (problem, setting)."""


def errors_by_case(rows: Iterable[Row], column: str = "relative_l2") -> Errors:
    """The values of a column by problem and setting, in the order of the seeds; infinite where a run failed."""
    errors: Errors = {}
    for row in sorted(rows, key=lambda row: int(row["seed"])):
        value = float(row[column]) if row["status"] == DONE and row[column] not in ("", None) else math.nan
        errors.setdefault((row["problem"], row["setting"]), []).append(value if math.isfinite(value) else math.inf)
    return errors


def geometric_mean(values: Sequence[float]) -> float:
    """exp(mean(log x)): errors differ by factors, not by differences. Infinite values make it infinite.

    Args:
        values: at least one, all positive.
    """
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if all(map(math.isfinite, values)) else math.inf


def regrets(errors: Errors, setting: str, rivals: Sequence[str]) -> dict[str, float]:
    """How much larger a setting's error is than that of the best rival for each problem, chosen with hindsight.

    Args:
        errors: of all runs.
        setting: the one to judge.
        rivals: the settings among which hindsight chooses, by the geometric mean over the seeds that both have.

    Returns:
        By problem the ratio of the geometric means; below 1 where the setting beats every rival.
    """
    result = {}
    for (problem, name), own in errors.items():
        if name == setting:
            best = min(geometric_mean(e) for r in rivals if (e := errors.get((problem, r), [])[: len(own)]))
            result[problem] = geometric_mean(own) / best
    return result


def markdown_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; the first column is left-aligned, the others right-aligned."""
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def by_problem(errors: Errors, settings: Sequence[str]) -> Mapping[str, list[float]]:
    """The geometric means over seeds: by problem one value for each setting, NaN where there is no run."""
    problems = dict.fromkeys(problem for problem, _ in errors)
    return {p: [geometric_mean(errors[p, s]) if (p, s) in errors else math.nan for s in settings] for p in problems}
