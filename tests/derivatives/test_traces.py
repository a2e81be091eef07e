"""Traces of a matrix times the Hessian: exact along the columns of a factor, estimated along random directions."""

import copy
import itertools

import pytest
import torch

from pinnlab.derivatives import Field, RecordingField, Sample, Wanted, partials
from pinnlab.derivatives.lifting import lift
from pinnlab.derivatives.sampling import checked_trace, in_order
from pinnlab.domains import Box, Interval
from pinnlab.errors import ConfigurationError, UnknownDerivativeError
from pinnlab.networks import MLP, SIREN, ScaledInput
from pinnlab.problems import Problem, Residual

DIM = 4
torch.manual_seed(0)
NETWORK = MLP(DIM, 2, hidden=(8, 8)).double()
WAVES = SIREN(DIM, 2, hidden=(8, 8)).double()
GENERATOR = torch.Generator().manual_seed(1)
POINTS = torch.rand(6, DIM, dtype=torch.float64, generator=GENERATOR)
AXES = (0, 2, 3)
FACTOR = torch.randn(3, 3, dtype=torch.float64, generator=GENERATOR)
TALL = torch.randn(3, 2, dtype=torch.float64, generator=GENERATOR)


def moving(points, vectors):
    """A factor that depends on the point, in all of its coordinates: the matrix `_factors` of a point."""
    return torch.einsum("nij,koj->kni", _factors(points), vectors)


def _factors(points):
    return torch.sin(FACTOR * (1 + points.sum(-1))[:, None, None])


FUNCTIONS = {
    "network": NETWORK,
    "scaled": ScaledInput(NETWORK, [-1.0] * DIM, [1.0, 2.0, 3.0, 4.0]).double(),
    "zero on a sphere": lambda p: WAVES(p) * (1 - (p**2).sum(-1, keepdim=True)),
    "chains": lambda p: (((2 * p + 1) * (p**3).exp()).sum(-1) * p[:, 1] * p[..., -1])[:, None],
    "embedded": lambda p: NETWORK(torch.cat([torch.sin(p[:, :2]), p[:, 2:]], -1)),
    "neighbours": lambda p: torch.sin(p[:, 1:] * p[:, :-1]).sum(-1)[:, None],
}
ROOTS = {"square": FACTOR, "tall": TALL, "of the point": moving}
SIGNS = {"square": 3, "tall": 2, "of the point": 3}
MORE = {"alone": (), "first order": ((2,), (0,)), "mixed": ((0, 1), (2, 2))}


def expected(function, root):
    """By torch's Hessian of each output at each point."""

    def at(point):
        return torch.func.hessian(lambda x: function(x[None])[0])(point)[:, AXES, :][:, :, AXES]

    hessians = torch.stack([at(point) for point in POINTS])
    s = _factors(POINTS) if root is moving else root.expand(len(POINTS), *root.shape)
    return torch.einsum("nia,nja,nmij->nm", s, s, hessians)


def traced(root, count=None, draw=0):
    return checked_trace(AXES, root, count, draw)


