"""The comparison with other packages: its problems, its clock and its page. The runs themselves are not made here."""

import csv
import io
import json
import math
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from pinnlab.derivatives import Wanted, partials
from pinnlab.networks import MLP
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Burgers, Heat1D, Poisson2D

PEERS = Path(__file__).parent / "benchmarks" / "peers"
OURS = {"poisson": Poisson2D, "burgers": Burgers, "heat": Heat1D}
FACTS = {
    "processor": "A processor", "cores": 4, "threads": 2, "date": "2026-11-28", "load": 0.0, "minutes": 31.4,
    "python": "3.11", "command": "python run.py", "seconds": 8.0, "seeds": [0, 1, 2],
}  # fmt: skip


@pytest.fixture
def peers(monkeypatch):
    """Imports the scripts by name, as they import each other."""
    monkeypatch.syspath_prepend(PEERS)
    return import_module


def line(row, seed, seconds, error, training=None, problem="poisson", evaluations=7):
    return {
        "row": row, "peer": f"{row}, method", "version": "1.0", "problem": problem, "seed": seed, "seconds": seconds,
        "training": seconds - 1 if training is None else training, "evaluations": evaluations, "error": error,
    }  # fmt: skip


@pytest.mark.parametrize("name", list(OURS))
def test_the_exact_solution_is_that_of_pinnlabs_problem(peers, name):
    setting = peers("common").SETTINGS[name]
    points = setting.evaluation_points()
    assert points.min(0).tolist() == list(setting.low)
    assert points.max(0).tolist() == list(setting.high)
    reference = OURS[name]().reference_values(torch.as_tensor(points)).numpy()
    exact = setting.exact(points[:, 0], points[:, 1])
    assert np.abs(exact - reference.ravel()).max() < 1e-12


