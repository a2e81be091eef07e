from __future__ import annotations

import numpy as np
import pytest
import torch
from least_squares import LeastSquares, quadratic, rosenbrock, vector
from scipy import optimize

from pinnlab.errors import ConfigurationError
from pinnlab.optimizers import BFGS, LBFGS, SSBFGS, SSBroyden

N = 6


def broyden_reference(h_matrix, s, y, gradient, step, kind):
    """The update written as in arXiv 2501.16371, with outer products, in numpy."""
    n = len(s)
    ys, hy = y @ s, h_matrix @ y
    yhy, b = y @ hy, -step * (s @ gradient) / ys
    h = yhy / ys
    a = h * b - 1
    tau, phi = 1.0, 1.0
    if kind == "al-baali":
        tau = min(1, 1 / b)
    elif kind == "oren-luenberger":
        tau = 1 / b
    elif kind == "broyden":
        c = np.sqrt(abs(a) / (1 + a))
        rho_minus = min(1, h * (1 - c))
        theta = max((rho_minus - 1) / a, min(1 / rho_minus, (1 - b) / b))
        sigma = 1 + a * theta
        rho, e = min(1, 1 / b), abs(sigma) ** (1 / (1 - n))
        tau = min(rho * e, sigma) if theta <= 0 else rho * min(e, 1 / theta)
        phi = (1 - theta) / sigma
    v = s / ys - hy / yhy
    inner = h_matrix - np.outer(hy, hy) / yhy + phi * yhy * np.outer(v, v)
    return inner / tau + np.outer(s, s) / ys


def positive_definite(generator):
    root = torch.randn(N, N, generator=generator, dtype=torch.float64)
    return root @ root.T + 0.1 * torch.eye(N, dtype=torch.float64)


