"""Files of the user's own as modules."""

import sys
from pathlib import Path

import pytest

from pinnlab.errors import ConfigurationError
from pinnlab.problems import Burgers
from pinnlab.problems.own_file import file_of, found_again, import_file, problem_in

FILE = """
import beside_own_file
from pinnlab.problems import Poisson1D

class Mine(Poisson1D):
    number = beside_own_file.NUMBER
"""


@pytest.fixture(autouse=True)
def imports(monkeypatch):
    """Leaves path and modules as they were."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    for name in ("own_file_of_a_test", "beside_own_file"):
        sys.modules.pop(name, None)


def written(folder, text=FILE):
    folder.mkdir()
    (folder / "beside_own_file.py").write_text("NUMBER = 5")
    path = folder / "own_file_of_a_test.py"
    path.write_text(text)
    return path


def test_a_file_is_imported_once_with_what_lies_beside_it(tmp_path):
    path = written(tmp_path / "a")
    problem = problem_in(path)
    assert (problem.__name__, problem.number) == ("Mine", 5)
    assert problem_in(path) is problem
    assert sys.modules["own_file_of_a_test"] is import_file(path)
    assert sys.path[-1] == str(path.parent)
    assert file_of(problem) == path.resolve()
    assert file_of(Burgers) is None


def test_another_file_of_the_same_name_takes_its_place(tmp_path):
    first = problem_in(written(tmp_path / "a"))
    second = problem_in(written(tmp_path / "b", FILE.replace("Mine", "Other")))
    assert (first.__name__, second.__name__) == ("Mine", "Other")


def test_a_file_that_fails_leaves_no_module(tmp_path):
    path = written(tmp_path / "a", "import os\nraise ValueError('no\\nway')")
    with pytest.raises(ConfigurationError, match=r"problem: own_file_of_a_test cannot be imported: ValueError: no way"):
        import_file(path)
    with pytest.raises(ConfigurationError, match=rf"; see line 2 of {path}$"):
        import_file(path)
    assert "own_file_of_a_test" not in sys.modules


def test_a_file_is_found_where_it_was_or_in_one_of_some_folders(tmp_path):
    path = written(tmp_path / "a")
    gone = tmp_path / "gone" / path.name
    assert found_again(path, []) == path.resolve()
    assert found_again(gone, [tmp_path / "b", tmp_path / "a"]) == path.resolve()
    assert found_again(Path("a") / path.name, [tmp_path]) == path.resolve()
    with pytest.raises(ConfigurationError, match=r"problem_file: there is no file .*; if it has moved"):
        found_again(gone, [tmp_path])
