"""Files of the user's own as modules."""

import importlib
import os
import sys
from pathlib import Path

import pytest

from pinnlab.errors import ConfigurationError
from pinnlab.problems import Burgers
from pinnlab.problems.own_file import (
    builder,
    code_of,
    file_of,
    folder_again,
    found_again,
    import_file,
    problem_in,
)

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
    for name in list(sys.modules):
        if name.partition(".")[0] in (
            "own_file_of_a_test",
            "other_file_of_a_test",
            "beside_own_file",
            "parts_of_a_test",
        ):
            del sys.modules[name]


def written(folder, text=FILE):
    folder.mkdir(exist_ok=True)
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


@pytest.mark.parametrize("ends", ["sys.exit(3)", "argparse.ArgumentParser().parse_args(['--nothing'])"])
def test_a_file_that_ends_python_is_told(tmp_path, ends):
    path = written(tmp_path / "a", f"import argparse, sys\n{ends}")
    with pytest.raises(ConfigurationError, match=rf"it ends Python; .* see line 2 of {path}$"):
        import_file(path)
    with pytest.raises(SystemExit):  # as SIGTERM does by way of the command
        import_file(written(tmp_path / "b", "import sys\nsys.exit(143)"))


def test_a_file_that_gets_what_lies_beside_another_one_is_refused(tmp_path):
    """Its functions would be those of the other problem."""
    problem_in(written(tmp_path / "a"))
    other = written(tmp_path / "b").rename(tmp_path / "b" / "other_file_of_a_test.py")
    (other.parent / "beside_own_file.py").write_text("NUMBER = 6")
    with pytest.raises(
        ConfigurationError, match=r"beside_own_file is .*a.beside_own_file\.py in this process, not .*b"
    ):
        import_file(other)
    del sys.modules["beside_own_file"]
    sys.path.remove(str(tmp_path / "a"))
    assert problem_in(other).number == 6


def test_a_file_is_found_where_it_was_or_in_one_of_some_folders(tmp_path):
    path = written(tmp_path / "a")
    gone = tmp_path / "gone" / path.name
    assert found_again(path, []) == path.resolve()
    assert found_again(gone, [tmp_path / "b", tmp_path / "a"]) == path.resolve()
    assert found_again(Path("a") / path.name, [tmp_path]) == path.resolve()
    with pytest.raises(ConfigurationError, match=r"problem_file: there is no file .*; if it has moved"):
        found_again(gone, [tmp_path])


def test_relative_paths_begin_where_the_run_began_or_in_the_same_place_after_a_move(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old, new = tmp_path / "old" / "a.py", tmp_path / "new" / "a.py"
    for folder in ("old/data", "new/data", "new/elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    assert folder_again(old.parent / "data", old, new) == old.parent / "data"
    assert folder_again(old.parent / "elsewhere", old, new) == new.parent / "elsewhere"
    assert folder_again(old.parent / "nowhere", old, new) == tmp_path


def test_a_problem_is_built_in_a_folder_and_the_current_one_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.json").write_text("[")
    text = "import json\nfrom pathlib import Path\nfrom pinnlab.problems import Poisson1D\nclass Mine(Poisson1D):\n"
    text += "    def __init__(self, file):\n        json.loads(Path(file).read_text())\n        super().__init__()\n"
    path = written(tmp_path / "a", text)
    problem, build = problem_in(path), builder(tmp_path / "there")
    for file, said in (
        ("b.json", f"b.json not found, relative paths begin in {tmp_path / 'there'}"),
        ("a.json", "it fails with JSONDecodeError: Expecting value: line 1 column 2 (char 1)"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            build(problem, file)
        assert str(caught.value) == f"problem: Mine: {said}; see line 6 of {path}"
    (tmp_path / "there" / "a.json").write_text("[]")
    assert isinstance(build(problem, "a.json"), problem)
    assert Path.cwd() == tmp_path
    with pytest.raises(ConfigurationError, match=r"problem_folder: there is no folder .*gone; name the one"):
        builder(tmp_path / "gone")(problem, "a.json")
    with pytest.raises(TypeError):
        builder(None)(Burgers, nothing=1)  # a fault of the caller's


def test_the_code_of_a_problem_is_that_which_was_imported_without_its_comments(tmp_path):
    first = problem_in(written(tmp_path / "a"))
    before = code_of(first)
    (tmp_path / "a" / "own_file_of_a_test.py").write_text("x = 1")
    assert code_of(first) == before
    (tmp_path / "a" / "own_file_of_a_test.py").write_text(FILE.replace("NUMBER", "NUMBER + 1"))
    again = importlib.reload(sys.modules[first.__module__]).Mine
    assert again.number == 6
    assert code_of(again)["own_file_of_a_test.py"] != before["own_file_of_a_test.py"]
    assert code_of(problem_in(written(tmp_path / "b", f"# a remark\n{FILE}"))) == before
    changed = code_of(problem_in(written(tmp_path / "c", FILE.replace("NUMBER", "NUMBER + 1"))))
    assert {name for name in before if changed[name] != before[name]} == {"own_file_of_a_test.py"}
    assert code_of(Burgers) == {}


def test_the_code_of_a_problem_is_also_that_of_files_beside_it_that_it_imports(tmp_path):
    imports = "import parts_of_a_test.rates as rates, torch\nfrom parts_of_a_test import later\n"
    part = tmp_path / "a" / "parts_of_a_test"
    part.mkdir(parents=True)
    files = {"__init__.py": "", "rates.py": "from .deeper import *", "later.py": "", "deeper.py": "", "unused.py": ""}
    for name, text in files.items():
        (part / name).write_text(text)
    code = code_of(problem_in(written(tmp_path / "a", f"{imports}{FILE}")))
    parts = {f"parts_of_a_test{os.sep}{name}" for name in files if name != "unused.py"}
    assert set(code) == {"own_file_of_a_test.py", "beside_own_file.py", *parts}
