from __future__ import annotations

import pytest
import torch
from torch import nn

from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, ScaledInput

LOW, HIGH = [0.1, -3.0, 1e6], [0.7, 11.0, 1e6 + 0.3]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("detour", [False, True])
def test_box_becomes_unit_box_to_the_last_digits(nested: bool, detour: bool):
    scaled = ScaledInput(nn.Identity(), LOW, HIGH)
    network = nn.Sequential(scaled) if nested else scaled
    network = network.float().double() if detour else network.double()
    corners = torch.tensor([LOW, HIGH], dtype=torch.float64)
    middle = corners.mean(0, keepdim=True)
    expected = torch.tensor([[-1.0] * 3, [1.0] * 3, [0.0] * 3], dtype=torch.float64)
    # 1e6 with a width of 0.3 keeps 16 - 7 digits: the points themselves are rounded.
    torch.testing.assert_close(network(torch.cat([corners, middle])), expected, rtol=0, atol=2e-9)
    torch.testing.assert_close(network(corners)[:, :2], expected[:2, :2], rtol=0, atol=1e-15)


def test_calls_the_network_on_scaled_points():
    inner = MLP(2, 1).double()
    x = torch.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=torch.float64)
    expected = inner(torch.tensor([[-1.0, -0.5], [1.0, 1.0]], dtype=torch.float64))
    torch.testing.assert_close(ScaledInput(inner, [1, 1], [3, 5]).double()(x), expected, rtol=0, atol=1e-15)


def test_bounds_are_no_part_of_the_state():
    assert set(ScaledInput(MLP(2, 1), [0, 0], [1, 1]).state_dict()) == {
        f"network.{key}" for key in MLP(2, 1).state_dict()
    }


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        ([0.0], [1.0, 2.0], "low and high need one value per input, not 1 and 2"),
        ([], [], "low and high need one value per input"),
        ([0.0, 1.0], [1.0, 1.0], r"low\[1\] must be finite and below high\[1\]"),
        ([float("-inf")], [1.0], r"low\[0\] must be finite"),
        ([0.0], [float("nan")], r"low\[0\] must be finite"),
    ],
)
def test_bad_bounds_are_named(low: list[float], high: list[float], message: str):
    with pytest.raises(ConfigurationError, match=message):
        ScaledInput(nn.Identity(), low, high)
