"""`pinnlab predict`: on the evaluation points, a grid or points of a file, in four formats; or as a function."""

import meshio
import numpy as np
import pytest
import torch
import xarray

import pinnlab
from pinnlab.cli.commands import run

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A short run that all tests look at; they write into their own folders."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def command(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["pinnlab"])

    def execute(*arguments):
        code = run(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    made = folder / "runs" / "heat1d" / "version_0"
    if not made.exists():
        short = ["--trainer.max_steps=3", "--model.compile=false", "--data.evaluation_points=300"]
        assert execute("fit", "-c", "heat1d", "--model.network.hidden=[6, 5]", *short)[0] == 0
    return execute


RUN = "runs/heat1d/version_0"


def predicted(command, folder, *options):
    """The file that a prediction says it wrote, and the solution by itself."""
    code, out, err = command("predict", RUN, *options)
    assert code == 0, err
    (line,) = (line for line in out.splitlines() if line.startswith("wrote "))
    return folder / line.removeprefix("wrote "), pinnlab.load(RUN)


@pytest.mark.usefixtures("rendered")
def test_a_grid_has_axes_and_shapes(command, folder):
    path, solution = predicted(command, folder, "--grid", "7,5")
    with np.load(path) as read:
        assert {name: read[name].shape for name in read} == {"x": (7,), "t": (5,), "u": (7, 5), "reference_u": (7, 5)}
        np.testing.assert_allclose(read["u"], solution.u(x=read["x"][:, None], t=read["t"]), rtol=1e-14, atol=1e-15)
        assert (read["x"][0], read["x"][-1]) == (solution.problem.domain.low[0], solution.problem.domain.high[0])
    assert path.with_name(f"{path.stem}_u.png").stat().st_size > 5000


def test_without_a_grid_npz_and_csv_hold_the_evaluation_points(command, folder):
    path, solution = predicted(command, folder)
    points = solution.problem.evaluation_points(300).numpy()
    with np.load(path) as read:
        np.testing.assert_array_equal(np.stack([read["x"], read["t"]], -1), points)
        np.testing.assert_allclose(read["u"], solution(points)[:, 0], rtol=1e-14, atol=1e-15)
    path, _ = predicted(command, folder, "--format=csv")
    table = np.genfromtxt(path, delimiter=",", names=True)
    assert table.dtype.names == ("x", "t", "u", "reference_u")
    np.testing.assert_array_equal(table["x"], points[:, 0])


def test_points_of_a_file(command, folder):
    (folder / "p.csv").write_text("t,x\n0.0,0.5\n0.1,0.25\n")
    for format in ("csv", "npz", "netcdf", "vtk"):
        path, solution = predicted(command, folder, "--points", "p.csv", "--format", format)
        expected = solution.u(x=[0.5, 0.25], t=[0.0, 0.1])
        if format == "csv":
            found = np.genfromtxt(path, delimiter=",", names=True)["u"]
        elif format == "npz":
            found = np.load(path)["u"]
        elif format == "netcdf":
            found = xarray.open_dataset(path, engine="h5netcdf").u.values
        else:
            found = meshio.read(path).point_data["u"]
        np.testing.assert_allclose(found, expected, rtol=1e-14, err_msg=format)


def test_the_solution_as_a_function(command, folder):
    path, solution = predicted(command, folder, "--format=pt2")
    points = solution.problem.evaluation_points(5)
    assert torch.allclose(torch.export.load(path).module()(points), solution(points), rtol=1e-14, atol=1e-15)


def test_netcdf_says_whose_solution_it_is(command, folder):
    path, solution = predicted(command, folder, "--grid=4,3", "--format=netcdf")
    with xarray.open_dataset(path, engine="h5netcdf") as read:
        xarray.testing.assert_allclose(read.load(), solution.grid(x=4, t=3), rtol=1e-13)
        assert read.attrs["problem"] == "Heat1D"
        assert read.attrs["relative_l2_u"] == pytest.approx(solution.errors()["u"], rel=1e-12)


def test_vtk_is_a_series_over_time_and_overwrites_nothing(command, folder):
    first, solution = predicted(command, folder, "--grid=6,3", "--format=vtk")
    second, _ = predicted(command, folder, "--grid=5,2", "--format=vtk")
    assert first != second
    assert first.suffix == second.suffix == ".pvd"
    frames = sorted(first.parent.glob(f"{first.stem}_0*.vtu"))
    assert len(frames) == 3
    mesh = meshio.read(frames[-1])
    t = solution.problem.domain.high[1]
    np.testing.assert_allclose(mesh.point_data["u"], solution.u(x=mesh.points[:, 0], t=t), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--grid=7"], "grid: must be a number (at least 2) for each of x, t, as 200,100; got 7"),
        (["--grid=7,one"], "grid: must be a number"),
        (["--grid=7,1"], "grid: must be a number (at least 2)"),
        (["--grid=7,5", "--points=p.csv"], "points: there is a grid already"),
        (["--points=none.csv"], "none.csv cannot be read (No such file or directory)"),
        (["--format=pdf"], "unknown format 'pdf'; known: csv, netcdf, npz, onnx, pt2, vtk"),
        (["--grid=7,5", "--format=onnx"], "grid: onnx holds the solution as a function; leave out --grid"),
        (["--gird=7,5"], "--gird: there is no such option (did you mean 'grid'?)"),
    ],
)
def test_what_does_not_fit_is_one_line(command, folder, options, message):
    before = {path for path in folder.rglob("*") if not path.name.startswith(("events", "hparams"))}
    code, _, err = command("predict", RUN, *options)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert {path for path in folder.rglob("*") if not path.name.startswith(("events", "hparams"))} == before
