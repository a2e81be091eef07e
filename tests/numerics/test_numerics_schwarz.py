"""Schwarz sweeps over blocks of columns, against dense normal equations."""

from itertools import pairwise

import pytest
import torch

from pinnlab.numerics.schwarz import MODES, SchwarzSweeps
from pinnlab.numerics.staircase import SparseRows


def system(blocks=6, width=3, coarse=2, rows=120, seed=0):
    """Random rows over two neighbouring blocks and a coarse one; columns in another order; and the same as a matrix."""
    generator = torch.Generator().manual_seed(seed)
    n = blocks * width + coarse
    order = torch.randperm(n, generator=generator)
    places = order[: blocks * width].view(blocks, width)
    rest = order[blocks * width :]
    first = torch.randint(blocks - 1, (rows,), generator=generator)
    columns = torch.cat([places[first], places[first + 1], rest.expand(rows, -1)], 1)
    entries = torch.randn(columns.shape, dtype=torch.float64, generator=generator)
    right = torch.randn(rows, dtype=torch.float64, generator=generator)
    dense = torch.zeros(rows, n, dtype=torch.float64).scatter_add(1, columns, entries)
    colours = [places[0::2], places[1::2], *([rest[None]] if coarse else [])]
    return SparseRows(right, entries, columns), colours, dense


def model(dense, right, d, start, damping):
    return float((dense @ d + right).square().sum() + damping * (d - start).square().sum())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("coarse", [0, 2])
def test_many_sweeps_end_at_the_minimiser(mode, coarse):
    rows, colours, dense = system(coarse=coarse)
    n, damping = dense.shape[1], 0.1
    start = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    matrix = dense.T @ dense + damping * torch.eye(n, dtype=torch.float64)
    expected = start - torch.linalg.solve(matrix, dense.T @ (rows.right + dense @ start))
    found = SchwarzSweeps(rows, colours, n, sweeps=300, mode=mode).solve(damping, start)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("mode", MODES)
def test_the_model_falls_in_every_sweep(mode):
    rows, colours, dense = system()
    n, damping = dense.shape[1], 1e-6
    found = [SchwarzSweeps(rows, colours, n, sweeps=k, mode=mode).solve(damping) for k in range(1, 8)]
    values = [model(dense, rows.right, d, torch.zeros(n, dtype=torch.float64), damping) for d in found]
    assert values[0] < float(rows.right.square().sum())
    assert all(b < a for a, b in pairwise(values))


@pytest.mark.parametrize("mode", MODES)
def test_a_block_without_rows_changes_nothing(mode):
    """Whatever was in memory before: LAPACK's `gelsy` takes it for pivots, and finds no step at all."""
    rows, colours, dense = system(coarse=0)
    colours[0] = torch.cat([torch.tensor([[dense.shape[1] + k for k in range(3)]]), colours[0]])  # the first of all
    expected = SchwarzSweeps(rows, [colours[0][1:], colours[1]], dense.shape[1], 3, mode).solve(1e-2)
    for _ in range(20):
        dirt = [torch.full((k,), 7, dtype=torch.int32) for k in range(2, 40)]
        del dirt
        found = SchwarzSweeps(rows, colours, dense.shape[1] + 3, 3, mode).solve(1e-2)
        torch.testing.assert_close(found[:-3], expected, rtol=1e-9, atol=1e-11)
        assert not found[-3:].any()


def test_a_multiplicative_sweep_solves_for_one_colour_after_the_other():
    rows, colours, dense = system()
    d, damping = torch.zeros(dense.shape[1], dtype=torch.float64), 1e-2
    for colour in colours:
        for columns in colour:
            own = dense[:, columns]
            right = own.T @ (dense @ d + rows.right) + damping * d[columns]
            d[columns] -= torch.linalg.solve(
                own.T @ own + damping * torch.eye(len(columns), dtype=torch.float64), right
            )
    found = SchwarzSweeps(rows, colours, len(d), sweeps=1, mode="multiplicative").solve(damping)
    torch.testing.assert_close(found, d, rtol=1e-9, atol=1e-11)


def test_blocks_of_a_colour_that_share_a_row_are_noticed():
    rows, colours, dense = system()
    with pytest.raises(AssertionError, match="reaches two blocks"):
        SchwarzSweeps(rows, [torch.cat(colours[:2]), colours[2]], dense.shape[1], sweeps=1, mode="additive")
