"""Every shipped recipe parses with the real command and trains two steps."""

import json

import pytest

from pinnlab.catalog import recipe_names
from pinnlab.cli import run


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", recipe_names())
def test_recipe_trains_two_steps(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    code = run(["fit", "-c", name, "--trainer.max_steps=2", "--model.compile=false", "--data.evaluation_points=300"])
    assert code == 0, capsys.readouterr().err
    summary = json.loads(next((tmp_path / "runs" / name).rglob("summary.json")).read_text())
    assert summary["recipe"] == name
    assert summary["steps"] == 2
    assert summary["relative_l2"]["u"] > 0
    assert summary["dtype"] == "float64"


@pytest.mark.parametrize("name", recipe_names())
def test_recipe_says_what_it_is(name):
    from pinnlab.catalog import recipes_folder

    first = (recipes_folder() / f"{name}.yaml").read_text().splitlines()[0]
    assert first.startswith("# ")
    assert len(first) > 20
