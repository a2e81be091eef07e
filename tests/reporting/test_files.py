"""Files of a run: in no other's place, whole or not there, and JSON that every reader takes."""

import json
import math

import pytest

from pinnlab.reporting.files import free_path, whole, write_json, write_whole


def test_free_path_counts(tmp_path):
    path = tmp_path / "a.json"
    assert free_path(path) == path
    path.touch()
    (tmp_path / "a-1.json").touch()
    assert free_path(path) == tmp_path / "a-2.json"


def half_of_a_file(part):
    part.write_text("half")
    raise OSError("disk full")


def half_written(file):
    file.write(b"half")
    raise OSError("disk full")


@pytest.mark.parametrize(("writer", "write"), [(whole, half_of_a_file), (write_whole, half_written)])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, writer, write):
    path = tmp_path / "u.csv"
    path.write_text("before")
    with pytest.raises(OSError, match="disk full"):
        writer(path, write)
    assert [file.name for file in tmp_path.iterdir()] == ["u.csv"]
    assert path.read_text() == "before"


def test_numbers_that_are_not_finite_are_null(tmp_path):
    content = {"loss": math.inf, "errors": {"u": math.nan, "v": 0.5}, "steps": [1, -math.inf, "nan"]}
    write_json(tmp_path / "summary.json", content)
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "loss": None,
        "errors": {"u": None, "v": 0.5},
        "steps": [1, None, "nan"],
    }
