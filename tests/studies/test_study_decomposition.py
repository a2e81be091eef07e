"""The study of decomposition: what it keeps of a run, and its page."""

import math
from itertools import pairwise

import pytest

from pinnlab.studies.decomposition import write_report
from pinnlab.studies.decomposition.report import error_after
from pinnlab.studies.decomposition.runs import AT, COLUMNS, STUDY
from pinnlab.studies.engine.recording import error, recording
from pinnlab.studies.engine.runner import merged, train


@pytest.mark.filterwarnings("ignore")
def test_what_is_kept_of_a_run_that_time_ends():
    callbacks = [recording([1e-3, 2e-3], error, "processor_seconds", ends=True)]
    tiny = {"data": {"points": {"pde": 60}, "evaluation_points": 50}, "trainer": {"callbacks": callbacks}}
    summary, trained = train(merged(STUDY.config("poisson1d", "trained_windows", 0), tiny))
    kept = {**STUDY.measure(summary), **STUDY.probe(trained)}
    assert set(kept) == set(COLUMNS)
    assert kept["parameters"] == 16 * (16 + 16 + 16 + 1)
    assert kept["processor_seconds"] > 0
    assert float(kept["errors"].split()[-1]) == pytest.approx(kept["relative_l2"], rel=1e-3)


def test_networks_of_a_problem_have_about_as_many_numbers():
    """But for those that say otherwise: what one network can be trained with, and the large ones."""
    for problem, low, high in (("poisson1d", 776, 1104),):
        for setting in STUDY.settings:
            if setting == "trained_large":
                continue
            size = _numbers(STUDY.config(problem, setting, 0)["model"]["network"])
            assert low <= size <= high, setting


def _numbers(network, inputs=1):
    arguments = network["init_args"]
    if network["class_path"] == "Subdomains":
        counts = [-(-arguments["grid"] // 2**level) for level in range(arguments.get("levels", 1))]
        return sum(count**inputs for count in counts) * _numbers(arguments["network"])
    if network["class_path"] == "RandomFeatures":
        return arguments["count"] + 1
    sizes = [inputs, *arguments["hidden"], 1]
    return sum((a + 1) * b for a, b in pairwise(sizes))


def row(problem, setting, error, seconds=16.2, seed="0"):
    return {
        "problem": problem, "setting": setting, "seed": seed, "status": "done", "parameters": "800",
        "relative_l2": str(error), "loss": "1e-3", "evaluations": "900", "processor_seconds": str(seconds),
        "errors": " ".join(str(error * 2**k) for k in (4, 3, 2, 1, 0)) if seconds > AT[-1] else "",
    }  # fmt: skip


def test_errors_at_a_time_are_the_last_ones_of_runs_that_ended():
    assert error_after(row("poisson1d", "sines_one", 1e-9, seconds=1.5), 2) == 1e-9
    assert math.isnan(error_after(row("poisson1d", "sines_one", 1e-9, seconds=1.5), 1))
    assert error_after(row("poisson1d", "trained_one", 1e-3), 4) == 4e-3


def test_the_page_compares_at_equal_times(tmp_path):
    errors = {
        "sines_one": 1e-12, "sines_windows": 1e-13, "trained_one": 1e-3, "trained_one_lbfgs": 2e-1,
        "trained_windows": 1e-4, "trained_large": 2e-6,
    }  # fmt: skip
    rows = [
        row(problem, setting, error, 1.5 if setting.startswith("sines") else 16.2)
        for problem in STUDY.problems
        for setting, error in errors.items()
    ]
    assert "What follows" not in _page(rows[:7], tmp_path)
    text = " ".join(_page(rows, tmp_path).split())
    windows = "16 windows along each coordinate of 16 trained sines"
    assert f"| `trained_windows` | {windows} | 800 | 1 | 1.6e-03 | 8.0e-04 | 4.0e-04 | 2.0e-04 | 1.0e-04 |" in text
    assert "| poisson1d, `trained_windows` | 1e+01 | 1e+01 | 1e+01 | 1e+01 | 1e+01 |" in text
    assert "| poisson2d, `sines_windows` | | 8e+10 | 4e+10 | 2e+10 | 1e+10 |" in text
    assert "with twice the numbers in two hidden layers (800 numbers) 500 times" in text


def _page(rows, folder):
    write_report(rows, folder)
    return (folder / "decomposition.md").read_text()
