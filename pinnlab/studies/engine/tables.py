"""From the lines of a study to what its report shows."""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from scipy import stats

from pinnlab.studies.engine.runner import DONE, Row

Errors = dict[tuple[str, str], list[float]]
"""Errors of all seeds by (problem, setting)."""


def errors_by_case(rows: Iterable[Row], column: str = "relative_l2") -> Errors:
    """The values of a column by problem and setting, in the order of the seeds; infinite where a run failed."""
    errors: Errors = {}
    for row in sorted(rows, key=lambda row: int(row["seed"])):
        value = float(row[column]) if row["status"] == DONE and row[column] not in ("", None) else math.nan
        errors.setdefault((row["problem"], row["setting"]), []).append(value if math.isfinite(value) else math.inf)
    return errors


def medians(rows: Iterable[Row], column: str = "relative_l2") -> dict[tuple[str, str], float]:
    """The median of a column over the seeds, by problem and setting."""
    return {case: statistics.median(values) for case, values in errors_by_case(rows, column).items()}


def median(rows: Iterable[Row], column: str, problem: str, setting: str) -> float:
    """The median of a column over the seeds of one case; NaN without runs."""
    return medians(rows, column).get((problem, setting), math.nan)


def geometric_mean(values: Sequence[float]) -> float:
    """exp(mean(log x)): errors differ by factors, not by differences. Infinite values make it infinite.

    Args:
        values: at least one, all positive.
    """
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if all(map(math.isfinite, values)) else math.inf


def regrets(table: Mapping[str, Mapping[str, float]], setting: str, rivals: Iterable[str]) -> dict[str, float]:
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


def markdown_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; the first column is left-aligned, the others right-aligned."""
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def means(errors: Errors, settings: Iterable[str]) -> Mapping[str, dict[str, float]]:
    """By problem the geometric mean over the seeds for each setting that has runs."""
    result: dict[str, dict[str, float]] = {problem: {} for problem, _ in errors}
    for setting in settings:
        for problem, row in result.items():
            if (problem, setting) in errors:
                row[setting] = geometric_mean(errors[problem, setting])
    return result


def wrapped(text: str) -> str:
    """Prose for a report: its paragraphs and items of lists, which blank lines separate, in lines of 118 characters."""
    parts = []
    for part in text.split("\n\n"):
        indent = "  " if part.lstrip().startswith("- ") else ""
        words = " ".join(part.split())
        parts.append(
            textwrap.fill(words, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        )
    return "\n".join(f"{part}\n" for part in parts)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """The slope of the line of least squares through points; at least two different x."""
    center = math.fsum(x) / len(x)
    return math.fsum((a - center) * b for a, b in zip(x, y, strict=True)) / math.fsum((a - center) ** 2 for a in x)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """The mean and half the width of its confidence interval (Student's t); NaN wide for a single value."""
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, math.nan
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))
    factor = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1))
    return mean, factor * deviation / math.sqrt(len(values))
