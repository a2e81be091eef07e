"""DeepONet: an inner product of branch and trunk, whose branch costs no derivatives by the place."""

import functools

import pytest
import torch

from pinnlab.derivatives import Jet, Wanted, partials
from pinnlab.derivatives.lifting import lift
from pinnlab.errors import ConfigurationError
from pinnlab.networks import DeepONet, PeriodicEmbedding, ScaledInput, last_layer

ROWS = torch.rand(9, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
BY_PLACE = Wanted(frozenset({(0,), (1,), (0, 1)}), frozenset({(0, 1)}))


def network(**options):
    torch.manual_seed(0)
    return DeepONet(5, 2, **{"modes": 3, "branch": [6], "trunk": [7], "rank": 4, **options}).double()


def test_is_a_sum_of_products_and_a_bias():
    net = network()
    with torch.no_grad():
        net.bias.copy_(torch.tensor([0.3, -0.7]))
    hidden = torch.tanh(ROWS[:, 2:] @ net.branch[0].weight.T + net.branch[0].bias)
    weights = (hidden @ net.last.weight.T + net.last.bias).reshape(9, 2, 4)
    trunk = net.trunk(ROWS[:, :2])
    expected = torch.stack([(weights[:, k] * trunk).sum(1) + net.bias[k] for k in range(2)], 1)
    torch.testing.assert_close(net(ROWS), expected)


def test_an_empty_branch_is_linear_in_the_function():
    net = network(branch=[])
    with torch.no_grad():
        net.last.bias.zero_()
    place, f, g = ROWS[:, :2], ROWS[:, 2:], ROWS[:, 2:].flip(0)

    def at(function):
        return net(torch.cat([place, function], 1)) - net.bias

    torch.testing.assert_close(at(2 * f - 3 * g), 2 * at(f) - 3 * at(g))


@pytest.mark.parametrize("embedding", [None, functools.partial(PeriodicEmbedding, columns=[0])])
def test_derivatives_by_the_place_are_those_of_nested_reverse_mode(embedding):
    scaled = ScaledInput(network(embedding=embedding), [0.0] * 5, [2.0] * 5).double()
    found, expected = (partials(scaled, ROWS, BY_PLACE, engine) for engine in ("taylor", "reverse"))
    torch.testing.assert_close(found.value, expected.value)
    for index in BY_PLACE.partials:
        torch.testing.assert_close(found.partials[index], expected.partials[index])
    torch.testing.assert_close(found.laplacians[(0, 1)], expected.laplacians[(0, 1)])


def test_derivatives_by_coefficients_are_there_when_they_are_asked_for():
    wanted = Wanted(frozenset({(0, 2), (3, 4), (1,)}))
    found, expected = (partials(network(), ROWS, wanted, engine) for engine in ("taylor", "reverse"))
    for index in wanted.partials:
        assert expected.partials[index].abs().max() > 1e-3
        torch.testing.assert_close(found.partials[index], expected.partials[index])


def test_the_branch_sees_plain_tensors_unless_its_derivatives_are_wanted():
    net, seen = network(), []
    net.branch[0].register_forward_hook(lambda module, inputs, output: seen.append(type(inputs[0])))
    net(lift(ROWS, BY_PLACE))
    net(lift(ROWS, Wanted(frozenset({(2,)}))))
    assert seen == [torch.Tensor, Jet]


def test_the_last_layer_of_the_branch_is_one_in_which_outputs_are_linear():
    net = network()
    assert last_layer(net) == ["last.weight", "last.bias"]


BAD = {
    "modes": {"modes": 5},
    "rank": {"rank": 0},
    "branch": {"branch": [3, 0]},
    "hidden": {"trunk": []},
    "activation": {"activation": "tahn"},
}


@pytest.mark.parametrize("key", BAD)
def test_bad_sizes_are_named(key):
    with pytest.raises(ConfigurationError, match=key):
        network(**BAD[key])
