"""The code in the documentation runs."""

import re
from pathlib import Path

import pytest
import yaml
from shortening import shortened

from pinnlab.cli.commands import run
from pinnlab.studies.engine.runner import merged

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "api").glob("*.md"))]
IN_ORDER = ("start.md", "ten-tasks.md")
"""Pages whose Python needs the commands above it; tests/test_pages_in_order.py runs both."""
NO_PYTHON = (
    "architecture.md",
    "reliability.md",
    "clusters.md",
    "index.md",
    "gallery.md",
    "leaderboard.md",
    "evidence.md",
)


CHECKED = ("callbacks.md",)
"""Pages whose code says what comes out of its training: it takes the steps that are printed."""
LONGER = {"using-the-solution.md": 20, "training.md": 20}
"""How many steps it takes to come out as some pages say."""


def code_blocks(page, language):
    if "pytorch_optimizer" in page.read_text():
        pytest.importorskip("pytorch_optimizer", reason="this page is about the package pytorch_optimizer")
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.S)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("most", [4, pytest.param(None, marks=pytest.mark.slow)], ids=["shortened", "as printed"])
@pytest.mark.parametrize("page", [p for p in PAGES if p.name not in IN_ORDER], ids=lambda p: p.name)
def test_python_blocks_run(page, most, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = code_blocks(page, "python")
    namespace = {"__name__": "documentation"}
    steps = None if most is None or page.name in CHECKED else LONGER.get(page.name, most)
    for block in blocks:
        exec(compile(shortened(block, steps), str(page), "exec"), namespace)
    assert blocks or page.name in NO_PYTHON


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_name_shipped_recipes(page):
    from pinnlab.cli.catalog import recipe_names

    for name in re.findall(r"pinnlab \w+ -c (\w+)(?![\w.])", page.read_text()):
        assert name in recipe_names() or name == "my_recipe", name


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", ["survey.md", "how-to-choose.md", "phases.md", "adapting.md", "subdomains.md"])
def test_classes_in_the_text_can_be_named_in_recipes(page):
    from pinnlab.cli.catalog import class_paths

    text = re.sub(r"```.*?```", "", (ROOT / "docs" / page).read_text(), flags=re.S)
    named = set(re.findall(r"`([A-Z]\w+)`", text))
    assert len(named) > 3
    assert named <= class_paths().keys(), named - class_paths().keys()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", [0, 1])
def test_recipes_with_foreign_optimizers_train(number, tmp_path, monkeypatch, capsys):
    page = ROOT / "docs" / "optimizers-from-elsewhere.md"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    monkeypatch.syspath_prepend(tmp_path)
    for block in code_blocks(page, "python"):
        (tmp_path / block.partition("\n")[0].removeprefix("# ")).write_text(block)
    recipes = code_blocks(page, "yaml")
    assert len(recipes) == 2
    (tmp_path / "r.yaml").write_text(recipes[number])
    options = ["--trainer.max_steps=3", "--model.compile=false", "--data.evaluation_points=300"]
    assert run(["fit", "-c", "r.yaml", *options]) == 0, capsys.readouterr().err


FRAGMENTS = [
    ("phases.md", 0),
    ("phases.md", 1),
    ("spectra.md", 0),
    ("when-it-fails.md", 0),
    ("adapting.md", 0),
    ("adapting.md", 1),
    ("adapting.md", 2),
]
RECIPE = {
    "problem": {"class_path": "Burgers"},
    "data": {"points": {"pde": 64}, "evaluation_points": 100},
    "model": {"compile": False, "network": {"class_path": "MLP", "init_args": {"hidden": [5]}}},
    "trainer": {"logger": False, "max_steps": 3, "enable_progress_bar": False},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("page", "number"), FRAGMENTS)
def test_fragments_of_recipes_train(page, number, tmp_path, monkeypatch, capsys):
    fragment = yaml.safe_load(code_blocks(ROOT / "docs" / page, "yaml")[number])
    if isinstance(fragment, list):
        fragment = {"model": {"phases": [*fragment, {"optimizer": "LBFGS", "steps": 1}]}}
    adam = {"optimizer": {"class_path": "Adam", "init_args": {"lr": 1e-3}}, "steps": 3}
    recipe = merged(RECIPE, {"model": {"phases": [adam]}}, fragment)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    assert run(["fit", "-c", "r.yaml"]) == 0, capsys.readouterr().err
