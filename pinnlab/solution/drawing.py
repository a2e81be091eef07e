"""A solution as a figure, and as a movie over one of its coordinates. Nothing here needs a screen."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pinnlab.errors import ConfigurationError, check_positive, unknown
from pinnlab.problems.base import known_solution
from pinnlab.problems.unknowns import shown
from pinnlab.reporting.files import whole
from pinnlab.solution.sampling import AnySolution, Array, Samples, on_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOVIES = (".gif", ".mp4")
GIF_RATE = 50
"""Frames a second that a GIF shows at most: programs that show one slow down those that last less than 20 ms."""


def figure_of(solution: AnySolution, name: str | None, count: int) -> Figure:
    """The solution beside its reference, see `reporting.figures.solution.solution_figure`.

    Args:
        solution: what to draw.
        name: the unknown; default: the first.
        count: about how many points.
    """
    from pinnlab.reporting.figures.solution import solution_figure

    problem = solution.problem
    chosen = chosen_unknown(solution, name)
    points, reference = known_solution(problem, problem.evaluation_points(count))
    drawn = shown(problem, chosen, points, solution(points), reference)
    return solution_figure(
        drawn.points, drawn.values, drawn.reference, drawn.coordinates, chosen, function=drawn.function
    )


def chosen_unknown(solution: AnySolution, name: str | None) -> str:
    """The unknown of a name, or the first.

    Raises:
        ConfigurationError: there is none of that name.
    """
    known = solution.problem.unknowns
    if name is not None and name not in known:
        raise unknown(f"quantity of {solution.problem.name}", name, known)
    return name or known[0]


def write_movie(
    solution: AnySolution, path: Path, over: str, name: str | None, frames: int, seconds: float, dpi: int
) -> Path:
    """Writes a movie: lines over one other coordinate, beside the reference, or a map of two others.

    Args:
        solution: what to draw.
        path: ends with `.gif`, or with `.mp4`, which needs the program ffmpeg: that of the machine, or the one that
            the extra `solution` brings (package imageio-ffmpeg).
        over: the coordinate that passes.
        name: the unknown; default: the first.
        frames: how many pictures.
        seconds: how long it takes.
        dpi: dots per inch; a picture is 6.4 x 4 inches.

    Raises:
        ConfigurationError: the file has another ending, ffmpeg is not there, or there are not one or two coordinates
            beside the one that passes.
    """
    from matplotlib import rc_context

    others = [c for c in solution.problem.coordinates if c != over]
    if over not in solution.problem.coordinates:
        raise unknown("coordinate of the movie", over, solution.problem.coordinates)
    if not 1 <= len(others) <= 2:
        raise ConfigurationError(f"movie: needs one or two coordinates beside {over}, not {len(others)}")
    check_positive("movie", seconds=seconds)
    chosen = chosen_unknown(solution, name)
    samples = on_grid(solution, {over: frames, **dict.fromkeys(others, 401 if len(others) == 1 else 121)})
    writer = _writer(path, frames / seconds)
    figure, draw = _lines(samples, others, over, chosen) if len(others) == 1 else _map(samples, others, over, chosen)

    def write(part: Path) -> None:
        with rc_context({"animation.ffmpeg_path": ffmpeg() or "ffmpeg"}), writer.saving(figure, str(part), dpi):
            for k, value in enumerate(samples.axes[over]):
                figure.suptitle(f"{over} = {value:.3g}")
                draw(k)
                writer.grab_frame()

    return whole(path, write)


def ffmpeg() -> str | None:
    """The program that writes `.mp4`: the machine's, or that of the package imageio-ffmpeg; None without either."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return shutil.which("ffmpeg") or str(get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # the package has none for this machine
        return shutil.which("ffmpeg")


def _writer(path: Path, rate: float) -> Any:
    from matplotlib import animation

    if path.suffix not in MOVIES:
        raise ConfigurationError(f"movie: {path.name} must end with {' or '.join(MOVIES)}")
    if path.suffix == ".gif":
        if rate > GIF_RATE:
            raise ConfigurationError(
                f"movie: a .gif shows at most {GIF_RATE} frames a second, not {rate:g}; ask for fewer frames or more "
                "seconds, or write an .mp4"
            )
        return _gif_writer(rate)
    if ffmpeg() is None:
        raise ConfigurationError(
            'movie: .mp4 needs the program ffmpeg; pip install "pinnlab-lightning[solution]" brings it, or write a .gif'
        )
    return animation.FFMpegWriter(fps=rate)  # type: ignore[arg-type]


def _gif_writer(rate: float) -> Any:
    """One whose frames take their time in all: a GIF counts in hundredths of a second, Matplotlib rounds each down."""
    from matplotlib import animation

    class Writer(animation.PillowWriter):
        _frames: list[Any]

        def finish(self) -> None:
            ends = [round(100 * (k + 1) / rate) for k in range(len(self._frames))]
            lasts = [10 * (end - start) for start, end in zip([0, *ends], ends, strict=False)]
            first, *others = self._frames
            first.save(self.outfile, save_all=True, append_images=others, duration=lasts, loop=0)

    return Writer(fps=rate)  # type: ignore[arg-type]


def _lines(samples: Samples, others: list[str], over: str, name: str) -> tuple[Figure, Callable[[int], None]]:
    from pinnlab.reporting.figures.solution import PREDICTION, REFERENCE
    from pinnlab.reporting.figures.style import new_figure

    styles = {f"reference_{name}": ("reference", REFERENCE), name: ("prediction", PREDICTION)}
    curves = {key: _over(samples, key, over) for key in styles if key in samples.values}
    figure, x = new_figure(6.4, 4.0), samples.axes[others[0]]
    axes = figure.subplots()
    lines = {key: axes.plot(x, curves[key][0], label=styles[key][0], **styles[key][1])[0] for key in curves}
    axes.set(xlabel=others[0], ylabel=name, ylim=_limits(np.stack(list(curves.values())), margin=0.05))
    axes.legend(frameon=False, loc="upper right")

    def draw(k: int) -> None:
        for key, line in lines.items():
            line.set_ydata(curves[key][k])

    return figure, draw


def _map(samples: Samples, others: list[str], over: str, name: str) -> tuple[Figure, Callable[[int], None]]:
    from pinnlab.reporting.figures.style import new_figure

    pictures = _over(samples, name, over)
    low, high = _limits(pictures)
    figure = new_figure(6.4, 4.0)
    axes = figure.subplots()
    x, y = (samples.axes[other] for other in others)
    mesh = axes.pcolormesh(x, y, pictures[0].T, shading="gouraud", vmin=low, vmax=high, cmap="viridis")
    figure.colorbar(mesh, ax=axes, label=name)
    axes.set(xlabel=others[0], ylabel=others[1], aspect="auto" if "t" in others else "equal")

    def draw(k: int) -> None:
        mesh.set_array(pictures[k].T)

    return figure, draw


def _over(samples: Samples, key: str, over: str) -> Array:
    """Values with the coordinate that passes in front."""
    return np.moveaxis(samples.values[key], list(samples.axes).index(over), 0)


def _limits(values: Array, margin: float = 0.0) -> tuple[float, float]:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = margin * (high - low) or (0.5 if low == high else 0.0)
    return low - room, high + room
