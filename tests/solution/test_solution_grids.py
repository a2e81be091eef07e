"""Grids of a solution, and the files that hold them, read back."""

import builtins
import math

import numpy as np
import pytest
import torch
import xarray
from known_solutions import InBox, OnDisk, bowl, waves

from pinnlab import PINN
from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP
from pinnlab.problems import Poisson, Problem, Residual
from pinnlab.solution import files, sampling


def test_a_grid_holds_unknowns_references_and_attributes():
    found = waves(1.01)
    grid = found.grid(x=7, t=5)
    assert grid.sizes == {"x": 7, "t": 5}
    np.testing.assert_array_equal(grid.x, np.linspace(0, 3, 7))
    np.testing.assert_array_equal(grid.t, np.linspace(0, 2, 5))
    assert set(grid.data_vars) == {"u", "v", "reference_u", "reference_v"}
    exact = np.sin(grid.x) * np.exp(-grid.t)
    np.testing.assert_allclose(grid.reference_u, exact, rtol=1e-14)
    np.testing.assert_allclose(grid.u, 1.01 * exact, rtol=1e-14)
    assert grid.v.dims == ("x", "t")
    assert float(grid.u.sel(x=3.0, t=2.0)) == pytest.approx(1.01 * math.sin(3) * math.exp(-2), rel=1e-14)
    assert grid.attrs["problem"] == "TwoWaves"
    assert grid.attrs["network"] == "Waves, 1 parameters, float64"
    assert grid.attrs["relative_l2_u"] == pytest.approx(0.01, rel=1e-10)
    assert "run" not in grid.attrs


def test_sides_are_numbers_of_values_or_the_values():
    grid = waves().grid(x=[0.5, 2.0], t=np.array([1.0]))
    assert grid.u.shape == (2, 1)
    np.testing.assert_allclose(grid.u[:, 0], np.sin([0.5, 2.0]) * math.exp(-1), rtol=1e-14)
    assert waves().grid(t=3).sizes == {"x": 201, "t": 3}
    assert waves().grid().sizes == {"x": 201, "t": 201}


def test_outside_of_a_domain_that_is_no_box_is_nothing():
    grid = bowl(OnDisk()).grid(x=21, y=21)
    inside = grid.x**2 + grid.y**2 <= 1 + 1e-9
    assert 0 < int(inside.sum()) < 21 * 21
    np.testing.assert_array_equal(np.isnan(grid.u), ~inside)
    np.testing.assert_allclose(grid.u.where(inside), (grid.x**2 + 3 * grid.y**2).where(inside), rtol=1e-14)
    assert set(grid.data_vars) == {"u"}


def test_where_a_reference_is_not_known_is_nothing():
    grid = bowl(InBox()).grid(x=9, y=3)
    assert not np.isnan(grid.u).any()
    np.testing.assert_array_equal(np.isnan(grid.reference_u), np.broadcast_to(grid.x.values[:, None] >= 1, (9, 3)))


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ({"x": 1}, r"grid.x: must be at least 2, got 1; for one value give a list, \[0.0\]"),
        ({"y": 5}, "unknown coordinate of the grid 'y'"),
        ({"x": "many"}, "grid.x: must be a number of values or the values, got 'many'"),
        ({"x": [[1.0]]}, "grid.x: must be a number of values"),
        ({"x": []}, "grid.x: must be a number of values"),
        ({"x": 100_000, "t": 100_000}, "100000 x 100000 are more than 50,000,000 points"),
    ],
)
def test_grids_that_do_not_fit(sides, message):
    with pytest.raises(ConfigurationError, match=message):
        waves().grid(**sides)


def test_grids_of_many_dimensions():
    def solution(dim):
        return PINN(Poisson(dim=dim), lambda i, o: MLP(i, o, hidden=[3])).solution()

    assert sampling.on_grid(solution(10), {}).values["u"].shape == (3,) * 10
    with pytest.raises(ConfigurationError, match=r"3 x 3 x 3 x 3 x 3 x 3 x \.\.\. are more"):
        solution(100).grid()


def test_netcdf_is_read_back(tmp_path):
    found = waves(1.01)
    assert found.to_netcdf(tmp_path / "new" / "u.nc", x=6, t=4) == tmp_path / "new" / "u.nc"
    with xarray.open_dataset(tmp_path / "new" / "u.nc", engine="h5netcdf") as read:
        xarray.testing.assert_identical(read.load(), found.grid(x=6, t=4))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["u.nc"]


