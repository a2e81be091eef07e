"""The study of weights: what its runs begin with, what is kept of them, and the report against numbers by hand."""

from dataclasses import replace

import pytest

from pinnlab.studies.command import run_study_command
from pinnlab.studies.engine.runner import KEY, append_row, merged, read_rows, run_study
from pinnlab.studies.weights import runs as weights

SMALL = {
    "data": {"points": {"pde": 30, "start": 8, "rest": 8, "wall": 8}, "evaluation_points": 100, "held_out": 40},
    "model": {
        "compile": False,
        "network": {"init_args": {"hidden": [4]}},
        "phases": [{"optimizer": {"class_path": "Adam", "init_args": {"lr": 5e-3}}, "steps": 120}],
    },
}


@pytest.mark.usefixtures("quick_starts")
@pytest.mark.filterwarnings("ignore")
def test_runs_begin_with_the_weights_they_should(tmp_path, monkeypatch):
    recipe, changes = weights.PROBLEMS["wave"]
    callbacks = {"trainer": {"callbacks": [weights.recording([100], weights.error)]}}
    study = replace(weights.STUDY, problems={"wave": (recipe, merged(changes, SMALL, callbacks))}, seeds=(0,))
    run_study(study.restricted([], ["fixed", "tuned", "gradient_norm", "causal"], []), tmp_path / "w.csv", report=str)
    rows = {row["setting"]: row for row in read_rows(tmp_path / "w.csv")}
    assert {row["status"] for row in rows.values()} == {"done"}
    assert rows["fixed"]["weights"] == "pde 1, wall 1, start 1, rest 1"
    assert rows["tuned"]["weights"] == "pde 0.01, wall 1e+02, start 1e+02, rest 1"
    assert rows["causal"]["weights"] == rows["fixed"]["weights"]  # it weighs points
    assert rows["gradient_norm"]["weights"] != rows["fixed"]["weights"]
    assert int(rows["gradient_norm"]["evaluations"]) == 120 + 4  # one for each condition, once
    assert all(float(row["after_adam"]) > 0 for row in rows.values())
    assert len({row["relative_l2"] for row in rows.values()}) == 4


def row(setting, seed, error, status="done", **more):
    numbers = {**dict.fromkeys(weights.COLUMNS, "1.0"), "relative_l2": str(error), "weights": f"pde {seed}", **more}
    return {"problem": "wave", "setting": setting, "seed": str(seed), "status": status, **numbers}


ROWS = [
    *(row("fixed", seed, error) for seed, error in enumerate([0.3, 0.1, 0.2])),
    *(row("tuned", seed, error) for seed, error in enumerate([4e-4, 1e-4, 2e-4])),
    *(row("lra", seed, error, after_adam="0.5") for seed, error in enumerate([1e-3, 5e-3, 2e-3])),
    *(row("relobralo", seed, 0.5) for seed in range(3)),
    *(row("causal", seed, "", status="ConfigurationError: no t", after_adam="", weights="") for seed in range(3)),
]


def test_the_report_compares_rules_with_what_they_began_with(tmp_path, capsys):
    for entry in ROWS:
        append_row(tmp_path / "weights.csv", (*KEY, "status", *weights.COLUMNS), entry)
    assert run_study_command(["weights", "--report", "--folder", str(tmp_path)]) == 0
    assert "weights.md" in capsys.readouterr().out
    text = (tmp_path / "weights.md").read_text()
    words = " ".join(text.split())
    assert "3 seeds, 12 runs" in words  # without those that have no time
    assert "| `causal` |" not in text
    assert "| `lra` | 2.0e-03 | 1.0e-03 | 5.0e-03 | 5.0e-01 | 1e+02 | pde 2 |" in text
    assert text.index("| `tuned` | 2.0e-04") < text.index("| `lra` | 2.0e-03") < text.index("| `fixed` | 2.0e-01")
    assert "is `lra`: its error is 1e+02 times below that of the weights of the beginning, and 10 times above" in words
    assert (tmp_path / "weights.png").stat().st_size > 5_000
