from __future__ import annotations

import pytest
import torch
from torch import nn

from pinnlab.optimizers import LBFGS, is_multi_eval, objective_changed, prefer_fused


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


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_adam_is_fused_on_its_device_unless_the_user_chose(kind):
    parameters = [torch.nn.Parameter(torch.linspace(-1, 1, 5, dtype=torch.float64)) for _ in range(2)]
    plain, fused = (kind([p], lr=0.1) for p in parameters)
    prefer_fused(plain)  # parameters on a CPU are left alone
    prefer_fused(fused, "cpu")
    assert [o.param_groups[0]["fused"] for o in (plain, fused)] == [None, True]
    for _ in range(20):
        for p in parameters:
            p.grad = p.detach().sin()
        plain.step()
        fused.step()
    torch.testing.assert_close(*parameters, rtol=1e-13, atol=1e-15)
    for choice in ("foreach", "capturable", "differentiable"):
        chosen = kind([parameters[0]], **{choice: True})
        prefer_fused(chosen, "cpu")
        assert not chosen.param_groups[0]["fused"]
    other = torch.optim.SGD([parameters[0]], lr=0.1)
    prefer_fused(other, "cpu")
    assert not other.param_groups[0]["fused"]
