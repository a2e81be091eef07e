"""The page of a study: Markdown in sections, and one figure."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pinnlab.reporting.files import whole

T = TypeVar("T")


class Page:
    """A page in the making; `write` makes two files of it, `NAME.md` and `NAME.png`.

    Every text ends with a line break, as those of `wrapped` and `markdown_table` do; empty lines are set between them.

    Args:
        name: of the study.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._parts: list[str] = []
        self._figure: Any = None

    def add(self, *parts: str) -> None:
        """Adds texts and tables."""
        self._parts += parts

    def section(self, title: str, *parts: str | None, level: int = 2) -> None:
        """Adds a heading and what stands below it.

        Args:
            title: the heading.
            parts: texts and tables. With a None among them there is no section: so a conclusion is left out that
                needs runs which are not made yet.
            level: of the heading.
        """
        if None not in parts:
            self.add(f"{'#' * level} {title}\n", *(part for part in parts if part is not None))

    def figure(self, caption: str, figure: Any) -> None:
        """Puts the figure, one of Matplotlib's, here; a page has one, or none where that is None."""
        if figure is None:
            return
        self.add(f"![{caption}]({self._name}.png)\n")
        self._figure = figure

    def write(self, folder: Path) -> list[Path]:
        """Writes the page and its figure into a folder, each whole or not at all, and says which files these are."""
        page, figure, drawn = folder / f"{self._name}.md", folder / f"{self._name}.png", self._figure
        figures = [] if drawn is None else [whole(figure, lambda part: drawn.savefig(part, dpi=110))]
        return [whole(page, lambda part: part.write_text("\n".join(self._parts))), *figures]


def if_made(part: Callable[..., T], *arguments: Any) -> T | None:
    """A part of a page; None where runs that it needs are not made yet, so that a study can be looked at on its way.

    What is missing shows as a key, an element, or a median that is not there. `tests/studies/test_study_pages.py`
    holds that with all runs every part is there.

    Args:
        part: makes a text, a table or a figure.
        *arguments: for it.
    """
    try:
        return part(*arguments)
    except (LookupError, StopIteration, ValueError, ZeroDivisionError):  # of empty lists and no medians
        return None


def markdown_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; the first column is left-aligned, the others right-aligned."""
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def spread(values: Sequence[float]) -> list[str]:
    """Three cells of a table of errors: the median, the lowest and the highest."""
    return [f"{value:.1e}" for value in (statistics.median(values), min(values), max(values))]


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
