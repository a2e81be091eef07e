"""The table of a study's runs against numbers by hand and NumPy's."""

import math

import numpy as np
import pytest

from pinnlab.studies.engine.runs_table import Runs


def row(problem, setting, seed, error, status="done", **more):
    return {"problem": problem, "setting": setting, "seed": str(seed), "status": status, "relative_l2": error, **more}


RUNS = Runs(
    [
        row("wave", "lbfgs", 10, "0.5", curve="3 2 1"),
        row("wave", "lbfgs", 2, "0.25", curve="5 4"),
        row("heat", "adam", 2, "nan", curve="7"),
        row("heat", "adam", 10, "", status="ValueError: x", curve=""),
        row("wave", "adam", 2, "0.125", curve="9 8 6"),
        row("wave", "adam", 10, None, curve="1"),
        row("wave", "adam", 3, "0.0625", curve="2"),
        row("wave", "none", 3, "", status="ValueError: y", curve=""),
    ]
)


def test_names_come_in_the_order_of_the_file():
    assert RUNS.problems == ["wave", "heat"]
    assert RUNS.settings == ["lbfgs", "adam", "none"]
    assert RUNS.seeds == ["10", "2", "3"]
    assert len(RUNS) == 8
    assert len(RUNS.done) == 6


def test_cells_choose_runs():
    assert [run["seed"] for run in RUNS.of(problem="wave", setting="adam")] == ["2", "10", "3"]
    assert RUNS.of(problem="heat", seed="10").rows == (RUNS.rows[3],)
    assert not RUNS.of(problem="nothing")
    parts = RUNS.by("problem")
    assert {name: len(part) for name, part in parts.items()} == {"wave": 6, "heat": 2}
    assert sorted(map(id, (*parts["wave"], *parts["heat"]))) == sorted(map(id, RUNS))


def test_values_are_those_of_the_seeds_in_order_and_infinite_where_there_is_none():
    assert RUNS.of(problem="wave", setting="lbfgs").values() == [0.25, 0.5]  # seed 2 before seed 10
    assert RUNS.of(problem="wave", setting="adam").values() == [0.125, 0.0625, math.inf]
    assert RUNS.of(problem="heat").values() == [math.inf, math.inf]
    assert RUNS.of(setting="lbfgs").values("seed") == [2.0, 10.0]


@pytest.mark.parametrize("setting", ["lbfgs", "adam", "none"])
def test_medians(setting):
    own = RUNS.of(problem="wave", setting=setting)
    assert own.median() == np.median(own.values())
    assert own.median("seed") == np.median(own.values("seed"))


def test_a_median_of_nothing_is_no_number():
    assert math.isnan(RUNS.of(setting="nothing").median())


def test_the_best_setting_is_ranked_first():
    ranked = RUNS.of(problem="wave").ranked()
    assert [(setting, own.median()) for setting, own in ranked] == [
        ("adam", 0.125),
        ("lbfgs", 0.375),
        ("none", math.inf),
    ]


def test_curves_are_those_of_runs_that_are_done():
    assert RUNS.of(problem="wave", setting="lbfgs").curves("curve") == [[3.0, 2.0, 1.0], [5.0, 4.0]]
    assert RUNS.of(problem="heat").curves("curve") == [[7.0]]
    assert RUNS.of(setting="none").curves("curve") == []
