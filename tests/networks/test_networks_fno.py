"""FNO: layers that mix the waves of a function on a grid, whose outcome has a value at any point."""

import math

import pytest
import torch

from pinnlab.derivatives import Jet, Wanted, partials
from pinnlab.derivatives.lifting import lift
from pinnlab.errors import ConfigurationError
from pinnlab.networks import FNO, ScaledInput, last_layer

ROWS = 2 * torch.rand(9, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1
BY_PLACE = Wanted(frozenset({(0,), (1,), (0, 1)}), frozenset({(0, 1)}))


def network(**options):
    torch.manual_seed(0)
    given = {"modes": 3, "channels": 4, "layers": 2, "waves": 3, "decoder": [6], "activation": "tanh", **options}
    return FNO(5, 2, **given).double()


def by_the_transform(net, rows):
    """The same from the paper's formulas: torch's transform, complex matrices, one function after the other."""
    places = net.places
    grid = 2 * torch.arange(places, dtype=torch.float64) / places - 1
    found = []
    for row in rows:
        x, t, coefficients = row[0], row[1], row[2:] * net.sizes
        a = sum(
            c * (torch.sin if k % 2 else torch.cos)((k // 2 + 1) * math.pi * grid) for k, c in enumerate(coefficients)
        )
        v = torch.stack([a, torch.cos(math.pi * grid), torch.sin(math.pi * grid)], 1)
        v = v @ net.lift.weight.T + net.lift.bias
        for layer in net.mixing:
            waves = torch.fft.rfft(v, dim=0)
            matrices = layer.real + 0j
            matrices[1:] += 1j * layer.imaginary
            mixed = torch.zeros_like(waves)
            mixed[: len(matrices)] = torch.einsum("kc,kdc->kd", waves[: len(matrices)], matrices)
            v = torch.tanh(layer.local(v) + torch.fft.irfft(mixed, n=places, dim=0))
        waves = torch.fft.rfft(v, dim=0)[: net.waves + 1] / places
        # The grid begins at -1, so that the wave of number k is exp(i pi k (x + 1)).
        turns = torch.exp(1j * math.pi * torch.arange(net.waves + 1, dtype=torch.float64) * (x + 1))
        twice = torch.full((len(turns),), 2.0, dtype=torch.float64)
        twice[0] = 1
        there = ((twice * turns)[:, None] * waves).sum(0).real
        found.append(net.decoder(torch.cat([there, t[None]])))
    return torch.stack(found)


def test_is_that_of_the_paper_with_a_value_anywhere():
    torch.testing.assert_close(network()(ROWS), by_the_transform(network(), ROWS))


def test_is_periodic_and_turns_with_the_function():
    """Without the channels that say where a place is, a function that is moved has the moved solution."""
    net = network()
    left, right = ROWS.clone(), ROWS.clone()
    left[:, 0], right[:, 0] = -1, 1
    torch.testing.assert_close(net(left), net(right))
    with torch.no_grad():
        net.lift.weight[:, 1:] = 0
    shift, moved = 4 / net.places, ROWS.clone()  # by two places of the grid
    moved[:, 4] = 0  # a wave without its sine cannot be moved
    own = moved.clone()
    moved[:, 0] += shift
    cosine, sine = math.cos(math.pi * shift), math.sin(math.pi * shift)
    moved[:, 2] = cosine * own[:, 2] - sine * own[:, 3]
    moved[:, 3] = sine * own[:, 2] + cosine * own[:, 3]
    torch.testing.assert_close(net(moved), net(own))


def test_functions_times_places_are_the_same():
    net, places, functions = network(), ROWS[:4, :2], ROWS[:3, 2:]
    rows = torch.cat([places.repeat(3, 1), functions.repeat_interleave(4, 0)], 1)
    calls = []
    net.mixing[0].register_forward_hook(lambda module, inputs, output: calls.append(len(inputs[0])))
    torch.testing.assert_close(net(rows, (4,)), net(rows))
    assert calls == [3, 12]


def test_derivatives_are_those_of_nested_reverse_mode():
    scaled = ScaledInput(network(), [0.0] * 5, [2.0] * 5).double()
    for wanted in (BY_PLACE, Wanted(frozenset({(0, 2), (3, 4), (1,)}))):
        found, expected = (partials(scaled, ROWS, wanted, engine) for engine in ("taylor", "reverse"))
        torch.testing.assert_close(found.value, expected.value)
        for index in wanted.partials:
            assert expected.partials[index].abs().max() > 1e-4
            torch.testing.assert_close(found.partials[index], expected.partials[index])


def test_layers_see_plain_tensors_unless_derivatives_by_the_function_are_wanted():
    net, seen = network(), []
    net.mixing[0].register_forward_hook(lambda module, inputs, output: seen.append(type(inputs[0])))
    net(lift(ROWS, BY_PLACE))
    net(lift(ROWS, Wanted(frozenset({(2,)}))))
    assert seen == [torch.Tensor, Jet]


def test_the_last_layer_is_that_of_the_decoder():
    assert last_layer(network()) == ["decoder.last.weight", "decoder.last.bias"]


BAD = {
    "modes": {"modes": 5},
    "channels": {"channels": 0},
    "layers": {"layers": 0},
    "waves": {"waves": 0},
    "hidden": {"decoder": []},
    "activation": {"activation": "tahn"},
}


@pytest.mark.parametrize("key", BAD)
def test_bad_sizes_are_named(key):
    with pytest.raises(ConfigurationError, match=key):
        network(**BAD[key])
