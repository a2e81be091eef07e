"""The study of batches: what its runs see, and the report against numbers by hand."""

from dataclasses import replace

import pytest

from pinnlab.studies.batches import runs as batches
from pinnlab.studies.batches.report import savings
from pinnlab.studies.command import run_study_command
from pinnlab.studies.engine.recording import numbers, recording
from pinnlab.studies.engine.runner import KEY, append_row, merged, read_rows, run_study


@pytest.mark.usefixtures("quick_starts")
@pytest.mark.filterwarnings("ignore")
def test_runs_see_equally_many_points(tmp_path):
    recipe, changes = batches.PROBLEMS["poisson2d"]
    budget = {"class_path": "EvaluationBudget", "init_args": {"points_seen": 30_000}}
    marks = [7_500, 15_000, 30_000]
    small = {
        "data": {"points": {"pde": 800, "boundary": 200}, "evaluation_points": 100, "held_out": 40},
        "model": {"compile": False, "network": {"init_args": {"hidden": [4]}}},
        "trainer": {"callbacks": [budget, recording(marks, batches.error, "points_seen")]},
    }
    study = replace(batches.STUDY, problems={"poisson2d": (recipe, merged(changes, small))}, seeds=(0,))
    run_study(study, tmp_path / "b.csv", report=str)
    rows = {row["setting"]: row for row in read_rows(tmp_path / "b.csv")}
    assert rows.keys() == batches.SETTINGS.keys()
    for row in rows.values():
        assert row["status"] == "done"
        assert 30_000 <= int(row["points_seen"]) <= 31_000
        assert len(numbers(row["curve"])) == len(marks)
        assert numbers(row["curve"])[-1] == pytest.approx(float(row["relative_l2"]), rel=1e-3)
    assert int(rows["full"]["evaluations"]) == 30
    assert 30_000 / 456 < int(rows["mini_256"]["evaluations"]) < 30_000 / 456 + 2  # 256 and all of 200
    # 200 steps with 64 and 64 points, and the rest with 128 and 128
    assert int(rows["geometric"]["evaluations"]) == pytest.approx(200 + (30_000 - 200 * 128) / 256, abs=2)


def test_the_ladder_ends_with_all_points():
    for setting in batches.SETTINGS:
        ladder, whole = (batches.STUDY.config(name, setting, 0) for name in ("burgers_ladder", "burgers"))
        assert ladder["model"]["phases"][-1]["points"] == whole["data"]["points"]
        assert ladder["data"]["points"]["pde"] < whole["data"]["points"]["pde"]


BUDGET, MARKS = batches.BUDGET, batches.MARKS


def row(problem, setting, seed, errors, status="done"):
    """Errors at a few equal parts of the budget."""
    curve = [errors[i * len(errors) // len(MARKS)] for i in range(len(MARKS))]
    numbers = {**dict.fromkeys(batches.COLUMNS, "1.0"), "relative_l2": str(curve[-1]), "seconds": "9"}
    curve = " ".join(map(str, curve))
    return {"problem": problem, "setting": setting, "seed": str(seed), "status": status, **numbers, "curve": curve}


ROWS = [
    *(row("poisson2d", "full", seed, [1.0, 0.5, 0.3, 0.2]) for seed in range(3)),
    row("poisson2d", "geometric", 0, [1.0, 0.1, 0.3, 0.1]),  # below 0.2 for good after three quarters of the marks
    row("poisson2d", "geometric", 1, [1.0, 0.1, 0.1, 0.1]),
    row("poisson2d", "geometric", 2, [1.0, 0.1, 0.1, 0.4]),
]


def test_savings_by_hand():
    assert savings(ROWS, "poisson2d", "geometric", BUDGET, MARKS) == pytest.approx([20 / 16, 20 / 6, 0.0])
    assert savings(ROWS, "poisson2d", "linear", BUDGET, MARKS) == []
    ladder = [*ROWS[:3], row("burgers", "full", 0, [0.2]), row("burgers_ladder", "full", 0, [0.3, 0.1])]
    assert savings(ladder, "burgers_ladder", "full", BUDGET, MARKS) == pytest.approx([20 / 11])


def test_the_report(tmp_path, capsys):
    for entry in ROWS:
        append_row(tmp_path / "batches.csv", (*KEY, "status", *batches.COLUMNS), entry)
    assert run_study_command(["batches", "--report", "--folder", str(tmp_path)]) == 0
    assert "batches.md" in capsys.readouterr().out
    text = (tmp_path / "batches.md").read_text()
    assert "6 runs with 3 seeds" in " ".join(text.split())
    assert "| `geometric` | 1.0e-01 | 1.0e-01 | 4.0e-01 | 2 | 1.2 | 1 | 9 |" in text
    assert "| `full` | 2.0e-01 | 2.0e-01 | 2.0e-01 | 1 | 1 | 1 | 9 |" in text
    assert text.index("`geometric` | 1.0e-01") < text.index("`full` | 2.0e-01")
    assert (tmp_path / "batches.png").stat().st_size > 5_000
