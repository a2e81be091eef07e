"""The site's list of pages is complete, and notebooks become pages. That it builds is asked by .ci/run."""

import base64
import importlib.util
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def leaves(entry):
    if isinstance(entry, str):
        return [entry]
    return [leaf for item in (entry.values() if isinstance(entry, dict) else entry) for leaf in leaves(item)]


def test_every_page_is_in_the_navigation_once():
    listed = leaves(yaml.safe_load((ROOT / ".mkdocs.yml").read_text())["nav"])
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    notebooks = {str(path.relative_to(DOCS).with_suffix(".md")) for path in DOCS.rglob("*.ipynb")}
    assert sorted(listed) == sorted(pages | notebooks | {"changelog.md"})


def test_a_notebook_becomes_a_page():
    pytest.importorskip("mkdocs", reason="the site needs the extra docs")
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    picture = base64.b64encode(b"dots").decode()
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "then [the next](b.ipynb)"]},
        {"cell_type": "code", "source": ["1 + 1"], "outputs": [{"data": {"text/plain": ["2"]}}]},
        {"cell_type": "code", "source": ["draw()"], "outputs": [{"data": {"image/png": picture}}]},
        {"cell_type": "code", "source": ["print(3)"], "outputs": [{"text": ["3\n"]}]},
    ]
    page, pictures = hooks.page_of({"cells": cells}, "a")
    assert page.startswith("# Title\nthen [the next](b.md)\n\n```python\n1 + 1\n```\n\n```text\n2\n```\n")
    assert "```python\ndraw()\n```\n\n![The figure that this cell draws](a-1.png)\n" in page
    assert page.endswith("```text\n3\n```\n\n[This page as a notebook](a.ipynb)\n")
    assert pictures == {"a-1.png": b"dots"}
