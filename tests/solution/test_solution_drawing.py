"""Figures and movies of a solution, without a screen."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from known_solutions import OnDisk, bowl, waves
from PIL import Image

from pinnlab import PINN
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP
from pinnlab.problems import Poisson
from pinnlab.solution import drawing


def test_a_figure_is_one_that_notebooks_show():
    figure = waves(1.01).plot(points=300)
    assert figure.get_suptitle() == "u: relative L2 error 1.00e-02"
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert waves().plot("v", 300).get_suptitle().startswith("v: ")
    assert bowl(OnDisk()).plot(points=300).get_suptitle() == "u"  # there is no reference
    with pytest.raises(ConfigurationError, match="unknown quantity of TwoWaves 'w'"):
        waves().plot("w")


def frames(path):
    with Image.open(path) as movie:
        found = []
        for k in range(movie.n_frames):
            movie.seek(k)
            found.append((movie.info["duration"], np.asarray(movie.convert("L"), dtype=float)))
    return found


def test_a_movie_of_lines_moves_and_takes_its_time(tmp_path):
    path = waves().movie(tmp_path / "u.gif", frames=5, seconds=1.0, dpi=50)
    assert path == tmp_path / "u.gif"
    pictures = frames(path)
    assert [duration for duration, _ in pictures] == [200] * 5
    assert all(picture.shape == (200, 320) for _, picture in pictures)
    assert all(np.abs(a - b).mean() > 0.1 for (_, a), (_, b) in itertools.pairwise(pictures))
    assert len(frames(waves().movie(tmp_path / "x.gif", over="x", unknown="v", frames=3, dpi=40))) == 3


@pytest.mark.parametrize(("count", "seconds"), [(12, 1.0), (33, 1.0), (7, 0.5)])
def test_all_frames_of_a_gif_take_the_seconds_that_were_asked_for(tmp_path, count, seconds):
    pictures = frames(waves().movie(tmp_path / "u.gif", frames=count, seconds=seconds, dpi=20))
    assert sum(duration for duration, _ in pictures) == pytest.approx(1000 * seconds)
    assert min(duration for duration, _ in pictures) >= 20


def test_a_gif_has_no_more_frames_than_it_can_show(tmp_path):
    with pytest.raises(ConfigurationError, match="at most 50 frames a second, not 120; ask for fewer frames"):
        waves().movie(tmp_path / "u.gif", frames=60, seconds=0.5)


def test_a_movie_of_maps(tmp_path):
    pictures = frames(bowl(OnDisk(timed=True)).movie(tmp_path / "u.gif", frames=3, dpi=40))
    assert len(pictures) == 3
    assert np.abs(pictures[0][1] - pictures[2][1]).mean() > 1


def test_the_curves_are_those_of_the_solution():
    samples = drawing.on_grid(waves(), {"x": 11, "t": 3})
    figure, draw = drawing._lines(samples, ["x"], "t", "u")
    draw(2)
    reference, prediction = figure.axes[0].lines
    np.testing.assert_allclose(prediction.get_ydata(), np.sin(np.linspace(0, 3, 11)) * np.exp(-2), rtol=1e-14)
    np.testing.assert_allclose(reference.get_ydata(), prediction.get_ydata(), rtol=1e-14)


def test_the_map_is_that_of_the_solution():
    samples = drawing.on_grid(bowl(OnDisk(timed=True)), {"x": 11, "y": 9, "t": 3})
    figure, draw = drawing._map(samples, ["x", "y"], "t", "u")
    draw(1)
    (mesh,) = figure.axes[0].collections
    np.testing.assert_array_equal(np.asarray(mesh.get_array()), samples.values["u"][:, :, 1].T)
    assert mesh.get_clim() == (np.nanmin(samples.values["u"]), np.nanmax(samples.values["u"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "u.avi"}, "u.avi must end with .gif or .mp4"),
        ({"over": "y"}, "unknown coordinate of the movie 'y'"),
        ({"unknown": "w"}, "unknown quantity of TwoWaves 'w'"),
        ({"frames": 1}, "grid.t: must be at least 2, got 1"),
        ({"seconds": 0}, "movie.seconds: must be positive, got 0"),
    ],
)
def test_movies_that_cannot_be(tmp_path, options, message):
    path = tmp_path / options.pop("path", "u.gif")
    with pytest.raises(ConfigurationError, match=message):
        waves().movie(path, **{"frames": 2, **options})
    assert not list(tmp_path.iterdir())


def test_a_movie_needs_one_or_two_other_coordinates(tmp_path):
    found = PINN(Poisson(dim=4), lambda i, o: MLP(i, o, hidden=[3])).solution()
    with pytest.raises(ConfigurationError, match="needs one or two coordinates beside x1, not 3"):
        found.movie(tmp_path / "u.gif", over="x1")


def test_mp4_asks_for_ffmpeg_where_it_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "ffmpeg", lambda: None)
    with pytest.raises(ConfigurationError, match=r"\.mp4 needs the program ffmpeg; pip install .* brings it"):
        waves().movie(tmp_path / "u.mp4", frames=2)


def test_ffmpeg_is_that_of_the_machine_or_of_the_package(monkeypatch):
    monkeypatch.setattr(drawing.shutil, "which", lambda name: f"/somewhere/{name}")
    assert drawing.ffmpeg() == "/somewhere/ffmpeg"
    monkeypatch.setattr(drawing.shutil, "which", lambda name: None)
    assert Path(drawing.ffmpeg()).is_file()
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert drawing.ffmpeg() is None


def test_mp4(tmp_path):
    path = waves().movie(tmp_path / "u.mp4", frames=4, dpi=50)
    assert path.read_bytes()[4:8] == b"ftyp"
