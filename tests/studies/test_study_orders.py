"""The study of orders: its quotients of sines against a dense kernel and a law, and its report against rows made up."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch

from pinnlab import PINN, CollocationDataModule
from pinnlab.networks import MLP, PeriodicEmbedding
from pinnlab.problems import Layer1D
from pinnlab.studies.command import run_study_command
from pinnlab.studies.engine.runner import KEY, append_row, read_rows, run_study
from pinnlab.studies.orders import runs as orders
from pinnlab.studies.orders.report import ENHANCED, MODES, ORDERS
from pinnlab.studies.orders.runs import GRID, modes


def module_and_store(order, network, enhance=None):
    problem = Layer1D(order=order, steepness=20.0)
    module = PINN(problem, network, enhance=enhance, compile=False)
    data = CollocationDataModule(problem, points=20)
    data.setup("fit")
    module.system.resolve_engine()
    return module, data.store


@pytest.mark.parametrize("enhance", [None, {"pde": ["x"]}])
def test_quotients_are_those_of_the_dense_kernel(enhance):
    module, store = module_and_store(2, partial(MLP, hidden=[8, 8]), enhance)
    x = (torch.arange(GRID, dtype=torch.float64) + 0.5) / GRID
    batch = {"pde": x[:, None]}
    parameters = module.trial.tensors()
    rows = torch.func.jacrev(lambda p: module.system.residuals(batch, {**parameters, **p})["pde"][:, 0])(
        dict(module.trial.named_parameters())
    )
    jacobian = torch.cat([part.reshape(GRID, -1) for part in rows.values()], 1).detach() / math.sqrt(GRID)
    for k in MODES[:2]:
        wave = torch.sin(math.pi * x) ** 4 * torch.sin(k * math.pi * x)
        wave = wave / wave.norm()
        expected = wave @ jacobian @ jacobian.T @ wave
        assert modes(module, store)[f"mode_{k}"] == pytest.approx(float(expected), rel=1e-4)


def test_where_sines_are_modes_the_kernel_grows_like_the_square_of_the_symbol():
    """On a periodic network integration by parts is exact: q'Kq grows by (k pi)^2p, and its page says so."""
    network = partial(MLP, hidden=[8, 8], embedding=partial(PeriodicEmbedding, columns=[0]))
    x = torch.arange(GRID, dtype=torch.float64) / GRID
    found = {}
    for order in ORDERS:
        module, store = module_and_store(order, network)
        batch = {**store.batch(), "pde": x[:, None]}
        linearization = module.linearization(batch)
        rows = linearization.row_numbers()["pde"]
        for k in (2, 4, 8):
            mode = x.new_zeros(linearization.shape[0])
            # A derivative of odd order takes the sine to a cosine.
            wave = torch.sin(k * math.pi * x) if order % 2 == 0 else torch.cos(k * math.pi * x)
            mode[rows] = wave / wave.norm()
            found[order, k] = float(linearization.transposed_times(mode).square().sum())
    for order in ORDERS[1:]:
        growth = [found[order, k] / found[0, k] for k in (2, 4, 8)]
        assert growth[1] / growth[0] == pytest.approx(2.0 ** (2 * order), rel=1e-6)
        assert growth[2] / growth[1] == pytest.approx(2.0 ** (2 * order), rel=1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("quick_starts")
def test_all_orders_start_from_the_same_network_and_initial_runs_leave_it(tmp_path):
    study = replace(orders.STUDY, seeds=(0,))
    names = ["order_0", "order_2", f"order_2{ENHANCED}"]
    run_study(study.restricted(names, ["initial"], []), tmp_path / "orders.csv", report=str)
    rows = {row["problem"]: row for row in read_rows(tmp_path / "orders.csv")}
    assert {row["status"] for row in rows.values()} == {"done"}
    assert len({row["relative_l2"] for row in rows.values()}) == 1
    assert {row["evaluations"] for row in rows.values()} == {"1"}
    assert rows["order_2"]["mode_8"] == rows[f"order_2{ENHANCED}"]["mode_8"]
    assert float(rows[f"order_2{ENHANCED}"]["effective_rank"]) != float(rows["order_2"]["effective_rank"])
    assert rows["order_0"]["total_top"] == rows["order_0"]["top"]
    assert float(rows["order_2"]["total_top"]) > float(rows["order_2"]["top"])


def row(problem, setting, seed, **more):
    numbers = {**dict.fromkeys(orders.COLUMNS, "1.0"), "condition_number": "2e9", "tenth": "1e-4", **more}
    return {"problem": problem, "setting": setting, "seed": str(seed), "status": "done", **numbers}


def test_the_report_shows_exponents_and_gains(tmp_path, capsys):
    errors = {"initial": [1, 1, 1], "uniform": [0.3, 0.1, 0.2], "rad": [1e-3, 5e-3, 2e-3]}
    for problem in orders.PROBLEMS:
        for setting, values in errors.items():
            for seed, error in enumerate(values):
                p = int(problem[6]) if problem.startswith("order") else 4
                quotients = {f"mode_{k}": str(k ** (-6 + p)) for k in MODES}  # grows by k^p, not by k^2p
                more = {"tenth": "1e-15"} if p == 0 else {"total_top": "1e3"}
                entry = row(problem, setting, seed, relative_l2=str(error), **quotients, **more)
                append_row(tmp_path / "orders.csv", (*KEY, "status", *orders.COLUMNS), entry)
    assert run_study_command(["orders", "--report", "--folder", str(tmp_path)]) == 0
    assert "orders.md" in capsys.readouterr().out
    text = (tmp_path / "orders.md").read_text()
    for p in ORDERS:
        assert any(line.endswith(f"| {2 * p} | {p:.1f} |") for line in text.splitlines())
    assert "| 4 | 2.0e-01 | 1.0e-01 | 3.0e-01 | 2.0e-03 | 1.0e-03 | 5.0e-03 | 1e+02 |" in text
    words = " ".join(text.split())
    assert "its error is 2.0e-01, that of order 2 2.0e-01" in words
    assert "adaptive points gain a factor of 100: one seed of the three has a loss of 1e+00" in words
    assert "with order 4 the equation has 1e-03 of the largest eigenvalue" in words
    assert "| 0 | 1.0e+00 | 2e+09 | 1 | 1.00 | > 1e+13 | 1e+00 | 1 | 1.00 | 1e+00 | 1e+00 |" in text
    assert "| 2, enhanced | 1.0e+00 | 2e+09 | 1 | 1.00 | 1e+04 | 1e+00 | 1 | 1.00 | 1e+00 | 1e-03 |" in text
    assert (tmp_path / "orders.png").stat().st_size > 5_000