CASES = {
    "bfgs": (BFGS, {}, "bfgs"),
    "al-baali": (SSBFGS, {"scaling": "al-baali"}, "al-baali"),
    "oren-luenberger": (SSBFGS, {"scaling": "oren-luenberger"}, "oren-luenberger"),
    "broyden": (SSBroyden, {}, "broyden"),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", CASES)
def test_update_is_that_of_the_paper(name, seed):
    build, options, kind = CASES[name]
    generator = torch.Generator().manual_seed(seed)
    optimizer = build([vector(torch.zeros(N))], **options)
    inverse = positive_definite(generator)
    gradient, noise = (torch.randn(N, generator=generator, dtype=torch.float64) for _ in range(2))
    step = 0.3
    s = -step * (inverse @ gradient)
    y = positive_definite(generator) @ s + 0.01 * noise
    if y @ s <= 0:
        y = -y
    expected = broyden_reference(inverse.numpy(), s.numpy(), y.numpy(), gradient.numpy(), step, kind)
    optimizer._memory["inverse_hessian"] = inverse.clone()
    optimizer._learn(s, y, gradient, step)
    np.testing.assert_allclose(optimizer._memory["inverse_hessian"].numpy(), expected, rtol=1e-9, atol=1e-10)
    # Every member of the family satisfies the secant equation.
    torch.testing.assert_close(optimizer._times(y), s, rtol=1e-9, atol=1e-10)


def test_bfgs_needs_about_as_many_evaluations_as_scipy():
    start = [-1.2, 1.0]
    run = LeastSquares(rosenbrock, [vector(start)], lambda p: BFGS(p, iterations=1))
    while run.loss().item() > 1e-16:
        run.step()
        assert run.calls < 500
    found = optimize.minimize(
        lambda x: rosenbrock(torch.tensor(x)).square().sum().item(), np.array(start), jac=optimize.rosen_der,
        method="BFGS", options={"gtol": 1e-9},
    )  # fmt: skip
    np.testing.assert_allclose(run.flat().detach().numpy(), found.x, atol=1e-6)
    assert run.calls <= 1.5 * found.nfev


@pytest.mark.parametrize("build", [BFGS, SSBFGS, SSBroyden])
def test_the_matrix_becomes_the_inverse_hessian(build):
    run = LeastSquares(quadratic(1e4, size=8), [vector([0.0] * 8)], lambda p: build(p, iterations=1))
    while run.loss().item() > 1e-12:
        run.step()
        assert run.calls < 500
    jacobian = torch.func.jacrev(run.residual)(run.flat().detach())
    expected = torch.linalg.inv(2 * jacobian.T @ jacobian)
    error = (run.optimizer._memory["inverse_hessian"] - expected).norm() / expected.norm()
    assert error < 0.1


def test_remembers_more_than_a_short_history():
    function = quadratic(1e8, size=60)
    dense = LeastSquares(function, [vector([0.0] * 60)], SSBroyden)
    short = LeastSquares(function, [vector([0.0] * 60)], lambda p: LBFGS(p, history=5))
    dense.step(20)
    short.step(20)
    assert dense.loss().item() < 1e-3 * short.loss().item()


def test_too_large_a_matrix_is_refused_with_what_it_would_need():
    with pytest.raises(ConfigurationError, match=r"30000 x 30000 matrix of 6\.7 GiB, the limit is 4 GiB; use LBFGS"):
        SSBroyden([torch.nn.Parameter(torch.zeros(30_000, dtype=torch.float64))])
    SSBroyden([torch.nn.Parameter(torch.zeros(30_000, dtype=torch.float64))], max_memory=8)


def test_unknown_scaling_is_refused():
    with pytest.raises(ConfigurationError, match="al-baali"):
        SSBFGS([vector([1.0])], scaling="al-bali")


@pytest.mark.parametrize("build", [BFGS, SSBFGS, SSBroyden])
def test_matrix_survives_new_points_while_it_is_positive_definite(build):
    run = LeastSquares(rosenbrock, [vector([-1.2, 1.0, 0.5])], lambda p: build(p, iterations=3))
    run.step(2)
    before = run.optimizer._memory["inverse_hessian"].clone()
    run.optimizer.objective_changed()
    after = run.optimizer._memory["inverse_hessian"]
    torch.testing.assert_close(after, (before + before.T) / 2, rtol=0, atol=0)
    after[0, 0] = -1.0
    run.optimizer.objective_changed()
    assert "inverse_hessian" not in run.optimizer._memory


@pytest.mark.parametrize("build", [BFGS, SSBFGS, SSBroyden])
def test_curvature_at_round_off_is_skipped(build):
    optimizer = build([vector(torch.zeros(3))])
    eye = torch.eye(3, dtype=torch.float64)
    optimizer._memory["inverse_hessian"] = eye.clone()
    optimizer._learn(eye[0], eye[0], eye[1], 1.0)  # a step of a last digit across the slope
    optimizer._learn(eye[0], eye[0], eye[0], 1.0)  # and up
    optimizer._learn(eye[0], eye[1] + 1e-17 * eye[0], -eye[0], 1.0)
    optimizer._learn(eye[0], -eye[0], -eye[0], 1.0)
    assert torch.equal(optimizer._memory["inverse_hessian"], eye)


def test_a_step_nearly_across_the_change_of_the_gradient_is_survived():
    optimizer = SSBroyden([vector(torch.zeros(3))])
    eye = torch.eye(3, dtype=torch.float64)
    optimizer._memory["inverse_hessian"] = eye.clone()
    optimizer._learn(eye[0], 1e-9 * eye[0] + eye[1], -eye[0], 1.0)  # (y'Hy) (s'H^-1 s) / (y's)^2 is 1e18
    assert bool(optimizer._memory["inverse_hessian"].isfinite().all())


def test_an_indefinite_matrix_restarts_from_steepest_descent():
    run = LeastSquares(rosenbrock, [vector([-1.2, 1.0])], lambda p: SSBroyden(p, iterations=1))
    run.step(3)
    loss = run.loss().item()
    run.optimizer._memory["inverse_hessian"].neg_()
    run.step()
    assert run.loss().item() < loss
    run.step(60)
    assert run.loss().item() < 1e-16
