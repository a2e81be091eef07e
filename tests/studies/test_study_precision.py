"""The study of precision: what it keeps of a run, and its tables by hand."""

import math

import pytest

from pinnlab.studies.command import run_study_command
from pinnlab.studies.engine.recording import cell, numbers
from pinnlab.studies.engine.runner import KEY, append_row, merged, train
from pinnlab.studies.precision import runs as precision
from pinnlab.studies.precision.runs import AT, COLUMNS, METHODS, PROBLEMS, STUDY


def row(problem, setting, seed, *errors):
    return {
        "problem": problem, "setting": setting, "seed": str(seed), "status": "done", "relative_l2": str(errors[-1]),
        "loss": "1e-3", "evaluations": "400", "seconds": "20", "stopped": "met", "errors": cell(errors),
    }  # fmt: skip


def test_tables_by_hand(tmp_path, capsys):
    path, columns = tmp_path / "precision.csv", (*KEY, "status", *COLUMNS)
    for seed, scale in enumerate((1.0, 3.0, 2.0)):
        append_row(path, columns, row("heat", "target_ratio", seed, scale, 1e-3 * scale, 1e-14 * scale))
        append_row(path, columns, row("heat", "lm", seed, *[scale * 10.0**-k for k in range(5)]))
    assert run_study_command(["precision", "--report", "--folder", str(tmp_path)]) == 0
    assert "precision.md" in capsys.readouterr().out
    text = (tmp_path / "precision.md").read_text()
    # the first stopped after two seconds: its last error stands from then on
    assert "| `target_ratio` | 2.0e+00 | 2.0e-03 | 2.0e-14 | 2.0e-14 | 2.0e-14 | 1.0e-14 to 3.0e-14 |" in text
    assert "| `lm` | 2.0e+00 | 2.0e-01 | 2.0e-02 | 2.0e-03 | 2.0e-04 | 1.0e-04 to 3.0e-04 |" in text
    assert "`target_ratio` is best, 1e+10 times below `lm`" in text
    assert "What follows" not in text  # not all problems are there
    assert (tmp_path / "precision.png").stat().st_size > 5_000


def test_reading_by_hand(tmp_path):
    path, columns = tmp_path / "precision.csv", (*KEY, "status", *COLUMNS)
    for number, problem in enumerate(PROBLEMS):
        for method in METHODS:
            error = 1e-12 if method == "target_ratio" and number < 4 else 1e-6
            append_row(path, columns, row(problem, method, 0, *[error] * len(AT)))
            append_row(path, columns, row(problem, f"{method}_rad", 0, *[1e-7] * len(AT)))
    assert run_study_command(["precision", "--report", "--folder", str(tmp_path)]) == 0
    text = " ".join((tmp_path / "precision.md").read_text().split())
    assert "ends at 1e-05 times the error of the best of the other three" in text
    assert "is best on 4 of 5 of them" in text
    assert "what `target_ratio` ends at by 1e+05 (median" in text


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("setting", ["broyden_rad", "target_ratio"])
@pytest.mark.parametrize("problem", ["heat", "burgers_smooth"])
def test_what_is_kept_of_a_run(problem, setting):
    layers = [4] if problem == "heat" else [4, 4, 4]
    tiny = {
        "data": {"points": {"pde": 16}, "evaluation_points": 50},
        "model": {"network": {"init_args": {"hidden": layers}}},
        "trainer": {"max_steps": 103},
    }
    summary, trained = train(merged(STUDY.config(problem, setting, 0), tiny))
    kept = {**precision.measure(summary), **precision.probe(trained)}
    assert set(kept) == set(COLUMNS)
    assert all(math.isfinite(error) for error in numbers(kept["errors"]))
    last = summary["phases"][-1]["optimizer"]
    assert last == METHODS[setting.removesuffix("_rad")][0]
