"""Files for ParaView, read back by meshio: cells in the domain, values at nodes, series over time."""

import math
from xml.etree import ElementTree

import meshio
import numpy as np
import pytest
from known_solutions import InBox, OnDisk, bowl, waves

from pinnlab import PINN
from pinnlab.domains import Polygon
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP
from pinnlab.problems import Poisson, Problem, Residual
from pinnlab.solution import vtk


def area(mesh):
    """The area of a mesh of quadrilaterals or triangles in the plane, by the shoelace formula."""
    corners = mesh.points[mesh.cells[0].data]
    x, y = corners[..., 0], corners[..., 1]
    return 0.5 * (x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum()


def test_a_box_becomes_cells_that_fill_it(tmp_path):
    path = bowl(InBox()).to_vtk(tmp_path / "u.vtu", x=9, y=4)
    assert path == tmp_path / "u.vtu"
    mesh = meshio.read(path)
    assert [(block.type, block.data.shape) for block in mesh.cells] == [("quad", (24, 4))]
    assert area(mesh) == pytest.approx(2.0, rel=1e-12)
    x, y, _ = mesh.points.T
    np.testing.assert_allclose(mesh.point_data["u"], x**2 + 3 * y**2, rtol=1e-14)
    np.testing.assert_array_equal(np.isnan(mesh.point_data["reference_u"]), x >= 1)


def test_of_another_domain_only_cells_inside_are_there(tmp_path):
    mesh = meshio.read(bowl(OnDisk()).to_vtk(tmp_path / "u.vtu", x=81, y=81))
    assert (mesh.points[:, 0] ** 2 + mesh.points[:, 1] ** 2).max() <= 1 + 1e-9
    assert 0.93 * math.pi < area(mesh) < math.pi
    assert sorted(np.unique(mesh.cells[0].data)) == list(range(len(mesh.points)))
    assert not np.isnan(mesh.point_data["u"]).any()
    with pytest.raises(ConfigurationError, match="no cell of the grid lies in the domain; use a finer grid"):
        bowl(OnDisk()).to_vtk(tmp_path / "w.vtu", x=2, y=2)


def test_time_becomes_a_series(tmp_path):
    path = waves().to_vtk(tmp_path / "u.vtu", x=5, t=[0.0, 0.1, 2.0])
    assert path == tmp_path / "u.pvd"
    entries = ElementTree.parse(path).getroot().findall("./Collection/DataSet")
    assert [float(entry.get("timestep")) for entry in entries] == [0.0, 0.1, 2.0]
    for entry in entries:
        mesh = meshio.read(tmp_path / entry.get("file"))
        assert [(block.type, len(block.data)) for block in mesh.cells] == [("line", 4)]
        exact = np.cos(mesh.points[:, 0]) * math.exp(-float(entry.get("timestep")))
        np.testing.assert_allclose(mesh.point_data["v"], exact, rtol=1e-13)
    assert len(list(tmp_path.iterdir())) == 4
    assert len(list(waves().to_vtk(tmp_path / "many" / "u.vtu", x=3).parent.glob("*.vtu"))) == vtk.TIMES


def test_a_disk_over_time_is_cut_out_of_its_square(tmp_path):
    path = bowl(OnDisk(timed=True)).to_vtk(tmp_path / "u.vtu", x=21, y=21, t=[0.5])
    assert path.suffix == ".pvd"
    mesh = meshio.read(tmp_path / "u_0000.vtu")
    x, y, _ = mesh.points.T
    assert (x**2 + y**2).max() <= 1 + 1e-9
    np.testing.assert_allclose(mesh.point_data["u"], x**2 + 3 * y**2 + 0.5, rtol=1e-14)


def test_a_domain_that_stays_has_one_set_of_cells(tmp_path, monkeypatch):
    sets = []
    monkeypatch.setattr(
        np, "unique", lambda *args, unique=np.unique, **options: sets.append(1) or unique(*args, **options)
    )
    bowl(OnDisk(timed=True)).to_vtk(tmp_path / "u.vtu", x=11, y=11, t=[0.1, 0.5, 0.9])
    assert (len(sets), len(list(tmp_path.glob("*.vtu")))) == (1, 3)


class Emptying(Problem):
    """An unknown on the triangle below the line from (0, 1) to (1, 0) in x and t, or above it."""

    def __init__(self, above=False):
        corners = [[1, 0], [1, 1], [0, 1]] if above else [[0, 0], [1, 0], [0, 1]]
        domain = Polygon(["x", "t"], corners)
        super().__init__(domain, ["u"], {"pde": Residual(domain, lambda u: u.x)})


def test_a_domain_that_changes_in_time_has_the_cells_of_each_time(tmp_path):
    solution = PINN(Emptying(), MLP(2, 1, hidden=[3])).solution()
    path = solution.to_vtk(tmp_path / "u.vtu", x=11, t=[0.0, 0.5, 1.0])
    entries = ElementTree.parse(path).getroot().findall("./Collection/DataSet")
    assert [float(entry.get("timestep")) for entry in entries] == [0.0, 0.5]  # at 1 there is a point
    for entry in entries:
        mesh = meshio.read(tmp_path / entry.get("file"))
        assert mesh.points[:, 0].max() == pytest.approx(1 - float(entry.get("timestep")))
    later = PINN(Emptying(above=True), MLP(2, 1, hidden=[3])).solution()
    path = later.to_vtk(tmp_path / "v.vtu", x=11, t=[0.0, 1.0])
    (entry,) = ElementTree.parse(path).getroot().findall("./Collection/DataSet")
    assert float(entry.get("timestep")) == 1.0


@pytest.mark.parametrize(("dim", "cell", "corners"), [(1, "line", 2), (3, "hexahedron", 8)])
def test_other_dimensions(tmp_path, dim, cell, corners):
    found = PINN(Poisson(dim=dim), lambda i, o: MLP(i, o, hidden=[3])).solution()
    names = found.problem.coordinates
    mesh = meshio.read(found.to_vtk(tmp_path / "u.vtu", **dict.fromkeys(names, 3)))
    assert [(block.type, block.data.shape) for block in mesh.cells] == [(cell, (2**dim, corners))]
    np.testing.assert_allclose(mesh.point_data["u"], found.u(mesh.points[:, :dim]), rtol=1e-14)
    first = mesh.points[mesh.cells[0].data[0]]
    assert np.ptp(first, axis=0)[:dim].tolist() == [0.5] * dim
    if dim == 3:  # the lower face in a circle, then the upper one
        assert np.linalg.norm(np.diff(first[:4], axis=0), axis=1).tolist() == [0.5] * 3
        assert np.linalg.norm(first[4:] - first[:4], axis=1).tolist() == [0.5] * 4
        flat = meshio.read(found.to_vtk(tmp_path / "s.vtu", **dict(zip(names, (3, [0.5], 3), strict=True))))
        assert [(block.type, len(block.data)) for block in flat.cells] == [("quad", 4)]


def test_values_on_a_mesh(tmp_path):
    points = np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5]])
    mesh = meshio.Mesh(points, [("triangle", np.array([[0, 1, 2]]))])
    found = bowl(OnDisk())
    read = meshio.read(found.to_vtk(tmp_path / "u.vtu", mesh=mesh))
    np.testing.assert_allclose(read.point_data["u"], [0.0, 0.25, 0.75])
    np.testing.assert_array_equal(read.cells[0].data, [[0, 1, 2]])
    again = meshio.read(found.to_vtk(tmp_path / "again.vtu", mesh=tmp_path / "u.vtu"))
    np.testing.assert_array_equal(again.point_data["u"], read.point_data["u"])
    over_time = bowl(OnDisk(timed=True)).to_vtk(tmp_path / "t.vtu", mesh=mesh, t=[0.0, 1.0])
    assert over_time.suffix == ".pvd"
    np.testing.assert_allclose(meshio.read(tmp_path / "t_0001.vtu").point_data["u"], [1.0, 1.25, 1.75])


