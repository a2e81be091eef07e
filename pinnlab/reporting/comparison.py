"""Runs side by side, as tables for the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from pinnlab.reporting.histories import Run, differences, how_far

MOST = 40
"""Options that are shown: runs that differ in more have little in common."""


def results_table(runs: Sequence[Run]) -> Table:
    """What runs reached, one line each; the smallest error of each unknown in bold.

    Args:
        runs: at least one.
    """
    unknowns = list(dict.fromkeys(name for run in runs for name in run.summary["relative_l2"]))
    numbers = ("parameters", "points", "evaluations", "seconds", "loss", *(f"error {name}" for name in unknowns))
    table = Table("", "run", "problem", box=None, pad_edge=False)
    for heading in numbers:
        table.add_column(heading, justify="right")
    best = {name: min(filter(None, (_error(run, name) for run in runs)), default=None) for name in unknowns}
    for number, run in enumerate(runs, start=1):
        summary = run.summary
        errors = [_emphasised(_error(run, name), best[name]) for name in unknowns]
        table.add_row(
            str(number),
            run.name + how_far(summary),
            summary["problem"],
            str(summary["parameters"]),
            str(sum(summary["points"].values())),
            str(summary["evaluations"]),
            f"{summary['seconds']:.1f}",
            _number(summary["loss"]),
            *errors,
        )
    return table


def options_table(runs: Sequence[Run]) -> Table:
    """How runs were made: their phases, and the options in which they differ; one column for each run.

    Args:
        runs: at least one; those without a recipe differ in nothing.
    """
    table = Table("option", *(str(number) for number in range(1, len(runs) + 1)), box=None, pad_edge=False)
    table.add_row("phases made", *(_phases(run.summary) for run in runs))
    given = [run for run in runs if run.recipe]
    found = differences([run.recipe for run in given])
    for key, values in list(found.items())[:MOST]:
        texts = iter(values)
        table.add_row(key, *(next(texts) if run.recipe else "?" for run in runs))
    if len(found) > MOST:
        table.add_row(f"and {len(found) - MOST} more")
    return table


def _phases(summary: Mapping[str, Any]) -> str:
    """The optimizers with the steps that they made, in their order.

    Of windows of time those of one stand for all, or sums for each optimizer where windows had different phases.
    """
    made = [(record["optimizer"], record["steps"]) for record in summary["phases"]]
    windows = len(summary.get("windows", []))
    if windows < 2:
        return " > ".join(f"{name} {steps}" for name, steps in made)
    each, rest = divmod(len(made), windows)
    first = [name for name, _ in made[:each]]
    if rest or [name for name, _ in made] != first * windows:
        totals = {name: sum(steps for own, steps in made if own == name) for name, _ in made}
        return f"{windows} windows, in all " + ", ".join(f"{name} {steps}" for name, steps in totals.items())
    steps = [[count for _, count in made[k::each]] for k in range(each)]
    spans = [f"{min(own)}" if min(own) == max(own) else f"{min(own)} to {max(own)}" for own in steps]
    return f"{windows} windows of " + " > ".join(f"{name} {span}" for name, span in zip(first, spans, strict=True))


def _error(run: Run, unknown: str) -> float | None:
    value = run.summary["relative_l2"].get(unknown)
    return None if value is None else float(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2e}"


def _emphasised(value: float | None, best: float | None) -> str:
    return f"[bold]{_number(value)}[/bold]" if value is not None and value == best else _number(value)
