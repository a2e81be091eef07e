"""The pages in docs/studies are those that their CSV files give."""

from pathlib import Path

import pytest

from pinnlab.studies.command import study_module
from pinnlab.studies.engine.runner import read_rows

FOLDER = Path(__file__).parents[2] / "docs" / "studies"


STUDIES = [path.stem for path in sorted(FOLDER.glob("*.csv"))]


@pytest.mark.parametrize("name", STUDIES)
def test_the_page_is_that_of_its_file(name, tmp_path):
    study_module(name).write_report(read_rows(FOLDER / f"{name}.csv"), tmp_path)
    assert (tmp_path / f"{name}.md").read_text() == (FOLDER / f"{name}.md").read_text()
    assert f"({name}.md)" in (FOLDER / "README.md").read_text()


@pytest.mark.filterwarnings("ignore")  # of figures with little in them
@pytest.mark.parametrize("count", [1, *(pytest.param(count, marks=pytest.mark.slow) for count in (3, 10))])
@pytest.mark.parametrize("name", STUDIES)
def test_a_page_can_be_made_from_the_first_runs(name, count, tmp_path):
    rows = read_rows(FOLDER / f"{name}.csv")[:count]
    study_module(name).write_report(rows, tmp_path)
    found = (tmp_path / f"{name}.md").read_text()
    assert found.startswith("# ")
    assert f"({name}.png)" not in found or (tmp_path / f"{name}.png").is_file()
