"""What every optimizer must do; `test_optimizer_conformance.py` runs it over the list `OPTIMIZERS`."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from least_squares import LeastSquares, quadratic, rosenbrock, vector
from torch import Tensor, nn
from torch.optim import Optimizer

from pinnlab.errors import StopReason
from pinnlab.optimizers import (
    BFGS,
    LBFGS,
    SPRING,
    SSBFGS,
    EnergyNaturalGradient,
    FixedDamping,
    LevenbergMarquardt,
    MultiPreconditionedLBFGS,
    NystromNewtonCG,
    SchwarzLBFGS,
    SeveralValues,
    SSBroyden,
    StepLength,
    TargetRatioGaussNewton,
    objective_changed,
)
from pinnlab.optimizers import LeastSquares as LastLayer


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
    OptimizerCase("LBFGS-Hager-Zhang", lambda p: LBFGS(p, line_search="hager_zhang", c1=0.1), 20, 2e-4, owned=True),
    OptimizerCase("BFGS", BFGS, 20, 2e-4, owned=True),
    OptimizerCase("SSBFGS", SSBFGS, 20, 2e-5, owned=True),
    OptimizerCase("SSBFGS-OL", lambda p: SSBFGS(p, scaling="oren-luenberger"), 20, 2e-4, owned=True),
    OptimizerCase("SSBroyden", SSBroyden, 20, 2e-5, owned=True),
    OptimizerCase("LevenbergMarquardt", LevenbergMarquardt, 40, 2e-6, owned=True),
    OptimizerCase("LM-textbook", lambda p: LevenbergMarquardt(p, line_search="none"), 40, 2e-4, owned=True),
    OptimizerCase("LM-dual", lambda p: LevenbergMarquardt(p, form="dual"), 40, 2e-6, owned=True),
    OptimizerCase("LM-several", lambda p: LevenbergMarquardt(p, damping=SeveralValues()), 40, 2e-2, owned=True),
    OptimizerCase("LM-qr", lambda p: LevenbergMarquardt(p, form="qr"), 40, 2e-6, owned=True),
    OptimizerCase("TargetRatio", TargetRatioGaussNewton, 40, 2e-6, owned=True),
    OptimizerCase("LeastSquares", lambda p: LastLayer(p, tolerance=1e-5), 40, 2e-4, owned=True),
    OptimizerCase("ENG", EnergyNaturalGradient, 40, 2e-5, owned=True),
    OptimizerCase("ENG-grid", lambda p: EnergyNaturalGradient(p, line_search="grid"), 40, 2e-5, owned=True),
    OptimizerCase("ENG-rows", lambda p: EnergyNaturalGradient(p, row_scaling=True), 40, 2e-4, owned=True),
    OptimizerCase("ENG-steps", lambda p: EnergyNaturalGradient(p, damping=StepLength()), 40, 2e-5, owned=True),
    OptimizerCase(
        "SPRING", lambda p: SPRING(p, damping=FixedDamping(1e-4), lr=0.2, max_norm=1.0), 80, 2e-2, owned=True
    ),
    OptimizerCase("Schwarz", lambda p: SchwarzLBFGS(p, local_iterations=10), 20, 4e-3, owned=True),
    OptimizerCase(
        "Schwarz-additive", lambda p: SchwarzLBFGS(p, mode="additive", local_iterations=10), 20, 1e-3, owned=True
    ),
    OptimizerCase("MP", lambda p: MultiPreconditionedLBFGS(p, global_iterations=8), 20, 2e-4, owned=True),
    OptimizerCase(
        "MP-paper", lambda p: MultiPreconditionedLBFGS(p, global_iterations=1, block_start=False), 40, 2e-3, owned=True
    ),
    OptimizerCase("Newton-CG", lambda p: NystromNewtonCG(p, rank=8, refresh=3), 20, 1e-2, owned=True),
    OptimizerCase(
        "Newton-CG-short",
        lambda p: NystromNewtonCG(p, damping=1e-6, rank=4, cg_iterations=12, cg_tolerance=1e-2),
        40,
        2e-2,
        owned=True,
    ),
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


class Problem(LeastSquares):
    """A small network fitted to a smooth function: nonconvex, several parameters."""

    def __init__(self, case: OptimizerCase, dtype: torch.dtype = torch.float64) -> None:
        generator = torch.Generator().manual_seed(3)
        self.model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)).to(dtype)
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        self.x = torch.linspace(-1, 1, 40, dtype=dtype)[:, None]
        self.target = torch.sin(2 * self.x)
        super().__init__(self.misfit, self.model.parameters(), case.build)

    def misfit(self, flat: Tensor) -> Tensor:
        names, shapes = zip(*((k, p.shape) for k, p in self.model.named_parameters()), strict=True)
        parts = flat.split([shape.numel() for shape in shapes])
        values = {k: part.view(shape) for k, part, shape in zip(names, parts, shapes, strict=True)}
        outputs = torch.func.functional_call(self.model, values, (self.x,))
        return (outputs - self.target)[:, 0] / len(self.x) ** 0.5

    def snapshot(self) -> dict:
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, snapshot: dict) -> None:
        self.model.load_state_dict(snapshot["model"])
        self.optimizer.load_state_dict(snapshot["optimizer"])


def assert_reaches(run: LeastSquares, bound: float, steps: int) -> None:
    """Not longer than it takes: most need far fewer than they may."""
    for _ in range(steps):
        run.step()
        if run.loss().item() < bound:
            return
    raise AssertionError(f"the loss is {run.loss().item():.3g} after {steps} steps, not below {bound:.3g}")


def check_reduces_the_loss(case: OptimizerCase) -> None:
    problem = Problem(case)
    assert_reaches(problem, case.reduction * problem.loss().item(), case.steps)


def check_repeats_itself(case: OptimizerCase) -> None:
    assert torch.equal(Problem(case).step(6), Problem(case).step(6))


def check_resumes_bitwise(case: OptimizerCase, steps: int = 6) -> None:
    whole, stopped = Problem(case).step(steps), Problem(case)
    for done in range(1, steps):
        stopped.step()
        if done in (3, 4):
            continue
        file = io.BytesIO()
        torch.save(stopped.snapshot(), file)
        resumed = Problem(case)
        file.seek(0)
        resumed.restore(torch.load(file, weights_only=True))
        assert torch.equal(resumed.step(steps - done), whole), f"resumed after {done} steps"


def check_returns_the_first_loss(case: OptimizerCase) -> None:
    problem = Problem(case)
    for _ in range(4):
        expected = problem.loss().detach()
        returned = problem.one_step()
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
    assert_reaches(problem, case.reduction * problem.loss().item(), 2 * case.steps)


def check_runs_in_float32(case: OptimizerCase) -> None:
    problem = Problem(case, torch.float32)
    assert_reaches(problem, case.reduction * problem.loss().item(), case.steps)


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


def check_has_a_root_of_the_inverse_hessian(case: OptimizerCase) -> None:
    problem = Problem(case)
    assert problem.optimizer.inverse_hessian_root() is None
    problem.step(3)
    root, count = problem.optimizer.inverse_hessian_root(), len(problem.flat())
    identity = torch.eye(count, dtype=torch.float64)
    left, transposed = root.times(identity), root.transposed_times(identity)
    torch.testing.assert_close(left.T, transposed, rtol=0, atol=1e-12 * float(left.abs().max()))
    inverse = torch.stack([problem.optimizer._times(column) for column in identity], 1)
    torch.testing.assert_close(left @ transposed, inverse, rtol=0, atol=1e-9 * float(inverse.abs().max()))
    vector = torch.linspace(-1, 1, count, dtype=torch.float64)[:, None]
    torch.testing.assert_close(root.times(vector), left @ vector)


def check_survives_a_loss_that_is_not_finite(case: OptimizerCase) -> None:
    problem = Problem(case)
    before = problem.step(3)
    residual = problem.residual
    problem.residual = lambda flat: residual(flat) * float("nan")
    objective_changed(problem.optimizer)
    assert torch.equal(problem.step(), before)
    assert problem.optimizer.status is StopReason.STALLED
    problem.residual = residual
    objective_changed(problem.optimizer)
    first = problem.loss().item()
    problem.step(5)
    assert problem.optimizer.status is StopReason.RUNNING
    assert problem.loss().item() < first


def check_minimises_a_quadratic(case: OptimizerCase) -> None:
    run = LeastSquares(quadratic(1e3), [vector([0.0] * 20)], case.build)
    assert_reaches(run, max(case.reduction * 1e-4, 1e-20) * run.loss().item(), 2 * case.steps)


def check_minimises_rosenbrock(case: OptimizerCase) -> None:
    run = LeastSquares(rosenbrock, [vector([-1.2, 1.0])], case.build)
    assert_reaches(run, 1e-8, 2 * case.steps)
    torch.testing.assert_close(run.flat(), torch.ones(2, dtype=torch.float64), atol=1e-3, rtol=0)


def check_trains_one_parameter(case: OptimizerCase) -> None:
    run = LeastSquares(lambda x: x.square() - 2, [vector([3.0])], case.build)
    assert_reaches(run, 1e-14, case.steps)
    assert abs(run.flat().item() - 2**0.5) < 1e-6


def check_leaves_alone_what_the_loss_does_not_see(case: OptimizerCase) -> None:
    """Bitwise: a phase with a `width` relies on it for the neurons that it leaves out."""
    start, unseen = vector([1.0, 7.0, 1.0, 8.0, 0.0, 9.0]), [1, 3, 5]
    x = torch.linspace(0, 2, 15, dtype=torch.float64)
    target = 3 * torch.exp(-1.7 * x) + 0.5 + 0.05 * torch.cos(20 * x)
    run = LeastSquares(lambda p: p[0] * torch.exp(-p[2] * x) + p[4] - target, [start], case.build)
    assert run.step(6)[unseen].tolist() == [7.0, 8.0, 9.0]


CHECKS = [
    check_reduces_the_loss,
    check_repeats_itself,
    check_resumes_bitwise,
    check_returns_the_first_loss,
    check_calls_the_closure,
    check_follows_a_new_objective,
    check_runs_in_float32,
    check_has_lr,
    check_leaves_alone_what_the_loss_does_not_see,
]
OWNED_CHECKS = [
    check_counts_evaluations,
    check_rolls_back,
    check_survives_a_loss_that_is_not_finite,
    check_minimises_a_quadratic,
    check_minimises_rosenbrock,
    check_trains_one_parameter,
]
QUASI_NEWTON_CHECKS = [check_leaves_the_accepted_gradient, check_has_a_root_of_the_inverse_hessian]
