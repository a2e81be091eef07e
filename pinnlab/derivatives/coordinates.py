"""Jets of the coordinates, of which derivative j is that of one column only: d numbers for each point, not k times d.

A function of single coordinates, and a sum of such over them, as in the ansatz `(1 - (points**2).sum(-1)) * u`, never
forms the derivatives of all d coordinates. Any other operation finds them as in every jet.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pinnlab.derivatives.jet import Channel, Jet, Laplacian


class CoordinateJet(Jet):
    """A jet of `(n, d)` whose entry i varies along the axes with column i alone.

    Attributes:
        columns: `(k,)` the column that belongs to each axis.
        slopes: `(k, n)`, or `(k, 1)`: the first derivative of that column along the axis. None: was written to.
        curvatures: the second one, likewise; None is zero.
    """

    __slots__ = ("_channels", "columns", "curvatures", "slopes")

    def __init__(
        self,
        value: Tensor,
        axes: tuple[int, ...],
        columns: Tensor,
        slopes: Tensor,
        curvatures: Tensor | None,
        channels: tuple[Laplacian, ...],
        scales: Tensor | None = None,
    ) -> None:
        self.value, self.axes, self.scales = value, axes, scales
        self.columns, self._channels = columns, channels
        self.slopes: Tensor | None = slopes
        self.curvatures = curvatures
        self.source, self._family = None, None

    def __getattr__(self, name: str) -> Any:
        """First derivatives and Laplacians as every jet has them, made when an operation asks for them."""
        if name == "first":
            self.first = self._spread(self.slopes)
            return self.first
        if name == "higher":
            self.higher = self._laplacians(None if self.curvatures is None else self._spread(self.curvatures))
            return self.higher
        return super().__getattr__(name)

    @property
    def order(self) -> int:
        """The highest order of differentiation that is carried."""
        return 2 if self._channels else 1

    def own(self) -> Tensor:
        """The value in the column of each axis, `(k, n)`."""
        return self.value.index_select(-1, self.columns).t()

    def mapped(self, value: Tensor, at: list[Tensor]) -> CoordinateJet:
        """An elementwise function: its value, and its derivatives `(k, n)` at the entries of the axes."""
        slopes, curvatures = self.slopes, None
        assert slopes is not None
        if len(at) > 2:
            curvatures = at[2] * slopes.square()
            curvatures = curvatures if self.curvatures is None else curvatures + at[1] * self.curvatures
        return CoordinateJet(value, self.axes, self.columns, at[1] * slopes, curvatures, self._channels)

    def shifted(self, other: Any) -> CoordinateJet:
        """The sum with a number, or with one for each coordinate."""
        assert self.slopes is not None
        value, scales = self.value + other, self.scales
        return CoordinateJet(value, self.axes, self.columns, self.slopes, self.curvatures, self._channels, scales)

    def scaled(self, other: Any) -> CoordinateJet:
        """The product with a number, or with one for each coordinate."""
        assert self.slopes is not None
        scales = None if self.scales is None else self.scales * other
        factor = other[self.columns][:, None] if getattr(other, "ndim", 0) == 1 and len(other) > 1 else other
        curvatures = None if self.curvatures is None else self.curvatures * factor
        value, slopes = self.value * other, self.slopes * factor
        return CoordinateJet(value, self.axes, self.columns, slopes, curvatures, self._channels, scales)

    def times(self, other: CoordinateJet) -> CoordinateJet:
        """The product with another jet of the same coordinates, entry by entry."""
        assert self.slopes is not None
        assert other.slopes is not None
        a, b = self.own(), other.own()
        curvatures = 2 * self.slopes * other.slopes
        if self.curvatures is not None:
            curvatures = curvatures + self.curvatures * b
        if other.curvatures is not None:
            curvatures = curvatures + a * other.curvatures
        slopes = self.slopes * b + a * other.slopes
        return CoordinateJet(self.value * other.value, self.axes, self.columns, slopes, curvatures, self._channels)

    def added(self, keepdim: bool) -> Jet:
        """The sum over the coordinates."""
        assert self.slopes is not None
        higher = self._laplacians(self.curvatures)
        first, value = self.slopes, self.value.sum(-1, keepdim=keepdim)
        if keepdim:
            first = first.unsqueeze(-1)
            higher = {key: None if channel is None else channel.unsqueeze(-1) for key, channel in higher.items()}
        return Jet(value, self.axes, first, higher)

    def entry(self, column: int) -> Jet:
        """One coordinate by itself, `(n,)`."""
        assert self.slopes is not None
        is_own = (self.columns == column % self.value.shape[-1])[:, None].to(self.value.dtype)
        curvatures = None if self.curvatures is None else self.curvatures * is_own
        return Jet(self.value[:, column], self.axes, self.slopes * is_own, self._laplacians(curvatures))

    def _laplacians(self, curvatures: Tensor | None) -> dict[Channel, Tensor | None]:
        """Sums of second derivatives `(k, ...)`, None being zero; the axes of an estimate stand side by side."""
        starts = {key: self.axes.index(key.axes[0]) for key in self._channels}
        return {
            key: None if curvatures is None else curvatures[start : start + len(key.axes)].sum(0)
            for key, start in starts.items()
        }

    def _spread(self, entries: Tensor | None) -> Tensor:
        """Numbers of the axes `(k, n)` in their columns, `(k, n, d)`, among zeros."""
        assert entries is not None
        places = torch.arange(self.value.shape[-1], device=self.columns.device)
        return entries.unsqueeze(-1) * (self.columns[:, None, None] == places).to(entries.dtype)
