"""Gallery and table of problems: all that they show exists, and nothing is left out."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from pinnlab import problems
from pinnlab.cli.catalog import recipe_names

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def gallery():
    spec = importlib.util.spec_from_file_location("make_gallery", DOCS / "make_gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_the_one_that_the_records_give(gallery):
    assert (DOCS / "gallery.md").read_text() == gallery.page(gallery.recorded())


def test_pictures_are_small_and_those_of_the_records(gallery):
    pictures = {path.stem: path.stat().st_size for path in (DOCS / "images" / "gallery").iterdir()}
    assert pictures.keys() == gallery.recorded().keys()
    assert max(pictures.values()) < gallery.LARGEST


def test_a_recipe_is_in_the_gallery_or_named_as_missing(gallery):
    text = gallery.page(gallery.recorded())
    assert set(gallery.recorded()) <= set(recipe_names())
    assert {name for name in recipe_names() if f"`{name}`" not in text} == set()


def test_a_run_gives_its_record(gallery, tmp_path):
    summary = {
        "recipe": "burgers",
        "problem": "Burgers",
        "relative_l2": {"u": 1.5e-4, "v": 2.5e-4},
        "seconds": 61.24,
        "evaluations": 8100,
        "parameters": 921,
        "phases": [
            {"optimizer": "Adam", "stopped": "a criterion"},
            {"optimizer": "SSBroyden", "stopped": "the planned number of steps was reached"},
        ],
        "torch": "2.13.0",
    }
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    record = gallery.record_of(tmp_path)
    assert (record["error"], record["optimizers"]) == (2.5e-4, ["Adam", "SSBroyden"])
    text = gallery.page({"burgers": record})
    assert "| [`burgers`](#burgers) | `Adam`, then `SSBroyden` | 2.5e-04 | 8,100 | 61 s |" in text
    assert "Viscous Burgers' equation" in text
    assert "`burgers`" not in text.partition("## Not here yet")[2]
    record |= {"windows": 2, "optimizers": ["Adam", "SSBroyden", "Adam", "SSBroyden"]}
    assert "| `Adam`, then `SSBroyden`, in 2 windows |" in gallery.page({"burgers": record})
    summary["phases"][1]["stopped"] = "the run was interrupted"
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    assert gallery.record_of(tmp_path) is None


def test_the_table_of_problems_names_all_problems_and_recipes():
    text = (DOCS / "problems.md").read_text()
    named = set(re.findall(r"^\| `(\w+)`", text, flags=re.M))
    kinds = {name: kind for name in problems.__all__ if isinstance(kind := getattr(problems, name), type)}
    classes = {name for name, kind in kinds.items() if issubclass(kind, problems.Problem)}
    assert named == classes - {"Problem"}
    assert {name for name in recipe_names() if f"`{name}`" not in text} == set()
