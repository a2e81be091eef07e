"""Bodies from files: closed surfaces, tetrahedra, triangles in the plane; geometry that is made here, by code."""

import itertools
import math
import time

import numpy as np
import pytest
import torch

from pinnlab.domains import Ball, Box, Combined, Mesh, Planar, Surface
from pinnlab.errors import ConfigurationError
from pinnlab.samplers import Sobol

meshio = pytest.importorskip("meshio")
pytest.importorskip("manifold3d")

XYZ = ("x", "y", "z")


def torus(n, m, thickness=0.4):
    """Vertices and triangles on a torus around the z axis, at distance 1 from it."""
    u, v = np.meshgrid(2 * np.pi * np.arange(n) / n, 2 * np.pi * np.arange(m) / m, indexing="ij")
    distance = 1 + thickness * np.cos(v)
    vertices = np.stack([distance * np.cos(u), distance * np.sin(u), thickness * np.sin(v)], -1).reshape(-1, 3)
    i, j = (part.reshape(-1) for part in np.meshgrid(np.arange(n), np.arange(m), indexing="ij"))
    a, b, c, d = ((i + k) % n * m + (j + h) % m for k, h in ((0, 0), (1, 0), (1, 1), (0, 1)))
    return vertices, np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)])


def to_torus(points):
    """The signed distance from the smooth torus."""
    x, y, z = points.T
    return ((x.hypot(y) - 1) ** 2 + z**2).sqrt() - 0.4


CORNERS = [[x, y, z] for z in (0.0, 1.0) for y in (0.0, 1.0) for x in (0.0, 1.0)]
PATHS = [list(itertools.accumulate(steps, initial=0)) for steps in itertools.permutations([1, 2, 4])]
"""A cube as six tetrahedra along the ways from one corner to the opposite one, three of them of negative volume."""
TORUS = Mesh(XYZ, *torus(60, 40))


@pytest.fixture
def cube(tmp_path):
    meshio.Mesh(np.array(CORNERS), [("tetra", np.array(PATHS))]).write(tmp_path / "cube.vtu")
    return Mesh.read(tmp_path / "cube.vtu")


def test_a_surface_is_read_and_filled(tmp_path):
    vertices, triangles = torus(60, 40)
    for path in (tmp_path / "torus.stl", tmp_path / "torus.ply", tmp_path / "torus.obj"):
        meshio.Mesh(vertices, [("triangle", triangles)]).write(path)
        body = Mesh.read(path)
        assert isinstance(body, Mesh)
        assert body.measure == pytest.approx(TORUS.measure, rel=1e-5)  # STL and OBJ have fewer digits
    assert TORUS.measure == pytest.approx(2 * math.pi**2 * 0.16, rel=0.01)
    assert TORUS.boundary().measure == pytest.approx(4 * math.pi**2 * 0.4, rel=0.01)
    assert TORUS.high == pytest.approx((1.4, 1.4, 0.4))


def test_surfaces_seen_from_inside_are_turned():
    vertices, triangles = torus(20, 10)
    assert Mesh(XYZ, vertices, triangles[:, ::-1]).measure == pytest.approx(Mesh(XYZ, vertices, triangles).measure)


def test_inside_and_distance_against_the_smooth_torus():
    points = 3 * torch.rand(4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1.5
    smooth = to_torus(points)
    clear = smooth.abs() > 5e-3
    assert torch.equal(TORUS.inside(points)[clear], smooth[clear] < 0)
    close = smooth.abs() < 0.2
    signed = TORUS.signed_distance(points)
    assert float((signed - smooth)[close].abs().max()) < 6e-3
    assert bool((signed - smooth > -6e-3).all())


def test_points_on_edges_and_corners_are_counted_once():
    """Rays through vertices and along edges of a box with many equal coordinates."""
    box = Box(XYZ, 0, 1) - Mesh(XYZ, np.array(CORNERS) / 2 + 0.25, box_triangles())
    grid = torch.cartesian_prod(*[torch.linspace(0.125, 0.875, 7, dtype=torch.float64)] * 3)
    on = ((grid - 0.5).abs() <= 0.25).all(1) & ((grid - 0.5).abs() == 0.25).any(1)
    expected = ((grid - 0.5).abs() > 0.25).any(1)
    assert torch.equal(box.inside(grid)[~on], expected[~on])
    assert box.measure == pytest.approx(7 / 8)


def box_triangles():
    sides = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]
    return [[side[0], side[k], side[k + 1]] for side in sides for k in (1, 2)]


