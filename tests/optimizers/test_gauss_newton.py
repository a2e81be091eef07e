from __future__ import annotations

import math

import pytest
import torch
from least_squares import DenseLinearization, LeastSquares, quadratic, rosenbrock, vector

from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.optimizers import (
    SPRING,
    EnergyNaturalGradient,
    FixedDamping,
    GainRatio,
    GaussNewton,
    LevenbergMarquardt,
    SeveralValues,
    gauss_newton,
)


def nonlinear(x):
    """Five residuals of three unknowns, none of them zero at the minimum."""
    return torch.stack([x[0] * x[1] - 1, torch.sin(x[2]) + x[0], x[1] ** 2 - x[2], x[0] + x[1] + x[2], torch.cos(x[0])])


def model(x):
    """The residual and its Jacobian at a point."""
    return nonlinear(x), torch.func.jacrev(nonlinear)(x)


def run(build, start=(0.7, -0.4, 1.3), residual=nonlinear):
    return LeastSquares(residual, [vector(list(start))], build)


@pytest.mark.parametrize("form", ["primal", "dual", "qr"])
def test_step_solves_the_damped_normal_equations(form):
    problem = run(lambda p: LevenbergMarquardt(p, damping=FixedDamping(0.3), form=form))
    before = problem.flat().detach().clone()
    r, rows = model(before)
    after = problem.step()
    expected = torch.linalg.solve(rows.T @ rows + 0.3 * torch.eye(3, dtype=torch.float64), -rows.T @ r)
    torch.testing.assert_close(after - before, expected, rtol=1e-10, atol=1e-12)


def test_auto_form_takes_the_smaller_system_or_singular_values():
    shapes = []

    class Watching(DenseLinearization):
        def gram(self):
            shapes.append("primal")
            return super().gram()

        def kernel(self):
            shapes.append("dual")
            return super().kernel()

        def triangle(self, sketch=0, draw=0):
            shapes.append("qr")
            return super().triangle(sketch, draw)

    def steps(build, dtype=torch.float64):
        shapes.clear()
        for residual in (nonlinear, lambda x: nonlinear(x)[:2]):
            x = vector([0.7, -0.4, 1.3], dtype)
            problem = LeastSquares(residual, [x], build)
            problem.optimizer.step(problem.closure, linearization=Watching(residual, x.detach()))
        return list(shapes)

    def precise(parameters):
        return LevenbergMarquardt(parameters, damping=GainRatio(lowest=1e-20))

    assert steps(EnergyNaturalGradient) == ["primal", "dual"]
    assert steps(precise) == ["qr", "qr"]
    assert steps(precise, torch.float32) == ["primal", "dual"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gauss_newton, "_QR_PAYS", 2)
        assert steps(precise) == ["primal", "qr"]


@pytest.mark.parametrize("form", ["primal", "dual", "qr"])
def test_gain_ratio_with_scaled_rows_is_that_of_the_loss(form):
    problem = run(lambda p: LevenbergMarquardt(p, damping=GainRatio(0.1), form=form, row_scaling=True))
    seen, before = [], problem.flat().detach().clone()
    problem.optimizer.damping.accepted = lambda memory, value, gain_ratio, step: seen.append(gain_ratio)
    after = problem.step()
    r, rows = model(before)
    predicted = r.square().sum() - (r + rows @ (after - before)).square().sum()
    assert seen == [pytest.approx(((r.square().sum() - problem.loss().detach()) / predicted).item(), rel=1e-9)]


