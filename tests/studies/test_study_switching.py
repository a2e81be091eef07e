"""The study of switching: its tables against a computation by hand, and its report."""

import math

import pytest

from pinnlab.studies.command import run_study_command
from pinnlab.studies.engine.runner import KEY, append_row
from pinnlab.studies.switching import runs as switching
from pinnlab.studies.switching.regret import errors_by_case, means, regrets


def row(problem, setting, seed, error, **more):
    return {
        "problem": problem, "setting": setting, "seed": str(seed), "status": "done", "relative_l2": str(error),
        "loss": "1e-3", "evaluations": "4000", "seconds": "9.5", "switched_at": "300", "undone": "0", "returns": "0",
        "why": "loss plateau: relative improvement 0.2 < 0.3 over 150 steps", **more,
    }  # fmt: skip


ROWS = [
    row("a", "fixed_10", 1, 4e-2), row("a", "fixed_10", 0, 1e-2), row("a", "fixed_100", 0, 1e-3),
    row("a", "fixed_100", 1, 1e-1), row("a", "loss_plateau", 0, 3e-2), row("a", "loss_plateau", 1, 3e-2),
    row("b", "fixed_10", 0, 0.5), row("b", "fixed_10", 1, 0.5), row("b", "fixed_100", 0, "", status="ValueError: x"),
    row("b", "fixed_100", 1, "nan"), row("b", "loss_plateau", 0, 0.4, undone="2"),
    row("b", "loss_plateau", 1, 0.9, switched_at="4000"),
]  # fmt: skip


def test_means_and_regrets_by_hand():
    errors = errors_by_case(ROWS)
    assert errors["a", "fixed_10"] == [1e-2, 4e-2]
    assert errors["b", "fixed_100"] == [math.inf, math.inf]
    table = means(errors, ["fixed_10", "fixed_100", "loss_plateau"])
    assert table["a"]["fixed_10"] == pytest.approx(2e-2)
    assert table["a"]["fixed_100"] == pytest.approx(1e-2)
    assert table["b"]["fixed_100"] == math.inf
    found = regrets(table, "loss_plateau", ["fixed_10", "fixed_100"])
    assert found == pytest.approx({"a": 3.0, "b": 0.6 / 0.5})
    assert regrets(table, "nothing", ["fixed_10"]) == {}
    assert regrets(table, "fixed_10", ["nothing"]) == {}


def test_the_report_shows_errors_regret_and_failures(tmp_path, capsys):
    columns = (*KEY, "status", *switching.COLUMNS)
    for entry in ROWS:
        append_row(tmp_path / "switching.csv", columns, entry)
    assert run_study_command(["switching", "--report", "--folder", str(tmp_path)]) == 0
    assert "switching.md" in capsys.readouterr().out
    text = (tmp_path / "switching.md").read_text()
    words = " ".join(text.split())
    assert "2 problems, 2 seeds, 12 runs" in words
    assert "| a | 100 | 1.0e-02 | 3.0e-02 |" in text
    mean = math.sqrt(3.0 * 1.2)
    assert f"| loss_plateau | {mean:.2f} | 3.00 (a) | 300 | 1 | 2 | 0 | 0 |" in text
    assert "| fixed_100 | inf | inf (b) | 300 | 0 | 0 | 0 | 2 |" in text
    assert "a (3.0 times)" in words
    assert "say little: b" in words
    assert (tmp_path / "switching.png").stat().st_size > 5_000


def test_what_is_kept_of_a_run():
    phases = [
        {"optimizer": "Adam", "evaluations": 100, "stopped": "trial kept"},
        {"optimizer": "LBFGS", "evaluations": 10, "stopped": "stalled"},
        {"optimizer": "Adam", "evaluations": 50, "stopped": "plateau"},
    ]
    events = ["trial undone", "trial kept", "back", "rollback", "stop"]
    kept = switching.measure(
        {
            "relative_l2": {"u": 0.1, "v": 0.2},
            "loss": 1.0,
            "evaluations": 160,
            "seconds": 1.26,
            "phases": phases,
            "decisions": [{"event": event} for event in events],
        }
    )
    assert set(kept) == set(switching.COLUMNS)
    assert (kept["relative_l2"], kept["switched_at"], kept["undone"], kept["returns"]) == (0.2, 150, 1, 2)
    assert kept["why"] == "trial kept"