def test_npz_has_axes_and_shapes(tmp_path):
    found = waves()
    with np.load(found.to_npz(tmp_path / "u.npz", x=6, t=4)) as read:
        assert {name: read[name].shape for name in read} == {
            "x": (6,), "t": (4,), "u": (6, 4), "v": (6, 4), "reference_u": (6, 4), "reference_v": (6, 4),
        }  # fmt: skip
        np.testing.assert_array_equal(read["u"], found.u(x=read["x"][:, None], t=read["t"]))


def test_csv_has_a_line_for_each_point_to_the_last_digit(tmp_path):
    found = waves()
    path = found.to_csv(tmp_path / "u.csv", x=3, t=[0.1, 0.7])
    table = np.genfromtxt(path, delimiter=",", names=True)
    assert table.dtype.names == ("x", "t", "u", "v", "reference_u", "reference_v")
    np.testing.assert_array_equal(table["x"], np.repeat([0.0, 1.5, 3.0], 2))
    np.testing.assert_array_equal(table["u"], found.u(x=table["x"], t=table["t"]))
    places = torch.tensor([[1 / 3, 0.3]], dtype=torch.float64)
    rows = np.genfromtxt(found.to_csv(tmp_path / "p.csv", places), delimiter=",", names=True)
    assert float(rows["v"]) == float(found.v(places))
    assert float(rows["x"]) == 1 / 3


def test_points_outside_have_values_but_no_reference():
    with pytest.warns(UserWarning, match=r"1 of 2 points lie outside of the domain, the first at x = 9, t = 0; what"):
        samples = waves().samples([[1.0, 1.0], [9.0, 0.0]])
    assert samples.values["u"][1] == pytest.approx(math.sin(9), rel=1e-13)
    assert np.isnan(samples.values["reference_u"]).tolist() == [False, True]
    table = files.dataset(samples, {})
    assert table.sizes == {"point": 2}
    assert float(table.x[1]) == 9.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5,1\n1,2\n", [[0.5, 1], [1, 2]]),
        ("t,name,x\n1,left,0.5\n\n2e0,right,1\n", [[0.5, 1], [1, 2]]),
        ("\ufeffx, t\n0.5, 1\n1, 2", [[0.5, 1], [1, 2]]),
        ('# x,"t"\n0.5,1\n# of the second run\n1,2\n', [[0.5, 1], [1, 2]]),
    ],
)
def test_points_are_read_by_the_names_of_their_columns(tmp_path, text, expected):
    (tmp_path / "p.csv").write_text(text, encoding="utf-8")
    np.testing.assert_array_equal(files.read_points(tmp_path / "p.csv", ("x", "t")), expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read .No such file"),
        (b"\xff\xfe0", "cannot be read .it is no text"),
        (b"", "has no point in it"),
        (b"x,y\n1,2\n", "has no column 't', but x, y"),
        (b"x,t\n1,2\n1,later\n", "line 3 has no number for t, but 'later'"),
        (b"x\tt\n1\t2\n", r"separates its columns by '\\t'"),
        (b"1,2,3\n", "line 1 must have 2 fields, got 3"),
    ],
)
def test_files_that_hold_no_points(tmp_path, content, message):
    path = tmp_path / "p.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        files.read_points(path, ("x", "t"))


@pytest.mark.parametrize(
    ("package", "call", "command"),
    [
        ("xarray", lambda s, folder: s.grid(), r"pip install 'pinnlab-lightning\[solution\]'"),
        ("h5netcdf", lambda s, folder: s.to_netcdf(folder / "u.nc", x=3, t=3), r"pip install 'pinnlab-lightning"),
        ("meshio", lambda s, folder: s.to_vtk(folder / "u.vtu"), r"pip install 'pinnlab-lightning\[solution\]'"),
        ("onnx", lambda s, folder: s.export(folder / "u.onnx"), "pip install onnx onnxscript"),
    ],
)
def test_a_missing_package_is_told_with_what_to_do(monkeypatch, tmp_path, package, call, command):
    real = builtins.__import__
    monkeypatch.setattr(
        "pinnlab.numerics.extras.import_module",
        lambda name: (_ for _ in ()).throw(ImportError(name)) if name == package else real(name),
    )
    with pytest.raises(ConfigurationError, match=f"needs the package {package}; install it: {command}") as caught:
        call(waves(), tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_npz_has_any_names(tmp_path):
    class File(Problem):
        def __init__(self):
            line = Interval("allow_pickle", 0, 1)
            super().__init__(line, ["file"], {"pde": Residual(line, lambda file: file)})

    with np.load(PINN(File(), MLP(1, 1, hidden=[3])).solution().to_npz(tmp_path / "u.npz", allow_pickle=4)) as read:
        assert {name: read[name].shape for name in read.files} == {"allow_pickle": (4,), "file": (4,)}
