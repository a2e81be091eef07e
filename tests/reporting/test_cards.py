"""Cards of text and settings: what they say of every shipped problem and recipe."""

import pytest
import torch
import yaml
from cases import PROBLEMS

from pinnlab.cli.catalog import find_recipe, recipe_names, resolve_names
from pinnlab.reporting.cards import machine_card, problem_card, recipe_card, settings_of, spelled


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_has_its_equation_and_conditions(name):
    problem = PROBLEMS[name]()
    card = problem_card(problem, dict.fromkeys(problem.conditions, 1234), dict.fromkeys(problem.conditions, 0.5))
    assert card.startswith(f"## {problem.name}\n\n{type(problem).__doc__.partition(chr(10))[0]}")
    assert "Args:" not in card
    rows = [line for line in card.splitlines() if line.startswith("| ")][2:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(problem.conditions)
    assert all(row.replace(r"\|", "").count("|") == 7 and "1,234 | 0.5 |" in row for row in rows)


def test_data_and_coefficients_are_told():
    from pinnlab.domains import Interval
    from pinnlab.problems import Coefficient, Observations, Problem, Residual

    t = Interval("t", 0, 2)
    conditions = {
        "ode": Residual(t, lambda u, k: u.t + k * u),
        "data": Observations(torch.zeros(3, 1), u=torch.zeros(3)),
    }
    card = problem_card(Problem(t, ["u"], conditions, {"k": Coefficient(1.0)}), {"ode": 7}, {})
    assert "- **coefficients to find**: k" in card
    assert "- **reference**: none" in card
    assert "| data | Observations |  | given points | 0 | 1 |" in card


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_spelled_in_a_line(name):
    recipe = yaml.safe_dump(resolve_names(yaml.safe_load(find_recipe(name).read_text())))
    settings = settings_of(recipe, {"network": "MLP"})
    assert list(settings) == ["problem", "network", "phases", "callbacks"]
    assert settings["problem"]
    assert settings["phases"]
    assert not any("\n" in text or "class_path" in text or "init_args" in text for text in settings.values())


def test_only_what_differs_from_the_defaults_is_spelled():
    adam = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.005, "betas": [0.9, 0.999], "eps": 1e-8}}
    assert spelled(adam) == "Adam(lr=0.005)"
    assert spelled({"class_path": "torch.optim.Adam", "init_args": {"betas": [0.5, 0.9]}}) == "Adam(betas=[0.5, 0.9])"
    until = {"class_path": "pinnlab.criteria.LossPlateau", "init_args": {}}
    assert spelled({"optimizer": adam, "steps": None, "until": until}) == "Adam(lr=0.005), until=LossPlateau"
    whole = {"optimizer": adam, "steps": 5, **{key: None for key in ("until", "scheduler", "width", "points", "dtype")}}
    assert spelled({**whole, "updates": 1, "prolong": False}) == "Adam(lr=0.005), steps=5"
    assert spelled({**whole, "updates": 10, "prolong": True}) == "Adam(lr=0.005), steps=5, updates=10, prolong=True"
    assert spelled({"class_path": "nowhere.Thing", "init_args": {"a": 1}}) == "Thing(a=1)"
    assert spelled({"pde": ["x", "t"]}) == "{pde=[x, t]}"


def test_without_a_recipe_what_was_built_is_told():
    assert settings_of(None, {"problem": "Heat1D", "phases": "Adam"}) == {
        "problem": "Heat1D", "network": "", "phases": "Adam", "callbacks": "",
    }  # fmt: skip
    assert recipe_card("mine", None, {"problem": "Heat1D"}) == "## mine\n\n- **problem**: Heat1D"
    assert recipe_card("mine", "a: 1\n", {}).endswith("```yaml\na: 1\n```")


def test_the_machine_is_told():
    card = machine_card(torch.device("cpu"), "float64", 2, True)
    for fact in ("**device**: cpu", "**processes**: 2", f"**torch**: {torch.__version__}", "**compiled**: yes"):
        assert fact in card
