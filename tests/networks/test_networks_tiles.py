"""Networks in boxes that do not overlap, against a loop over the boxes."""

from functools import partial

import pytest
import torch
from torch.func import functional_call

from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, RandomFeatures, ScaledInput, Tiles, last_layer, seen_inside


def points(n, d=2):
    return 2 * torch.rand(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 1


def one_by_one(network, x):
    """Each point by itself: its box by comparing bounds, and the network of that box."""
    values = []
    for point in x:
        number, local = 0, []
        for count, place in zip(network.grid, point.tolist(), strict=True):
            edges = [-1 + 2 * k / count for k in range(count + 1)]
            inside = [k for k in range(count) if edges[k] <= place < edges[k + 1]]
            k = inside[0] if inside else (0 if place < 0 else count - 1)
            local.append(2 * (place - edges[k]) / (edges[k + 1] - edges[k]) - 1)
            number = number * count + k
        own = {name: tensor[number] for name, tensor in network.network.named_parameters()}
        own |= {name: tensor[number] for name, tensor in network.network.named_buffers()}
        values.append(functional_call(network.network, own, (torch.tensor([local], dtype=x.dtype),)))
    return torch.cat(values)


@pytest.mark.parametrize("n", [1, 7, 2000])  # one by one, and in blocks of the rows of a tile
@pytest.mark.parametrize(
    "make",
    [
        partial(Tiles, grid=[4, 3], network=partial(MLP, hidden=[5])),
        partial(Tiles, grid=1, network=partial(MLP, hidden=[3, 3])),
        partial(Tiles, grid=[1, 5], network=partial(RandomFeatures, count=6)),
    ],
)
def test_is_the_network_of_the_tile_in_its_own_coordinates(make, n):
    torch.manual_seed(0)
    network, x = make(2, 3).double(), 1.1 * points(n)  # some beyond the domain
    torch.testing.assert_close(network(x), one_by_one(network, x), rtol=1e-12, atol=1e-12)


def test_no_points_have_no_values():
    assert Tiles(2, 3, grid=[2, 2])(torch.empty(0, 2)).shape == (0, 3)


def test_networks_are_drawn_one_after_the_other_and_differ():
    torch.manual_seed(3)
    expected = [MLP(1, 1, hidden=[4]) for _ in range(5)]
    torch.manual_seed(3)
    network = Tiles(1, 1, grid=5, network=partial(MLP, hidden=[4]))
    weights = dict(network.named_parameters())["network.hidden.0.weight"]
    assert torch.equal(weights, torch.stack([one.hidden[0].weight for one in expected]))


def test_the_last_layer_is_known():
    network = ScaledInput(Tiles(1, 1, grid=4, network=partial(MLP, hidden=[3])), [0.0], [1.0])
    assert last_layer(network) == ["network.network.last.weight", "network.network.last.bias"]


def scaled():
    torch.manual_seed(0)
    return ScaledInput(Tiles(2, 1, grid=[5, 4], network=partial(MLP, hidden=[3])), [0.0, -2.0], [1.0, 2.0]).double()


@pytest.mark.parametrize("step", [0.0, -1e-14, 1e-14])
@pytest.mark.parametrize(
    "place",
    [
        [0.33, 0.7],
        [0.4, 0.7],  # on a face
        [0.31, 1.0],  # on another
        [0.3, 0.5],  # in the middle of a tile, as far from four faces
        [0.0, -2.0],
        [1.0, 2.0],
    ],
)
def test_a_point_with_the_parts_that_it_sees_has_the_same_value(place, step):
    """And so have points a rounding to either side of it, as a condition on a face needs."""
    network, x = scaled(), torch.tensor([place], dtype=torch.float64)
    tensors, seen = dict(network.named_parameters()), seen_inside(network, x)
    own = {name: tensors[name][seen.numbers[name][0]] for name in seen.numbers}
    assert own.keys() == tensors.keys()
    assert all(len(part) == 2 for part in own.values())
    for beside in (x + step, x + torch.tensor([[step, -step]])):
        torch.testing.assert_close(functional_call(network, own, (beside,)), network(beside), rtol=1e-12, atol=1e-12)


def test_two_tiles_that_a_point_sees_are_neighbours_of_other_colours():
    network = scaled()
    seen = seen_inside(network, torch.rand(300, 2, dtype=torch.float64) * torch.tensor([1.0, 4.0]) - 0.0)
    for name, numbers in seen.numbers.items():
        across, along = numbers // 4, numbers % 4
        distance = (across[:, 0] - across[:, 1]).abs() + (along[:, 0] - along[:, 1]).abs()
        assert bool((distance == 1).all())
        assert bool((seen.colours[name][numbers] == torch.tensor([0, 1])).all())
        assert torch.equal(seen.slabs[name][numbers], across)


def test_tiles_that_are_seen_as_a_whole_have_no_parts():
    assert seen_inside(Tiles(2, 1, grid=[2, 1]), points(3).float()) is None


@pytest.mark.parametrize(
    ("message", "options"),
    [
        ("grid must list 2 numbers of tiles", {"grid": [3]}),
        ("grid[1] must be a positive integer", {"grid": [3, 0]}),
        ("grid[0] must be a positive integer", {"grid": True}),
        ("network must build a Module", {"grid": 3, "network": 5}),
        ("network must build a Module", {"grid": 3, "network": lambda inputs, outputs: 3}),
    ],
)
def test_bad_arguments_are_named(message, options):
    with pytest.raises(ConfigurationError) as caught:
        Tiles(2, 1, **options)
    assert message in str(caught.value)
