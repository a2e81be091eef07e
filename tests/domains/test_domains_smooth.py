"""Smooth distances: 0 on the boundary, the distance to first order there, positive inside, and fit for jets."""

import math

import pytest
import torch

from pinnlab.derivatives import Wanted, partials
from pinnlab.domains import Ball, Box, Disk, Ellipse, Interval, Polygon, Union, distance
from pinnlab.errors import ConfigurationError
from pinnlab.samplers import Sobol

XY, XYZ = ("x", "y"), ("x", "y", "z")
SQUARE, HOLE = Box(XY, -0.5, 0.5), Disk(center=(0.1, 0.0), radius=0.2)
CUBE, BALL = Box(XYZ, 0, 1), Ball(XYZ, 0.5, 0.25)
CORNER = Union([Box(XY, [0, 0], [2, 1]), Box(XY, [0, 1], [1, 2])])
NOTCHED = Polygon(XY, [[0, 0], [2, 0], [2, 2], [1, 0.7], [0, 2]], holes=[Disk(center=(1.0, 0.35), radius=0.1)])
CYLINDER = (Disk() * Interval("z", 0, 1)).rotate(0.4, axis=[1, 0, 0])

DOMAINS = [
    Interval("x", -1, 2),
    SQUARE,
    Disk(radius=2),
    SQUARE - HOLE,
    SQUARE - Disk(center=(0.5, 0.5), radius=0.3),
    Disk() | Disk(center=(1.2, 0.0)),
    Ellipse(radii=(2, 0.7), angle=0.4) - Disk(center=(0.5, 0.0), radius=0.3),
    NOTCHED,
    CORNER,
    Union([CUBE, CUBE.translate(x=1)]),
    CUBE,
    BALL,
    CUBE - BALL,
    CUBE | Ball(XYZ, 1, 0.5),
    CUBE & Ball(XYZ, 0, 1),
    CYLINDER,
    (SQUARE - HOLE) * Interval("t", 0, 2),
]


def values_and_slopes(phi, points):
    points = points.clone().requires_grad_()
    values = phi(*points.T)
    (slopes,) = torch.autograd.grad(values.sum(), points)
    return values.detach(), slopes


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: repr(domain)[:50])
def test_it_is_zero_on_the_boundary_and_the_distance_to_first_order(domain):
    phi, boundary = distance(domain), domain.boundary()
    points = Sobol().sample(boundary, 200, 0)
    values, _ = values_and_slopes(phi, points)
    assert float(values.abs().max()) < 1e-7  # the root of a rounding error at corners; else 1e-15
    step, inward = 1e-6, -boundary.normals(points)
    near, slopes = values_and_slopes(phi, points + step * inward)
    along = (slopes * inward).sum(1)
    assert float((along - 1).abs().quantile(0.9)) < 1e-3
    assert float((near / step - 1).abs().quantile(0.9)) < 1e-3


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: repr(domain)[:50])
def test_it_is_positive_inside_and_all_derivatives_are_finite(domain):
    points = Sobol().sample(domain, 500, 1)
    values, slopes = values_and_slopes(distance(domain), points)
    true = domain.boundary().distance(points) if domain.dim < 3 else values
    assert bool((values > 0).all())
    assert bool(slopes.isfinite().all())
    assert bool((values > 0.15 * true).all())
    assert bool((values < 3 * true + 1e-9).all())


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: repr(domain)[:50])
def test_jets_agree_with_nested_reverse_mode(domain):
    phi = distance(domain)
    points = Sobol().sample(domain, 20, 2)

    def function(x):
        return phi(*x.unbind(-1))[..., None]

    axes = tuple(range(domain.dim))
    wanted = Wanted(frozenset({(k,) for k in axes} | {(0, 0)}), frozenset({axes}))
    jets, reverse = (partials(function, points, wanted, engine=engine) for engine in ("taylor", "reverse"))
    torch.testing.assert_close(jets.value, reverse.value)
    for key, expected in reverse.partials.items():
        torch.testing.assert_close(jets.partials[key], expected, rtol=1e-8, atol=1e-8)
    for key, expected in reverse.laplacians.items():
        torch.testing.assert_close(jets.laplacians[key], expected, rtol=1e-8, atol=1e-8)


def test_parts_of_a_boundary_have_one_each():
    plate = SQUARE - HOLE
    rim, outside = distance(plate.boundary(on=HOLE)), distance(plate.boundary(on=SQUARE))
    inner, outer = Sobol().sample(plate.boundary(on=HOLE), 50, 0), Sobol().sample(plate.boundary(on=SQUARE), 50, 0)
    assert float(rim(*inner.T).abs().max()) < 1e-14
    assert float(outside(*outer.T).abs().max()) < 1e-14
    assert float(rim(*outer.T).min()) > 0.1
    assert float(outside(*inner.T).min()) > 0.05


