"""Diffusion in a medium that is no smooth one: where an equation in weak form does what a pointwise one cannot."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.problems import checks
from pinnlab.problems.base import Exact, Problem
from pinnlab.problems.conditions import Condition, Dirichlet, Residual
from pinnlab.problems.weak import Weak

CONTRAST = 10.0
"""How much better the right half of the medium with a jump conducts."""


class RoughMedium1D(Problem):
    """-(a u')' = 1 on [0, 1], u(0) = u(1) = 0, where the conductivity a oscillates fast, or jumps in the middle.

    The oscillating one is a = 1 / (2 + cos(2 pi x / period)). Its derivative, which the pointwise equation has, is of
    the size of 1 / period; the solution is a parabola with ripples of that size. The one with a jump is 1 on the left
    and 10 on the right. There u bends so that the flux a u' stays continuous. No pointwise residual sees whether it
    does: a function that solves the equation on both sides, with any flux between them, has none. The weak form sees
    it. A network that bends there has the embedding `Kink`.

    Args:
        medium: `oscillating` or `jump`.
        form: `weak`, against Legendre polynomials in cells and hats over two of them, or `strong`, pointwise.
        period: of the oscillating conductivity; one over a whole number, so that the solution has a short form.
        cells: of the weak form, see `Weak`. Even, so that no test function sees the jump inside of a cell.
        degree: of its test functions.
        condition_weight: the factor of the boundary values in the loss.

    Raises:
        ConfigurationError: there is no such medium or form, or a number is out of its range.
    """

    def __init__(
        self,
        medium: Literal["oscillating", "jump"] = "oscillating",
        form: Literal["weak", "strong"] = "weak",
        period: float = 1 / 16,
        cells: int = 32,
        degree: int = 6,
        condition_weight: float = 10.0,
    ) -> None:
        checks.choice("medium", medium, ("oscillating", "jump"))
        checks.choice("form", form, ("weak", "strong"))
        waves = 1 / checks.positive("period", period)
        if abs(waves - round(waves)) > 1e-9 * waves:
            raise ConfigurationError(f"problem.period: must be one over a whole number, got {period}")
        if checks.integer("cells", cells) % 2:
            raise ConfigurationError(f"problem.cells: must be an even number, got {cells!r}")
        self.medium, self.form, self.wave_number = medium, form, 2 * math.pi * round(waves)
        x = Interval("x", 0, 1)
        ends = Dirichlet(x.boundary(), weight=condition_weight, u=0.0)
        conditions: dict[str, Condition] = {"pde": Residual(x, self.balance)}
        if form == "weak":
            nodes = 2 * checks.integer("degree", degree) + 8  # the conductivity has waves of its own
            conditions = {
                "pde": Weak(x, self.tested, cells=cells, degree=degree, points=nodes),
                "joints": Weak(x, self.tested, cells=cells, points=nodes),  # what flows from cell to cell
            }
        super().__init__(domain=x, unknowns=("u",), conditions={**conditions, "ends": ends})

    def conductivity(self, x: Tensor) -> Tensor:
        """The coefficient a."""
        if self.medium == "jump":
            return torch.where(x < 0.5, 1.0, CONTRAST).to(x)
        return 1 / (2 + torch.cos(self.wave_number * x))

    def flux(self, u: AbstractField, x: Tensor) -> Tensor:
        """The flux a u', which does not jump; for `Tiled`."""
        return self.conductivity(x) * u.x

    def tested(self, u: AbstractField, v: AbstractField, x: Tensor) -> Tensor:
        """The integrand a u' v' - v of the weak form."""
        return self.conductivity(x) * u.x * v.x - v

    def balance(self, u: AbstractField, x: Tensor) -> Tensor:
        """The pointwise equation a u'' + a' u' + 1."""
        a = self.conductivity(x)
        if self.medium == "jump":
            return a * u.xx + 1
        return a * u.xx + self.wave_number * torch.sin(self.wave_number * x) * a**2 * u.x + 1

    def solution(self, x: Tensor) -> Tensor:
        """The integral of (c - x) / a, where c makes it 0 at x = 1."""
        if self.medium == "jump":
            c = (3 + CONTRAST) / (4 + 4 * CONTRAST)
            left, middle = c * x - x**2 / 2, (c - 0.25) / 2
            return torch.where(x < 0.5, left, middle + (c * (x - 0.5) - (x**2 - 0.25) / 2) / CONTRAST)
        k = self.wave_number
        return x - x**2 + (0.5 - x) * torch.sin(k * x) / k + (1 - torch.cos(k * x)) / k**2

    def reference(self) -> Exact:
        """The exact solution."""
        return Exact(self.solution)
