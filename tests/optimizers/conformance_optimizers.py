"""What every optimizer must do; `test_optimizer_conformance.py` runs it over the list `OPTIMIZERS`."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pinnlab.optimizers import LBFGS, objective_changed


@dataclass(frozen=True)
class OptimizerCase:
    """An optimizer to check.

    `steps` is what it needs to bring the loss of the problem below `reduction` times its first value; `owned`
    says that it is one of ours, which promise more than torch's.
    """

    name: str
    build: Callable[[Iterator[nn.Parameter]], Optimizer]
    steps: int
    reduction: float
    owned: bool = False


OPTIMIZERS = [
    OptimizerCase("LBFGS", LBFGS, 20, 2e-4, owned=True),
    OptimizerCase("LBFGS-short", lambda p: LBFGS(p, history=3, iterations=1), 200, 2e-3, owned=True),
    OptimizerCase("Adam", lambda p: torch.optim.Adam(p, lr=3e-2), 300, 2e-2),
    OptimizerCase("SGD", lambda p: torch.optim.SGD(p, lr=3e-2, momentum=0.9), 300, 3e-2),
    OptimizerCase(
        "torch-LBFGS",
        lambda p: torch.optim.LBFGS(
            p, max_iter=10, line_search_fn="strong_wolfe", tolerance_change=0.0, tolerance_grad=0.0
        ),
        20,
        2e-4,
    ),
]


class Problem:
    """A small network fitted to a smooth function: nonconvex, several parameters."""

    def __init__(self, case: OptimizerCase, dtype: torch.dtype = torch.float64) -> None:
        generator = torch.Generator().manual_seed(3)
        self.model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)).to(dtype)
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        self.x = torch.linspace(-1, 1, 40, dtype=dtype)[:, None]
        self.target = torch.sin(2 * self.x)
        self.optimizer = case.build(self.model.parameters())
        self.calls = 0

    def loss(self) -> Tensor:
        return (self.model(self.x) - self.target).square().mean()

    def closure(self) -> Tensor:
        self.calls += 1
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss

    def step(self, times: int = 1) -> Tensor:
        for _ in range(times):
            self.optimizer.step(self.closure)
        return self.flat()

    def flat(self) -> Tensor:
        return torch.cat([p.detach().reshape(-1).clone() for p in self.model.parameters()])

    def snapshot(self) -> dict:
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, snapshot: dict) -> None:
        self.model.load_state_dict(snapshot["model"])
        self.optimizer.load_state_dict(snapshot["optimizer"])


def check_reduces_the_loss(case: OptimizerCase) -> None:
    problem = Problem(case)
    first = problem.loss().item()
    problem.step(case.steps)
    assert problem.loss().item() < case.reduction * first


def check_repeats_itself(case: OptimizerCase) -> None:
    assert torch.equal(Problem(case).step(6), Problem(case).step(6))


def check_resumes_bitwise(case: OptimizerCase, steps: int = 8) -> None:
    whole = Problem(case).step(steps)
    for done in range(steps):
        file = io.BytesIO()
        stopped = Problem(case)
        stopped.step(done)
        torch.save(stopped.snapshot(), file)
        resumed = Problem(case)
        file.seek(0)
        resumed.restore(torch.load(file, weights_only=True))
        assert torch.equal(resumed.step(steps - done), whole), f"resumed after {done} steps"


def check_returns_the_first_loss(case: OptimizerCase) -> None:
    problem = Problem(case)
    for _ in range(4):
        expected = problem.loss().detach()
        returned = problem.optimizer.step(problem.closure)
        torch.testing.assert_close(returned.detach(), expected, rtol=1e-14, atol=0)


def check_calls_the_closure(case: OptimizerCase) -> None:
    problem = Problem(case)
    for parameter in problem.model.parameters():
        nn.init.zeros_(parameter)
    problem.target.zero_()  # the parameters are at an exact minimum: nothing to gain, yet one call each step
    for _ in range(3):
        before = problem.calls
        problem.step()
        assert problem.calls > before


def check_follows_a_new_objective(case: OptimizerCase) -> None:
    problem = Problem(case)
    problem.step(5)
    problem.target = torch.cos(2 * problem.x)
    objective_changed(problem.optimizer)
    first = problem.loss().item()
    problem.step(2 * case.steps)
    assert problem.loss().item() < case.reduction * first


def check_runs_in_float32(case: OptimizerCase) -> None:
    problem = Problem(case, torch.float32)
    first = problem.loss().item()
    problem.step(case.steps)
    assert problem.loss().item() < case.reduction * first


def check_has_lr(case: OptimizerCase) -> None:
    assert all(group["lr"] > 0 for group in Problem(case).optimizer.param_groups)


def check_counts_evaluations(case: OptimizerCase) -> None:
    problem = Problem(case)
    for _ in range(5):
        problem.step()
        assert problem.optimizer.evaluations == problem.calls
    resumed = Problem(case)
    resumed.restore(problem.snapshot())
    assert resumed.optimizer.evaluations == problem.calls


def check_rolls_back(case: OptimizerCase) -> None:
    problem = Problem(case)
    problem.step(4)
    snapshot = copy.deepcopy(problem.snapshot())
    expected = problem.step(3)
    for _ in range(2):  # the second time shows that the first one left the snapshot alone
        problem.restore(snapshot)
        assert torch.equal(problem.step(3), expected)


def check_leaves_the_accepted_gradient(case: OptimizerCase) -> None:
    problem = Problem(case)
    problem.step(3)
    left = [p.grad.clone() for p in problem.model.parameters()]
    problem.closure()
    for parameter, gradient in zip(problem.model.parameters(), left, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-12, atol=1e-14)


CHECKS = [
    check_reduces_the_loss,
    check_repeats_itself,
    check_resumes_bitwise,
    check_returns_the_first_loss,
    check_calls_the_closure,
    check_follows_a_new_objective,
    check_runs_in_float32,
    check_has_lr,
]
OWNED_CHECKS = [check_counts_evaluations, check_rolls_back, check_leaves_the_accepted_gradient]
