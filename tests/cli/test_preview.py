"""What a recipe is about, before torch is there."""

import sys

import pytest
import yaml

from pinnlab.cli.catalog import find_recipe, recipe_names
from pinnlab.cli.dispatch import answer
from pinnlab.cli.preview import preview


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_recipe_has_its_four_lines(recipe):
    lines = [line.split()[0] for line in preview(recipe)]
    content = yaml.safe_load(find_recipe(recipe).read_text())
    brings_its_points = "data" in content["problem"].get("init_args", {})
    points, windows = ([] if brings_its_points else ["points"]), (["windows"] if "march" in content else [])
    assert lines == ["problem", "network", *points, "phases", *windows]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("problem: my.module.Fin", ["problem  Fin"]),
        (
            "data: {points: 300}\nmodel: {phases: [{optimizer: Adam, steps: 5}]}",
            ["points   300", "phases   Adam 5 steps"],
        ),
        ("model: {phases: {optimizer: Adam}, network: 7}\ndata: []", []),
        ("march: {windows: 40}", ["windows  40 of t"]),
        ("march: {edges: [0, 1, 3], coordinate: s}", ["windows  2 of s"]),
        ("march: {tolerance: 1.0e-3}", ["windows  6 of t"]),
        ("march: {windows: many}\nmodel: []", []),
        ("[]", []),
        ("a: [", []),
        ("", []),
    ],
)
def test_it_tells_what_is_there_and_leaves_errors_to_others(tmp_path, text, lines):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert preview(str(path)) == lines
    assert preview(str(tmp_path / "none.yaml")) == []


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_shows_it_before_anything_is_loaded(terminal, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert answer(["fit", "-c", "burgers"]) is None
    lines = capsys.readouterr().err.splitlines()
    assert ("  problem  Burgers" in lines) == terminal
    assert (bool(lines) and "loading torch" in lines[-1]) == terminal
