"""The lines of a study's file as a table, and what reports ask of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator

from pinnlab.studies.engine.recording import numbers
from pinnlab.studies.engine.runner import DONE, Row


class Runs:
    """Lines of a study's file: all of them, or those of a problem, a setting, a seed.

    A run that failed is as bad as can be: `values`, and what is made of them, have infinity for it. Ask `done` to leave
    such runs out.

    Args:
        rows: the lines, as `read_rows` gives them: cells are text.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @property
    def problems(self) -> list[str]:
        """Their names, in the order of the file."""
        return list(self.by("problem"))

    @property
    def settings(self) -> list[str]:
        """Their names, in the order of the file."""
        return list(self.by("setting"))

    @property
    def seeds(self) -> list[str]:
        """The seeds, in the order of the file."""
        return list(self.by("seed"))

    @property
    def done(self) -> Runs:
        """Those that came to their end."""
        return self.of(status=DONE)

    def of(self, **cells: str) -> Runs:
        """Those with these cells: `of(problem="wave", setting="adam")`; there may be none."""
        return Runs(row for row in self.rows if all(row[column] == text for column, text in cells.items()))

    def by(self, column: str) -> dict[str, Runs]:
        """The runs for each text in a column, in the order of the file."""
        return {text: self.of(**{column: text}) for text in dict.fromkeys(row[column] for row in self.rows)}

    def ranked(self) -> list[tuple[str, Runs]]:
        """Every setting and its runs, the one with the lowest median error first. Makes sense for a single problem."""
        return sorted(self.by("setting").items(), key=lambda item: item[1].median())

    def values(self, column: str = "relative_l2") -> list[float]:
        """The numbers of a column, in the order of the seeds; infinite where a run failed or has no finite number."""
        return [_number(row, column) for row in sorted(self.rows, key=lambda row: int(row["seed"]))]

    def median(self, column: str = "relative_l2") -> float:
        """The median of a column's `values`; NaN without runs."""
        return statistics.median(self.values(column) or [math.nan])

    def curves(self, column: str) -> list[list[float]]:
        """What a `Recorder` measured in the course of each run that is done; a run that ended early has less."""
        return [numbers(row[column]) for row in self.done]

    def complete_curves(self, column: str, length: int) -> list[list[float]]:
        """Those of the `curves` that have so many numbers: of runs that ended early there are fewer."""
        return [curve for curve in self.curves(column) if len(curve) == length]


def _number(row: Row, column: str) -> float:
    value = float(row[column]) if row["status"] == DONE and row[column] not in ("", None) else math.nan
    return value if math.isfinite(value) else math.inf
