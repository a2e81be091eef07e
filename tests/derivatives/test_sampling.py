"""Laplacians estimated from a few coordinates: the mean over all draws is the Laplacian itself."""

import itertools

import pytest
import torch

from pinnlab.derivatives import Field, RecordingField, Sample, Wanted, partials
from pinnlab.derivatives.lifting import lift
from pinnlab.derivatives.sampling import checked_sample, in_order
from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError, UnknownDerivativeError, UnsupportedOperationError
from pinnlab.networks import MLP, SIREN, ScaledInput
from pinnlab.problems import Problem, Residual

DIM = 5
torch.manual_seed(0)
NETWORK = MLP(DIM, 2, hidden=(8, 8)).double()
WAVES = SIREN(DIM, 2, hidden=(8, 8)).double()
POINTS = torch.rand(7, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
AXES = (0, 1, 3, 4)
PAIR = Sample(AXES, 2)

RADII = torch.arange(1.0, 1.0 + DIM, dtype=torch.float64)
FUNCTIONS = {
    "network": NETWORK,
    "scaled": ScaledInput(NETWORK, [-1.0] * DIM, [1.0, 2.0, 3.0, 4.0, 5.0]).double(),
    "waves": WAVES,
    "zero on a sphere": lambda p: NETWORK(p) * (1 - (p**2).sum(-1, keepdim=True)),
    "product": lambda p: NETWORK(p) * (1 - (p * p).sum(dim=-1))[:, None],
    "ellipsoid": lambda p: (1 - ((p - 0.2) * RADII * (p * RADII)).sum(-1, keepdim=True)) * WAVES(p),
    "chains": lambda p: (((2 * p + 1) * p * (p**3).exp()).sum(-1) * p[:, 1] * p[..., -1])[:, None],
    "mean": lambda p: torch.sin(p).mean(-1)[:, None] * p[:, 3:4] + (p[:, 0] * p[:, 1] * p[:, 4])[:, None],
    "embedded": lambda p: NETWORK(torch.cat([torch.sin(p[:, :2]), p[:, 2:]], -1)),
    "neighbours": lambda p: torch.sin(p[:, 1:] * p[:, :-1]).sum(-1)[:, None],
}
MORE = {"alone": (), "first order": ((2,), (0,)), "mixed": ((0, 1), (2, 2))}
"""Other derivatives that a residual asks for beside the estimate."""


@pytest.mark.parametrize("more", MORE)
@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_mean_over_all_draws_is_the_laplacian(name, engine, more):
    function, others = FUNCTIONS[name], frozenset(MORE[more])
    exact = partials(function, POINTS, Wanted(others, frozenset({AXES})), "reverse")
    wanted = Wanted(others, samples=frozenset({PAIR}))
    found = [
        partials(function, POINTS, wanted, engine, {PAIR: torch.tensor(chosen)})
        for chosen in itertools.combinations(AXES, 2)
    ]
    mean = torch.stack([part.samples[PAIR] for part in found]).mean(0)
    torch.testing.assert_close(mean, exact.laplacians[AXES], rtol=1e-12, atol=1e-12)
    assert (found[0].samples[PAIR] - mean).abs().max() > 1e-6  # it is no constant
    torch.testing.assert_close(found[0].value, exact.value)
    for index in others:
        torch.testing.assert_close(found[0].partials[index], exact.partials[index], rtol=1e-12, atol=1e-12)


def test_every_choice_is_drawn_as_often_as_the_others():
    generator = torch.Generator().manual_seed(0)
    draws = [tuple(sorted(PAIR.drawn(generator).tolist())) for _ in range(6_000)]
    choices = list(itertools.combinations(AXES, 2))
    assert set(draws) == set(choices)
    for choice in choices:
        assert abs(draws.count(choice) - 1_000) < 5 * (1_000 * 5 / 6) ** 0.5


def test_all_coordinates_give_the_laplacian_in_any_order():
    every = Sample(AXES, 4)
    found = partials(NETWORK, POINTS, Wanted(samples=frozenset({every})), draws={every: torch.tensor([4, 0, 3, 1])})
    exact = partials(NETWORK, POINTS, Wanted(laplacians=frozenset({AXES}))).laplacians[AXES]
    torch.testing.assert_close(found.samples[every], exact, rtol=1e-13, atol=1e-13)


def test_several_estimates_at_once_are_each_their_own():
    other, third = Sample(AXES, 2, draw=1), Sample((1, 2), 1)
    draws = {PAIR: torch.tensor([0, 3]), other: torch.tensor([3, 1]), third: torch.tensor([2])}
    together = partials(NETWORK, POINTS, Wanted(samples=frozenset(draws)), draws=draws)
    for sample, columns in draws.items():
        alone = partials(NETWORK, POINTS, Wanted(samples=frozenset({sample})), draws={sample: columns})
        torch.testing.assert_close(together.samples[sample], alone.samples[sample])
    assert in_order([third, other, PAIR]) == [third, PAIR, other]


def test_the_derivatives_of_all_coordinates_are_never_made():
    """One first derivative of 2,000 coordinates at 50 points would be 50 x 2,000 numbers for each axis."""
    sample = Sample(tuple(range(2_000)), 3)
    points = torch.rand(50, 2_000)
    jet = lift(points, Wanted(samples=frozenset({sample})), {sample: torch.tensor([5, 1_999, 0])})
    rim = 1 - ((2 * jet - 1) ** 2).sum(-1)
    first = torch.nn.functional.linear(jet, torch.ones(4, 2_000))
    assert (rim.first.shape, first.first.shape) == ((3, 50), (3, 1, 4))
    with pytest.raises(AttributeError):
        object.__getattribute__(jet, "first")  # nobody asked for it


def test_a_coordinate_jet_that_is_written_to_is_an_ordinary_one():
    def function(points):
        changed = points.clone()
        changed[:, 0] = 0.5
        return NETWORK(changed) * (1 - (changed**2).sum(-1, keepdim=True))

    def in_place(points):
        moved = points * 1.0
        moved += 0.25
        moved[:, 0] = 0.5
        return (moved**2 * RADII).sum(-1, keepdim=True)

    for f in (function, in_place):
        exact = partials(f, POINTS, Wanted(laplacians=frozenset({(0, 3)}))).laplacians[0, 3]
        sample = Sample((0, 3), 2)
        found = partials(f, POINTS, Wanted(samples=frozenset({sample})), draws={sample: torch.tensor([3, 0])})
        torch.testing.assert_close(found.samples[sample], exact)


def test_a_constant_has_none():
    found = partials(
        lambda p: torch.ones(len(p), 1), POINTS, Wanted(samples=frozenset({PAIR})), draws={PAIR: torch.tensor([0, 3])}
    )
    assert torch.equal(found.samples[PAIR], torch.zeros(7, 1))


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
def test_gradients_are_those_of_the_drawn_second_derivatives(engine):
    columns = torch.tensor([4, 1])
    parameters = list(NETWORK.parameters())
    estimate = partials(NETWORK, POINTS, Wanted(samples=frozenset({PAIR})), engine, {PAIR: columns}).samples[PAIR]
    singly = partials(NETWORK, POINTS, Wanted(frozenset({(1, 1), (4, 4)}))).partials
    expected = torch.autograd.grad(2 * (singly[1, 1] + singly[4, 4]).square().sum(), parameters, allow_unused=True)
    found = torch.autograd.grad(estimate.square().sum() / 2, parameters, allow_unused=True)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


# -------------------------------------------------------------------------------------------- fields


NAMES = ("x", "y", "t")


def recorded(ask):
    field = RecordingField("u", NAMES, torch.ones(3))
    ask(field)
    return field.wanted


def test_what_a_residual_asks_for_is_recorded():
    assert recorded(lambda u: u.laplacian(sample=1)) == Wanted(samples=frozenset({Sample((0, 1), 1)}))
    wanted = recorded(lambda u: u.laplacian("x", "t", sample=2, draw=1) + u.laplacian())
    assert wanted == Wanted(laplacians=frozenset({(0, 1)}), samples=frozenset({Sample((0, 2), 2, 1)}))


def test_a_field_reads_its_own_column():
    found = partials(NETWORK, POINTS, Wanted(samples=frozenset({PAIR})), draws={PAIR: torch.tensor([0, 3])})
    names = tuple("abcde")
    u, v = (Field(name, names, found, column) for column, name in enumerate("uv"))
    assert torch.equal(u.laplacian("a", "b", "d", "e", sample=2), found.samples[PAIR][:, 0])
    assert torch.equal(v.laplacian("a", "b", "d", "e", sample=2), found.samples[PAIR][:, 1])


@pytest.mark.parametrize(
    ("sample", "draw", "words"),
    [
        (3, 0, "laplacian.sample: must be from 1 to 2, the number of coordinates it sums over, got 3"),
        (0, 0, "laplacian.sample: must be from 1 to 2, the number of coordinates it sums over, got 0"),
        (-1, 0, "laplacian.sample: must be from 1 to 2"),
        (1.5, 0, "laplacian.sample: must be a whole number, got 1.5"),
        (True, 0, "laplacian.sample: must be a whole number, got True"),
        (1, -1, "laplacian.draw: must not be negative, got -1"),
        (1, 0.5, "laplacian.draw: must be a whole number, got 0.5"),
    ],
)
def test_bad_numbers_are_refused_in_one_line(sample, draw, words):
    with pytest.raises(ConfigurationError, match=words) as error:
        checked_sample((0, 1), sample, draw)
    assert "\n" not in str(error.value)


def test_expressions_have_no_estimates():
    square = Interval("x", 0, 1) * Interval("y", 0, 1)
    for residual in (
        lambda u: (u * u).laplacian(sample=1),
        lambda u: u.laplacian(sample=1).d("x"),
        lambda u, x: (u * x).d("x") + (2 * u.laplacian(sample=1)).d("y"),
    ):
        with pytest.raises((UnknownDerivativeError, UnsupportedOperationError), match="sample=1"):
            Problem(square, ["u"], {"pde": Residual(square, residual)})
    beside = Problem(square, ["u"], {"pde": Residual(square, lambda u, x: (x * u.x).d("x") + u.laplacian(sample=1))})
    assert beside.wanted["pde"].samples == {Sample((0, 1), 1)}
