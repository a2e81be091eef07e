"""Random features for domains with holes: sines of the coordinates, and of the coordinates inverted in each hole."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinnlab.errors import ConfigurationError, check_list
from pinnlab.networks.checks import column_of, positive, positive_int
from pinnlab.networks.embeddings import Embedding, embed


@final
class HoleFeatures(nn.Module):
    r"""A linear layer on frozen random sines, of which some belong to holes of the domain.

    A field around a hole goes on into it up to a singularity, which sines of the coordinates can only follow with very
    many of them. In the inverted coordinates z = d / |d|^2, with d the position relative to the hole's center in units
    of its radius, it is smooth: multipoles are polynomials of z. So each hole has sines of its own
    z, which fill the unit disk outside of the hole, and the rest is left to sines of the coordinates themselves. Only
    the last layer is trained: a linear problem is solved by one step of `LeastSquares`.

    The idea is that of multipoles about the holes in solvers by fundamental solutions; random sines in their place
    need nothing of the equation.

    Args:
        inputs: the number of coordinates, scaled to [-1, 1].
        outputs: the number of unknowns.
        centers: of the holes, in the scaled coordinates; if they are fewer than the coordinates, the others, such as
            time, are not inverted, and stand beside z.
        radii: of each hole, one for all holes or one list of them; scaled like the coordinates: a list of numbers, one
            for each coordinate of a center, where scaling has made an ellipse of a circle.
        count: the number of sines of the coordinates.
        scale: their typical angular wave number on [-1, 1], see `RandomFeatures`.
        hole_count: the number of sines for each hole.
        hole_scale: their typical angular wave number in the unit disk.
        even: columns of coordinates in which the solution is even, that is its own mirror image about 0. Sines are then
            those of the place and of its images together, and of holes that are images of each other one is given: half
            as many are needed for each such column.
        embedding: what comes first, such as `Root` of the time; centers and radii are meant behind it.

    Raises:
        ConfigurationError: a size, scale or radius is not positive, or lists differ in length.
    """

    centers: Tensor
    radii: Tensor
    total: Tensor
    images: Tensor
    directions: Tensor
    phases: Tensor
    hole_directions: Tensor
    hole_phases: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        centers: Sequence[Sequence[float]],
        radii: Sequence[Sequence[float]],
        count: int = 400,
        scale: float = 5.0,
        hole_count: int = 150,
        hole_scale: float = 3.0,
        even: Sequence[int] = (),
        embedding: Callable[[int], Embedding] | None = None,
    ):
        super().__init__()
        self.embedding = embed(inputs, embedding)
        inputs = self.embedding.outputs
        shape = (positive_int("count", count), positive_int("inputs", inputs))
        own = (table("centers", centers), table("radii", radii))
        if own[0].shape != own[1].shape or own[0].shape[1] > inputs:
            raise ConfigurationError(
                f"radii: must be like centers, with at most {inputs} numbers for each hole, got "
                f"{tuple(own[1].shape)} beside {tuple(own[0].shape)}"
            )
        if not bool((own[1] > 0).all()):
            raise ConfigurationError("radii: must be positive")
        self.register_buffer("centers", own[0])
        self.register_buffer("radii", own[1])
        self.register_buffer("total", torch.ones(1, own[0].shape[1]), persistent=False)
        holes = len(own[0])
        self.register_buffer("directions", positive("scale", scale) * torch.randn(shape))
        self.register_buffer("phases", 2 * math.pi * torch.rand(count))
        of_holes = (holes, positive_int("hole_count", hole_count))
        self.register_buffer("hole_directions", positive("hole_scale", hole_scale) * torch.randn(*of_holes, inputs))
        self.register_buffer("hole_phases", 2 * math.pi * torch.rand(of_holes))
        self.register_buffer("images", _images(even, inputs), persistent=False)
        total = count + holes * hole_count
        self._norm = 1 / math.sqrt(total)
        self.last = nn.Linear(total, positive_int("outputs", outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        x = self.embedding(x)
        waves = sum(torch.sin(self._phases(x * self.images[k])) for k in range(self.images.shape[0]))
        return self.last(self._norm * waves)

    def _phases(self, x: Tensor) -> Tensor:
        phases = [F.linear(x, self.directions, self.phases)]
        holes, space = self.centers.shape
        for k in range(holes):
            away = (x[..., :space] - self.centers[k]) / self.radii[k]
            inverted = away / F.linear(away * away, self.total)
            inside = torch.cat([inverted, x[..., space:]], -1)
            phases.append(F.linear(inside, self.hole_directions[k], self.hole_phases[k]))
        return torch.cat(phases, -1)


def _images(even: Sequence[int], inputs: int) -> Tensor:
    """The factors of the coordinates that make a place and its mirror images, a row each."""
    check_list("", even=even)
    images = torch.ones(1, inputs)
    for column in even:
        column_of("even", column, inputs)
        mirrored = images.clone()
        mirrored[:, column] *= -1
        images = torch.cat([images, mirrored])
    return images


def table(key: str, rows: Sequence[Sequence[float]]) -> Tensor:
    """One line for each hole."""
    try:
        table = torch.tensor([[float(value) for value in row] for row in rows])
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{key}: must list numbers for each hole, such as [[0, 0]], got {rows!r}") from error
    if table.ndim != 2 or not table.numel() or not bool(table.isfinite().all()):
        raise ConfigurationError(f"{key}: must list finite numbers for each hole, such as [[0, 0]], got {rows!r}")
    return table