@pytest.mark.parametrize("name", list(OURS))
def test_ansatz_and_residual_are_those_of_pinnlabs_problem(peers, name):
    common = peers("common")
    setting, problem = common.SETTINGS[name], OURS[name](exact_conditions=True)
    low, high = torch.tensor([setting.low, setting.high], dtype=torch.float64)
    points = low + (high - low) * torch.rand(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MLP(2, 1, hidden=[5]).double()

    def solution(points):
        return setting.ansatz(network(points), points[:, :1], points[:, 1:], torch.sin)

    ours = ResidualSystem(problem, Trial(problem, network)).residuals({"pde": points})["pde"]
    first, second = setting.coordinates
    names = {first: (0,), second: (1,), 2 * first: (0, 0), 2 * second: (1, 1)}
    found = partials(solution, points, Wanted(partials=frozenset(names.values())))
    u = {"u": found.value, **{name: found.partials[index] for name, index in names.items()}}
    theirs = common.residual(name, u, points[:, :1], points[:, 1:], torch.sin)
    assert theirs.ravel().tolist() == pytest.approx(ours.ravel().tolist(), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", list(OURS))
def test_the_error_is_relative_to_the_solution(peers, name):
    common = peers("common")
    exact = common.SETTINGS[name].exact(*common.SETTINGS[name].evaluation_points().T)
    assert common.relative_l2(exact[:, None], exact) == 0
    assert common.relative_l2(0 * exact, exact) == 1
    assert common.relative_l2(1.25 * exact[:, None], exact) == pytest.approx(0.25, rel=1e-14)


def test_a_record_measures_now_and_then_and_ends_the_run(peers, monkeypatch, capsys):
    common = peers("common")
    now = [100.0]
    monkeypatch.setattr(common.time, "time", lambda: now[0])
    record = common.Record({"peer": "p", "problem": "heat"}, seconds=1.0, started=97.0)
    over = []
    for now[0] in (100.0, 100.2, 100.6, 101.1, 101.2):
        over.append(record.look(lambda points: np.zeros(len(points)), evaluations=3))
    assert over == [False, False, False, True, True]
    found = [json.loads(text) for text in capsys.readouterr().out.split("\n") if text]
    assert [round(measured["seconds"], 9) for measured in found] == [3.0, 3.6, 4.1]
    assert [round(measured["training"], 9) for measured in found] == [0.0, 0.6, 1.1]
    assert [(measured["error"], measured["evaluations"]) for measured in found] == [(1.0, 3)] * 3


def test_the_error_at_a_time_is_the_last_one_not_later(peers):
    error_at = peers("report").error_at
    run = [line("a", 0, 2.0, 0.5), line("a", 0, 6.0, 0.75), line("a", 0, 4.0, 0.1)]
    assert [error_at(run, "seconds", at) for at in (1.9, 2.0, 5.9, 60.0)] == [None, 0.5, 0.1, 0.75]
    assert error_at(run, "training", 3.0) == 0.1


def test_the_spread_names_median_lowest_and_highest(peers):
    spread = peers("report").spread
    assert spread([3e-3, 1e-3, 2e-2]) == "3.0e-03 (1e-03 to 2e-02)"
    assert spread([0.25]) == "2.5e-01"
    assert spread([1e-3, None, 1e-3]) == spread([]) == "-"
    assert spread([1e-3, math.nan, 1e-2]) == "1.0e-02 (1e-03 to inf)"


def test_a_table_has_the_best_first_whoever_it_is(peers):
    lines = [line("pinnlab-best", seed, 7.5, 1e-3) for seed in range(3)]
    lines += [line("scimba-ng", seed, 7.5, 10.0**-seed) for seed in range(3)]
    lines += [line("jinns-ng", seed, 7.5, 10.0 ** -(seed + 3)) for seed in range(3)]
    lines += [{"row": "pina", "problem": "poisson", "seed": seed, "failed": "no"} for seed in range(3)]
    rows = peers("report").table(lines, "poisson", 8.0).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [
        "| jinns-ng, method", "| **pinnlab-best, method**", "| scimba-ng, method", "| pina",
    ]  # fmt: skip
    assert rows[0].split(" | ")[1:-1] == ["-", "-", "1.0e-04 (1e-05 to 1e-03)", "1.0e-04 (1e-05 to 1e-03)", "7.5 s"]


def test_the_page_says_how_it_was_made(peers):
    report = peers("report")
    lines = [line("pinnlab-best", seed, 7.5, 1e-3) for seed in range(3)]
    text = report.page(lines, FACTS)
    for words in ("python run.py", "A processor, 4 cores", "2026-11-28", "in 31 minutes", "Seeds: 0, 1, 2", "for 8 s"):
        assert words in text
    assert "$" not in text
    assert "trial" not in text
    assert "What failed" not in text
    failed = {"row": "pina", "problem": "heat", "seed": 4, "failed": "no memory"}
    trial = report.page([*lines, failed], FACTS | {"load": 3.0, "seeds": [0]})
    assert "**This is a trial, not a result:** other work was going on" in trial
    assert "- `pina`, heat, seed 4: no memory" in trial


def test_the_file_has_every_measurement(peers):
    text = peers("report").table_of_lines([line("a", 0, 1.23456, 1e-3), {"row": "b", "seed": 1, "failed": "no"}])
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["seconds"], first["error"], first["evaluations"]) == ("1.235", "0.001", "7")
    assert (second["row"], second["failed"], second["error"]) == ("b", "no", "")


def test_a_run_hands_back_its_measurements_or_why_there_are_none(peers, tmp_path):
    measure, row = peers("run").measure, peers("rows").Row("mine", "mine", str(tmp_path / "script.py"), "m", "somehow")
    (tmp_path / "script.py").write_text('import sys; print(\'noise\'); print(\'{"peer": "x", "error": 0.5}\')\n')
    assert measure(row, sys.executable, "heat", 3, 1.0, 1) == [{"row": "mine", "peer": "x", "error": 0.5}]
    (tmp_path / "script.py").write_text('import sys; print(\'{"peer": "x"}\'); sys.exit(sys.argv[1])\n')
    failed = {"row": "mine", "problem": "heat", "seed": 3, "failed": "--problem=heat"}
    assert measure(row, sys.executable, "heat", 3, 1.0, 1) == [failed]


def test_every_row_has_a_script_and_an_environment(peers):
    rows = peers("rows")
    for row in rows.ROWS.values():
        assert (PEERS / row.script).exists()
        assert row.environment in {*rows.ENVIRONMENTS, "pinnlab"}
    assert all("==" in package for packages in rows.ENVIRONMENTS.values() for package in packages)
