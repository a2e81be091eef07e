"""What every region promises, and the geometry of each kind."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from scipy.stats import qmc

from pinnlab.domains import Ball, Box, Disk, Ellipse, Interval, Mesh, Polygon, Product, Triangle, Union
from pinnlab.errors import ConfigurationError

X, Y, T = Interval("x", -1, 1), Interval("y", 0, 3), Interval("t", 0, 0.5)
BOX = Box(["x", "y", "z"], [0, -1, 2], [1, 3, 2.5])
DISK = Disk(("x", "y"), (1.0, -2.0), 0.5)
BALL = Ball(["x", "y", "z"], (1.0, 0.0, -1.0), 2.0)
BALL5 = Ball([f"x{k}" for k in range(5)], 0.5, 1.5)
CUBE10 = Box.cube("x", 10, -1, 1)
CORNER = Union([Box(["x", "y"], [0, 0], [2, 1]), Interval("x", 0, 1) * Interval("y", 1, 2)])  # an L
RING = Union(
    [Box(["x", "y"], *ends) for ends in (([0, 0], [3, 1]), ([0, 2], [3, 3]), ([0, 1], [1, 2]), ([2, 1], [3, 2]))]
)
STAIRS = Union([BOX, Box(["x", "y", "z"], [1, 0, 2.25], [2, 4, 3.0])])
GAP = Union([Interval("x", 0, 1), Interval("x", 1, 1.5), Interval("x", 2, 3)])
PEARLS = Union([DISK, Disk(("x", "y"), (2.1, -2.0), 0.5), Box(["x", "y"], [2.7, -3], [3.2, 1])])
TANGENT = Union([DISK, Disk(("x", "y"), (2.0, -2.0), 0.5), Box(["x", "y"], [2.5, -3], [3, 1])])

PLATE = Box(["x", "y"], 0, [2, 1]) - Disk(center=(0.5, 0.5), radius=0.25) - Disk(center=(2.0, 1.0), radius=0.5)
LENS = Ellipse(radii=(2, 1), angle=0.3) & Disk(center=(1.0, 0.5), radius=1.25)
STAR = Polygon(["x", "y"], [[0, 0], [4, 0], [4, 3], [2, 1], [0, 3]], holes=[[[1, 0.5], [1, 1], [1.5, 0.5]]])
HULL = Box(["x", "y", "z"], -1, 1) - Ball(["x", "y", "z"], 0.25, 0.5)
CAPS = (Ball(["x", "y", "z"]) & Box(["x", "y", "z"], -0.5, 2)) | Ball(["x", "y", "z"], (0, 0, 1.5), 0.75)
TILTED = (Disk() * Interval("z", 0, 1)).rotate(0.5, about=0.25, axis=[1, 1, 0]).scale(1.5)
TURNED = Box(["x", "y", "z"], 0, 1).rotate(0.4, axis=[0, 0, 1]).scale(2)
SIDES = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]
CRATE = Mesh(
    ["x", "y", "z"],
    [[x, y, z] for z in (0, 1) for y in (0, 2) for x in (0, 3)],
    [[side[0], side[k], side[k + 1]] for side in SIDES for k in (1, 2)],
)
RIGHT = Triangle(["x", "y"], [[0, 0], [1, 0], [0, 1]])
GENERAL = [
    CRATE,
    PLATE,
    LENS,
    STAR,
    RIGHT,
    PLATE * T,
    HULL,
    CAPS,
    TILTED,
    HULL * T,
]

UNIONS = [CORNER, RING, STAIRS, GAP, PEARLS, CORNER * T, GAP * T]
DOMAINS = [
    X,
    BOX,
    CUBE10,
    DISK,
    BALL,
    BALL5,
    Ball(["x"], 1, 2),
    Ball(["x", "y"]),
    X * T,
    DISK * T,
    X * Y * T,
    *UNIONS,
    *GENERAL,
]
FACES = [domain.boundary() for domain in DOMAINS] + [
    (X * T).boundary("x"),
    (X * T).face(t=0.0),
    (X * T).face(t=0.5),
    BOX.boundary("x", "z"),
    BOX.face(y=3.0),
    (DISK * T).face(t=0.0),
    (DISK * T).boundary("x", "y"),
    (BALL * T).boundary(),
    (DISK * BOX.cube("p", 2)).boundary("x", "y", "p2"),
    CORNER.boundary("x"),
    CORNER.face(y=1.0),
    (CORNER * T).face(t=0.5),
    (CORNER * T).boundary("x", "y"),
    (CORNER * T).face(x=0.0),
    PLATE.boundary(on=Disk(center=(0.5, 0.5), radius=0.25)),
    PLATE.boundary("x"),
    (PLATE * T).boundary("x", "y", where=lambda x, y: x + y > 1),
    HULL.face(x=1.0),
    HULL.boundary(on=Ball(["x", "y", "z"], 0.25, 0.5)),
]
# The domain of which each of FACES is (part of) the boundary.
PARENTS = [*DOMAINS, X * T, X * T, X * T, BOX, BOX, DISK * T, DISK * T, BALL * T, DISK * BOX.cube("p", 2)]
PARENTS += [CORNER, CORNER, CORNER * T, CORNER * T, CORNER * T, PLATE, PLATE, PLATE * T, HULL, HULL]


def unit_points(dim: int, count: int = 4096) -> torch.Tensor:
    if dim == 0:
        return torch.empty(count, 0, dtype=torch.float64)
    sobol = qmc.Sobol(dim, seed=np.random.default_rng(3))
    return torch.from_numpy(sobol.random_base2((count - 1).bit_length())[:count])


def label(region: object) -> str:
    return repr(region)[:60]


@pytest.mark.parametrize("region", DOMAINS + FACES, ids=label)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_own_points_have_the_right_shape_and_lie_inside(region, dtype):
    unit = unit_points(region.unit_dim).to(dtype).clamp(max=1 - 1e-7)
    points = region.from_unit(unit)
    if region.envelope == region.measure:
        assert points.shape == (region.count or len(unit), region.dim)
    else:  # some were rejected
        assert points.shape[1] == region.dim
        assert len(points) == pytest.approx(len(unit) * region.measure / region.envelope, rel=0.01)
    assert points.dtype == dtype
    assert bool(region.contains(points).all())
    assert torch.unique(points, dim=0).shape[0] >= 0.9 * len(points)


@pytest.mark.parametrize("region", DOMAINS + FACES, ids=label)
def test_ends_of_the_unit_cube_are_mapped_too(region):
    below_one = 1 - torch.finfo(torch.float64).eps / 2
    unit = torch.tensor([0.0, 0.5, below_one], dtype=torch.float64)[:, None].expand(3, region.unit_dim)
    points = region.from_unit(unit)
    assert bool(torch.isfinite(points).all())
    assert bool(region.contains(points).all())


@pytest.mark.parametrize(("face", "parent"), list(zip(FACES, PARENTS, strict=True)), ids=label)
def test_normals_are_unit_vectors_that_lead_out(face, parent):
    points = face.from_unit(unit_points(face.unit_dim))
    normals = face.normals(points)
    assert normals.shape == points.shape
    torch.testing.assert_close(normals.norm(dim=1), torch.ones_like(normals[:, 0]))
    assert bool(parent.contains(points).all())
    assert not bool(parent.contains(points + 1e-6 * normals).any())
    inside = parent.contains(points - 1e-6 * normals)
    assert inside.double().mean() > 0.999  # a point next to an edge may leave through the other face
    assert not bool(face.contains(points - 1e-6 * normals).double().mean() > 0.01)


@pytest.mark.parametrize("domain", DOMAINS, ids=label)
def test_bounding_box_is_tight(domain):
    points = domain.from_unit(unit_points(domain.unit_dim, 2**14))
    low, high = torch.tensor(domain.low), torch.tensor(domain.high)
    assert bool((points >= low - 1e-12).all())
    assert bool((points <= high + 1e-12).all())
    if domain.dim <= 3 and domain is not TILTED:  # of what is turned only the box of the turned box is known
        assert bool(((points.amax(0) - points.amin(0)) / (high - low) > 0.97).all())


@pytest.mark.parametrize("region", DOMAINS + FACES, ids=label)
def test_regions_can_be_copied_and_pickled(region):
    unit = unit_points(region.unit_dim, 8)
    for twin in (copy.deepcopy(region), pickle.loads(pickle.dumps(region))):
        assert torch.equal(twin.from_unit(unit), region.from_unit(unit))


MEASURES = [
    (X, 2.0),
    (X.boundary(), 2.0),
    (X.face(x=1), 1.0),
    (BOX, 2.0),
    (BOX.boundary(), 2 * (4 * 0.5 + 1 * 0.5 + 1 * 4)),
    (DISK, math.pi / 4),
    (DISK.boundary(), math.pi),
    (BALL, 4 / 3 * math.pi * 8),
    (BALL.boundary(), 4 * math.pi * 4),
    (BALL5, 8 / 15 * math.pi**2 * 1.5**5),
    (BALL5.boundary(), 8 / 3 * math.pi**2 * 1.5**4),
    (Ball(["x"], 1, 2), 4.0),
    (Ball(["x"], 1, 2).boundary(), 2.0),
    (X * T, 1.0),
    ((X * T).boundary(), 5.0),
    ((X * T).boundary("x"), 1.0),
    ((X * T).face(t=0), 2.0),
    ((DISK * T).boundary(), math.pi * 0.5 + 2 * math.pi / 4),
    ((X * Y * T).boundary("x", "t"), 2 * 3 * 0.5 + 2 * 2 * 3),
    (CUBE10.boundary(), 20 * 2.0**9),
    (CORNER, 3.0),
    (CORNER.boundary(), 8.0),
    (CORNER.boundary("x"), 4.0),
    (CORNER.face(x=1.0), 1.0),
    (CORNER.face(x=0.0), 2.0),
    (RING, 8.0),
    (RING.boundary(), 12.0 + 4.0),
    (RING.face(y=1.0), 1.0),
    (STAIRS, 2.0 + 3.0),
    # Both surfaces less twice the rectangle x = 1, 0 < y < 3, 2.25 < z < 2.5 that they share.
    (STAIRS.boundary(), 13.0 + 2 * (4 + 0.75 + 3) - 2 * 0.75),
    (GAP, 2.5),
    (GAP.boundary(), 4.0),
    (GAP.face(x=1.5), 1.0),
    (PEARLS, math.pi / 2 + 2.0),
    (PEARLS.boundary(), 2 * math.pi + 9.0),
    (TANGENT.boundary(), 2 * math.pi + 9.0),
    (CORNER * T, 1.5),
    ((CORNER * T).boundary(), 2 * 3.0 + 8 * 0.5),
    ((CORNER * T).face(t=0.0), 3.0),
    ((GAP * T).boundary("x"), 4 * 0.5),
]


@pytest.mark.parametrize(("region", "measure"), MEASURES, ids=label)
def test_measure(region, measure):
    assert region.measure == pytest.approx(measure, rel=1e-12)


def ball_second_moment(dim: int, radius: float) -> float:
    return radius**2 / (dim + 2)


MOMENTS = [  # region, mean, variance per coordinate, from integrals done by hand
    (X, [0.0], [4 / 12]),
    (BOX, [0.5, 1.0, 2.25], [1 / 12, 16 / 12, 0.25 / 12]),
    (DISK, [1.0, -2.0], [0.25 / 4] * 2),
    (DISK.boundary(), [1.0, -2.0], [0.25 / 2] * 2),
    (BALL, [1.0, 0.0, -1.0], [ball_second_moment(3, 2.0)] * 3),
    (BALL.boundary(), [1.0, 0.0, -1.0], [4 / 3] * 3),
    (BALL5, [0.5] * 5, [ball_second_moment(5, 1.5)] * 5),
    (BALL5.boundary(), [0.5] * 5, [1.5**2 / 5] * 5),
    (Ball(["x"], 1, 2), [1.0], [16 / 12]),
    (DISK * T, [1.0, -2.0, 0.25], [0.25 / 4, 0.25 / 4, 0.25 / 12]),
    # Edges of 2 x 0.5: shares 0.1, 0.1 (x = -1, 1) and 0.4, 0.4 (t = 0, 0.5).
    ((X * T).boundary(), [0.0, 0.25], [0.2 * 1 + 0.8 / 3, 0.2 * 0.25 / 12 + 0.8 / 16]),
    ((X * T).face(t=0.5), [0.0, 0.5], [1 / 3, 0.0]),
    # Means of the rectangles 1 and 0.5, 0.5 and 1.5; second moments 4/3 and 1/3, 1/3 and 7/3; shares 2 and 1 of 3.
    (CORNER, [2.5 / 3, 2.5 / 3], [1.0 - 6.25 / 9] * 2),
    (CORNER * T, [2.5 / 3, 2.5 / 3, 0.25], [1.0 - 6.25 / 9] * 2 + [0.25 / 12]),
    # 8 of length: x = 0 (2), 2 (1), 1 (1); y = 0 (2), 2 (1), 1 (1, at 1 < x < 2). Symmetric in x and y.
    (CORNER.boundary(), [7 / 8] * 2, [(1 * 4 + 1 * 1 + 8 / 3 + 1 / 3 + 7 / 3) / 8 - 49 / 64] * 2),
    (CUBE10.boundary(), [0.0] * 10, [0.1 * 1 + 0.9 / 3] * 10),
    # Wall pi/2 of pi in all, caps pi/4 each: t is uniform on the wall and at its ends on the caps.
    ((DISK * T).boundary(), [1.0, -2.0, 0.25], [0.5 / 8 + 0.5 / 16] * 2 + [0.5 / 48 + 0.5 / 16]),
]


@pytest.mark.parametrize(("region", "mean", "variance"), MOMENTS, ids=label)
def test_uniform_by_moments(region, mean, variance):
    points = region.from_unit(unit_points(region.unit_dim, 2**14))
    expected = torch.tensor(mean, dtype=torch.float64)
    torch.testing.assert_close(points.mean(0), expected, atol=2e-3, rtol=0)
    spread = (points - expected).square().mean(0)
    torch.testing.assert_close(spread, torch.tensor(variance, dtype=torch.float64), atol=3e-3, rtol=3e-3)


@pytest.mark.parametrize("radius", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("dim", [1, 2, 3, 8])
def test_ball_holds_the_right_share_within_each_radius(dim, radius):
    ball = Ball([f"x{k}" for k in range(dim)])
    share = (ball.from_unit(unit_points(dim + 1, 2**13)).norm(dim=1) < radius).double().mean()
    assert share.item() == pytest.approx(radius**dim, abs=2e-3)


@pytest.mark.parametrize("count", [5, 100, 1001])
def test_rectangle_edges_get_their_share_and_even_spacing(count):
    unit = (torch.arange(count, dtype=torch.float64)[:, None] + 0.37) / count
    points = (X * T).boundary().from_unit(unit)
    left, right = points[points[:, 0] == -1], points[points[:, 0] == 1]
    bottom, top = points[points[:, 1] == 0], points[points[:, 1] == 0.5]
    for edge, length, axis in ((left, 0.5, 1), (right, 0.5, 1), (bottom, 2.0, 0), (top, 2.0, 0)):
        assert abs(len(edge) - count * length / 5) <= 1
        gaps = edge[:, axis].sort().values.diff()
        torch.testing.assert_close(gaps, torch.full_like(gaps, 5 / count))  # equal arc length


def test_box_faces_get_their_share():
    boundary = BOX.boundary()
    points = boundary.from_unit(unit_points(2, 4096))
    for axis, area in enumerate((2.0, 0.5, 4.0)):
        for end in (BOX.low[axis], BOX.high[axis]):
            share = (points[:, axis] == end).double().sum().item()
            assert share == pytest.approx(4096 * area / boundary.measure, abs=2)


def test_rectangle_as_product_equals_rectangle_as_box():
    box, product = Box(["x", "t"], [-1, 0], [1, 0.5]), X * T
    unit = unit_points(1, 1000)
    ours, theirs = product.boundary().from_unit(unit), box.boundary().from_unit(unit)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
    torch.testing.assert_close(product.boundary().normals(ours), box.boundary().normals(theirs))
    anywhere = 4 * unit_points(2, 1000) - 2
    torch.testing.assert_close(product.distance(anywhere), box.distance(anywhere))
    torch.testing.assert_close(product.boundary().distance(anywhere), box.boundary().distance(anywhere))


@pytest.mark.parametrize("region", [BOX, BOX.boundary(), DISK * T, (DISK * T).boundary(), BALL.boundary()])
def test_distance_agrees_with_a_dense_cloud(region):
    cloud = region.from_unit(unit_points(region.unit_dim, 2**14))
    points = torch.tensor(region_center(region)) + 3 * (unit_points(3, 64) - 0.5)
    nearest = torch.cdist(points, cloud).amin(dim=1)
    distance = region.distance(points)
    assert bool((distance <= nearest + 1e-12).all())
    assert bool((nearest - distance <= 0.2).all())


def region_center(region) -> list[float]:
    return region.from_unit(unit_points(region.unit_dim, 256)).mean(0).tolist()


def test_finite_regions_give_each_point_once():
    ends = X.boundary()
    assert (ends.count, ends.unit_dim) == (2, 0)
    expected = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    for n in (0, 1, 7):
        assert torch.equal(ends.from_unit(torch.empty(n, 0, dtype=torch.float64)), expected)
    assert torch.equal(ends.normals(expected), expected)
    assert (X.face(x=1).count, X.boundary("x").count, Ball(["x"]).boundary().count) == (1, 2, 2)
    union = Union([X.face(x=-1), X.face(x=1)])
    assert (union.count, union.unit_dim) == (2, 0)
    assert torch.equal(union.from_unit(torch.empty(3, 0, dtype=torch.float64)), expected)


@pytest.mark.parametrize("union", UNIONS, ids=label)
def test_a_union_of_domains_is_a_domain(union):
    assert union.is_full_dimensional
    assert union.dimension == union.dim
    faces = union.boundary()
    assert (faces.is_full_dimensional, faces.dimension) == (False, union.dim - 1)
    assert (faces.count is not None) == (union.dim == 1)


@pytest.mark.parametrize("union", [CORNER, RING, STAIRS, PEARLS, CORNER * T], ids=label)
def test_the_boundary_of_a_union_is_where_a_small_ball_is_partly_inside(union):
    """Against no more than `contains`: on faces, and on what parts have in common, which is no boundary."""
    parts = union.parts if hasattr(union, "parts") else union.factors[0].parts
    own = [part if union.dim == part.dim else part * T for part in parts]
    for part in own:
        points = part.boundary().from_unit(unit_points(part.boundary().unit_dim, 500)[7:])  # without the corners
        steps = torch.randn(200, union.dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        near = points[:, None] + 1e-4 * steps / steps.norm(dim=1, keepdim=True)
        partly = ~union.contains(near.reshape(-1, union.dim)).reshape(len(points), -1).all(1)
        assert (union.boundary().contains(points) == partly).double().mean() > 0.99
        if part is not own[0]:
            assert not partly.all() or union is PEARLS


def test_each_part_of_a_union_gets_its_share():
    points = RING.from_unit(unit_points(RING.unit_dim, 4096))
    for part in RING.parts:
        assert part.contains(points).double().sum().item() == pytest.approx(4096 * part.measure / 8, abs=2)


def test_unions_are_taken_apart():
    assert Union([CORNER, Box(["x", "y"], [3, 3], [4, 4])]).parts[:2] == CORNER.parts
    faces = Union([X.face(x=-1), X.face(x=1)])
    assert Union([faces, Interval("x", 2, 3).face(x=2)]).count == 3


def test_rounding_errors_make_no_gap_and_no_overlap():
    union = Union([Interval("x", 0, 0.3), Interval("x", 0.1 * 3, 1)])
    assert union.boundary().from_unit(torch.empty(1, 0, dtype=torch.float64)).flatten().tolist() == [0.0, 1.0]


def integrals(region, count=1024):
    nodes, weights = region.quadrature(count)
    assert nodes.shape == (len(weights), region.dim)
    assert nodes.dtype == weights.dtype == torch.float64
    assert region.contains(nodes).all()
    return lambda function: (weights * function(*nodes.T)).sum().item()


@pytest.mark.parametrize("region", DOMAINS + FACES, ids=label)
def test_weights_of_a_quadrature_add_up_to_the_measure_and_nodes_lie_inside(region):
    for count in (1, 50, 1000):
        assert integrals(region, count)(lambda *x: torch.ones_like(x[0])) == pytest.approx(region.measure, rel=1e-12)
        assert len(region.quadrature(count)[1]) <= 3 * count + 40  # short pieces of a boundary have a few each


INTEGRALS = [  # by hand; to all digits where the rule is one of Gauss or of equal angles
    (X, 20, lambda x: torch.exp(x), math.e - 1 / math.e, 1e-13),
    (X, 100_000, lambda x: torch.exp(x), math.e - 1 / math.e, 1e-13),  # in parts, else of a matrix of 80 GB
    (X * T, 400, lambda x, t: torch.cos(x) * t, 2 * math.sin(1) * 0.125, 1e-13),
    (BOX, 1000, lambda x, y, z: x * y**2 * z, 0.5 * 28 / 3 * (2.5**2 - 4) / 2, 1e-13),
    (CUBE10, 4096, lambda *x: sum(x) ** 2, 10 / 3 * 2.0**10, 2e-2),
    (X.boundary(), 7, lambda x: x**2 + x, 2.0, 1e-15),
    ((X * T).boundary(), 200, lambda x, t: x**2 * t, 0.25 * 1 + 0.5 * 2 / 3, 1e-13),
    (DISK, 400, lambda x, y: (x - 1) ** 2 * (y + 2) ** 2, math.pi * 0.5**6 / 24, 1e-13),
    (DISK.boundary(), 40, lambda x, y: (x - 1) ** 2, math.pi * 0.5**3, 1e-13),
    (DISK * T, 2000, lambda x, y, t: torch.exp(t) * x, math.pi / 4 * (math.exp(0.5) - 1), 1e-13),
    (BALL, 2**14, lambda x, y, z: (x - 1) ** 2, 4 / 15 * math.pi * 2**5, 2e-3),
    (BALL.boundary(), 2**14, lambda x, y, z: (z + 1) ** 2, 4 / 3 * math.pi * 2**4, 2e-3),
    (CORNER, 400, lambda x, y: x * y, 2 * 0.5 + 0.5 * 1.5, 1e-13),
    (CORNER.boundary(), 200, lambda x, y: y, 7.0, 1e-13),
    (Polygon(["x", "y"], [[0, 0], [1, 0], [1, 2], [0, 2]]).boundary(), 9000, lambda x, y: x * y**3, 8.0, 1e-13),
    (CORNER * T, 2000, lambda x, y, t: t * x, 0.125 * (2 + 0.5), 1e-13),
    (TURNED, 1000, lambda x, y, z: x**2 + y**2, 64 / 3, 1e-13),
    (TURNED.boundary(), 600, lambda x, y, z: x**2 + y**2, 128 / 3 + 32, 1e-13),
    ((TURNED * T).boundary("x", "y", "z"), 1000, lambda x, y, z, t: (x**2 + y**2) * t, (128 / 3 + 32) * 0.125, 1e-13),
    ((GAP * T).boundary("x"), 40, lambda x, t: x * t, (0 + 1.5 + 2 + 3) * 0.125, 1e-13),
]


@pytest.mark.parametrize(("region", "count", "function", "value", "tolerance"), INTEGRALS)
def test_quadrature_against_integrals_by_hand(region, count, function, value, tolerance):
    assert integrals(region, count)(function) == pytest.approx(value, rel=tolerance)


def test_contains_rejects_what_is_outside_or_not_a_number():
    points = torch.tensor([[0.0, 0.1], [0.0, 0.6], [1.1, 0.1], [math.nan, 0.1]], dtype=torch.float64)
    assert (X * T).contains(points).tolist() == [True, False, False, False]
    edge = torch.tensor([[0.3, 0.0], [0.3, 1e-6], [-1.0, 0.2]], dtype=torch.float64)
    assert (X * T).boundary().contains(edge).tolist() == [True, False, True]
    assert (X * T).boundary("x").contains(edge).tolist() == [False, False, True]
    assert (X * T).boundary().contains(edge, tolerance=1e-5).all()


def test_products_are_flat_and_keep_the_order():
    product = X * (Y * T)
    assert isinstance(product, Product)
    assert (product.coordinates, product.factors) == (("x", "y", "t"), (X, Y, T))
    assert product.low == (-1.0, 0.0, 0.0)
    assert product.high == (1.0, 3.0, 0.5)


def test_face_takes_an_end_with_rounding_errors():
    span = Interval("t", 0.0, 0.3)
    assert torch.equal(
        span.face(t=0.1 * 3).from_unit(torch.empty(1, 0, dtype=torch.float64)),
        torch.tensor([[0.3]], dtype=torch.float64),
    )


def test_boundary_of_a_cube_in_100_dimensions():
    cube = Box.cube("x", 100, 0, 1)
    assert (cube.coordinates[0], cube.coordinates[-1]) == ("x1", "x100")
    points = cube.boundary().from_unit(unit_points(99, 2000))
    on_face = (points == 0) | (points == 1)
    assert bool((on_face.sum(dim=1) == 1).all())
    per_face = torch.cat([(points == 0).sum(0), (points == 1).sum(0)])
    assert (per_face.min() >= 8, per_face.max() <= 12) == (True, True)
    assert bool((cube.boundary().normals(points).abs() == on_face).all())
    assert Box.cube("x", 100, 0, 1e4).boundary().from_unit(unit_points(99, 4)).isfinite().all()


ERRORS = [
    (lambda: Interval("x", 1, 1), "low, high: x"),
    (lambda: Interval("x", 0, math.inf), "high"),
    (lambda: Interval("x", "a", 1), "low"),
    (lambda: Interval("2x", 0, 1), "2x"),
    (lambda: Interval("lambda", 0, 1), "lambda"),
    (lambda: Interval("points", 0, 1), "points"),
    (lambda: Interval("normal", 0, 1), "normal"),
    (lambda: Box("xy", 0, 1), "coordinates"),
    (lambda: Box([], 0, 1), "coordinates"),
    (lambda: Box(["x", "x"], 0, 1), "twice"),
    (lambda: Box(["x", "y"], [0, 1], [1, 1]), "low, high: y"),
    (lambda: Box(["x", "y"], [0, 1, 2], 3), "low"),
    (lambda: Box.cube("x", 0), "dim"),
    (lambda: Disk(radius=0), "radius"),
    (lambda: Disk(("x", "y", "z")), "coordinates"),
    (lambda: Disk(center=(0, 0, 0)), "center"),
    (lambda: Ball(["x"], radius=-1), "radius"),
    (lambda: X * X, "twice"),
    (lambda: Product(), "coordinates"),
    (lambda: Union([]), "parts"),
    (lambda: Union([X.boundary(), X]), "parts"),
    (lambda: Union([X, Y]), "parts"),
    (lambda: Union([X, Interval("x", 0.5, 2)]), "overlap"),
    (lambda: Union([CORNER, DISK, Disk(("x", "y"), (1.0, -1.5), 0.2)]), "overlap"),
    (lambda: Union([DISK * T, Disk(("x", "y"), (1.4, -2.0), 0.5) * T]), "overlap"),
    (lambda: CORNER.face(x=0.5), "face: x = 0.5"),
    (lambda: GAP.face(x=1.0), "face: x = 1"),
    (lambda: CORNER.boundary("z"), "unknown coordinate 'z'"),
    (lambda: PEARLS.face(x=1.5), "face: x"),
    (lambda: Union([DISK * T, DISK * Interval("t", 0.5, 1)]).boundary(), "boundary: "),
    (lambda: CORNER.quadrature(0), "points"),
    (lambda: (X * T).face(t=0.25), "face: t = 0.25"),
    (lambda: (X * T).face(u=0.0), "unknown coordinate 'u'"),
    (lambda: (X * T).face(x=1.0, t=0.0), "face"),
    (lambda: X.face(), "face"),
    (lambda: X.boundary() * T, "name its coordinates"),
    (lambda: T * X.boundary(), "name its coordinates, as"),
    (lambda: (DISK * T).face(x=1.5), "face: x"),
    (lambda: (X * T).boundary("z"), "unknown coordinate 'z'"),
    (lambda: (DISK * T).boundary("x"), "boundary"),
    (lambda: (X * T).normals(torch.zeros(1, 2)), "normals"),
    (lambda: (X * T).from_unit(torch.zeros(3, 1)), "unit"),
    (lambda: (X * T).contains(torch.zeros(3)), "points"),
    (lambda: X.boundary().normals(torch.zeros(3, 2)), "points"),
]


@pytest.mark.parametrize(("build", "key"), ERRORS, ids=[key for _, key in ERRORS])
def test_bad_input_is_refused_in_one_line(build, key):
    with pytest.raises(ConfigurationError) as caught:
        build()
    assert key in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_domain_times_something_else_is_a_type_error():
    with pytest.raises(TypeError):
        X * 2.0


@pytest.mark.parametrize(
    ("region", "shown"),
    [
        (X, "Interval('x', -1, 1)"),
        (X * T, "Interval('x', -1, 1) * Interval('t', 0, 0.5)"),
        (Box(["x", "y"], 0, 1), "Box(('x', 'y'), (0, 0), (1, 1))"),
        (DISK, "Disk(('x', 'y'), center=(1, -2), radius=0.5)"),
        ((X * T).face(t=0), "Interval('x', -1, 1) * BoxFaces(Interval('t', 0, 0.5), t=0)"),
        (Box.cube("x", 100), "Box(x1..x100, 0, 1)"),
        (GAP, "Union(Interval('x', 0, 1), Interval('x', 1, 1.5), Interval('x', 2, 3))"),
    ],
)
def test_repr(region, shown):
    assert repr(region) == shown
