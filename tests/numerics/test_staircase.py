"""Least squares along slabs of columns, against dense normal equations."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from pinnlab.numerics import staircase as module
from pinnlab.numerics.staircase import Share, SparseRows, Staircase


def staircase(slabs=5, width=4, rim=3, per_slab=30, seed=0):
    """Random rows over two neighbouring slabs and the rim, and the same as a matrix."""
    generator = torch.Generator().manual_seed(seed)
    of_column = torch.cat([torch.arange(slabs).repeat_interleave(width), torch.full((rim,), -1)])
    of_column = of_column[torch.randperm(len(of_column), generator=generator)]
    columns = []
    for first in torch.randint(max(slabs - 1, 1), (slabs * per_slab,), generator=generator):
        own = [(of_column == k).nonzero()[:, 0] for k in (first, min(first + 1, slabs - 1), -1)]
        columns.append(torch.cat(own))
    columns = torch.stack(columns)
    entries = torch.randn(columns.shape, dtype=torch.float64, generator=generator)
    right = torch.randn(len(columns), dtype=torch.float64, generator=generator)
    dense = torch.zeros(len(columns), len(of_column), dtype=torch.float64).scatter_add(1, columns, entries)
    return SparseRows(right, entries, columns), of_column, dense


@pytest.mark.parametrize(("slabs", "rim"), [(5, 3), (5, 0), (2, 2), (1, 2), (1, 0)])
@pytest.mark.parametrize("per_slab", [2, 40])  # fewer rows than columns, and more
def test_solution_is_that_of_the_normal_equations(slabs, rim, per_slab):
    rows, of_column, dense = staircase(slabs=slabs, rim=rim, per_slab=per_slab)
    start = torch.randn(len(of_column), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    damping = 1e-3
    matrix = dense.T @ dense + damping * torch.eye(len(of_column), dtype=torch.float64)
    expected = start - torch.linalg.solve(matrix, dense.T @ (rows.right + dense @ start))
    torch.testing.assert_close(Staircase(rows, of_column).solve(damping, start), expected, rtol=1e-9, atol=1e-9)


class Ranks:
    """Stands for `pinnlab.numerics.distributed` where ranks are threads."""

    def __init__(self, world):
        self.world, self.numbers = world, threading.local()
        self.given, self.barrier = [None] * world, threading.Barrier(world, timeout=60)

    def world_size(self):
        return self.world

    def gather(self, rows):
        self.given[self.numbers.own] = rows
        self.barrier.wait()
        whole = torch.cat(self.given)
        self.barrier.wait()
        return whole

    def all_sum(self, values):
        return self.gather(values[None]).sum(0)

    def run(self, function):
        """The results of `function(rank)` on every rank."""

        def on_rank(rank):
            self.numbers.own = rank
            return function(rank)

        with ThreadPoolExecutor(self.world) as pool:
            return list(pool.map(on_rank, range(self.world)))


@pytest.mark.parametrize("rim", [0, 3])
@pytest.mark.parametrize(
    "bounds", [[0, 3, 7], [0, 2, 4, 7], [0, 1, 2, 3, 7], [0, 0, 7], [0, 7, 7], [0, 3, 3, 7], [0, 0, 3, 7, 7]]
)
def test_ranks_find_the_solution_of_one_process(monkeypatch, bounds, rim):
    """First, middle and last ranks, with one slab of rows and with more, and ranks without any."""
    rows, of_column, _ = staircase(slabs=8, rim=rim)
    start = torch.randn(len(of_column), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    alone = Staircase(rows, of_column)
    expected = {"damped": alone.solve(1e-3, start), "scaled": alone.solve_scaled(1e-2)}
    expected |= {"curvature": alone.curvature(start), "left over": alone.left_over(start)}
    places = of_column[rows.columns]
    first = torch.where(places < 0, 99, places).amin(1).clamp_max(6)
    ranks = Ranks(len(bounds) - 1)
    monkeypatch.setattr(module, "distributed", ranks)

    def on_rank(rank):
        own = (first >= bounds[rank]) & (first < bounds[rank + 1])
        shared = Staircase(SparseRows(*(part[own] for part in rows)), of_column, Share(bounds, rank))
        found = {"damped": shared.solve(1e-3, start), "scaled": shared.solve_scaled(1e-2)}
        return found | {"curvature": shared.curvature(start), "left over": shared.left_over(start)}

    results = ranks.run(on_rank)
    for name, value in expected.items():
        for found in results:
            assert torch.equal(found[name], results[0][name])
            torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-10)


def test_nothing_is_squared():
    """A direction that the normal equations lose, its square being below round-off, is found."""
    rows, of_column, dense = staircase(rim=0)
    small = 1e-10
    entries = torch.where(rows.columns == 7, small * rows.entries, rows.entries)
    dense[:, 7] *= small
    wanted = torch.ones(dense.shape[1], dtype=torch.float64)
    wanted[7] = 1 / small
    found = Staircase(SparseRows(-dense @ wanted, entries, rows.columns), of_column).solve(1e-30)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_scaled_damping_does_not_depend_on_the_units_of_columns():
    rows, of_column, _ = staircase()
    units = torch.logspace(-4, 4, len(of_column), dtype=torch.float64)
    scaled = SparseRows(rows.right, rows.entries * units[rows.columns], rows.columns)
    found = Staircase(scaled, of_column).solve_scaled(1e-2) * units
    torch.testing.assert_close(found, Staircase(rows, of_column).solve_scaled(1e-2), rtol=1e-8, atol=1e-10)


def test_product_and_norms():
    rows, of_column, dense = staircase()
    v = torch.randn(len(of_column), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(rows.times(v), dense @ v)
    torch.testing.assert_close(rows.norms(len(of_column)), dense.norm(dim=0))
    torch.testing.assert_close(Staircase(rows, of_column).curvature(v), (dense @ v).square().sum())
