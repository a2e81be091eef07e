"""How much a setting loses against the best fixed step that one could have chosen with hindsight."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.engine.summaries import geometric_mean

Errors = dict[tuple[str, str], list[float]]
"""Errors of all seeds by (problem, setting)."""

Table = Mapping[str, Mapping[str, float]]
"""One number by problem and setting."""


def errors_by_case(rows: Iterable[Row]) -> Errors:
    """The errors by problem and setting, in the order of the seeds; infinite where a run failed."""
    problems = Runs(rows).by("problem")
    return {(problem, s): own.values() for problem, found in problems.items() for s, own in found.by("setting").items()}


def means(errors: Errors, settings: Iterable[str]) -> Mapping[str, dict[str, float]]:
    """By problem the geometric mean over the seeds for each setting that has runs."""
    result: dict[str, dict[str, float]] = {problem: {} for problem, _ in errors}
    for setting in settings:
        for problem, row in result.items():
            if (problem, setting) in errors:
                row[setting] = geometric_mean(errors[problem, setting])
    return result


def regrets(table: Table, setting: str, rivals: Iterable[str]) -> dict[str, float]:
    """How much larger a setting's error is than that of the best rival, chosen for each problem with hindsight.

    Args:
        table: `means` of errors.
        setting: the one to judge.
        rivals: the settings among which hindsight chooses.

    Returns:
        By problem the ratio of the errors; below 1 where the setting beats every rival. Problems without a run of
        the setting or of any rival are missing.
    """
    rivals = list(rivals)
    best = {problem: min((row[r] for r in rivals if r in row), default=math.nan) for problem, row in table.items()}
    return {p: row[setting] / best[p] for p, row in table.items() if setting in row and not math.isnan(best[p])}
