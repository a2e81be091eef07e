"""Least squares along slabs of columns, against dense normal equations."""

import pytest
import torch

from pinnlab.numerics.staircase import SparseRows, Staircase


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
