"""The pendulum whose damping and stiffness are to be found."""

import math

import numpy as np
import pytest
import torch
from scipy.special import ellipj, ellipk

from pinnlab.problems import NoisyPendulum

TIMES = torch.linspace(0, 5, 201, dtype=torch.float64)


def test_without_damping_it_swings_as_the_elliptic_functions_say():
    problem = NoisyPendulum(damping=1e-13, stiffness=4.0)
    modulus = math.sin(1.0) ** 2  # of half the angle at the start
    swing, *_ = ellipj(ellipk(modulus) - 2.0 * TIMES.numpy(), modulus)
    exact = 2 * np.arcsin(math.sin(1.0) * swing)
    np.testing.assert_allclose(problem.reference_values(TIMES[:, None])[:, 0].numpy(), exact, atol=2e-11)


def test_with_damping_it_satisfies_its_equation():
    problem, h = NoisyPendulum(), 1e-3

    def angle(shift):
        return problem.reference_values(TIMES[20:-20, None] + shift)[:, 0]

    a, before, after = angle(0.0), angle(-h), angle(h)
    residual = (after - 2 * a + before) / h**2 + 0.3 * (after - before) / (2 * h) + 4.0 * torch.sin(a)
    assert residual.abs().max() < 1e-4


def test_measurements_are_the_motion_and_the_noise_of_the_seed():
    def angles(**options):
        return NoisyPendulum(count=400, **options).conditions["data"].targets["a"]

    quiet = angles(noise=0.0)
    times = torch.linspace(0, 5, 400, dtype=torch.float64)
    assert torch.equal(quiet, NoisyPendulum().reference_values(times[:, None])[:, 0])
    assert float((angles(noise=0.2) - quiet).std()) == pytest.approx(0.2, rel=0.1)
    assert torch.equal(angles(seed=3), angles(seed=3))
    assert not torch.equal(angles(seed=3), angles(seed=4))
