"""The windows: a smooth partition of unity, and which of them a point sees."""

import itertools

import pytest
import torch

from pinnlab.derivatives import Wanted, partials
from pinnlab.networks.windows import Windows


def points(n=400, d=2, reach=1.0):
    return (2 * torch.rand(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 1) * reach


def all_windows(windows, x):
    """`(n, windows)`: every window at every point, from what the points see."""
    seen = windows(x)
    return torch.zeros(len(x), windows.count, dtype=x.dtype).scatter_add(1, seen.numbers, seen.weights)


GRIDS = {
    "fine": Windows([7, 4], 1.9, [], 2).double(),
    "narrow": Windows([5, 3], 1.2, [], 4).double(),
    "one": Windows([1, 6], 1.5, [], 1).double(),
    "periodic": Windows([4, 3], 1.9, [0], 3).double(),
    "alone": Windows([1, 1], 1.9, [], 2).double(),
}


@pytest.mark.parametrize("name", GRIDS)
def test_they_sum_up_to_one_also_beyond_the_box(name):
    values = all_windows(GRIDS[name], points(reach=1.2))
    assert values.min() >= -1e-12
    torch.testing.assert_close(values.sum(1), torch.ones(400, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", GRIDS)
def test_a_window_is_zero_outside_of_its_own_coordinates(name):
    seen = GRIDS[name](points())
    outside = (seen.local.abs() > 1 + 1e-12).any(-1)
    assert (seen.weights[outside] == 0).all()
    assert (seen.weights[~outside] > 0).any()


def test_numbers_and_local_coordinates_are_those_of_the_grid():
    windows = GRIDS["fine"]
    x = points()
    seen = windows(x)
    centres = torch.tensor(
        list(itertools.product([-1 + (2 * i + 1) / 7 for i in range(7)], [-1 + (2 * i + 1) / 4 for i in range(4)])),
        dtype=torch.float64,
    )
    half = 1.9 / torch.tensor([7.0, 4.0], dtype=torch.float64)
    expected = (x[:, None] - centres[seen.numbers]) / half
    torch.testing.assert_close(seen.local, expected, rtol=0, atol=1e-6)  # the scale was built in float32
    assert seen.numbers.shape == (400, 4)


@pytest.mark.parametrize("smoothness", [1, 2, 4])
def test_so_many_derivatives_are_continuous(smoothness):
    """Across the end of a window, and no more than these."""
    windows = Windows([3], 1.5, [], smoothness).double()
    end = -1 + 2 / 3 * (0.5 + 0.25)  # where the second window begins
    wanted = Wanted(frozenset(tuple([0] * k) for k in range(1, smoothness + 2)))
    sides = [
        partials(lambda x: windows(x).weights, torch.tensor([[end + d]], dtype=torch.float64), wanted)
        for d in (-1e-12, 1e-12)
    ]
    for k in range(1, smoothness + 2):
        jump = (sides[0].partials[(0,) * k] - sides[1].partials[(0,) * k]).abs().max()
        assert (jump < 1e-3) == (k <= smoothness), k


def test_the_first_window_follows_the_last_where_they_are_periodic():
    left, right = (torch.tensor([[s, 0.3]], dtype=torch.float64) for s in (-1.0, 1.0))
    torch.testing.assert_close(all_windows(GRIDS["periodic"], left), all_windows(GRIDS["periodic"], right))


ODD = {"odd": Windows([5, 3], 1.9, [0, 1], 2).double(), "two": Windows([2, 4], 1.9, [0], 2).double()}


@pytest.mark.parametrize("name", [*GRIDS, *ODD])
def test_windows_of_a_colour_do_not_overlap(name):
    windows = {**GRIDS, **ODD}[name]
    colours, numbers = windows.colours(), windows(points()).numbers
    assert colours.shape == (windows.count,)
    assert colours.unique().tolist() == list(range(int(colours.max()) + 1))
    for seen in numbers.unique(dim=0).tolist():
        different = set(seen)  # a window that is its own neighbour is seen twice
        assert len({int(colours[window]) for window in different}) == len(different)


@pytest.mark.parametrize("name", ["fine", "narrow", "one", "periodic"])
def test_windows_that_a_point_sees_are_in_neighbouring_slabs(name):
    windows = GRIDS[name]
    slabs = windows.slabs()[windows(points(2000)).numbers]
    own = torch.where(slabs < 0, slabs.amax(1, keepdim=True), slabs)
    assert (own.amax(1) - own.amin(1)).max() <= 1
    assert sorted(set(windows.slabs().tolist()) - {-1}) == list(range(int(windows.slabs().max()) + 1))
