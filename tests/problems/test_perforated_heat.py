"""Heat from many holes: its reference, and the layers of its ansatz."""

import numpy as np
import pytest
import torch

from pinnlab.derivatives import partials
from pinnlab.problems import PerforatedHeat
from pinnlab.problems.perforated_heat import HEIGHT, HORIZON, LARGE, OUTSIDE, RADII, SMALL, WIDTH
from pinnlab.problems.references.hole_elements import HeatAroundHoles, Hole
from pinnlab.samplers import UniformRandom


def test_the_method_finds_a_solution_that_is_known():
    """In a rectangle without holes v = u - g is a product of sums of cosines that are even and have dv/dn = -v."""

    def along(s, half, t):
        """1 at the start: sum of 4 sin(k h) / (2 k h + sin 2 k h) cos(k s) exp(-k^2 t), k tan(k h) = 1."""
        low, high = (np.pi / half * (np.arange(60) + end) for end in (0.0, 0.5))
        for _ in range(80):
            k = (low + high) / 2
            above = k * np.tan(k * half) > 1
            low, high = np.where(above, low, k), np.where(above, k, high)
        sizes = 4 * np.sin(k * half) / (2 * k * half + np.sin(2 * k * half))
        return (sizes * np.cos(np.outer(s, k)) * np.exp(-np.outer(t, k**2))).sum(1)

    solver = HeatAroundHoles((0, 1, 2), (0, 1.5), [], 0.7, 2.0, degree=8)
    points = np.random.default_rng(0).uniform([-2, -1.5, 0.1], [2, 1.5, 2], (300, 3))
    x, y, t = points.T
    np.testing.assert_allclose(solver(points), 0.7 * (1 - along(x, 2.0, t) * along(y, 1.5, t)), atol=5e-6)


def reference(points):
    return PerforatedHeat().reference_values(torch.as_tensor(points))[:, 0].numpy()


AT = np.array(
    [[1.3, 0.4, 0.8], [-4.6, 4.1, 0.5], [3.2, -6.7, 1.5], [7.0, -11.0, 2.0], [0.5, 7.4, 0.3], [-2.5, 0.1, 2.9]]
)


def test_the_reference_satisfies_the_equation():
    """By differences of fourth order."""
    h = 0.06

    def by(column, order, step):
        shift = np.eye(3)[column] * step
        v = [reference(AT + k * shift) for k in (-2, -1, 0, 1, 2)]
        first, second = (
            (v[0] - 8 * v[1] + 8 * v[3] - v[4]) / 12,
            (-v[0] + 16 * v[1] - 30 * v[2] + 16 * v[3] - v[4]) / 12,
        )
        return first / step if order == 1 else second / step**2

    np.testing.assert_allclose(by(2, 1, 0.02), by(0, 2, h) + by(1, 2, h), atol=5e-3)


@pytest.mark.parametrize(("name", "heat"), [("large", 5.0), ("small", 1.0), ("rectangle", 0.1)])
def test_the_reference_has_its_fluxes(name, heat):
    """By differences of third order inwards, away from the start."""
    points = UniformRandom().sample(PerforatedHeat().conditions[name].region, 300, seed=1)
    points = points[points[:, 2] > 0.3]
    normals = PerforatedHeat().conditions[name].region.normals(points)
    v = [reference(points - k * 0.02 * normals) for k in range(4)]
    flux = (11 * v[0] - 18 * v[1] + 9 * v[2] - 2 * v[3]) / 0.12
    np.testing.assert_allclose(flux, heat - v[0], atol=1e-2)


@pytest.mark.slow
def test_the_reference_converges_as_it_says():
    holes = [Hole(x, y, RADII[0], 5.0) for x, y in LARGE] + [Hole(x, y, RADII[1], 1.0) for x, y in SMALL]
    xs, ys = (0, 2, 6, WIDTH), (0, 1.5, 4.5, 7.5, 10.5, HEIGHT)
    points = UniformRandom().sample(PerforatedHeat().domain, 2000, seed=0).numpy()
    finer = HeatAroundHoles(xs, ys, holes, OUTSIDE, HORIZON, degree=12)(points)
    error = np.linalg.norm(reference(points) - finer) / np.linalg.norm(finer)
    assert 1e-6 < error < PerforatedHeat().reference().accuracy == 5e-5


def test_the_layers_are_what_there_is_early():
    """The ansatz without a network: in the first hundredth within 0.3 %, where the layers are 0.2 wide."""
    problem = PerforatedHeat()
    points = UniformRandom().sample(problem.conditions["around_large"].region, 2000, seed=0)
    points[:, 2] = 0.003 + 0.007 * torch.rand(2000, generator=torch.Generator().manual_seed(0)).double()
    layers = problem.ansatz(torch.zeros(2000).double(), *points.T).numpy()
    exact = reference(points)
    assert np.linalg.norm(layers - exact) < 1e-2 * np.linalg.norm(exact)


def test_one_layer_has_its_flux_and_all_but_a_quarter_of_its_value_in_the_equation():
    """Around one circle alone: du/dn = 5 - u exactly, u_t - Delta u = -u / 4 r^2."""
    problem = PerforatedHeat()
    large, small = problem.centers
    problem.centers = [large[:1], small[:0]]
    (x0, y0), wanted = large[0].tolist(), problem.wanted

    def layer(points):
        x, y, t = points.unbind(-1)
        edges = PerforatedHeat()
        edges.centers = [large[:0], small[:0]]
        nothing = torch.zeros_like(x)
        return (problem.from_layers(nothing, x, y, t) - edges.from_layers(nothing, x, y, t))[:, None]

    angle, r = torch.linspace(0, 6, 30).double(), torch.linspace(1, 2, 30).double()
    points = torch.stack([x0 + r * angle.cos(), y0 + r * angle.sin(), 0.02 + 0.5 * (r - 1)], -1)
    inside = partials(layer, points, wanted["pde"])
    balance = inside.partials[(2,)] - inside.laplacians[(0, 1)]
    torch.testing.assert_close(balance[:, 0], -inside.value[:, 0] / (4 * r**2))
    points[:, :2] = torch.stack([x0 + angle.cos(), y0 + angle.sin()], -1)
    rim = partials(layer, points, wanted["large"])
    outwards = angle.cos() * rim.partials[(0,)][:, 0] + angle.sin() * rim.partials[(1,)][:, 0]
    torch.testing.assert_close(-outwards, 5 - rim.value[:, 0])
