"""Writes into a jet against plain autograd of the same function, and what must not be followed silently."""

import pytest
import torch
from test_rules import SAME, TO_THREE, WANTED, X, assert_taylor_is_reverse, relative
from torch.nn import functional as F

from pinnlab.derivatives import partials, resolve_engine
from pinnlab.errors import ConfigurationError, UnsupportedOperationError

BELOW = torch.tensor([False, True, False])


def hidden(x):
    return torch.tanh(x @ TO_THREE) * 1.0


def writing(change):
    """The function that changes its hidden layer in place and goes on with it."""

    def function(x):
        h = hidden(x)
        change(h, x)
        return (h * h) @ TO_THREE.T

    return function


def column_of_ones(h, x):
    h[:, 0] = 1.0


def column_of_another(h, x):
    h[:, 0] = x[:, 1] ** 3


def rows_of_a_tensor(h, x):
    h[2:4, 1:] = SAME[2:4]


def own_column(h, x):
    h[:, 0] = h[:, 1].clone() * h[:, 0].clone()


def broadcast(h, x):
    h[:, :2] = (x[:, :1] ** 2).sin()


def column_times(h, x):
    h[:, 0] *= 1 + x[:, 0]


def column_plus(h, x):
    h[..., 1:] += x**2


def whole_operators(h, x):
    h += x[:, :1]
    h -= 0.5
    h *= h.clone()
    h /= 1 + x[:, 1:] ** 2
    h **= 2


def methods(h, x):
    h.add_(x[:, :1]).mul_(2.0).sin_().clamp_(-0.9, 0.9)


def functions(h, x):
    torch.sin_(h)
    F.relu(h - 1.2, inplace=True)
    F.silu(h, inplace=True)


def mask_of_columns(h, x):
    h[:, BELOW] = 0.3


def mask_of_entries(h, x):
    h[h > 0.5] = 0.5


def mask_and_values(h, x):
    h[h > 0.5] = h[h > 0.5] ** 2


def masked_fill(h, x):
    h.masked_fill_(h > 0.4, 0.4)


def list_of_columns(h, x):
    h[:, [0, 2]] = x


def through_a_view(h, x):
    view = h[:, 1]
    view.mul_(x[:, 0])


def copied_columns_stay_apart(h, x):
    copied = h[:, [0, 1]]
    copied += 1.0
    h[:, :2] += copied


def fill_and_copy(h, x):
    h[:, 0].fill_(0.2)
    h[:, 1].copy_(x[:, 0] ** 2)
    h[:, 2].zero_()


CHANGES = [
    column_of_ones, column_of_another, rows_of_a_tensor, own_column, broadcast, column_times, column_plus,
    whole_operators, methods, functions, mask_of_columns, mask_of_entries, mask_and_values, masked_fill,
    list_of_columns, through_a_view, copied_columns_stay_apart, fill_and_copy,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_writes_agree_with_reverse_mode(change):
    function = writing(change)
    assert_taylor_is_reverse(function)
    assert relative(partials(function, X, WANTED).value, function(X)) < 1e-14


def test_an_alias_sees_the_change():
    def function(x):
        h = hidden(x)
        other = h
        h += 1.0
        return other

    assert torch.equal(partials(function, X, WANTED).value, function(X))


def view_in_use(x):
    h = hidden(x)
    first = h[:, 0]
    h += 1.0
    return torch.stack([first, h[:, 1]], -1)


def two_views_in_use(x):
    h = hidden(x)
    first, again = h[:, 0], h[:, :2]
    first.mul_(2.0)
    return again * h[:, :2]


def view_of_a_view(x):
    h = hidden(x)
    h[:, 1:][:, 0].mul_(x[:, 0])
    return h**2


def reshaped_in_use(x):
    h = hidden(x)
    flat = h.view(-1)
    h.mul_(3.0)
    return flat.view(-1, 3) ** 2


def into_a_plain_tensor(x):
    out = torch.zeros_like(x)
    out[:, 0] = x[:, 0] ** 2
    return out + x


def added_to_a_plain_tensor(x):
    return torch.ones_like(x).add_(x**2)


@pytest.mark.parametrize(
    "function",
    [view_in_use, two_views_in_use, view_of_a_view, reshaped_in_use, into_a_plain_tensor,
     added_to_a_plain_tensor],
    ids=lambda function: function.__name__,
)  # fmt: skip
def test_a_write_that_cannot_be_followed_falls_back_once(function):
    with pytest.raises(UnsupportedOperationError, match="writing"):
        partials(function, X, WANTED)
    with pytest.warns(UserWarning, match=r"reverse mode instead.*writing") as caught:
        assert resolve_engine(function, X, WANTED) == "reverse"
    assert len(caught) == 1
    assert torch.equal(partials(function, X, WANTED, "reverse").value, function(X))


def test_a_write_that_torch_refuses_is_one_line():
    def piece_in_use(x):
        h = hidden(x)
        left, _ = h.split([1, 2], -1)
        left.mul_(3.0)
        return h**2

    with pytest.raises(ConfigurationError, match=r"^model.network: its derivatives.*modified inplace") as caught:
        resolve_engine(piece_in_use, X, WANTED)
    assert "\n" not in str(caught.value)


def test_a_write_keeps_points_apart():
    function = writing(column_times)
    rows = torch.func.vmap(lambda point: partials(function, point[None], WANTED).partials[(0, 0, 1)][0])(X)
    assert relative(rows, partials(function, X, WANTED, "reverse").partials[(0, 0, 1)]) < 1e-12
