"""The API reference: every public name has its place on one page, once."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[1] / "docs" / "api").glob("*.md"))
ROOMS = "problems domains samplers networks optimizers criteria callbacks solution derivatives"
SHOWN = [name for page in PAGES for name in re.findall(r"^::: (\S+)$", page.read_text(), flags=re.M)]


def code(page):
    return "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.S))


def members(module):
    return {f"{module}.{name}" for name in import_module(module).__all__}


@pytest.mark.parametrize("room", ROOMS.split())
def test_every_public_name_is_shown(room):
    assert members(f"pinnlab.{room}") <= set(SHOWN)


def test_the_names_at_the_top_are_shown():
    assert members("pinnlab") - {"pinnlab.Problem"} <= set(SHOWN)  # which is pinnlab.problems.Problem


def test_a_name_is_shown_once_and_exists():
    assert len(SHOWN) == len(set(SHOWN))
    for name in SHOWN:
        home, _, last = name.rpartition(".")
        assert hasattr(import_module(home), last) or import_module(name), name


@pytest.mark.parametrize("name", SHOWN)
def test_arguments_are_described_in_their_order(name):
    home, _, last = name.rpartition(".")
    shown = getattr(import_module(home), last, None)
    arguments = re.search(r"^Args:\n((?:    .*\n?)+)", inspect.getdoc(shown) or "", flags=re.M)
    if callable(shown) and arguments:
        order = list(inspect.signature(shown).parameters)
        described = [key for key in re.findall(r"^    (\w+):", arguments[1], flags=re.M) if key in order]
        assert described == sorted(described, key=order.index)


def test_analysis_is_shown_by_its_modules():
    folder = Path(__file__).parents[1] / "pinnlab" / "analysis"
    modules = {path.stem for path in folder.iterdir() if not path.stem.startswith("__")}
    assert {f"pinnlab.analysis.{name}" for name in modules} <= set(SHOWN)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_name_of_a_page_is_in_an_example(page):
    """That the examples run is seen to by tests/test_docs.py."""
    names = {name.rpartition(".")[2] for name in re.findall(r"^::: (\S+)$", page.read_text(), flags=re.M)}
    assert {name for name in names if not re.search(rf"\b{name}\b", code(page))} == set()