def test_a_half_of_a_circle_and_a_piece_of_a_line_end_where_they_end():
    half = distance(Disk().boundary(where=lambda y: y > 0))
    assert float(half(torch.tensor([0.0]), torch.tensor([-1.0]))) > 0.5
    side = distance(SQUARE.boundary(where=lambda x, y: (y == 0.5) & (x > 0)))
    x = torch.linspace(-0.5, 0.5, 11, dtype=torch.float64)
    values = side(x, torch.full_like(x, 0.5))
    assert float(values[x > 1e-9].abs().max()) < 1e-14
    torch.testing.assert_close(values[x < -1e-9], -x[x < -1e-9], rtol=1.0, atol=0.0)


POST = (Disk(radius=0.2) * Interval("z", 0.2, 0.6)).translate(x=0.5, y=0.5)
CAVITY = Box(XYZ, 0.4, 0.6).rotate(0.3, about=0.5, axis=[0, 0, 1])
STAIRS = Union([Box(XYZ, [0, 0, 0], [1, 2, 1]), Box(XYZ, [1, 0, 0], [2, 1, 1])])
PLANES = {  # a part of a boundary, and a point of the domain that lies in its plane, or on its cylinder
    "a step": (CORNER.face(y=1.0), (0.5, 1.0)),
    "a step over time": ((CORNER * Interval("t", 0, 1)).face(y=1.0), (0.5, 1.0, 0.5)),
    "a step in space": (STAIRS.face(y=1.0), (0.5, 1.0, 0.5)),
    "side by side": ((CUBE | Box(XYZ, [1, 0, 0], [2, 2, 1])).face(y=1.0), (1.5, 1.0, 0.5)),
    "a cavity": ((CUBE - Box(XYZ, 0.4, 0.6)).boundary(), (0.4, 0.8, 0.3)),
    "a turned cavity": (
        (CUBE - CAVITY).boundary(on=CAVITY),
        (0.5 + 0.1 * math.cos(0.3), 0.5 + 0.1 * math.sin(0.3), 0.8),
    ),
    "a post": ((CUBE - POST).boundary(on=POST), (0.7, 0.5, 0.8)),
}


@pytest.mark.parametrize("name", PLANES)
def test_a_plane_ends_where_the_face_does(name):
    """The domain goes on beyond the face's edges: a function of the plane alone would be 0 inside of it."""
    part, point = PLANES[name]
    phi = distance(part)
    assert float(phi(*torch.tensor(point, dtype=torch.float64)[:, None])) > 0.1
    assert float(phi(*Sobol().sample(part, 64, 0).T).abs().max()) < 1e-14


def test_walls_over_time_and_what_is_moved():
    walls = distance(((SQUARE - HOLE) * Interval("t", 0, 1)).boundary("x", "y"))
    x, y, t = torch.rand(3, 20, dtype=torch.float64) / 3
    torch.testing.assert_close(walls(x, y, t), distance(SQUARE - HOLE)(x, y))
    sphere = distance((CUBE - BALL).boundary(on=BALL))
    torch.testing.assert_close(sphere(x, y, t), distance(BALL)(x, y, t))


def test_it_makes_conditions_hold_in_an_ansatz():
    """On the boundary of a plate with a hole the trial function is what it must be, whatever the network is."""
    from training import ADAM, quiet_trainer, small_module

    from pinnlab.problems import Problem, Residual
    from pinnlab.training.datamodule import CollocationDataModule
    from pinnlab.training.phases import Phase

    plate = SQUARE - HOLE
    phi, rim, outer = distance(plate), distance(plate.boundary(on=HOLE)), distance(plate.boundary(on=SQUARE))

    class Exactly(Problem):
        def __init__(self):
            super().__init__(plate, ("u",), {"pde": Residual(plate, lambda u: u.laplacian())})

        def ansatz(self, u, x, y):
            return rim(x, y) / (rim(x, y) + outer(x, y)) + phi(x, y) * u

    problem = Exactly()
    module = small_module(problem, [Phase(ADAM, steps=5)])
    quiet_trainer().fit(module, CollocationDataModule(problem, points=50, evaluation_points=200, held_out=20))
    solution = module.solution()
    for region, value in ((HOLE, 0.0), (SQUARE, 1.0)):
        points = Sobol().sample(plate.boundary(on=region), 64, 0)
        assert float((solution(points) - value).abs().max()) < 1e-13


BAD = [
    (lambda: distance((CUBE - Ball(XYZ, 1, 0.5)).boundary(on=CUBE)), "has no smooth distance"),
    (lambda: distance(SQUARE)(torch.zeros(3)), "distance: takes x, y one by one"),
    (lambda: distance(Box(XYZ, 0, 1).boundary(where=lambda x: x > 0.3)), "has no smooth distance"),
    (lambda: distance(CUBE | Box(XYZ, [1, 0, 0], [2, 1, 0.5])), "has no smooth distance"),  # a part of a face is shared
]


@pytest.mark.parametrize(("build", "words"), BAD, ids=[words for _, words in BAD])
def test_what_has_none_is_refused_in_one_line(build, words):
    with pytest.raises(ConfigurationError) as caught:
        build()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_polygons_with_many_sides():
    angles = [2 * math.pi * k / 600 for k in range(600)]
    circle = Polygon(XY, [[math.cos(a), math.sin(a)] for a in angles])
    with pytest.raises(ConfigurationError, match="a boundary of 600 pieces; at most 500"):
        distance(circle)
