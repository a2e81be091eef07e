"""The study of hybrids: what it keeps of a run, and its comparisons by hand."""

import math

import pytest

from pinnlab.studies.command import run_study_command
from pinnlab.studies.engine.recording import cell, numbers
from pinnlab.studies.engine.runner import KEY, append_row, merged, train
from pinnlab.studies.hybrid import runs as hybrid
from pinnlab.studies.hybrid.runs import AT, COLUMNS, STUDY


def row(setting, seed, error, **more):
    errors = cell([1.0] * (len(AT) - 1) + [error])
    return {
        "problem": "poisson1d", "setting": setting, "seed": str(seed), "status": "done", "relative_l2": str(error),
        "loss": "1e-3", "evaluations": "4000", "switched_at": "300", "errors": errors, **more,
    }  # fmt: skip


def test_the_report_compares_seed_by_seed(tmp_path, capsys):
    path, columns = tmp_path / "hybrid.csv", (*KEY, "status", *COLUMNS)
    for seed, (adam, lbfgs, both) in enumerate([(1e-2, 1e-5, 4e-5), (1e-2, 4e-5, 2e-5), (1e-2, 2e-5, 8e-5)]):
        append_row(path, columns, row("adam", seed, adam))
        append_row(path, columns, row("lbfgs", seed, lbfgs))
        append_row(path, columns, row("adam_lbfgs", seed, both))
    append_row(path, columns, row("adam_lbfgs", 3, math.nan, status="ValueError: x", errors="", switched_at=""))
    assert run_study_command(["hybrid", "--report", "--folder", str(tmp_path)]) == 0
    assert "hybrid.md" in capsys.readouterr().out
    text = (tmp_path / "hybrid.md").read_text()
    assert "10 runs" in " ".join(text.split())
    ones = "1.0e+00 | " * (len(AT) - 1)
    assert f"| adam_lbfgs | {ones}4.0e-05 | 2.0e-05 to 8.0e-05 | 300 |" in text
    # ratios 4, 1/2, 4: geometric mean 2; logs spread by 1.2, half the interval 4.30 * 1.2 / sqrt(3) = 2.98
    assert "| adam_lbfgs / lbfgs | 2 | 0.1 to 39 | 1 of 3 |" in text
    assert "ssbroyden / lbfgs" not in text
    assert "What follows" not in text  # not all settings are there
    assert (tmp_path / "hybrid.png").stat().st_size > 5_000


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("setting", ["adam_lbfgs", "adam"])
def test_what_is_kept_of_a_run(setting):
    tiny = {
        "data": {"points": {"pde": 16, "boundary": 2}, "evaluation_points": 50},
        "model": {"network": {"init_args": {"hidden": [4]}}},
        "trainer": {"max_steps": 130},
    }
    summary, trained = train(merged(STUDY.config("poisson1d", setting, 0), tiny))
    kept = {**hybrid.measure(summary), **hybrid.probe(trained)}
    assert set(kept) == set(COLUMNS)
    errors = numbers(kept["errors"])
    assert len(errors) >= 1
    assert all(math.isfinite(error) for error in errors)
    if setting == "adam":
        assert (kept["evaluations"], kept["switched_at"], len(errors)) == (130, 130, 1)
