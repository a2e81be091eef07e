"""Poisson's equation in a square of many materials: its reference."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from pinnlab.problems import BlockPoisson
from pinnlab.problems.blocks import CONDUCTIVITY, CONSTANT, WAVE
from pinnlab.problems.references.robin import RobinPoisson
from pinnlab.samplers import UniformRandom

DATA = Path(os.environ.get("PINNLAB_REFERENCE_DATA", Path(__file__).parents[2] / ".." / "shared" / "reference"))


def test_the_method_finds_a_solution_that_is_known():
    """Products of cos(k x): du/dn = -u at x = 1 and at x = -1, where k tan k = 1."""
    k = 0.8603335890193797

    def exact(x, y):
        return np.cos(k * x) * np.cos(k * y)

    solver = RobinPoisson(-1.0, 0.5, 4, lambda x, y: -2 * k**2 * exact(x, y), degree=8)
    points = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    np.testing.assert_allclose(solver(points), exact(*points.T), atol=1e-12)


def reference(points):
    return BlockPoisson().reference_values(torch.as_tensor(points))[:, 0].numpy()


def test_the_reference_satisfies_the_equation_and_its_condition():
    h, problem = 0.05, BlockPoisson()
    at = np.array([[-8.3, -7.6], [0.4, 1.1], [7.2, -4.1], [-3.5, 8.5], [3.7, -0.6]])

    def second(x, y):
        near, far = (
            reference(at + s * h * np.array([x, y])) + reference(at - s * h * np.array([x, y])) for s in (1, 2)
        )
        return (16 * near - far - 30 * reference(at)) / (12 * h**2)

    source = problem.source(*torch.from_numpy(at).T).numpy()
    np.testing.assert_allclose(second(1, 0) + second(0, 1), -source, rtol=2e-4, atol=2e-4)
    edge = np.stack([np.full(9, 10.0), np.linspace(-9, 9, 9)], axis=1)
    inward = [reference(edge - [s * 1e-2, 0]) for s in range(4)]
    slope = (11 * inward[0] - 18 * inward[1] + 9 * inward[2] - 2 * inward[3]) / 6e-2
    np.testing.assert_allclose(slope, -inward[0], atol=1e-3)


def test_the_reference_converges_as_it_says():
    problem = BlockPoisson()

    def source(x, y):
        return -problem.source(torch.from_numpy(x), torch.from_numpy(y)).numpy()

    points = UniformRandom().sample(problem.domain, 2000, seed=0).numpy()
    finer = RobinPoisson(-10.0, 4.0, 5, source, degree=24)(points)
    error = np.linalg.norm(reference(points) - finer) / np.linalg.norm(finer)
    assert error < 3e-7
    assert problem.reference().accuracy == pytest.approx(3e-7)


def test_its_numbers_are_those_of_the_benchmark():
    if not (DATA / "pinnacle").exists():
        pytest.skip("PINNLAB_REFERENCE_DATA has no folder pinnacle")

    def numbers(name):
        with gzip.open(DATA / "pinnacle" / f"{name}.dat.gz", "rt") as lines:
            return np.loadtxt(lines)

    waves = numbers("poisson_f_coef").reshape(5, 5, 2, 2)
    np.testing.assert_allclose(CONDUCTIVITY, numbers("poisson_a_coef"), rtol=1e-6)
    np.testing.assert_allclose(CONSTANT, waves[..., 0, 0], rtol=1e-6)
    np.testing.assert_allclose(WAVE, waves[..., 1, 1], rtol=1e-6)
