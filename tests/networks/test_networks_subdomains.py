"""Networks of many small networks, against the sum that they stand for."""

from functools import partial

import pytest
import torch
from torch.func import functional_call

from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, RandomFeatures, ScaledInput, Subdomains, last_layer, seen_inside
from pinnlab.networks.stacked import blocks_of_parts


def points(n, d=2):
    return 2 * torch.rand(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 1


def one_by_one(network, x):
    """Every window's own network at every point: a loop over all of them, with weights from `Windows`."""
    total = 0
    for windows, stacked in zip(network.windows, network.networks, strict=True):
        seen = windows(x)
        tensors = dict(stacked.named_parameters()) | dict(stacked.named_buffers())
        for j in range(windows.count):
            own = {name: tensor[j] for name, tensor in tensors.items()}
            values = functional_call(stacked, own, (seen.local.flatten(0, 1),)).unflatten(0, seen.numbers.shape)
            total = total + (values * (seen.weights * (seen.numbers == j))[..., None]).sum(1)
    return total


@pytest.mark.parametrize("n", [0, 1, 7, 3000])  # one by one, and in blocks of the rows of a window
@pytest.mark.parametrize(
    "make",
    [
        partial(Subdomains, grid=[4, 3], network=partial(MLP, hidden=[5])),
        partial(Subdomains, grid=3, levels=3, overlap=1.4, network=partial(MLP, hidden=[3, 3])),
        partial(Subdomains, grid=[1, 5], periodic=[1], network=partial(RandomFeatures, count=6)),
    ],
)
def test_is_the_sum_of_windows_times_networks(make, n):
    torch.manual_seed(0)
    network, x = make(2, 3).double(), points(n)
    torch.testing.assert_close(network(x), one_by_one(network, x), rtol=1e-12, atol=1e-12)


def test_networks_are_drawn_one_after_the_other_and_differ():
    torch.manual_seed(3)
    expected = [MLP(1, 1, hidden=[4]) for _ in range(5)]
    torch.manual_seed(3)
    network = Subdomains(1, 1, grid=5, network=partial(MLP, hidden=[4]))
    weights = dict(network.named_parameters())["networks.0.hidden.0.weight"]
    assert torch.equal(weights, torch.stack([one.hidden[0].weight for one in expected]))


def test_it_is_periodic_where_it_should_be():
    torch.manual_seed(0)
    network = Subdomains(2, 1, grid=[4, 2], periodic=[0], levels=2).double()
    y = points(20)[:, 1]
    ends = [network(torch.stack([torch.full_like(y, end), y], 1)) for end in (-1.0, 1.0)]
    torch.testing.assert_close(*ends, rtol=0, atol=1e-12)


def test_blocks_hold_every_row_once_and_one_window_each():
    numbers = torch.randint(6, (500,), generator=torch.Generator().manual_seed(0))
    numbers[numbers == 2] = 3  # a window without rows
    blocks = blocks_of_parts(numbers, 6)
    size = blocks.size
    assert size > 1
    assert len(blocks.rows) == size * len(blocks.parts)
    assert torch.equal(blocks.rows[blocks.places], torch.arange(500))
    assert torch.equal(blocks.parts[blocks.places // size], numbers)
    assert len(blocks.places.unique()) == 500


@pytest.mark.parametrize("worst", [torch.zeros(640, dtype=torch.long), torch.arange(640) % 7])
def test_blocks_are_enough_for_any_rows(worst):
    blocks = blocks_of_parts(worst, 7)
    assert int(blocks.places.max()) < len(blocks.rows)


def test_the_last_layers_of_all_levels_are_known():
    network = ScaledInput(Subdomains(1, 1, grid=4, levels=2, network=partial(MLP, hidden=[3])), [0.0], [1.0])
    assert last_layer(network) == [f"network.networks.{k}.last.{leaf}" for k in (0, 1) for leaf in ("weight", "bias")]


def test_a_point_with_the_parts_that_it_sees_has_the_same_value():
    torch.manual_seed(0)
    inner = Subdomains(2, 1, grid=[5, 4], levels=2, network=partial(MLP, hidden=[3]))
    network = ScaledInput(inner, [0.0, -2.0], [1.0, 2.0]).double()
    x = torch.tensor([[0.33, 0.7]], dtype=torch.float64)
    tensors = dict(network.named_parameters())
    seen = seen_inside(network, x)
    own = {name: tensors[name][seen.numbers[name][0]] for name in seen.numbers}
    assert own
    assert all(len(part) == 4 for part in own.values())
    torch.testing.assert_close(functional_call(network, own, (x,)), network(x))


def test_a_network_that_is_seen_as_a_whole_has_no_parts():
    assert seen_inside(MLP(2, 1), points(3)) is None
    assert seen_inside(Subdomains(2, 1, grid=2), points(3).float()) is None


@pytest.mark.parametrize(
    ("message", "options"),
    [
        ("grid must list 2 numbers", {"grid": [3]}),
        ("grid[1] must be a positive integer", {"grid": [3, 0]}),
        ("grid[0] must be a positive integer", {"grid": True}),
        ("overlap: must be above 1", {"grid": 3, "overlap": 1.0}),
        ("overlap: must be above 1", {"grid": 3, "overlap": 2.5}),
        ("levels must be a positive integer", {"grid": 3, "levels": 0}),
        ("smoothness must be a positive integer", {"grid": 3, "smoothness": -1}),
        ("periodic: [2] must name some of the columns 0 to 1", {"grid": 3, "periodic": [2]}),
        ("periodic must list columns", {"grid": 3, "periodic": 1}),
        ("network must build a Module", {"grid": 3, "network": 5}),
        ("network must build a Module", {"grid": 3, "network": lambda inputs, outputs: 3}),
    ],
)
def test_bad_arguments_are_named(message, options):
    with pytest.raises(ConfigurationError) as caught:
        Subdomains(2, 1, **options)
    assert message in str(caught.value)
