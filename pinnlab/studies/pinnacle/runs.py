"""Problems of PINNacle's benchmark (arXiv 2306.08827), each by a shipped recipe, and the errors that it published."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from pinnlab.studies.engine.runner import Config, Row, Study, outcome


class Published(NamedTuple):
    """What the benchmark says of a problem.

    Attributes:
        equation: what is solved, for the page.
        vanilla: the relative L2 error of a plain PINN there.
        best: that of the best of its ten methods.
    """

    equation: str
    vanilla: float
    best: float


PUBLISHED: Mapping[str, Published] = {
    "Burgers1d": Published("u_t + u u_x = (0.01/pi) u_xx", 1.45e-2, 1.43e-2),
    "Poisson2d-C": Published("Laplace's equation in a square with four holes", 0.694, 1.23e-2),
    "Poisson2d-CG": Published("a screened equation in a square with four holes of different sizes", 0.636, 1.43e-2),
    "Poisson3d-CG": Published("a screened equation in a cube without four balls, two materials", 0.560, 0.102),
    "Poisson2d-MS": Published("Poisson's equation in 25 materials", 0.630, 0.590),
    "Heat2d-VC": Published("heat in a random medium, on a field of our own (see below)", 0.235, 0.212),
    "Heat2d-MS": Published("heat that spreads unlike in two directions, ten waves along x", 6.21e-2, 4.40e-2),
    "Heat2d-CG": Published("heat from 17 round holes of two sizes", 3.64e-2, 2.39e-2),
    "Heat2d-LT": Published("heat with a reaction to and fro, to t = 100", 0.999, 0.999),
    "NS2d-C": Published("the lid-driven cavity, parabolic lid, viscosity 0.01", 4.70e-2, 3.60e-2),
    "NS2d-CG": Published("flow over a backward step, viscosity 0.01", 0.119, 8.24e-2),
    "NS2d-LT": Published("flow through a channel whose inlet sucks and blows, to t = 5", 0.996, 0.970),
    "Wave1d-C": Published("u_tt = 4 u_xx, two standing waves", 0.588, 9.79e-2),
    "Wave2d-CG": Published("waves in two random materials, on a field of our own (see below)", 1.09, 0.794),
    "Wave2d-MS": Published("u_tt = u_xx + 2 u_yy to t = 100, posed right (see below)", 1.34, 0.982),
    "GS": Published("Gray and Scott's reaction to t = 200", 0.319, 7.99e-2),
    "KS": Published("Kuramoto and Sivashinsky's equation to t = 1", 1.01, 0.957),
    "PNd": Published("Poisson's equation in five dimensions", 3.04e-3, 4.67e-4),
    "HNd": Published("the heat equation in a ball of five dimensions, flux given", 0.361, 1.19e-4),
    "PInv": Published("a coefficient of Poisson's equation from noisy values", 9.42e-2, 2.45e-2),
    "HInv": Published("a diffusivity of the heat equation from noisy values", 1.57, 1.19e-2),
}
"""The rows of the benchmark that are here, in its order, with its figures."""

PROBLEMS: Mapping[str, tuple[str, Config]] = {
    "Burgers1d": ("burgers", {}),
    "Poisson2d-C": ("pinnacle_poisson_holes", {}),
    "Poisson2d-CG": ("pinnacle_poisson_screened", {}),
    "Poisson3d-CG": ("pinnacle_poisson_cube", {}),
    "Poisson2d-MS": ("poisson_blocks_tiles", {}),
    "Heat2d-VC": ("pinnacle_heat_medium", {}),
    "Heat2d-MS": ("pinnacle_heat_multiscale", {}),
    "Heat2d-CG": ("pinnacle_heat_holes", {}),
    "Heat2d-LT": ("pinnacle_heat_long", {}),
    "NS2d-C": ("cavity", {}),
    "NS2d-CG": ("pinnacle_step", {}),
    "NS2d-LT": ("pulsed_channel", {}),
    "Wave1d-C": ("pinnacle_wave1d", {}),
    "Wave2d-CG": ("pinnacle_wave_medium", {}),
    "Wave2d-MS": ("pinnacle_wave2d", {}),
    "GS": ("pinnacle_gray_scott", {}),
    "KS": ("ks_windows", {}),
    "PNd": ("pinnacle_poisson5d", {}),
    "HNd": ("pinnacle_heat_ball", {}),
    "PInv": ("pinnacle_pinv", {}),
    "HInv": ("pinnacle_hinv", {}),
}

SIZES: Mapping[str, Mapping[str, float]] = {
    "Cavity": {"u": 0.17699, "v": 0.1285, "p": 0.048129},
    "BackwardStep": {"u": 0.58213, "v": 0.036443, "p": 0.046045},
    "PulsedChannel": {"u": 0.81241, "v": 0.091121, "p": 10.0476},
    "GrayScott": {"u": 0.99064, "v": 0.044265},
    "PoissonInverse": {"u": 0.5, "a": 0.4336688508},
    "HeatInverse": {"u": math.sqrt((1 - math.exp(-2)) / 8), "a": math.sqrt(4.25)},
}
"""Root mean squares of the unknowns of the reference, by problem: the benchmark publishes one number, the error of all
of them together."""

COLUMNS = ("relative_l2", "worst", "loss", "evaluations", "seconds")


def measure(summary: Mapping[str, Any]) -> Row:
    """What is kept of a run: its error, of all unknowns together and of the worst, and its cost."""
    row, errors, sizes = outcome(summary), summary["relative_l2"], SIZES.get(summary["problem"])
    row["worst"] = row["relative_l2"]
    if sizes is not None:
        square = sum((errors[name] * size) ** 2 for name, size in sizes.items())
        row["relative_l2"] = math.sqrt(square / sum(size**2 for size in sizes.values()))
    return row


STUDY = Study("pinnacle", PROBLEMS, {"recipe": {}}, COLUMNS, measure)
