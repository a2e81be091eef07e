"""The coordinates as a jet: where Taylor mode begins."""

from __future__ import annotations

import torch
from torch import Tensor

from pinnlab.derivatives.coordinates import CoordinateJet
from pinnlab.derivatives.jet import Channel, Jet, Laplacian, Wanted
from pinnlab.derivatives.multi_index import MultiIndex, downward_closure
from pinnlab.derivatives.sampling import Draws, Sample, Trace, in_order, in_ranges

_MANY = 1_000
"""Coordinates up to which the unit matrix is a matter of course."""


def lift(points: Tensor, wanted: Wanted, draws: Draws | None = None) -> Jet:
    """The coordinates as a jet: each is its own first derivative, all higher ones are zero.

    Args:
        points: `(n, d)` coordinates.
        wanted: the derivatives that are to come out at the other end.
        draws: what each estimate is computed from.
    """
    partials = downward_closure(wanted.partials)
    orders_one = {key[0] for key in partials if len(key) == 1}
    axes = tuple(sorted(orders_one.union(*wanted.laplacians) if wanted.laplacians else orders_one))
    channels: dict[Channel, Tensor | None] = {key: None for key in partials if len(key) > 1}
    channels.update({Laplacian(sum_axes): None for sum_axes in sorted(wanted.laplacians)})
    if wanted.samples:
        return _lift_drawn(points, wanted, axes, channels, draws or {})
    dim = points.shape[-1]
    if dim > _MANY and len(axes) < dim:
        places = torch.arange(dim, device=points.device)
        rows = (in_ranges(axes, points.device)[:, None] == places).to(points.dtype)
    else:
        unit = torch.eye(dim, dtype=points.dtype, device=points.device)
        # All rows without taking them one by one: that would be a loop of its own for each in a compiled graph.
        rows = unit if len(axes) == len(unit) else torch.stack([unit[i] for i in axes])
    first = rows.reshape(len(axes), *[1] * (points.ndim - 1), dim)
    return Jet(points, axes, first, channels, points.new_ones(dim))


def drawn_axes(samples: frozenset[Sample], dim: int) -> dict[Sample, MultiIndex]:
    """The axes of a jet that stand for the drawn directions, whichever these are: numbers from `dim` on."""
    axes, start = {}, dim
    for sample in in_order(samples):
        axes[sample] = tuple(range(start, start + sample.count))
        start += sample.count
    return axes


def _lift_drawn(
    points: Tensor, wanted: Wanted, axes: MultiIndex, channels: dict[Channel, Tensor | None], draws: Draws
) -> Jet:
    drawn = drawn_axes(wanted.samples, points.shape[-1])
    own = in_ranges(axes, points.device)
    every = axes + tuple(axis for part in drawn.values() for axis in part)
    sums = tuple(Laplacian(part) for part in drawn.values())
    if any(isinstance(sample, Trace) for sample in drawn):
        unit = Sample(axes, len(axes)).directions(points, own)
        rows = [unit, *(sample.directions(points, draws.get(sample)) for sample in drawn)]
        count = max(part.shape[1] for part in rows)  # one, or as many as points
        first = torch.cat([part.expand(-1, count, -1) for part in rows])
        return Jet(points, every, first, {**channels, **dict.fromkeys(sums)})
    columns = torch.cat([own, *(draws[sample] for sample in drawn)])
    ones = points.new_ones(points.shape[-1])
    slopes = points.new_ones(len(every), 1)
    jet = CoordinateJet(points, every, columns, slopes, None, sums, ones)
    if not channels:
        return jet
    return Jet(points, every, jet.first, {**channels, **dict.fromkeys(sums)})  # has mixed derivatives, too
