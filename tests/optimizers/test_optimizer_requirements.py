from __future__ import annotations

import pytest
import torch
from torch import nn

from pinnlab.optimizers import LBFGS, is_multi_eval, objective_changed


def parameter():
    return nn.Parameter(torch.tensor([3.0, -1.0], dtype=torch.float64))


def step(optimizer, x):
    def closure():
        optimizer.zero_grad()
        loss = (x**4).sum()
        loss.backward()
        return loss

    optimizer.step(closure)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(LBFGS, True), (torch.optim.LBFGS, True), (torch.optim.Adam, False), (torch.optim.SGD, False)],
)
def test_is_multi_eval(kind, expected):
    assert is_multi_eval(kind([parameter()])) is expected


def test_ours_decides_itself():
    x = parameter()
    optimizer = LBFGS([x])
    step(optimizer, x)
    evaluations = optimizer.evaluations
    objective_changed(optimizer)
    assert set(optimizer.state[x]) == {"evaluations", "search"}
    assert optimizer.evaluations == evaluations


def test_torch_lbfgs_forgets_all_but_its_counter():
    x = parameter()
    optimizer = torch.optim.LBFGS([x], max_iter=3)
    step(optimizer, x)
    evaluations = optimizer.state[x]["func_evals"]
    objective_changed(optimizer)
    assert optimizer.state[x] == {"func_evals": evaluations}
    step(optimizer, x)
    assert optimizer.state[x]["func_evals"] > evaluations


def test_moments_of_first_order_optimizers_stay():
    x = parameter()
    optimizer = torch.optim.Adam([x])
    step(optimizer, x)
    before = optimizer.state[x]["exp_avg"].clone()
    objective_changed(optimizer)
    assert torch.equal(optimizer.state[x]["exp_avg"], before)
