"""Tables of docs/reliability.md, written from what was measured."""

import os
import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"


def asked_for():
    """Whether the page is to be written."""
    return bool(os.environ.get("PINNLAB_WRITE_DOCS"))


def kept(count, write):
    """What the runs of a test are noted in, for a fixture; a table is made of it when so many are over.

    Args:
        count: how many.
        write: makes the table of them.
    """
    found = []
    yield found
    if asked_for() and len(found) == count:
        write(found)


def write_table(name, head, rows):
    """Puts a table between the page's markers of this name.

    Args:
        name: of the markers.
        head: the columns' headings.
        rows: what stands in them, as strings or numbers.
    """
    lines = [_line(head), "|" + "---|" * len(head), *map(_line, rows)]
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    table = "\n".join([begin, *lines, end])
    text, count = re.subn(f"(?s){begin}.*{end}", lambda _: table, PAGE.read_text())
    assert count == 1, f"{PAGE} has no markers {begin} and {end}"
    PAGE.write_text(text)


def _line(cells):
    return f"| {' | '.join(map(str, cells))} |"
