"""The study of schedules: its recipes, what it keeps of a run, and the report against numbers by hand."""

import math

import pytest

from pinnlab.cli.catalog import resolve_names
from pinnlab.cli.given import check_config
from pinnlab.studies.command import run_study_command
from pinnlab.studies.engine.recording import cell, numbers
from pinnlab.studies.engine.runner import KEY, append_row, merged, train
from pinnlab.studies.schedules import runs as schedules
from pinnlab.studies.schedules.runs import AT, BUDGET, COLUMNS, SETTINGS, STUDY, USES


@pytest.mark.parametrize("setting", SETTINGS)
def test_recipes_are_accepted(setting):
    for problem in STUDY.problems:
        check_config(resolve_names(STUDY.config(problem, setting, 0)))


@pytest.mark.parametrize("setting", SETTINGS)
def test_schedules_last_as_long_as_adam(setting):
    use, schedule = setting.split("/")
    adam, *rest = SETTINGS[setting]["model"]["phases"]
    assert adam["steps"] == USES[use].steps == (BUDGET // 3 if rest else BUDGET)
    options = adam.get("scheduler", {}).get("init_args", {})
    if schedule == "exponential":
        assert options["gamma"] ** adam["steps"] == pytest.approx(0.01)
    if schedule == "one_cycle":
        assert (options["total_steps"], options["max_lr"]) == (adam["steps"], USES[use].rate)
    if schedule == "warm_up":
        rise, fall = (part["init_args"] for part in options["schedulers"])
        assert options["milestones"] == [rise["total_iters"]] == [adam["steps"] - fall["T_max"]]


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_a_loss_rises_above_its_lowest(scale):
    losses = [4.0, 1.0, 3.0, 11.0, 0.5, 5.1, 0.4]
    found = schedules.rises([scale * loss for loss in losses])
    assert {**found, "worst": float(found["worst"])} == {"risen_2": 3, "risen_10": 2, "worst": pytest.approx(11)}
    assert schedules.rises([3.0, math.nan]) == {"risen_2": 1, "risen_10": 1, "worst": "1"}
    assert schedules.rises([3.0]) == {"risen_2": 0, "risen_10": 0, "worst": "1"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("setting", ["low/warm_up", "broyden/one_cycle"])
def test_what_is_kept_of_a_run(setting):
    tiny = {
        "data": {"points": {"data": 16}, "evaluation_points": 50},
        "model": {"compile": False, "network": {"init_args": {"hidden": [4]}}},
        "trainer": {"max_steps": 130},
    }
    summary, trained = train(merged(STUDY.config("regression", setting, 0), tiny))
    kept = {**STUDY.measure(summary), **STUDY.probe(trained)}
    assert set(kept) == set(COLUMNS)
    assert len(numbers(kept["errors"])) == 1
    assert kept["evaluations"] == 130


def row(setting, seed, error, **more):
    own = {"relative_l2": str(error), "best": str(error), "worst": "1.5"}
    errors = cell([1.0] * (len(AT) - 1) + [error])
    return {
        "problem": "burgers", "setting": setting, "seed": str(seed), "status": "done",
        **dict.fromkeys(COLUMNS, "0"), **own, "errors": errors, **more,
    }  # fmt: skip


NAMES = ("constant", "exponential", "cosine", "one_cycle", "warm_up")
ERRORS = {"low": 1e-2, "high": 2e-2, "broyden": 1e-5}
FACTORS = dict(zip(NAMES, [(1, 1), (2, 8), (0.5, 0.5), (0.5, 2), (3, 3)], strict=True))
ROWS = [
    row(f"{use}/{name}", seed, error * factor, risen_10=str(30 * (name == "constant") * (use == "high") * seed))
    for use, error in ERRORS.items()
    for name in NAMES
    for seed, factor in enumerate(FACTORS[name])
]


def report(folder, rows):
    for one in rows:
        append_row(folder / "schedules.csv", (*KEY, "status", *COLUMNS), one)
    assert run_study_command(["schedules", "--report", "--folder", str(folder)]) == 0
    return (folder / "schedules.md").read_text()


def test_the_report_compares_with_the_constant_rate(tmp_path):
    text = report(tmp_path, ROWS)
    # exponential: 2 and 8 times, geometric mean 4; one_cycle: 1/2 and 2, on which the seeds do not agree
    assert "| Adam alone, at most 5e-3 | burgers | **4** | **0.5** | 1 | **3** |" in text
    assert "| Adam alone, at most 2e-2 | 15.0 (1 of 2) | 0.0 (0 of 2) |" in text
    short = " ".join(text.split())
    assert "The best schedule is `cosine`: it ends at 0.5 times the error of a constant rate" in short
    assert "below it in 2 of 2 runs. The worst is `exponential`: 4 times, below it in 0 of 2." in short
    assert (
        "in 1 of 6 runs with a constant rate and in 0 of 24 with a schedule; in the mean for 5.0 and 0.0 steps" in short
    )
    assert "up to 1 times the best on the way with a constant rate" in short
    assert (
        "`cosine` with at most 5e-3 is best: 0.5 times the error of a constant 5e-3, below it in 2 of 2 runs. A"
        in short
    )
    assert "A constant 2e-2 ends at 2 times." in short
    assert "Of 12 comparisons" in short  # cosine is better with both seeds, exponential and warm_up are worse
    assert "lower with every seed in 3, and higher with every seed in 6." in short
    # before Broyden 5 times 1e-5 at worst, alone 0.5 times 1e-2 at best
    assert "is smaller by a factor of 100 on `burgers` (10.0);" in short
    assert (tmp_path / "schedules.png").stat().st_size > 5_000


def test_a_run_that_failed_is_told(tmp_path):
    failed = row("low/constant", 2, math.nan, status="ValueError: x", errors="", relative_l2="")
    text = report(tmp_path, [*ROWS, failed])
    assert "Runs that failed: 1." in " ".join(text.split())


def test_there_is_no_verdict_from_a_part_of_the_runs(tmp_path):
    assert "In short" not in report(tmp_path, ROWS[:12])
