"""What all packages are given alike: problems, network, numbers of points, the exact solution, and the clock.

Needs numpy and scipy only, for it is imported in the environment of every package. The initial and boundary values of
all three problems hold by construction, by the same formula for everybody, so that there are no weights to choose.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import roots_hermite

VISCOSITY = 0.01 / math.pi
"""Of Burgers' equation."""

DIFFUSIVITY = 0.25
"""Of the heat equation."""

ADAM_STEPS, ADAM_RATE = 1000, 5e-3
"""Of Adam wherever it comes before another method."""

Array = Any
"""A number or an array of numpy, torch or JAX: they are calculated with alike."""


@dataclass(frozen=True)
class Setting:
    """One problem as everybody gets it.

    Attributes:
        title: the problem in words.
        coordinates: their names; of equations in time the second one is t.
        low: the lower corner of the domain.
        high: the upper one.
        hidden: widths of the hidden layers of the network, which is a tanh MLP on coordinates scaled to [-1, 1].
        points: how many points are trained on at a time.
        grid: points of the evaluation grid along each coordinate.
        exact: the solution at two arrays of coordinates.
        ansatz: `(network's value, first coordinate, second, sine function) -> u`, with exact initial and boundary
            values.
    """

    title: str
    coordinates: tuple[str, str]
    low: tuple[float, float]
    high: tuple[float, float]
    hidden: tuple[int, ...]
    points: int
    grid: tuple[int, int]
    exact: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ansatz: Callable[[Array, Array, Array, Callable[[Array], Array]], Array]

    def scaled(self, first: Array, second: Array) -> tuple[Array, Array]:
        """Both coordinates mapped from the domain to [-1, 1], as the network gets them."""
        return tuple(
            2 * (value - low) / (high - low) - 1
            for value, low, high in zip((first, second), self.low, self.high, strict=True)
        )

    def evaluation_points(self) -> np.ndarray:
        """The points of the evaluation grid, `(n, 2)`, borders included."""
        axes = [np.linspace(*ends) for ends in zip(self.low, self.high, self.grid, strict=True)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)


def poisson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Solution of  Delta u = -2 pi^2 sin(pi x) sin(pi y)  on the unit square, zero on its boundary."""
    return np.sin(np.pi * x) * np.sin(np.pi * y)


def heat(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Solution of  u_t = u_xx / 4  on [0, 1] that starts at sin(pi x), zero at both ends."""
    return np.exp(-DIFFUSIVITY * np.pi**2 * t) * np.sin(np.pi * x)


def burgers(x: np.ndarray, t: np.ndarray, nodes: int = 200) -> np.ndarray:
    """Solution of  u_t + u u_x = (0.01 / pi) u_xx  on [-1, 1] that starts at -sin(pi x), zero at both ends.

    By the Cole-Hopf transformation and Gauss-Hermite quadrature (Basdevant et al., Comput. Fluids 14, 1986):
    u = -int sin(pi y) w dz / int w dz with y = x - 2 sqrt(nu t) z and w = exp(-cos(pi y) / (2 pi nu) - z^2).

    Args:
        x: positions.
        t: times, of the same shape.
        nodes: of the quadrature.
    """
    node, weight = roots_hermite(nodes)
    y = x[:, None] - 2 * np.sqrt(VISCOSITY * t)[:, None] * node
    exponent = -np.cos(np.pi * y) / (2 * np.pi * VISCOSITY)
    w = weight * np.exp(exponent - exponent.max(axis=1, keepdims=True))
    return -np.sum(np.sin(np.pi * y) * w, axis=1) / np.sum(w, axis=1)


