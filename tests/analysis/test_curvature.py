"""Curvature spectra against dense Hessians of tiny networks by `torch.autograd`."""

import pytest
import torch
from linearized import CASES, Case, draw

from pinnlab.analysis.curvature import curvature, preconditioner
from pinnlab.errors import ConfigurationError
from pinnlab.numerics.linalg import SquareRoot
from pinnlab.optimizers import LBFGS, LevenbergMarquardt, SSBroyden

MATRICES = {
    "hessian": Case.hessian,
    "gauss_newton": lambda case: 2 * case.jacobian().T @ case.jacobian(),
}


def largest(values, count):
    """Those of the largest absolute value, in descending order."""
    return values[values.abs().argsort(descending=True)[:count]].sort(descending=True).values


def close(found, expected):
    return torch.allclose(found, expected, rtol=0, atol=1e-10 * float(expected.abs().max()))


@pytest.mark.parametrize("memory", [1 << 30, 0])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("name", CASES)
def test_against_dense_matrices(name, matrix, memory):
    case = Case(name, memory=memory)
    values = torch.linalg.eigvalsh(MATRICES[matrix](case))
    found = curvature(case.linearization(), matrix, top=7, probes=30, steps=30)
    assert close(found.eigenvalues, largest(values, 7))
    assert bool((found.errors < 1e-6 * float(values.abs().max())).all())
    assert found.density.size == len(values)
    # Each probe sees each eigenvector with a random weight: the shares are known to a few percent.
    for bound in (-1e-3, 1e-3, 0.5):
        share = float((values < bound * float(values.max())).double().mean())
        assert found.density.below(bound * float(values.max())) == pytest.approx(share, abs=0.08)


def test_hessian_and_gauss_newton_differ_by_what_the_residual_bends():
    case = Case("burgers")
    spectra = [curvature(case.linearization(), matrix, top=3, probes=1, steps=5) for matrix in MATRICES]
    assert not close(spectra[0].eigenvalues, spectra[1].eigenvalues)


def test_twice_the_kernel():
    case = Case("burgers")
    rows = case.jacobian()
    found = curvature(case.linearization(), "gauss_newton", top=5, probes=1, steps=5)
    assert close(found.eigenvalues, 2 * torch.linalg.eigvalsh(rows @ rows.T).flip(0)[:5])


def test_a_preconditioner_turns_the_spectrum_into_that_of_the_product():
    case, n = Case("oscillator"), len(Case("oscillator").flat())
    left = torch.eye(n, dtype=torch.float64) + 0.3 * draw(n, n)
    found = curvature(case.linearization(), root=SquareRoot(left.mm, left.T.mm), top=6, probes=1, steps=5)
    product = torch.linalg.eigvals(left @ left.T @ case.hessian())  # not symmetric, but with real eigenvalues
    assert close(found.eigenvalues, largest(product.real, 6))
    assert not close(found.eigenvalues, largest(torch.linalg.eigvalsh(case.hessian()), 6))


class Quadratic:
    """The loss x'Ax, as an optimizer and as `curvature` see it."""

    def __init__(self, size=12):
        self.matrix = torch.diag(torch.logspace(-3, 1, size, dtype=torch.float64))
        self.x = torch.nn.Parameter(torch.ones(size, dtype=torch.float64))
        self.point = self.x.detach()

    def closure(self):
        self.x.grad = None
        loss = self.x @ self.matrix @ self.x
        loss.backward()
        return loss

    def hessian_times(self, v):
        return 2 * self.matrix @ v


@pytest.mark.parametrize("build", [SSBroyden, lambda p: LBFGS(p, history=40)])
def test_what_a_quasi_newton_method_has_learned(build):
    """It started with eigenvalues from 2e-3 to 20; along what it has seen they are near 1 now."""
    loss = Quadratic()
    optimizer = build([loss.x])
    for _ in range(6):
        optimizer.step(loss.closure)
    plain = curvature(loss, top=12, probes=1, steps=2).eigenvalues
    found = curvature(loss, root=preconditioner(optimizer), top=12, probes=1, steps=2).eigenvalues
    assert float(plain[0] / plain[-1]) == pytest.approx(1e4)
    assert float(found[0] / found[-1]) < 3
    assert 0.5 < float(found[5]) < 2


def test_bad_input():
    found = Case("burgers").linearization()
    with pytest.raises(ConfigurationError, match=r"unknown matrix 'hesian' \(did you mean 'hessian'\?\)"):
        curvature(found, "hesian")
    for options, message in (({"top": 0}, "count"), ({"probes": 0}, "probes"), ({"steps": 0}, "steps")):
        with pytest.raises(ConfigurationError, match=f"^{message}: must be at least 1"):
            curvature(found, **options)
    x = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    with pytest.raises(ConfigurationError, match=r"optimizer: LevenbergMarquardt keeps no inverse Hessian"):
        preconditioner(LevenbergMarquardt([x]))
    with pytest.raises(ConfigurationError, match=r"optimizer: LBFGS has no positive definite inverse Hessian yet"):
        preconditioner(LBFGS([x]))