@pytest.mark.parametrize("form", ["primal", "dual", "qr"])
def test_momentum_is_that_of_spring(form):
    momentum, damping, lr = 0.8, 1e-2, 0.05
    problem = run(
        lambda p: SPRING(p, damping=FixedDamping(damping), momentum=momentum, lr=lr, max_norm=0.02, form=form)
    )
    x, carried = problem.flat().detach().clone(), torch.zeros(3, dtype=torch.float64)
    eye = torch.eye(5, dtype=torch.float64)
    for k in range(1, 6):
        r, rows = model(x)
        zeta = r - momentum * rows @ carried
        carried = rows.T @ torch.linalg.solve(rows @ rows.T + damping * eye, zeta) + momentum * carried
        update = carried / math.sqrt(1 - momentum ** (2 * k))
        x = x - min(lr, 0.02 / update.norm().item()) * update
        torch.testing.assert_close(problem.step(), x, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("form", ["primal", "dual", "qr"])
def test_row_scaling_divides_every_residual_by_the_norm_of_its_gradient(form):
    problem = run(lambda p: GaussNewton(p, damping=FixedDamping(0.1), line_search="none", must_decrease=False,
                                        row_scaling=True, form=form))  # fmt: skip
    before = problem.flat().detach().clone()
    r, rows = model(before)
    norms = rows.norm(dim=1)
    r, rows = r / norms, rows / norms[:, None]
    expected = torch.linalg.solve(rows.T @ rows + 0.1 * torch.eye(3, dtype=torch.float64), -rows.T @ r)
    torch.testing.assert_close(problem.step() - before, expected, rtol=1e-10, atol=1e-12)


def steep(x):
    """Residuals whose full Gauss-Newton step goes much too far."""
    return torch.atan(4 * x)


def test_backtracking_shortens_what_full_steps_refuse():
    problem = run(lambda p: EnergyNaturalGradient(p, damping=FixedDamping(1e-12)), [2.0, -1.5], steep)
    losses = [problem.loss().item()]
    for _ in range(8):
        problem.step()
        losses.append(problem.loss().item())
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-20


def test_grid_takes_the_best_step_length():
    problem = run(lambda p: EnergyNaturalGradient(p, damping=FixedDamping(1e-9), line_search="grid"))
    before = problem.flat().detach().clone()
    r, rows = model(before)
    full = torch.linalg.solve(rows.T @ rows + 1e-9 * torch.eye(3, dtype=torch.float64), -rows.T @ r)
    best = min(nonlinear(before + full * 0.5**k).square().sum().item() for k in range(13))
    problem.step()
    assert problem.loss().item() == pytest.approx(best, rel=1e-9)


def test_several_dampings_take_the_best():
    factors = (1e-3, 1.0, 1e3)
    problem = run(lambda p: LevenbergMarquardt(p, damping=SeveralValues(1e-2, factors), line_search="none"))
    before = problem.flat().detach().clone()
    r, rows = model(before)
    losses = []
    for factor in factors:
        matrix = rows.T @ rows + 1e-2 * factor * torch.eye(3, dtype=torch.float64)
        losses.append(nonlinear(before - torch.linalg.solve(matrix, rows.T @ r)).square().sum().item())
    problem.step()
    assert problem.loss().item() == pytest.approx(min(losses), rel=1e-9)


def test_linear_residuals_are_solved_in_one_step():
    problem = run(lambda p: GaussNewton(p, damping=FixedDamping(1e-14)), [0.0] * 20, quadratic(100.0))
    problem.step()
    torch.testing.assert_close(problem.flat().detach(), torch.ones(20, dtype=torch.float64), rtol=0, atol=1e-9)


def test_gain_ratio_of_a_linear_model_is_one():
    problem = run(lambda p: LevenbergMarquardt(p, damping=GainRatio(1e-2, shrink=0.1)), [0.0] * 20, quadratic(10.0))
    problem.step()
    assert problem.optimizer._memory["damping"]["value"] == pytest.approx(1e-3)


def test_stall_moves_nothing_and_says_so():
    problem = run(LevenbergMarquardt, [1.0, 1.0], rosenbrock)
    before = problem.flat().detach().clone()
    assert torch.equal(problem.step(), before)
    assert problem.optimizer.status is StopReason.STALLED


def test_singular_jacobian_is_damped_not_fatal():
    problem = run(lambda p: EnergyNaturalGradient(p, damping=FixedDamping(1e-300)), [1.0, 1.0],
                  lambda x: torch.stack([x[0] + x[1] - 3, x[0] + x[1] - 3]))  # fmt: skip
    problem.step(5)
    assert problem.loss().item() < 1e-12


@pytest.mark.parametrize("missing", ["closure", "linearization"])
def test_missing_argument_is_named(missing):
    problem = run(LevenbergMarquardt)
    arguments = {
        "closure": problem.closure,
        "linearization": DenseLinearization(nonlinear, problem.flat().detach()),
        missing: None,
    }
    with pytest.raises(ConfigurationError, match=f"{missing}: LevenbergMarquardt needs the residual"):
        problem.optimizer.step(**arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"line_search": "wolfe"}, "line_search"),
        ({"form": "duel"}, "dual"),
        ({"lr": 0.0}, "lr: must be positive"),
        ({"momentum": 1.0}, "momentum"),
        ({"max_norm": -1.0}, "max_norm"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        GaussNewton([vector([1.0])], **options)


def test_a_second_parameter_group_is_refused():
    with pytest.raises(ConfigurationError, match="one parameter group"):
        LevenbergMarquardt([{"params": [vector([1.0])]}, {"params": [vector([2.0])]}])