SETTINGS = {
    "poisson": Setting(
        "Poisson's equation on the unit square",
        ("x", "y"), (0.0, 0.0), (1.0, 1.0), (20, 20), 900, (101, 101), poisson,
        lambda u, x, y, sin: 16 * x * (1 - x) * y * (1 - y) * u,
    ),
    "burgers": Setting(
        "Burgers' equation, viscosity 0.01 / π",
        ("x", "t"), (-1.0, 0.0), (1.0, 1.0), (20, 20, 20), 3000, (201, 101), burgers,
        lambda u, x, t, sin: t * (1 - x * x) * u - sin(math.pi * x),
    ),
    "heat": Setting(
        "Heat equation in 1-D, diffusivity 1/4",
        ("x", "t"), (0.0, 0.0), (1.0, 1.0), (20, 20), 1000, (101, 101), heat,
        lambda u, x, t, sin: sin(math.pi * x) + t * x * (1 - x) * u,
    ),
}  # fmt: skip
"""The problems by name."""


def residual(problem: str, u: dict[str, Array], first: Array, second: Array, sin: Callable[[Array], Array]) -> Array:
    """What is to vanish in the domain.

    Args:
        problem: its name.
        u: the unknown as `u` and its derivatives by their coordinates, as `x` and `xx`: those that the equation has.
        first: values of the first coordinate.
        second: values of the second.
        sin: the sine function of the package.
    """
    if problem == "poisson":
        return u["xx"] + u["yy"] + 2 * math.pi**2 * sin(math.pi * first) * sin(math.pi * second)
    if problem == "burgers":
        return u["t"] + u["u"] * u["x"] - VISCOSITY * u["xx"]
    return u["t"] - DIFFUSIVITY * u["xx"]


def relative_l2(predicted: np.ndarray, exact: np.ndarray) -> float:
    """The norm of the error over the norm of the solution."""
    return float(np.linalg.norm(np.ravel(predicted) - exact) / np.linalg.norm(exact))


class Record:
    """Prints the error along a run, one JSON line per measurement, and says when the time is up.

    Two clocks run. `seconds` counts from the start of the process: imports, set-up and compilation count. `training`
    counts from the end of the first training step, so that none of these do. Measuring takes some milliseconds twice
    a second and counts on both.

    Args:
        about: of what and how: peer, problem, seed; put into every line.
        seconds: on the training clock, after which the run is over.
        started: the time of day at which the process was started.
        every: seconds between measurements.

    Attributes:
        setting: the problem.
        points: of the evaluation grid, `(n, 2)`.
        over: whether the time is up.
    """

    def __init__(self, about: dict[str, Any], seconds: float, started: float, every: float = 0.5) -> None:
        self.setting = SETTINGS[about["problem"]]
        self.points = self.setting.evaluation_points()
        self._exact = self.setting.exact(self.points[:, 0], self.points[:, 1])
        self._about, self._budget, self._every = about, seconds, every
        self._started, self._first, self._next, self.over = started, None, 0.0, False

    def look(
        self, predict: Callable[[np.ndarray], np.ndarray], evaluations: int | None = None, last: bool = False
    ) -> bool:
        """Called after every training step; measures when it is time to.

        Args:
            predict: the solution at points `(n, 2)` with the present weights.
            evaluations: of the loss, with or without derivatives, so far; None where the package does not say.
            last: whether nothing follows, so that it is measured in any case.

        Returns:
            Whether the time is up.
        """
        if self.over:
            return True
        now = time.time()
        self._first = self._first or now
        training = now - self._first
        self.over = last or training >= self._budget
        if self.over or training >= self._next:
            error = relative_l2(np.asarray(predict(self.points)), self._exact)
            line = {"seconds": now - self._started, "training": training, "evaluations": evaluations, "error": error}
            print("\n" + json.dumps(self._about | line), flush=True)
            self._next = training + self._every
        return self.over


def arguments() -> argparse.Namespace:
    """What the driver tells the script of a package."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--problem", choices=list(SETTINGS), required=True)
    parser.add_argument("--method", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--started", type=float, default=time.time())
    return parser.parse_args()


def record(given: argparse.Namespace, peer: str, version: str) -> Record:
    """The record of a run with these arguments."""
    about = {"peer": peer, "version": version, "problem": given.problem, "seed": given.seed}
    return Record(about, given.seconds, given.started)
