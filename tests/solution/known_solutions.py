"""Solutions whose values are known by formula: networks that are the formula, so that nothing needs training."""

import torch
from torch import nn

from pinnlab import PINN, Problem
from pinnlab.domains import Box, Disk, Interval
from pinnlab.problems import Coefficient, Dirichlet, Exact, Observations, Residual
from pinnlab.solution import Solution


class Waves(nn.Module):
    """u = a sin(x) exp(-t), v = a cos(x) exp(-t)."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor, dtype=torch.float64))

    def forward(self, points):
        x, t = points[:, 0], points[:, 1]
        decay = self.factor * torch.exp(-t)
        return torch.stack([torch.sin(x) * decay, torch.cos(x) * decay], -1)


class TwoWaves(Problem):
    """Two unknowns: u_x = v, v_x = -u, u_t = -u, v_t = -v."""

    def __init__(self, rate: float = 1.0):
        self.rate = rate
        domain = Interval("x", 0, 3) * Interval("t", 0, 2)
        super().__init__(
            domain=domain,
            unknowns=("u", "v"),
            conditions={
                "space": Residual(domain, lambda u, v: (u.x - v, v.x + u)),
                "decay": Residual(domain, lambda u, x: u.t + self.rate * u + x),
                "start": Dirichlet(domain.face(t=0.0), u=lambda x: torch.sin(x)),
            },
        )

    def reference(self):
        return Exact(lambda x, t: (torch.sin(x) * torch.exp(-t), torch.cos(x) * torch.exp(-t)))


class Bowl(nn.Module):
    """u = x^2 + 3 y^2 + t for the coordinates x, y, t, or without t."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))

    def forward(self, points):
        squares = self.factor * points[:, 0] ** 2 + 3 * points[:, 1] ** 2
        return squares[:, None] if points.shape[1] == 2 else (squares + points[:, 2])[:, None]


class OnDisk(Problem):
    """u_xx + u_yy = 8 on the unit disk, without a reference; with time if asked for."""

    def __init__(self, timed: bool = False):
        domain = Disk() * Interval("t", 0, 1) if timed else Disk()
        super().__init__(domain, ("u",), {"pde": Residual(domain, lambda u: u.laplacian() - 8)})


class InBox(Problem):
    """The same in a box, with a reference that is known in one half of it."""

    def __init__(self):
        domain = Box(["x", "y"], [0, 0], [2, 1])
        super().__init__(domain, ("u",), {"pde": Residual(domain, lambda u: u.laplacian() - 8)})

    def reference(self):
        return Exact(lambda x, y: x**2 + 3 * y**2, where=lambda x: x < 1)


class Decay(Problem):
    """u' = -k u with unknown k, from measurements at three times."""

    def __init__(self, guess: float = 2.0):
        t = Interval("t", 0, 1)
        times = torch.tensor([[0.0], [0.5], [1.0]], dtype=torch.float64)
        super().__init__(
            t,
            ("u",),
            {"ode": Residual(t, lambda u, k: u.t + k * u), "data": Observations(times, u=torch.exp(-2 * times[:, 0]))},
            coefficients={"k": Coefficient(guess, bounds=(0.0, 10.0))},
        )


def waves(factor=1.0, **options):
    """The solution of `TwoWaves` by its formula; with another factor its error is known."""
    return Solution(PINN(TwoWaves(), Waves(factor), scale_inputs=False, **options))


def bowl(problem):
    """The solution of `OnDisk` or `InBox` by its formula."""
    return Solution(PINN(problem, Bowl(), scale_inputs=False))
