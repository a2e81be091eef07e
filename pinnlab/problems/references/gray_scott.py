"""Gray and Scott's reaction by a Fourier method in two dimensions.

    u_t = D_u Delta u + F (1 - u) - u v^2,    v_t = D_v Delta v - K v + u v^2

on the periodic square [-1, 1]^2.
"""

from __future__ import annotations

import numpy as np

from pinnlab.problems.references.plane import PeriodicPlane, Spectrum
from pinnlab.problems.references.points import Array


class GrayScott(PeriodicPlane):
    """Concentrations u and v, see `PeriodicPlane`.

    Args:
        diffusion: D_u and D_v.
        feed: F.
        decay: K.
        horizon: the last time that will be asked for.
        modes: the highest wave number kept in each direction, in waves per side of the square.
        step: the time step.
    """

    degree = 3

    def __init__(
        self,
        diffusion: tuple[float, float],
        feed: float,
        decay: float,
        horizon: float,
        modes: int = 112,
        step: float = 0.5,
    ) -> None:
        self.diffusion, self.feed, self.decay = diffusion, feed, decay
        super().__init__(-1.0, 2.0, horizon, modes, step)

    def linear(self, square: Array) -> Array:
        """Diffusion, and what decays at a fixed rate."""
        return np.stack([-self.diffusion[0] * square - self.feed, -self.diffusion[1] * square - self.decay])

    def start(self, x: Array, y: Array) -> tuple[Array, Array]:
        """A hole in u and a spot of v."""
        u = 1 - np.exp(-80 * ((x + 0.05) ** 2 + (y + 0.02) ** 2))
        v = np.exp(-80 * ((x - 0.05) ** 2 + (y - 0.02) ** 2))
        return u, v

    def change(self, state: Spectrum) -> Spectrum:
        """The reaction."""
        u, v = self.values(state)
        gain = self.spectrum(u * v * v)
        fed = -gain
        fed[0, 0] += self.feed
        return np.stack([fed, gain])