def test_points_become_vertices(tmp_path):
    found = waves()
    samples = found.samples([[1.0, 0.5], [2.0, 0.0]])
    mesh = meshio.read(vtk.write_points(samples, found.problem.domain, tmp_path / "p.vtu"))
    assert mesh.points[:, 0].tolist() == [1.0, 2.0]
    assert mesh.point_data["t"].tolist() == [0.5, 0.0]
    np.testing.assert_array_equal(mesh.point_data["u"], samples.values["u"])


LINE = meshio.Mesh(np.zeros((2, 1)), [("line", np.array([[0, 1]]))])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, f: s.to_vtk(f / "u.vtu", mesh=LINE), "mesh: has 1 coordinates, the problem needs x, y"),
        (lambda s, f: s.to_vtk(f / "u.vtu", mesh=LINE, x=3), "to_vtk: x is given by the mesh; leave it out"),
        (lambda s, f: s.to_vtk(f / "u.vtu", mesh=3), "mesh: must be a meshio.Mesh or a file, got int"),
        (lambda s, f: s.to_vtk(f / "u.vtu", mesh=f / "no.msh"), "mesh: .*no.msh cannot be read by meshio"),
        (lambda s, f: s.to_vtk(f / "u.vtu", z=3), "unknown coordinate of the grid 'z'"),
        (lambda s, f: s.to_vtk(f / "u.vtx"), "u.vtx must end with .vtu"),
    ],
)
def test_what_does_not_fit(tmp_path, call, message):
    with pytest.raises(ConfigurationError, match=message):
        call(bowl(OnDisk()), tmp_path)
    assert not list(tmp_path.iterdir())


def test_more_than_three_dimensions(tmp_path):
    found = PINN(Poisson(dim=4), lambda i, o: MLP(i, o, hidden=[3])).solution()
    with pytest.raises(ConfigurationError, match="one to three coordinates of space, not 4"):
        found.to_vtk(tmp_path / "u.vtu")
    with pytest.raises(ConfigurationError, match="one to three coordinates of space, not 4"):
        vtk.write_points(found.samples(np.zeros((1, 4))), found.problem.domain, tmp_path / "u.vtu")
