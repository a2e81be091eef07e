"""Pages, tables and prose of reports, against text by hand."""

import statistics

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from pinnlab.studies.engine.report import Page, if_made, markdown_table, spread, wrapped


def test_a_page_has_its_parts_in_order_and_its_figure_beside_it(tmp_path):
    page = Page("name")
    page.add("# Title\n", "Head.\n")
    page.section("One", "Text.\n", markdown_table(["a"], [["x"]]))
    page.section("Below", "More.\n", level=3)
    page.figure("What it shows", Figure(figsize=(2, 1)))
    page.section("Left out", "Text.\n", None)
    page.section("Last", "End.\n")
    assert page.write(tmp_path) == [tmp_path / "name.md", tmp_path / "name.png"]
    assert (tmp_path / "name.md").read_text() == (
        "# Title\n\nHead.\n\n## One\n\nText.\n\n| a |\n| --- |\n| x |\n\n### Below\n\nMore.\n\n"
        "![What it shows](name.png)\n\n## Last\n\nEnd.\n"
    )
    assert imread(tmp_path / "name.png").shape[:2] == (110, 220)


def test_a_page_that_is_interrupted_leaves_those_that_were_there(tmp_path):
    class Interrupted(Figure):
        def savefig(self, file, **options):
            file.write_text("half")
            raise KeyboardInterrupt

    before = Page("name")
    before.figure("", Figure(figsize=(2, 1)))
    there = {path: path.read_bytes() for path in before.write(tmp_path)}
    page = Page("name")
    page.figure("new", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        page.write(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == there


def test_parts_that_need_runs_which_are_not_made_are_left_out(tmp_path):
    assert if_made(str.upper, "text") == "TEXT"
    assert if_made(statistics.median, []) is None
    assert if_made({"a": 1}.__getitem__, "b") is None
    with pytest.raises(TypeError):
        if_made(len, 3)  # no sign of a missing run
    page = Page("name")
    page.section("One", "Text.\n")
    page.figure("none", None)
    assert page.write(tmp_path) == [tmp_path / "name.md"]


def test_markdown():
    assert markdown_table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |\n"


def test_a_spread_is_median_lowest_highest():
    assert spread([0.3, 0.1, 0.24, 0.2]) == ["2.2e-01", "1.0e-01", "3.0e-01"]
    assert spread([float("inf"), 1e-3, 2.0]) == ["2.0e+00", "1.0e-03", "inf"]


def test_prose_is_wrapped_by_paragraphs_and_items():
    words = "word " * 40
    first, second, item = wrapped(f"{words}\nend.\n\nshort\nlines\n\n- {words}end.\n").split("\n\n")
    assert first == "\n".join(["word " * 22 + "word", "word " * 16 + "word end."])
    assert second == "short lines"
    assert item == "\n".join(["- " + "word " * 22 + "word", "  " + "word " * 16 + "word end.\n"])
