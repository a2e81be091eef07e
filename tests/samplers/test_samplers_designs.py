"""What every sampler promises, and what quasi-random designs are for."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from scipy.stats import qmc

from pinnlab.domains import Ball, Box, Disk, Interval
from pinnlab.errors import ConfigurationError
from pinnlab.networks import Lens
from pinnlab.samplers import (
    Focused,
    FunctionsTimesPlaces,
    Grid,
    Halton,
    Hammersley,
    LatinHypercube,
    Lattice,
    Sobol,
    SpaceTimeGrid,
    UniformRandom,
    seed_for,
)
from pinnlab.samplers.lattice import generating_vector
from pinnlab.samplers.sequences import MANY_DIMENSIONS, _small_design, few_points

RANDOM = [UniformRandom(), LatinHypercube(), Sobol(), Halton(), Hammersley(), Lattice()]
ALL = [*RANDOM, Grid()]
QUASI = [Sobol(), Halton(), Hammersley(), Lattice()]
X, T = Interval("x", -1, 1), Interval("t", 0, 0.5)
REGIONS = [
    X,
    X.boundary(),
    Box(["x", "y", "z"], 0, [1, 2, 3]),
    Box(["x", "y", "z"], 0, [1, 2, 3]).boundary(),
    Disk(),
    Disk().boundary(),
    Ball(["x", "y", "z"], 1, 2),
    Ball(["x", "y", "z"], 1, 2).boundary(),
    X * T,
    (X * T).boundary(),
    (X * T).boundary("x"),
    (X * T).face(t=0.0),
    Disk() * T,
    (Disk() * T).boundary(),
]


@pytest.mark.parametrize("sampler", ALL, ids=repr)
@pytest.mark.parametrize("dim", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 2, 3, 10, 64, 1000])
def test_shape_range_and_determinism(sampler, count, dim):
    unit = sampler.design(count, dim, seed=4)
    assert unit.shape == (count, dim)
    assert unit.dtype == torch.float64
    assert bool(((unit >= 0) & (unit < 1)).all())
    assert torch.equal(unit, copy.deepcopy(sampler).design(count, dim, seed=4))
    assert torch.equal(unit, type(sampler)().design(count, dim, seed=4))
    assert len(torch.unique(unit, dim=0)) == count


@pytest.mark.parametrize("sampler", RANDOM, ids=repr)
@pytest.mark.parametrize("dim", [1, 3])
def test_other_seeds_give_other_points(sampler, dim):
    assert not torch.equal(sampler.design(50, dim, 0), sampler.design(50, dim, 1))
    assert not torch.equal(sampler.design(50, dim, 0), sampler.design(50, dim, 2**63 - 1))


@pytest.mark.parametrize("sampler", ALL, ids=repr)
def test_global_random_state_is_neither_used_nor_changed(sampler):
    torch.manual_seed(0)
    first = sampler.design(20, 2, 0)
    state = torch.get_rng_state()
    assert torch.equal(sampler.design(20, 2, 0), first)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("sampler", RANDOM, ids=repr)
def test_hundred_dimensions(sampler):
    unit = sampler.design(1000, 100, 0)
    assert unit.shape == (1000, 100)
    torch.testing.assert_close(unit.mean(0), torch.full((100,), 0.5).double(), atol=0.05, rtol=0)
    correlation = np.corrcoef(unit.numpy().T) - np.eye(100)
    assert np.abs(correlation).max() < 0.35  # no two columns are alike


@pytest.mark.parametrize("sampler", ALL, ids=repr)
@pytest.mark.parametrize("region", REGIONS, ids=repr)
def test_points_of_regions_lie_in_them(sampler, region):
    points = sampler.sample(region, 200, seed=1)
    assert points.shape == (region.count or 200, region.dim)
    assert points.dtype == torch.float64
    assert bool(region.contains(points).all())


@pytest.mark.parametrize("sampler", [Grid(), Sobol(), LatinHypercube(), Hammersley(), Lattice()], ids=repr)
def test_each_edge_of_a_rectangle_gets_its_share(sampler):
    points = sampler.sample((X * T).boundary(), 256, seed=2)
    slack = 2.0 if isinstance(sampler, Sobol | LatinHypercube) else 1.0  # random within their layers
    for axis, end, length in ((0, -1.0, 0.5), (0, 1.0, 0.5), (1, 0.0, 2.0), (1, 0.5, 2.0)):
        assert abs((points[:, axis] == end).sum().item() - 256 * length / 5) <= slack


@pytest.mark.parametrize("sampler", QUASI, ids=repr)
@pytest.mark.parametrize(("count", "dim"), [(256, 2), (1000, 3), (1024, 5)])
def test_discrepancy_is_below_that_of_random_points(sampler, count, dim):
    def discrepancy(of):
        return np.mean([qmc.discrepancy(of.design(count, dim, s).numpy(), method="WD") for s in range(3)])

    # Measured: 2 to 50 times smaller.
    assert discrepancy(sampler) < 0.6 * discrepancy(UniformRandom())


@pytest.mark.parametrize("dim", [1, 2])  # a grid's is larger from three dimensions on
@pytest.mark.parametrize("sampler", [Grid(), LatinHypercube()], ids=repr)
def test_stratified_designs_have_a_smaller_discrepancy_too(sampler, dim):
    def discrepancy(of):
        return np.mean([qmc.discrepancy(of.design(250, dim, s).numpy()) for s in range(3)])

    assert discrepancy(sampler) < discrepancy(UniformRandom())


def integration_error(sampler, count: int, dim: int) -> float:
    """Root mean square over seeds of the error of a smooth integrand whose integral is 1."""

    def error(seed: int) -> float:
        u = sampler.design(count, dim, seed)
        return ((u.exp() / (math.e - 1)).prod(dim=1).mean() - 1).item()

    return math.sqrt(np.mean([error(seed) ** 2 for seed in range(12)]))


@pytest.mark.parametrize("sampler", [*QUASI, Grid()], ids=repr)
def test_integration_converges_faster_than_with_random_points(sampler):
    few, many, dim = 64, 4096, 3
    order = math.log(integration_error(sampler, few, dim) / integration_error(sampler, many, dim)) / math.log(
        many / few
    )
    expected = 0.6 if isinstance(sampler, Grid) else 0.75  # 2/3 in theory, and about 1
    assert order > expected
    assert integration_error(sampler, many, dim) < 0.2 * integration_error(UniformRandom(), many, dim)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_grid_of_a_power_is_the_tensor_grid(dim):
    unit = Grid().design(6**dim, dim, 0)
    axis = (torch.arange(6, dtype=torch.float64) + 0.5) / 6
    expected = torch.cartesian_prod(*[axis] * dim).reshape(-1, dim)
    torch.testing.assert_close(unit, expected, atol=1e-14, rtol=0)


def test_grid_with_other_numbers_of_cells_along_each_axis():
    unit = Grid(cells=[4, 2]).design(8, 2, 0)
    expected = [[(i + 0.5) / 4, (j + 0.5) / 2] for i in range(4) for j in range(2)]
    torch.testing.assert_close(unit, torch.tensor(expected, dtype=torch.float64), atol=1e-15, rtol=0)
    torch.testing.assert_close(Grid(cells=[4, 2]).design(5, 1, 0), Grid().design(5, 1, 0), atol=0, rtol=0)


@pytest.mark.parametrize("count", [1, 7, 10, 97, 1000])
def test_grid_of_any_count_has_cells_of_equal_volume(count):
    unit = Grid().design(count, 2, 0)
    assert unit[:, 0].mean().item() == pytest.approx(0.5, abs=1e-12)
    assert unit[:, 1].mean().item() == pytest.approx(0.5, abs=1e-12)
    for place in unit[:, 0].unique():
        rows = unit[unit[:, 0] == place, 1]
        torch.testing.assert_close(rows, (torch.arange(len(rows)).double() + 0.5) / len(rows))


@pytest.mark.parametrize("sampler", [LatinHypercube(), Lattice()], ids=repr)
def test_one_point_in_every_layer(sampler):
    unit = sampler.design(97, 4, 0)
    for column in unit.T:
        shifted = (column - column.min()) if isinstance(sampler, Lattice) else column
        assert sorted((shifted * 97 + 1e-9).long().tolist()) == list(range(97))


@pytest.mark.parametrize("count", [1, 2, 3, 12, 97, 1000])
def test_lattice_components_are_coprime_to_the_count(count):
    vector = generating_vector(count, 6)
    assert vector[0] == 1
    assert all(math.gcd(int(z), count) == 1 for z in vector)


def test_lattice_is_the_best_of_all_in_two_dimensions():
    count = 89
    grid = np.arange(count) / count

    def merit(z: int) -> float:
        def kernel(x: np.ndarray, weight: float) -> np.ndarray:
            harmonics = np.arange(1, 400)[:, None]  # the definition of P_2: a sum over frequencies
            return 1 + weight * 2 * (np.cos(2 * np.pi * harmonics * x) / harmonics**2).sum(0)

        return float(np.mean(kernel(grid, 1.0) * kernel(grid * z % 1.0, 0.5)) - 1)

    merits = {z: merit(z) for z in range(1, count)}
    assert merits[int(generating_vector(count, 2)[1])] == pytest.approx(min(merits.values()), rel=1e-9)


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: Sobol().design(0, 2, 0), "count"),
        (lambda: Sobol().sample(X.boundary(), 0, 0), "count"),
        (lambda: Sobol().design(3, 0, 0), "dim"),
        (lambda: Sobol().design(3, 2, -1), "seed"),
        (lambda: Grid().design(1000, 100, 0), "Sobol"),
        (lambda: Grid(cells=[4, 2]).design(9, 2, 0), r"cells: a grid of 4 x 2 cells has 8 points, not 9"),
        (lambda: Grid(cells=[4, 0]), "cells: must be positive"),
        (lambda: Grid(cells=[]), "cells: must be positive"),
        (lambda: Grid(cells=[4, 2.5]), r"cells\[1\]: must be a whole number"),
        (lambda: Grid(cells=4), "cells: must be a list"),
    ],
)
def test_bad_input_is_refused(build, key):
    with pytest.raises(ConfigurationError, match=key):
        build()


def test_seeds_are_63_bits_and_differ():
    parts = [
        (),
        (0,),
        (1,),
        ("0",),
        (0, 0),
        ("a", 1),
        ("a1",),
        (1, "2"),
        ("1", 2),
        ("12",),
        (-1,),
        (2**70,),
        ("é",),
    ]
    seeds = [seed_for(*p) for p in parts]
    assert len(set(seeds)) == len(parts)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_for(np.int64(7)) == seed_for(7)
    torch.Generator().manual_seed(seeds[0])
    with pytest.raises(TypeError):
        seed_for(1.5)


def test_seeds_are_the_same_in_every_process():
    """Known from another one: `hash`, which the seeds must not go by, differs between this one and that."""
    assert seed_for(3, "pde", 2) == 2767682254002300071


def test_functions_times_places_are_all_pairs():
    design = FunctionsTimesPlaces(functions=5, modes=2)
    unit = design.design(35, 4, seed=1)
    pairs = unit.unflatten(0, (5, 7))
    assert torch.equal(pairs[:, :, :2], pairs[:1, :, :2].expand(5, -1, -1))
    assert torch.equal(pairs[:, :, 2:], pairs[:, :1, 2:].expand(-1, 7, -1))
    assert len(pairs[0, :, :2].unique(dim=0)) == 7
    assert len(pairs[:, 0, 2:].unique(dim=0)) == 5
    assert torch.equal(unit, design.design(35, 4, seed=1))
    assert not torch.equal(unit, design.design(35, 4, seed=2))
    other = FunctionsTimesPlaces(functions=5, modes=2, sampler=UniformRandom())
    assert not torch.equal(unit, other.design(35, 4, seed=1))


def test_a_space_time_grid_is_a_grid_at_gauss_nodes():
    design = SpaceTimeGrid([4, 3], times=5)
    grid = design.design(60, 3, seed=1).unflatten(0, (5, 4, 3))
    assert torch.equal(grid[..., :2], grid[:1, ..., :2].expand(5, -1, -1, -1))
    torch.testing.assert_close(grid[0, :, 0, 0], (torch.arange(4, dtype=torch.float64) + 0.5) / 4)
    torch.testing.assert_close(grid[0, 0, :, 1], (torch.arange(3, dtype=torch.float64) + 0.5) / 3)
    assert torch.equal(grid[:, 0, 0, 2], grid[:, 3, 2, 2])
    nodes, _ = np.polynomial.legendre.leggauss(5)
    np.testing.assert_allclose(2 * grid[:, 0, 0, 2].numpy() - 1, nodes, atol=1e-15)
    assert torch.equal(design.design(12, 2, seed=0), grid[0, ..., :2].reshape(12, 2))  # the face at one time
    assert repr(design) == "SpaceTimeGrid(4 x 3 places, 5 times)"


BAD_PRODUCTS = {
    "4 x 3 x 5 points are 60, not 61": lambda: SpaceTimeGrid([4, 3], 5).design(61, 3, 0),
    "4 x 3 points are 12, not 60": lambda: SpaceTimeGrid([4, 3], 5).design(60, 2, 0),
    "4 dimensions, but 2 numbers of places": lambda: SpaceTimeGrid([4, 3], 5).design(60, 4, 0),
    "places: must be positive whole numbers": lambda: SpaceTimeGrid([4, 0], 5),
    "places: must be a list": lambda: SpaceTimeGrid(4, 5),
    "times: must be a whole number": lambda: SpaceTimeGrid([4], 5.5),
    "no multiple of functions": lambda: FunctionsTimesPlaces(5, 2).design(36, 4, 0),
    "leave no place": lambda: FunctionsTimesPlaces(5, 4).design(35, 4, 0),
    "functions: must be at least 1": lambda: FunctionsTimesPlaces(0, 4),
    "modes: must be a whole number": lambda: FunctionsTimesPlaces(5, 0.5),
    "sampler: must be a Sampler": lambda: FunctionsTimesPlaces(5, 1, "Sobol"),
}


@pytest.mark.parametrize("message", BAD_PRODUCTS)
def test_bad_products_are_refused(message):
    with pytest.raises(ConfigurationError, match=message):
        BAD_PRODUCTS[message]()


@pytest.mark.parametrize("dim", [3, MANY_DIMENSIONS + 1])
def test_few_points_are_scrambled_in_few_dimensions_only_and_once(dim, monkeypatch):
    _small_design.cache_clear()
    asked = []
    design = Sobol._design
    monkeypatch.setattr(Sobol, "_design", lambda self, *given: asked.append(given[1]) or design(self, *given))
    box = Box([f"x{i}" for i in range(dim)], 0.0, 2.0)
    points = few_points(box, 5, seed=1)
    assert points.shape == (5, dim)
    assert bool(box.contains(points).all())
    assert points.min() < 1 < points.max()
    few_points(box, 5, seed=1).zero_()  # nobody else's
    assert torch.equal(points, few_points(box, 5, seed=1))
    assert asked == ([dim] if dim <= MANY_DIMENSIONS else [])
    if dim <= MANY_DIMENSIONS:
        assert torch.equal(points, Sobol().sample(box, 5, seed=1))


def test_many_points_to_try_something_at_are_not_kept(monkeypatch):
    asked = []
    design = Sobol._design
    monkeypatch.setattr(Sobol, "_design", lambda self, *given: asked.append(given[0]) or design(self, *given))
    for _ in range(2):
        few_points(Box(["x", "y"], 0.0, 2.0), 1025, seed=1)
    assert asked == [1025] * 2


FOCUSED = Focused(Grid(), width=0.1)


@pytest.mark.parametrize("region", [r for r in REGIONS if "Disk" not in repr(r) and "Ball" not in repr(r)], ids=repr)
def test_gathered_points_lie_in_their_region(region):
    points = FOCUSED.sample(region, 64, 0)
    assert bool(region.contains(points).all())
    assert len(points) == (region.count or 64)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("region", [X, X * T, (X * T).face(t=0.0)], ids=repr)
def test_points_are_those_of_the_sampler_through_a_lens(region, periodic):
    focused = Focused(Sobol(), at=0.2, width=0.05, periodic=periodic)
    points, plain = focused.sample(region, 50, 3), Sobol().sample(region, 50, 3)
    back = Lens(region.dim, at=0.2, width=0.05, periodic=periodic)(points)
    away = (back - plain).abs()
    away[:, 0] = torch.minimum(away[:, 0], (away[:, 0] - 2).abs())
    assert float(away.max()) < 1e-12
    assert bool((points[:, 1:] == plain[:, 1:]).all())


def test_half_of_the_points_are_near_the_place():
    points = Focused(Grid(), at=0.4, width=0.02).sample(X, 1000, 0)[:, 0]
    assert float(((points - 0.4).abs() < 0.1).double().mean()) > 0.5
    assert float((Grid().sample(X, 1000, 0)[:, 0] - 0.4).abs().lt(0.1).double().mean()) < 0.11


def test_another_column_and_walls_that_have_none():
    focused = Focused(Sobol(), column=1, at=-1.0, width=0.05)
    assert torch.equal(focused.sample((X * T).boundary("x"), 20, 0), Sobol().sample((X * T).boundary("x"), 20, 0))
    early = focused.sample(X * T, 500, 0)[:, 1]
    assert float(early.median()) < 0.25 * 0.5
    assert torch.equal(focused.sample((X * T).face(t=0.0), 9, 0), Sobol().sample((X * T).face(t=0.0), 9, 0))
    assert torch.equal(focused.design(9, 1, 0), Sobol().design(9, 1, 0))
    assert float(focused.design(500, 2, 0)[:, 1].median()) < 0.25


def test_a_gathered_design_says_what_it_is():
    assert repr(Focused(Sobol(), at=0.25, width=0.05)) == "Focused(Sobol(), column 0 at 0.25, width 0.05)"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Focused(3), r"sampler: must be a Sampler, such as Sobol\(\), not 3"),
        (lambda: Focused(Sobol(), column=-1), "column: must be the number of a coordinate, from 0, got -1"),
        (lambda: Focused(Sobol(), at=2.0), r"at: must be in \[-1, 1\], the range of the scaled coordinate, got 2"),
        (lambda: Focused(Sobol(), width=0.0), "width: must be positive, got 0"),
        (lambda: FOCUSED.sample(Disk(), 9, 0), "column: x is no side of Disk"),
        (lambda: Focused(Sobol(), column=2).sample(X * T, 9, 0), "column: there is no column 2 among x, t"),
        (lambda: FOCUSED.sample(3, 9, 0), "region: must be a domain"),
    ],
)
def test_what_cannot_be_gathered_is_refused(make, said):
    with pytest.raises(ConfigurationError, match=said):
        make()