def test_points_of_a_body_are_uniform():
    points = Sobol().sample(TORUS, 2**13, 0)
    assert bool(TORUS.inside(points).all())
    np.testing.assert_allclose(points.mean(0), 0, atol=5e-3)
    # E z^2 = r^2 / 4 and E rho^2 = 1 + 3 r^2 / 4 of the smooth torus
    assert float((points[:, 2] ** 2).mean()) == pytest.approx(0.04, rel=0.02)
    assert float((points[:, :2] ** 2).sum(1).mean()) == pytest.approx(1.12, rel=0.01)


def test_points_of_a_surface_are_uniform_and_their_normals_lead_out():
    surface = TORUS.boundary()
    points = Sobol().sample(surface, 2**13, 0)
    assert float(surface.distance(points).max()) < 1e-14
    assert float((points[:, 2] ** 2).mean()) == pytest.approx(0.08, rel=0.02)
    normals = surface.normals(points)
    distance = points[:, 0].hypot(points[:, 1])
    smooth = torch.stack([points[:, 0], points[:, 1], 0 * distance], 1) * (1 - 1 / distance)[:, None]
    smooth[:, 2] = points[:, 2]
    assert float((normals * smooth / smooth.norm(dim=1, keepdim=True)).sum(1).min()) > 0.99
    upper = TORUS.boundary(where=lambda z: z > 0)
    assert upper.measure == pytest.approx(surface.measure / 2, rel=0.01)
    assert bool((Sobol().sample(upper, 100, 0)[:, 2] > 0).all())


def test_tetrahedra_need_no_rejection(cube):
    assert (cube.measure, cube.boundary().measure) == pytest.approx((1.0, 6.0))
    assert cube.envelope == cube.measure
    assert cube.face(x=1.0).measure == pytest.approx(1.0)
    assert cube.boundary("z").measure == pytest.approx(2.0)
    points = Sobol().sample(cube, 2**13, 0)
    np.testing.assert_allclose(points.mean(0), 0.5, atol=2e-3)
    np.testing.assert_allclose(points.var(0), 1 / 12, rtol=2e-3)
    for k, path in enumerate(PATHS):  # a sixth of the points lies in each, by the order of coordinates
        order = points.argsort(1, descending=True)
        axes = torch.tensor([int(math.log2(b - a)) for a, b in itertools.pairwise(path)])
        assert int((order == axes).all(1).sum()) == pytest.approx(2**13 / 6, abs=3), k


def test_meshes_in_the_plane_are_exact_domains(tmp_path):
    """A square with a square hole, as eight triangles."""
    outer, inner = [[0, 0], [3, 0], [3, 3], [0, 3]], [[1, 1], [2, 1], [2, 2], [1, 2]]
    triangles = [t for k in range(4) for t in ([k, (k + 1) % 4, k + 4], [(k + 1) % 4, (k + 1) % 4 + 4, k + 4])]
    points = np.column_stack([np.array(outer + inner, dtype=float), np.zeros(8)])
    meshio.Mesh(points, [("triangle", np.array(triangles))]).write(tmp_path / "ring.msh", file_format="gmsh")
    ring = Mesh.read(tmp_path / "ring.msh", ("x", "t"))
    assert isinstance(ring, Planar)
    assert (ring.coordinates, ring.measure, ring.boundary().measure) == (
        ("x", "t"),
        pytest.approx(8),
        pytest.approx(16),
    )
    assert ring.inside(torch.tensor([[0.5, 0.5], [1.5, 1.5]]).double()).tolist() == [True, False]


