"""The data of the problems that seek a coefficient field; their equations are checked with those of all problems."""

import pytest
import torch

from pinnlab.problems import HeatInverse, PoissonInverse


@pytest.mark.parametrize("kind", [PoissonInverse, HeatInverse])
def test_data_are_the_solution_and_noise_of_its_size(kind):
    noisy, other, exact = (
        kind(noise=noise, seed=seed).conditions["data"] for noise, seed in ((0.1, 0), (0.1, 1), (0, 0))
    )
    points = exact.fixed_points()
    assert points.shape == (2500, 3 if kind is HeatInverse else 2)
    assert torch.equal(points, noisy.fixed_points())
    reference = kind().reference_values(points)[:, 0]
    torch.testing.assert_close(exact.targets["u"], reference, rtol=0, atol=1e-14)
    noise = noisy.targets["u"] - reference
    assert noise.std().item() == pytest.approx(0.1, rel=0.05)  # four standard errors of it
    assert abs(noise.mean()) < 4 * 0.1 / 50
    assert (other.targets["u"] != noisy.targets["u"]).all()
    assert torch.equal(kind(seed=1).conditions["data"].targets["u"], other.targets["u"])


def test_the_points_of_heat_are_spread_over_the_domain():
    problem = HeatInverse()
    points = problem.conditions["data"].fixed_points()
    assert problem.domain.contains(points).all()
    torch.testing.assert_close(points.mean(0), torch.tensor([0.0, 0.0, 0.5], dtype=torch.float64), rtol=0, atol=0.05)
    spread = torch.tensor([2.0, 2.0, 1.0], dtype=torch.float64) / 12**0.5
    torch.testing.assert_close(points.std(0), spread, rtol=0.05, atol=0)


def test_the_coefficient_of_heat_does_not_know_the_time():
    assert repr(HeatInverse()).startswith("HeatInverse: u(x, y, t), a(x, y) on")


def test_strictness_is_read_at_every_evaluation():
    problem = HeatInverse(strictness=2.0)
    fields = [torch.ones(1, dtype=torch.float64)] * 3

    class Flat:
        t = x = y = torch.zeros(1, dtype=torch.float64)

        def laplacian(self):
            return self.t

        def __mul__(self, other):
            return other

    first = problem.balance(Flat(), Flat(), *fields)
    problem.strictness = 6.0
    torch.testing.assert_close(problem.balance(Flat(), Flat(), *fields), 3 * first)
