"""The study of derivative orders: its quotients against nested derivatives, and its report against a law."""

import math

import pytest
import torch
from torch.func import functional_call, grad, vmap

from pinnlab.studies.command import run_study_command
from pinnlab.studies.derivative_order import runs as derivative_order
from pinnlab.studies.derivative_order.report import growth
from pinnlab.studies.derivative_order.runs import COLUMNS, ORDERS, POINTS, STUDY, WAVE_NUMBERS, quotients, waves
from pinnlab.studies.engine.recording import cell, numbers
from pinnlab.studies.engine.runner import KEY, append_row, merged, train

pytestmark = pytest.mark.filterwarnings("ignore")

SMALL = {"model": {"network": {"init_args": {"hidden": [8, 8]}}}}


def trained(setting, *changes):
    return train(merged(STUDY.config("derivatives", setting, 0), *changes))[1]


@pytest.fixture(scope="module")
def plain():
    made = trained("plain", SMALL)
    return made, derivative_order.probe(made)


def slow_rows(network, order, points):
    """The Jacobian of the order-th derivative by nested reverse mode, one row for each point."""
    parameters = {name: p.detach() for name, p in network.named_parameters()}

    def derivative(p, x):
        def value(y):
            return functional_call(network, p, (y.reshape(1, 1),))[0, 0]

        for _ in range(order):
            value = grad(value)
        return value(x)

    rows = vmap(grad(derivative), (None, 0))(parameters, points)
    return torch.cat([rows[name].reshape(len(points), -1) for name in parameters], 1)


@pytest.mark.parametrize("order", ORDERS)
def test_quotients_are_those_of_the_kernel_by_nested_derivatives(plain, order):
    made, row = plain
    points = (torch.arange(POINTS, dtype=torch.float64) + 0.5) * 2 / POINTS - 1
    rows = slow_rows(made.model.trial.network, order, points)
    kernel = rows @ rows.T / POINTS
    for k in (1, 6):
        q = torch.sin(math.pi * k * points)
        expected = float(q @ kernel @ q / (q @ q))
        found = numbers(row[f"sine_{order}"])[WAVE_NUMBERS.index(k)]
        assert found == pytest.approx(expected, rel=1e-3)  # four digits
    assert float(row[f"effective_rank_{order}"]) > 1


def test_of_a_plain_network_only_the_ends_are_seen(plain):
    _, row = plain
    for p in ORDERS[1:]:
        ratio = numbers(row[f"sine_{p}"])[-1] / numbers(row["sine_0"])[-1]
        assert ratio == pytest.approx(float(row[f"ends_{p}"]) / float(row["ends_0"]), rel=5e-2)


def test_a_periodic_network_follows_the_law_exactly():
    row = derivative_order.probe(trained("periodic"))
    for p in ORDERS[1:]:
        for i, k in enumerate(WAVE_NUMBERS[:8]):
            ratio = numbers(row[f"phases_{p}"])[i] / numbers(row["phases_0"])[i]
            assert ratio == pytest.approx((math.pi * k) ** (2 * p), rel=2e-3)
        assert growth(row, "phases", p, WAVE_NUMBERS) == pytest.approx(2 * p, abs=2e-2)


def test_waves_have_norm_one_and_packets_vanish_at_the_ends():
    points = (torch.arange(POINTS, dtype=torch.float64) + 0.5) * 2 / POINTS - 1
    found = dict(waves(points, [1, 3]))
    assert list(found) == ["sine", "phases", "packet"]
    for vectors in found.values():
        for q in vectors:
            assert q.norm(dim=1) == pytest.approx([1.0, 1.0])
    assert max(float(q[:, [0, -1]].abs().max()) for q in found["packet"]) < 1e-4
    identity = torch.eye(POINTS, dtype=torch.float64)
    assert quotients(identity, found["phases"]) == pytest.approx([1.0, 1.0])


def law(name, seed, second=4.0):
    """A line of the file in which K_rr / K_uu is (pi k)^2p, a little more for every other seed; p = 2 as given."""
    row = {**dict.fromkeys(COLUMNS, "1"), "problem": "derivatives", "setting": name, "seed": str(seed)}
    for kind in ("sine", "phases", "packet"):
        for p in ORDERS:
            slope = {1: 2 + 0.1 * (seed % 2), 2: second}.get(p, 2 * p)
            row[f"{kind}_{p}"] = cell([(math.pi * k) ** (slope - 1) for k in WAVE_NUMBERS])
    return {**row, "status": "done"}


def test_the_report_has_slopes_with_their_intervals(tmp_path, capsys):
    for name, second in (("plain", 4.0), ("fourier_10", 4.5)):
        for seed in range(4):
            append_row(tmp_path / "derivative_order.csv", (*KEY, "status", *COLUMNS), law(name, seed, second))
    assert run_study_command(["derivative_order", "--report", "--folder", str(tmp_path)]) == 0
    assert "derivative_order.md" in capsys.readouterr().out
    text = (tmp_path / "derivative_order.md").read_text()
    # mean of 2, 2.1, 2, 2.1; half of the interval is 3.18 (t, 3 degrees of freedom) * 0.0577 / 2
    assert "| plain | sine | 2.05 ± 0.09 | 4.00 ± 0.00 | 8.00 ± 0.00 | yes |" in text
    assert "| fourier_10 | sine | 2.05 ± 0.09 | 4.50 ± 0.00 | 8.00 ± 0.00 | no |" in text
    assert "4 draws" in text
    assert (tmp_path / "derivative_order.png").stat().st_size > 5_000
