"""The pages in docs/studies are those that their CSV files give."""

from pathlib import Path

import pytest

from pinnlab.studies.command import study_module
from pinnlab.studies.engine.runner import read_rows

FOLDER = Path(__file__).parents[2] / "docs" / "studies"


@pytest.mark.parametrize("name", [path.stem for path in sorted(FOLDER.glob("*.csv"))])
def test_the_page_is_that_of_its_file(name, tmp_path):
    study_module(name).write_report(read_rows(FOLDER / f"{name}.csv"), tmp_path)
    assert (tmp_path / f"{name}.md").read_text() == (FOLDER / f"{name}.md").read_text()
    assert f"({name}.md)" in (FOLDER / "README.md").read_text()
