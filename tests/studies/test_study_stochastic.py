"""The study of small batches in windows: what its settings are, how few points a window sees, and its page."""

from itertools import pairwise

import pytest
import torch

from pinnlab.networks import MLP, RandomFeatures, Subdomains
from pinnlab.studies.engine.runner import merged, train
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.stochastic import runs, write_report
from pinnlab.studies.stochastic.report import least_ratio
from pinnlab.studies.stochastic.runs import CASES, COLUMNS, NETWORKS, SETTINGS, STUDY, fewest


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("problem", "setting"), [("waves_least_squares", "windows/random/0.125"), ("smooth_adam", "levels/even/0.125")]
)
def test_a_run_has_new_batches_of_its_size(problem, setting, monkeypatch):
    config = merged(STUDY.config(problem, setting, 0), {"data": {"evaluation_points": 50, "held_out": 10}})
    for callback in config["trainer"].get("callbacks", []):
        if callback["class_path"] == "EvaluationBudget":
            callback["init_args"]["points_seen"] = 3 * 86
        if callback["class_path"].endswith("Recorder"):
            callback["init_args"]["at"] = [86, 3 * 86]
    summary, trained = train(config)
    kept = {**runs.measure(summary), **runs.probe(trained)}
    assert set(kept) == set(COLUMNS)
    first = problem == "waves_least_squares"
    assert kept["points"] == (264 if first else 86)
    assert len(kept["curve"].split()) == (0 if first else 2)
    assert abs(kept["parameters"] / CASES[problem].numbers - 1) < 0.1


def test_networks_of_a_case_have_about_as_many_numbers():
    for problem, case in CASES.items():
        inputs = 2 if problem.startswith("smooth") else 1
        for network in NETWORKS:
            given = case.networks[network]["init_args"]
            hidden = {"one": given, "windows": given.get("network", {}).get("init_args", {})}
            own = hidden.get(network, hidden["windows"])
            sizes = own.get("hidden") or [own["count"]]
            linear = "count" in own
            numbers = _numbers([*([inputs] if not linear else []), *sizes, 1])
            grid = given.get("grid", [1])
            levels = [grid, [-(-k // 2) for k in grid]][: given.get("levels", 1)]
            count = sum(int(torch.tensor(level).prod()) for level in levels)
            assert abs(count * numbers / case.numbers - 1) < 0.12, (problem, network)


def _numbers(sizes):
    return sum((a + 1) * b for a, b in pairwise(sizes))


def least(points, count):
    """Of those that are computed in a window: each point is in the two with the nearest centres."""
    centers = (2 * torch.arange(count) + 1) / count - 1
    nearest = (points - centers).abs().argsort(1)[:, :2]
    return min(int((nearest == k).sum()) for k in range(count))


def test_the_window_with_fewest_points_is_found_by_counting():
    torch.manual_seed(0)
    points = torch.rand(200, 1) ** 2 * 2 - 1  # more to the left
    network = Subdomains(1, 1, grid=[6], network=lambda i, o: MLP(i, o, hidden=[4]))
    numbers = 4 + 4 + 4 + 1
    assert fewest(network, points) == pytest.approx(least(points, 6) / numbers)
    assert fewest(MLP(1, 1, hidden=[4]), points) == pytest.approx(200 / numbers)
    both = Subdomains(1, 1, grid=[6], levels=2, network=lambda i, o: MLP(i, o, hidden=[4]))
    assert fewest(both, points) == pytest.approx(min(least(points, 6), least(points, 3)) / numbers)


def test_numbers_that_nothing_trains_do_not_count():
    points = torch.linspace(-1, 1, 60)[:, None]
    network = Subdomains(1, 1, grid=[4], network=lambda i, o: RandomFeatures(i, o, count=5, scale=1.0))
    assert fewest(network, points) == pytest.approx(least(points, 4) / 6)  # five sines and a constant


def row(problem, setting, error, seed="0"):
    return {
        "problem": problem, "setting": setting, "seed": seed, "status": "done", "relative_l2": str(error),
        "loss": "1e-3", "evaluations": "9", "seconds": "1", "parameters": "700", "points": "350", "fewest": "0.7",
        "curve": "",
    }  # fmt: skip


def test_the_page_says_from_which_size_on_a_batch_is_large_enough(tmp_path):
    errors = {0.125: 1.0, 0.25: 2.9e-3, 0.5: 1e-3, 1: 1e-3, 2: 1.0}
    found = [
        row(problem, setting, errors[ratio] * (10 if draw == "random" and ratio == 0.25 else 1), seed)
        for seed in ("0", "1", "2")
        for problem in CASES
        for setting, (_, draw, ratio) in SETTINGS.items()
    ]
    assert least_ratio(Runs(found), "smooth_adam", "one", "even") == 0.25
    assert least_ratio(Runs(found), "smooth_adam", "one", "random") == 0.5
    write_report(found, tmp_path)
    text = (tmp_path / "stochastic.md").read_text()
    assert "| 0.5 | 0.25 | 0.5 | 0.25 | 0.5 | 0.25 |" in text
    assert "| 1 | 0.5 | 1 | 0.5 | 1 | 0.5 |" in text  # least squares have twice as many
    assert "| smooth_adam, `one` | 1 | 10 | 1 | 1 | 1 |" in text
    assert (tmp_path / "stochastic.png").is_file()