def test_meshes_combine_exactly():
    a, b = Box(XYZ, -2, 2), Box(XYZ, 0, 3)
    assert (a - TORUS).measure == pytest.approx(64 - TORUS.measure, rel=1e-12)
    assert isinstance(a - TORUS, Mesh)
    assert (a - TORUS).boundary(on=TORUS).measure == pytest.approx(TORUS.boundary().measure, rel=0.02)
    quarter = TORUS & b.translate(z=-1)
    assert quarter.measure == pytest.approx(TORUS.measure / 4, rel=1e-6)
    assert (TORUS | quarter).measure == pytest.approx(TORUS.measure, rel=1e-9)
    assert isinstance(TORUS - Ball(XYZ, (1, 0, 0), 0.2), Combined)
    with pytest.raises(ConfigurationError, match="is empty"):
        TORUS & b.translate(x=5)


def test_meshes_are_moved(cube):
    moved = TORUS.scale([1, 2, 3]).rotate(0.3, axis=[0, 0, 1]).translate(x=1)
    assert moved.measure == pytest.approx(6 * TORUS.measure)
    stretched = cube.scale([2, 1, 1]).translate(z=1)
    assert (stretched.low, stretched.high, stretched.measure) == ((0, 0, 1), (2, 1, 2), pytest.approx(2))
    assert stretched.envelope == stretched.measure


def test_sampling_a_hundred_thousand_triangles_takes_seconds(tmp_path):
    vertices, triangles = torus(250, 200)
    meshio.Mesh(vertices, [("triangle", triangles)]).write(tmp_path / "large.stl", binary=True)
    begin = time.perf_counter()
    body = Mesh.read(tmp_path / "large.stl")
    points = Sobol().sample(body, 100_000, 0)
    assert len(points) == 100_000
    assert time.perf_counter() - begin < 15  # 1.7 s on a free core


BAD = [
    (lambda: Mesh(("x", "y"), *torus(5, 5)), "coordinates: a mesh in space has three"),
    (lambda: Mesh(XYZ, [[0, 0], [1, 0], [0, 1]], [[0, 1, 2]]), "vertices: expected (n, 3)"),
    (lambda: Mesh(XYZ, CORNERS, [[0, 1, 2]]), "surface is not closed, 3 edges"),
    (lambda: Mesh(XYZ, CORNERS, [[0, 1, 9]]), "triangles: name vertices from 0 to 7"),
    (lambda: Mesh(XYZ, CORNERS, [[0.0, 1.0, 2.0]]), "triangles: expected (m, 3) whole numbers"),
    (lambda: Mesh(XYZ, *torus(5, 5), tetrahedra=[[0, 1, 2]]), "tetrahedra: expected (m, 4)"),
    (lambda: Mesh.read("nowhere.stl"), "path: nowhere.stl cannot be read by meshio"),
    (lambda: TORUS.face(z=0.1), "no triangle of Mesh"),
    (lambda: TORUS.boundary("z"), "no triangle of Mesh"),
]


@pytest.mark.parametrize(("build", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_input_is_refused_in_one_line(build, words):
    with pytest.raises(ConfigurationError) as caught:
        build()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("package", "call"), [("meshio", lambda: Mesh.read("part.stl")), ("manifold3d", lambda: TORUS - TORUS.scale(0.5))]
)
def test_a_missing_package_is_told_with_what_to_do(monkeypatch, package, call):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr("pinnlab.numerics.extras.import_module", missing)
    with pytest.raises(
        ConfigurationError, match=rf"{package}; install it: pip install 'pinnlab-lightning\[geometry\]'"
    ):
        call()


def test_a_surface_is_shown_in_words():
    assert repr(Mesh(XYZ, CORNERS, box_triangles())) == "Mesh(x, y, z; 12 triangles, volume 1)"
    assert isinstance(TORUS.boundary(), Surface)
    assert repr(TORUS.boundary()).startswith("Surface(x, y, z; 4800 triangles, area 15.")