@pytest.mark.parametrize("more", MORE)
@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_without_a_sample_it_is_the_trace_itself(name, root, engine, more):
    function, others, trace = FUNCTIONS[name], frozenset(MORE[more]), traced(ROOTS[root])
    found = partials(function, POINTS, Wanted(others, samples=frozenset({trace})), engine)
    torch.testing.assert_close(found.samples[trace], expected(function, ROOTS[root]), rtol=1e-11, atol=1e-11)
    exact = partials(function, POINTS, Wanted(others), "reverse")
    for index in others:
        torch.testing.assert_close(found.partials[index], exact.partials[index], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_mean_over_all_draws_is_the_trace(name, root, engine):
    function, trace = FUNCTIONS[name], traced(ROOTS[root], 1)
    wanted = Wanted(samples=frozenset({trace}))
    found = [
        partials(function, POINTS, wanted, engine, {trace: torch.tensor([signs])}).samples[trace]
        for signs in itertools.product((-1.0, 1.0), repeat=SIGNS[root])
    ]
    mean = torch.stack(found).mean(0)
    torch.testing.assert_close(mean, expected(function, ROOTS[root]), rtol=1e-11, atol=1e-11)
    assert (found[0] - mean).abs().max() > 1e-6  # it is no constant


def test_several_directions_have_the_mean_of_single_ones():
    one, two = traced(TALL, 1), traced(TALL, 2)
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    singly = [
        partials(NETWORK, POINTS, Wanted(samples=frozenset({one})), draws={one: row[None]}).samples[one]
        for row in signs
    ]
    both = partials(NETWORK, POINTS, Wanted(samples=frozenset({two})), draws={two: signs / 2**0.5}).samples[two]
    torch.testing.assert_close(both, torch.stack(singly).mean(0), rtol=1e-12, atol=1e-13)


def test_all_signs_are_drawn_as_often_as_the_others():
    generator, trace = torch.Generator().manual_seed(0), traced(FACTOR, 2)
    drawn = torch.cat([trace.drawn(generator) for _ in range(2_000)]) * 2**0.5
    assert drawn.shape == (4_000, 3)
    assert torch.equal(drawn.square().round(decimals=12), torch.ones_like(drawn))
    kinds = ((drawn > 0).long() @ torch.tensor([1, 2, 4])).bincount(minlength=8)
    assert (kinds - 500).abs().max() < 5 * (500 * 7 / 8) ** 0.5


def test_beside_a_laplacian_and_other_estimates_each_is_its_own():
    pair, one, exact, other = Sample((0, 1, 3), 2), traced(FACTOR, 1), traced(TALL), traced(FACTOR, 1, draw=1)
    draws = {pair: torch.tensor([3, 0]), one: torch.tensor([[1.0, -1.0, 1.0]]), other: torch.tensor([[1.0, 1.0, 1.0]])}
    wanted = Wanted(frozenset({(1,)}), frozenset({(0, 2)}), frozenset({*draws, exact}))
    together = partials(WAVES, POINTS, wanted, draws=draws)
    for sample in (*draws, exact):
        alone = partials(WAVES, POINTS, Wanted(samples=frozenset({sample})), draws=draws)
        torch.testing.assert_close(together.samples[sample], alone.samples[sample], rtol=1e-12, atol=1e-12)
    plain = partials(WAVES, POINTS, Wanted(frozenset({(1,)}), frozenset({(0, 2)})), "reverse")
    torch.testing.assert_close(together.laplacians[0, 2], plain.laplacians[0, 2], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(together.partials[1,], plain.partials[1,], rtol=1e-12, atol=1e-12)


def test_matrices_that_do_not_depend_on_the_point_are_one_row_for_all():
    trace = traced(FACTOR, 2)
    jet = lift(POINTS, Wanted(samples=frozenset({trace})), {trace: torch.ones(2, 3)})
    assert jet.first.shape == (2, 1, DIM)
    assert torch.nn.functional.linear(jet, torch.ones(5, DIM, dtype=torch.float64)).first.shape == (2, 1, 5)


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
def test_gradients_are_those_of_the_hessian(engine):
    trace, parameters = traced(moving), list(NETWORK.parameters())[:-1]
    found = partials(NETWORK, POINTS, Wanted(samples=frozenset({trace})), engine).samples[trace]
    want = torch.autograd.grad(expected(NETWORK, moving).square().sum(), parameters)
    for one, other in zip(torch.autograd.grad(found.square().sum(), parameters), want, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)


def test_a_constant_has_none():
    trace = traced(FACTOR)
    found = partials(lambda p: torch.ones(len(p), 1), POINTS, Wanted(samples=frozenset({trace})))
    assert torch.equal(found.samples[trace], torch.zeros(6, 1))


# -------------------------------------------------------------------------------------------- identity


class Medium:
    """Has a method for a factor, which Python makes anew at every look."""

    def spread(self, points, vectors):
        return vectors * points[:, :3]


def test_one_operator_is_one_key():
    medium = Medium()
    assert traced(FACTOR) == traced(FACTOR)
    assert traced(FACTOR) != traced(FACTOR.clone())
    assert traced(FACTOR, 2) != traced(FACTOR, 2, draw=1)
    assert traced(FACTOR, 3) != traced(FACTOR)
    assert traced(medium.spread) == traced(medium.spread)
    assert traced(medium.spread) != traced(Medium().spread)
    assert copy.deepcopy(traced(FACTOR)) == traced(FACTOR)
    assert copy.deepcopy(traced(medium.spread)) == traced(medium.spread)
    assert len({traced(FACTOR, 2), traced(FACTOR, 2), traced(FACTOR)}) == 2
    assert traced(FACTOR) != Sample(AXES, 3)


def test_every_process_has_them_in_one_order():
    """Their order goes by what they are, not by where they lie in memory."""
    first, second = torch.zeros(3, 2), torch.ones(3, 2)
    kinds = in_order([Sample(AXES, 3), traced(first, 2), traced(second, 2), traced(moving, 2), Sample(AXES, 2)])
    assert (kinds[0], kinds[-1]) == (Sample(AXES, 2), Sample(AXES, 3))
    copies = [traced(matrix.clone(), 2) for matrix in (second, first)]
    assert [
        torch.equal(a.root.value, b.root.value)
        for a, b in zip(in_order(copies), in_order([traced(first, 2), traced(second, 2)]), strict=True)
    ] == [True, True]
    for order in itertools.permutations(kinds):
        assert in_order(order) == kinds


# -------------------------------------------------------------------------------------------- fields


def test_what_a_residual_asks_for_is_recorded():
    field = RecordingField("u", ("x", "y", "t"), torch.ones(3))
    square, line = torch.eye(2), torch.ones(1, 2)
    field.trace_hessian(square)
    field.trace_hessian(line, "t", sample=2, draw=1)
    assert field.wanted.samples == {
        checked_trace((0, 1), square, None, 0),
        checked_trace((2,), line, 2, 1),
    }


def test_a_field_reads_its_own_column():
    found = partials(NETWORK, POINTS, Wanted(samples=frozenset({traced(FACTOR)})))
    u, v = (Field(name, tuple("xyzw"), found, column) for column, name in enumerate("uv"))
    assert torch.equal(u.trace_hessian(FACTOR, "x", "z", "w"), found.samples[traced(FACTOR)][:, 0])
    assert torch.equal(v.trace_hessian(FACTOR, "x", "z", "w"), found.samples[traced(FACTOR)][:, 1])
    with pytest.raises(UnknownDerivativeError, match="one and the same factor, every time: make it once"):
        u.trace_hessian(FACTOR.clone(), "x", "z", "w")


@pytest.mark.parametrize(
    ("factor", "sample", "draw", "words"),
    [
        (torch.eye(3), None, 0, r"trace_hessian.factor: must be a matrix with a row for each of the 2 coor.*\(3, 3\)"),
        (torch.ones(2), None, 0, r"trace_hessian.factor: must be a matrix.*got shape \(2,\)"),
        (torch.ones(2, 0), None, 0, r"trace_hessian.factor: must be a matrix.*got shape \(2, 0\)"),
        ([[1.0]], None, 0, "trace_hessian.factor: must be a matrix.*got list"),
        (torch.eye(2), 3, 0, "trace_hessian.sample: must be from 1 to 2, the number of columns of the factor, got 3"),
        (torch.eye(2), 0, 0, "trace_hessian.sample: must be from 1 to 2"),
        (torch.eye(2), 1.5, 0, "trace_hessian.sample: must be a whole number, got 1.5"),
        (torch.eye(2), 1, -1, "trace_hessian.draw: must not be negative, got -1"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(factor, sample, draw, words):
    with pytest.raises(ConfigurationError, match=words) as error:
        checked_trace((0, 1), factor, sample, draw)
    assert "\n" not in str(error.value)


def test_expressions_have_no_traces():
    square, unit = Interval("x", 0, 1) * Interval("y", 0, 1), torch.eye(2)
    for residual in (
        lambda u: (u * u).trace_hessian(unit),
        lambda u: u.trace_hessian(unit).d("x"),
    ):
        with pytest.raises((UnknownDerivativeError, ConfigurationError), match=r"trace_hessian\(\)"):
            Problem(square, ["u"], {"pde": Residual(square, residual)})
    beside = Problem(square, ["u"], {"pde": Residual(square, lambda u, x: (x * u.x).d("x") + u.trace_hessian(unit))})
    assert beside.wanted["pde"].samples == {checked_trace((0, 1), unit, None, 0)}


def test_a_matrix_for_other_coordinates_is_refused_when_the_problem_is_built():
    cube, square = Box.cube("x", 3), torch.eye(2)
    with pytest.raises(ConfigurationError, match=r"trace_hessian.factor.*3 coordinates.*\(2, 2\)"):
        Problem(cube, ["u"], {"pde": Residual(cube, lambda u: u.trace_hessian(square))})
