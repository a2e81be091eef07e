"""The study of points: what its runs see, what is measured of them, and the report against numbers by hand."""

from dataclasses import replace

import pytest
import torch

from pinnlab.studies.command import run_study_command
from pinnlab.studies.engine.runner import KEY, append_row, read_rows, run_study
from pinnlab.studies.points import runs as points

SMALL = {
    "data": {"points": {"pde": 30}, "evaluation_points": 100, "held_out": 40},
    "model": {
        "network": {"init_args": {"hidden": [4]}},
        "phases": [{"optimizer": {"class_path": "Adam", "init_args": {"lr": 5e-3}}, "steps": 12}],
    },
}


def row(setting, seed, error, **more):
    numbers = dict.fromkeys(points.COLUMNS, "1.0")
    given = {"relative_l2": str(error), "points": "500", "held_out_ratio": "2.5e3", "effective_rank": "3.25", **more}
    return {"problem": "front", "setting": setting, "seed": str(seed), "status": "done", **numbers, **given}


ROWS = [
    *(row("uniform", seed, error) for seed, error in enumerate([0.3, 0.1, 0.2])),
    *(row("sobol", seed, error, effective_rank="5") for seed, error in enumerate([0.4, 0.05, 0.06])),
    *(row("fresh", seed, error) for seed, error in enumerate([0.5, 0.5, 0.5])),
    *(row("rad", seed, error) for seed, error in enumerate([1e-3, 5e-3, 2e-3])),
    row("r3", 0, 1e-3), row("r3", 1, "", status="ValueError: x"), row("r3", 2, "nan"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("quick_starts")
def test_a_run_is_measured_and_probed(tmp_path):
    recipe, changes = points.PROBLEMS["front"]
    small = {**changes, **SMALL, "data": {**SMALL["data"], "points": {"pde": 30, "boundary": 8}}}
    settings = {"r3": {"trainer": {"callbacks": [{"class_path": "RetainResample", "init_args": {"every": 5}}]}}}
    study = replace(points.STUDY, problems={"front": (recipe, small)}, settings=settings, seeds=(0,))
    run_study(study, tmp_path / "points.csv", report=str)
    (found,) = read_rows(tmp_path / "points.csv")
    assert found["status"] == "done"
    assert (found["evaluations"], found["points"], found["points_seen"]) == ("12", "30", str(12 * 38))
    assert float(found["relative_l2"]) > 0
    assert 0.01 < float(found["held_out_ratio"]) < 100
    for part in ("", "uniform_"):
        assert 1 <= float(found[f"{part}effective_rank"]) <= float(found[f"{part}rank"]) <= 17  # parameters
        assert float(found[f"{part}condition_number"]) > 1
    assert found["effective_rank"] != found["uniform_effective_rank"]


def test_methods_that_add_points_see_no_more_of_them():
    for name in ("rar_d", "rar_g"):
        config = points.STUDY.config("burgers", name, 0)
        budget, addition = (callback["init_args"] for callback in config["trainer"]["callbacks"])
        counts = torch.full((budget["evaluations"],), config["data"]["points"]["pde"])
        for evaluation in range(addition["every"], len(counts), addition["every"]):
            counts[evaluation:] += addition["count"]
        assert counts[-1] <= addition["most"]
        assert 0.85 * points.COUNT < counts.double().mean() <= points.COUNT
    for name in set(points.SETTINGS) - {"rar_d", "rar_g"}:
        assert points.STUDY.config("burgers", name, 0)["data"]["points"]["pde"] == points.COUNT


def test_the_report_compares_medians(tmp_path, capsys):
    for entry in ROWS:
        append_row(tmp_path / "points.csv", (*KEY, "status", *points.COLUMNS), entry)
    assert run_study_command(["points", "--report", "--folder", str(tmp_path)]) == 0
    assert "points.md" in capsys.readouterr().out
    text = (tmp_path / "points.md").read_text()
    words = " ".join(text.split())
    assert "3 seeds" in words
    assert "15 runs" in words
    assert "| `uniform` | 2.0e-01 | 1.0e-01 | 3.0e-01 | 1.0 | 1.0e+00 | 2.5e+03 | 500 |" in text
    assert "| `rad` | 2.0e-03 | 1.0e-03 | 5.0e-03 | 100.0 |" in text
    assert "| `r3` | inf |" in text  # two of three runs failed
    assert text.index("| `rad` | 2.0e-03") < text.index("| `sobol` | 6.0e-02") < text.index("| `uniform` | 2.0e-01")
    assert (
        "adaptive method is `rad`: its error is 100 times below that of `uniform`, and 30 times below that of `sobol`"
        in words
    )
    assert "| `sobol` | 1.0e+00 | 1 | 5.00 | 1.0e+00 | 1.0e+00 | 1 | 1.00 | 1.0e+00 |" in text
    assert (tmp_path / "points.png").stat().st_size > 5_000
