"""Files of a run: in no other's place, whole or not there, and JSON that every reader takes."""

import json
import math

import pytest

from pinnlab.reporting.files import as_json, free_path, whole


def test_free_path_counts(tmp_path):
    path = tmp_path / "a.json"
    assert free_path(path) == path
    path.touch()
    (tmp_path / "a-1.json").touch()
    assert free_path(path) == tmp_path / "a-2.json"


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "u.csv"
    path.write_text("before")

    def fail(part):
        part.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        whole(path, fail)
    assert [file.name for file in tmp_path.iterdir()] == ["u.csv"]
    assert path.read_text() == "before"


def test_numbers_that_are_not_finite_are_null():
    text = as_json({"loss": math.inf, "errors": {"u": math.nan, "v": 0.5}, "steps": [1, -math.inf, "nan"]})
    assert json.loads(text) == {"loss": None, "errors": {"u": None, "v": 0.5}, "steps": [1, None, "nan"]}
