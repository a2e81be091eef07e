"""The page of the comparison, from its measurements; its prose is in `page.md`. Needs numpy and scipy only."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any

from common import ADAM_RATE, ADAM_STEPS, SETTINGS
from rows import ENVIRONMENTS, ROWS

Line = dict[str, Any]
"""A measurement: row, peer, version, problem, seed, seconds, training, evaluations, error. Or why a run has none."""

COLUMNS = ("row", "peer", "version", "problem", "seed", "seconds", "training", "evaluations", "error", "failed")


def table_of_lines(lines: Iterable[Line]) -> str:
    """All measurements as a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in lines:
        rounded = {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in line.items()}
        writer.writerow(rounded)
    return text.getvalue()


def error_at(lines: Iterable[Line], clock: str, seconds: float) -> float | None:
    """The error of a run at a time: that of the last measurement not later; None if there is none yet.

    Args:
        lines: measurements of one run, in any order.
        clock: `seconds` or `training`.
        seconds: on that clock.
    """
    before = [line for line in lines if "error" in line and line[clock] <= seconds]
    return max(before, key=lambda line: line[clock])["error"] if before else None


def spread(errors: Sequence[float | None]) -> str:
    """The median of the seeds, with the lowest and the highest behind it; `-` if one of them has no error yet."""
    if not errors or any(error is None for error in errors):
        return "-"
    found = [math.inf if math.isnan(error) else error for error in errors if error is not None]
    text = f"{statistics.median(found):.1e}"
    return text if len(found) == 1 else f"{text} ({min(found):.0e} to {max(found):.0e})"


def rank(errors: Sequence[float | None]) -> float:
    """What a row is sorted by: the median of the seeds; infinity if one of them has no error."""
    usable = [error for error in errors if error is not None and not math.isnan(error)]
    return statistics.median(usable) if usable and len(usable) == len(errors) else math.inf


def marks(seconds: float) -> list[float]:
    """The times that have a column: a quarter, a half, and the whole."""
    return [seconds / 4, seconds / 2, seconds]


def runs_of(lines: Iterable[Line], row: str, problem: str) -> list[list[Line]]:
    """The measurements of a row on a problem, one list for each seed."""
    runs: dict[int, list[Line]] = {}
    for line in lines:
        if line["row"] == row and line["problem"] == problem:
            runs.setdefault(line["seed"], []).append(line)
    return [runs[seed] for seed in sorted(runs)]


def table(lines: Sequence[Line], problem: str, seconds: float) -> str:
    """The table of a problem, the smallest error after the whole time first."""
    titles = [f"{mark:g} s" for mark in marks(seconds)]
    head = ["who", *titles, f"{seconds:g} s of training", "first step after", "evaluations"]
    rows = []
    for name in dict.fromkeys(line["row"] for line in lines if line["problem"] == problem):
        runs = runs_of(lines, name, problem)
        if any("failed" in run[-1] for run in runs):
            rows.append((math.inf, math.inf, [name, "failed", *[""] * (len(head) - 2)]))
            continue
        at = [[error_at(run, "seconds", mark) for run in runs] for mark in marks(seconds)]
        trained = [error_at(run, "training", seconds) for run in runs]
        counts = [run[-1]["evaluations"] for run in runs]
        evaluations = "" if None in counts else f"{statistics.median(counts):,.0f}"
        start = statistics.median(run[0]["seconds"] for run in runs)
        title = f"**{runs[0][0]['peer']}**" if name.startswith("pinnlab") else runs[0][0]["peer"]
        cells = [title, *map(spread, at), spread(trained), f"{start:.1f} s", evaluations]
        rows.append((rank(at[-1]), rank(trained), cells))
    rows.sort(key=lambda row: row[:2])
    body = [head, ["---", *["---:"] * (len(head) - 1)], *(cells for *_, cells in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in body) + "\n"


def described(problem: str) -> str:
    """A problem's network, points and grid in words."""
    setting = SETTINGS[problem]
    network = " x ".join(map(str, setting.hidden))
    grid = " x ".join(map(str, setting.grid))
    return f"Network {network}, {setting.points:,} points, errors on a grid of {grid} points."


def failures(lines: Iterable[Line]) -> str:
    """What failed and why, one line each."""
    failed = [line for line in lines if "failed" in line]
    found = [f"- `{line['row']}`, {line['problem']}, seed {line['seed']}: {line['failed']}" for line in failed]
    return "\n".join(["## What failed", "", *found, ""]) if found else ""


def caution(facts: dict[str, Any]) -> str:
    """Says where the figures are those of a trial."""
    reasons = []
    if facts["load"] > 1:
        reasons.append("other work was going on on this machine")
    if len(facts["seeds"]) < 3:
        reasons.append("there are fewer than three seeds")
    return f"\n**This is a trial, not a result:** {' and '.join(reasons)}.\n" if reasons else ""


def page(lines: Sequence[Line], facts: dict[str, Any]) -> str:
    """The page in Markdown.

    Args:
        lines: all measurements, and lines of runs that failed.
        facts: processor, cores, threads, date, load, minutes, python, command, seconds, seeds.
    """
    problems = [name for name in SETTINGS if any(line["problem"] == name for line in lines)]
    rows = [name for name in ROWS if any(line["row"] == name for line in lines)]
    versions = {line["row"]: line["version"] for line in lines if "version" in line}
    titles = {line["row"]: line["peer"] for line in reversed(lines) if "peer" in line}
    sections = [
        f"## {SETTINGS[name].title}\n\n{described(name)}\n\n{table(lines, name, facts['seconds'])}" for name in problems
    ]
    ways = [
        f"- **{titles[row].partition(',')[0]} {versions[row]}** (`{row}`): {ROWS[row].how}"
        for row in rows
        if row in versions
    ]
    used = [name for name in ENVIRONMENTS if any(ROWS[row].environment == name for row in rows)]
    pins = [f"- {name}: `{' '.join(ENVIRONMENTS[name])}`" for name in used]
    words = {
        "minutes": f"{facts['minutes']:.0f}",
        "load": f"{facts['load']:.1f}",
        "seconds": f"{facts['seconds']:g}",
        "seeds": ", ".join(map(str, facts["seeds"])),
        "adam_steps": f"{ADAM_STEPS:,}",
        "adam_rate": f"{ADAM_RATE:g}",
        "caution": caution(facts),
        "sections": "\n".join(sections),
        "ways": "\n".join(ways),
        "failures": failures(lines),
        "pins": "\n".join(pins),
    }
    return Template((Path(__file__).parent / "page.md").read_text()).substitute(facts | words)
