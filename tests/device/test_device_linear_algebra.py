"""Linear algebra on a device is that on the CPU: the parts that a GPU has other drivers and another order for."""

import pytest
import torch
from devices import PLACES, at, fetched
from torch.utils._python_dispatch import TorchDispatchMode

from pinnlab.domains import Chebyshev, Fourier, FunctionSpace, Interval
from pinnlab.numerics.least_squares import CountSketch, least_squares
from pinnlab.numerics.linalg import gram, mirror_lower
from pinnlab.numerics.ordered_sums import add_by_number, add_in_rows
from pinnlab.numerics.schwarz import MODES, SchwarzSweeps
from pinnlab.numerics.staircase import SparseRows


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=PLACES)
def device(request):
    with at(request.param) as there:
        yield there.device


def assert_same(found, expected, device, bound=1e-12):
    assert found.device == device
    assert torch.allclose(fetched(found), expected, rtol=bound, atol=bound)


def test_sums_by_number(device):
    total, rows, numbers = draw(4, 3), draw(50, 3, seed=1), torch.randint(4, (50,))
    expected = add_by_number(total.clone(), numbers, rows)
    assert torch.allclose(expected, total + torch.stack([rows[numbers == k].sum(0) for k in range(4)]))
    found = total.to(device)
    assert add_by_number(found, numbers.to(device), rows.to(device)) is found
    assert_same(found, expected, device)


def test_sums_in_rows(device):
    total, entries, columns = draw(20, 4), draw(20, 9, seed=1), torch.randint(4, (20, 9))
    expected = add_in_rows(total.clone(), columns, entries)
    found = total.to(device)
    assert add_in_rows(found, columns.to(device), entries.to(device)) is found
    assert_same(found, expected, device)


@pytest.mark.parametrize("mode", MODES)
def test_schwarz_sweeps(device, mode):
    """Rows over two neighbours among six blocks of three columns, and a block that no row reaches."""
    n, first = 21, torch.arange(40) % 5
    columns = (3 * first[:, None] + torch.arange(6)).flip(1)
    rows = SparseRows(draw(40), draw(40, 6, seed=1), columns)
    blocks = torch.arange(n).view(7, 3)
    colours = [blocks[0::2], blocks[1::2]]
    expected = SchwarzSweeps(rows, colours, n, 3, mode).solve(1e-2)
    there = SparseRows(*(part.to(device) for part in rows))
    found = SchwarzSweeps(there, [columns.to(device) for columns in colours], n, 3, mode).solve(1e-2)
    assert_same(found, expected, device, 1e-9)


@pytest.mark.parametrize("shape", [(30, 6), (4, 6)])
def test_least_squares_with_columns_that_depend_on_each_other(device, shape):
    matrix, right = draw(*shape), draw(shape[0], 2, seed=1)
    matrix[:, 3] = matrix[:, 1]
    expected = torch.linalg.pinv(matrix) @ right
    assert torch.allclose(least_squares(matrix, right), expected, rtol=1e-10, atol=1e-12)
    assert_same(least_squares(matrix.to(device), right.to(device)), expected, device, 1e-10)


def test_a_sketch_of_rows(device):
    rows, sketch, numbers = draw(100, 5), CountSketch(20, 100, torch.Generator().manual_seed(3)), torch.randperm(100)
    sums = [torch.zeros(20, 5, dtype=torch.float64).to(place) for place in (device, "cpu")]
    for own in sums:
        sketch.add(rows.to(own), own, numbers)
    assert_same(*sums, device)


class Kernels(TorchDispatchMode):
    """Counts operations."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_a_gram_matrix_is_mirrored_in_few_kernels(device):
    rows = draw(40, 700)
    assert_same(gram(rows.to(device)), gram(rows), device)
    matrix = draw(700, 700)
    with Kernels() as kernels:
        found = mirror_lower(matrix.to(device))
    assert_same(found, mirror_lower(matrix.clone()), device, 0.0)
    assert kernels.count <= 6


@pytest.mark.parametrize("basis", [Chebyshev, Fourier])
def test_coefficients_of_functions(device, basis):
    space = FunctionSpace("a", basis(Interval("x", -1, 2), 6))
    x = torch.linspace(-1, 2, 40, dtype=torch.float64)
    values = space.values(draw(3, 6), x) + 0.01 * draw(3, 40)
    assert_same(space.coefficients(values.to(device), x.to(device)), space.coefficients(values, x), device, 1e-9)
