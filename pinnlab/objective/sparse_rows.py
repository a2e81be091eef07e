"""Sparse rows of the Jacobian: of the parts of a network that each point sees."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.func import vmap

from pinnlab.errors import ConfigurationError
from pinnlab.networks import SeenParts, seen_inside
from pinnlab.numerics import distributed
from pinnlab.numerics.ordered_sums import add_in_rows
from pinnlab.numerics.staircase import Share, SparseRows
from pinnlab.numerics.torch_version import differentiable_in_inference_mode
from pinnlab.objective.parameter_derivatives import jacobian_rows, point_rows, split_parameters
from pinnlab.objective.residuals import Batch, Parameters, ResidualSystem

_TRIED = 5
"""Points of each condition at which sparse rows are compared with dense ones."""
_BLOCK = 1024
"""Points that are computed at a time: their parts are gathered, which takes memory."""


@differentiable_in_inference_mode
def sparse_rows(system: ResidualSystem, parameters: Parameters, batch: Batch, scales: Tensor) -> SparseRows:
    """The stacked residuals and the entries of their Jacobian that are not zero by construction.

    Args:
        system: of a network that is `Local`, see `check_sparse`.
        parameters: every parameter and buffer by name.
        batch: rows of each condition.
        scales: `(conditions,)` factors of each condition's residuals.
    """
    made = []
    for i, (name, points) in enumerate(batch.items()):
        made += [_of_block(system, parameters, name, block, scales[i]) for block in points.split(_BLOCK) if len(block)]
    if not made:  # a process may have no points, and has as many entries in none of its rows
        columns = _columns(system, _seen(system, _stand_in(system, scales)).numbers, 1)[:0]
        return SparseRows(scales.new_zeros(0), scales.new_zeros(columns.shape), columns)
    return SparseRows(*(torch.cat(parts) for parts in zip(*made, strict=True)))


def _of_block(system: ResidualSystem, parameters: Parameters, name: str, points: Tensor, scale: Tensor) -> SparseRows:
    numbers, tensors, own = _of_points(system, parameters, points)
    trained, others = split_parameters(system, tensors)
    of_trained, of_others = ({key: own[key] for key in part} for part in (trained, others))

    def of_point(trained: Parameters, others: Parameters, row: Tensor) -> tuple[Tensor, list[dict[str, Tensor]]]:
        return point_rows(system, name, others, scale, dict(trained), row)

    values, gradients = vmap(of_point, (of_trained, of_others, 0))(trained, others, points)
    entries = torch.stack([torch.cat([g.reshape(len(points), -1) for g in each.values()], 1) for each in gradients], 1)
    columns = _columns(system, numbers, len(points))
    equations = entries.shape[1]
    return SparseRows(values.flatten(), entries.flatten(0, 1), columns.repeat_interleave(equations, 0))


def _of_points(
    system: ResidualSystem, parameters: Parameters, points: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, int | None]]:
    """Which parts each point sees, the tensors with these for each point, and along which axis `vmap` takes them."""
    numbers = _seen(system, points).numbers
    tensors = {key: value[numbers[key]] if key in numbers else value for key, value in parameters.items()}
    return numbers, tensors, {key: 0 if key in numbers else None for key in tensors}


def _columns(system: ResidualSystem, numbers: dict[str, Tensor], n: int) -> Tensor:
    """`(n, s)` the places in the flat vector of what each point's gradients are of."""
    parts, start = [], 0
    for name, shape in system.trained().items():
        length = shape.numel()
        if name in numbers:
            each = torch.arange(length // shape[0])
            parts.append((numbers[name][..., None] * len(each) + each.to(numbers[name])).flatten(1) + start)
        else:
            parts.append(torch.arange(start, start + length).expand(n, -1))
        start += length
    device = next(iter(numbers.values())).device
    return torch.cat([part.to(device) for part in parts], 1)


def slabs_of_columns(system: ResidualSystem, like: Tensor) -> Tensor:
    """`(n,)` the slab of each place in the flat vector, see `Staircase`; -1 for what all points see.

    Args:
        system: of a network that is `Local`.
        like: any tensor of the data type and on the device of the points.
    """
    slabs, parts = _seen(system, _stand_in(system, like)).slabs, []
    for name, shape in system.trained().items():
        each = slabs[name] if name in slabs else torch.full((1,), -1)
        parts.append(each.repeat_interleave(shape.numel() // len(each)))
    return torch.cat(parts).to(like.device)


def blocks_by_colour(system: ResidualSystem, like: Tensor) -> list[Tensor] | None:
    """By colour `(blocks, m)`, the places in the flat vector of all numbers of each part, see `SeenParts.colours`.

    What all points see comes last, as one block.

    Args:
        system: the residuals.
        like: any tensor of the data type and on the device of the points.

    Returns:
        The blocks; None where the network is not `Local`: every point sees all of it.
    """
    seen = None if system.width is not None else _seen_if_local(system, _stand_in(system, like))
    if seen is None:
        return None
    colours, rest, start = seen.colours, [], 0
    by_colour: dict[int, list[Tensor]] = {}
    for name, shape in system.trained().items():
        places = torch.arange(start, start + shape.numel())
        if name in colours:
            for colour in colours[name].unique().tolist():
                by_colour.setdefault(colour, []).append(places.view(shape[0], -1)[colours[name] == colour])
        else:
            rest.append(places)
        start += shape.numel()
    blocks = [torch.cat(by_colour[colour], 1) for colour in sorted(by_colour)]
    if rest:
        blocks.append(torch.cat(rest)[None])
    return [block.to(like.device) for block in blocks]


def of_own_slabs(system: ResidualSystem, batch: Batch) -> tuple[Batch, Share | None]:
    """All ranks' points dealt out anew, so that a rank has those of neighbouring slabs; a collective.

    Points are few numbers, rows of the Jacobian many: so these need not move. Shares are as equal in points as slabs
    allow.

    Args:
        system: of a network that is `Local`.
        batch: this rank's rows of every condition.

    Returns:
        This rank's rows of every condition, and its slabs; with one process what was given, and None.
    """
    world = distributed.world_size()
    if world == 1:
        return batch, None
    whole = {name: distributed.gather(rows) for name, rows in batch.items()}
    first = {name: _first_slabs(system, rows) for name, rows in whole.items()}
    like = next(iter(batch.values()))
    steps = max(int(slabs_of_columns(system, like).max()), 1)
    first = {name: found.clamp(0, steps - 1) for name, found in first.items()}
    counts = torch.bincount(torch.cat(list(first.values())), minlength=steps)
    middles = counts.cumsum(0) - counts / 2
    bounds = [0, *(int((middles < int(counts.sum()) * rank / world).sum()) for rank in range(1, world)), steps]
    share = Share(bounds, distributed.rank())
    own = {name: (found >= share.first) & (found < share.end) for name, found in first.items()}
    return {name: rows[own[name]] for name, rows in whole.items()}, share


def _first_slabs(system: ResidualSystem, rows: Tensor) -> Tensor:
    """`(n,)` the first slab of what each point sees."""
    seen = _seen(system, rows)
    found = torch.cat([seen.slabs[name].to(rows.device)[numbers] for name, numbers in seen.numbers.items()], 1)
    return torch.where(found < 0, torch.iinfo(found.dtype).max, found).amin(1)


@torch.no_grad()
def check_sparse(owner: str, system: ResidualSystem, parameters: Parameters, batch: Batch) -> None:
    """Refuses what has no sparse rows: a network all of which each point sees, conditions that look at other points.

    Rows of the Jacobian are tried at some points, residuals at all: a test function of a `Weak` may lie in what its
    middle sees where others do not.

    Args:
        owner: what asks for them, for the message.
        system: the residuals.
        parameters: every parameter and buffer by name.
        batch: rows of each condition.

    Raises:
        ConfigurationError: there is none; says what to do.
    """
    like = next(iter(batch.values()))
    if system.width is not None or seen_inside(system.trial.network, _stand_in(system, like)) is None:
        raise ConfigurationError(
            f"{owner}: needs a network of which a point sees a part, such as Subdomains or Tiles of three along a "
            "coordinate"
        )
    ones = like.new_ones(1)
    for name, points in batch.items():
        few = points[:: max(len(points) // _TRIED, 1)][:_TRIED]
        if not len(few):
            continue
        values, dense = jacobian_rows(system, parameters, {name: few})
        sparse = sparse_rows(system, parameters, {name: few}, ones)
        found = add_in_rows(torch.zeros_like(dense), sparse.columns, sparse.entries)
        near = functools.partial(torch.allclose, rtol=1e-6, atol=1e-6 * float(dense.abs().amax()))
        alike = near(found, dense) and torch.allclose(sparse.right, values, rtol=1e-6, atol=1e-9)
        if not (alike and all(_sees_all(system, parameters, name, block) for block in points.split(_BLOCK))):
            raise ConfigurationError(f"{owner}: condition {name!r} looks at other points too; leave the option out")


def _sees_all(system: ResidualSystem, parameters: Parameters, name: str, points: Tensor) -> bool:
    """Whether the residuals at points are those of the parts that the points see."""
    _, tensors, own = _of_points(system, parameters, points)

    def of_point(tensors: Parameters, row: Tensor) -> Tensor:
        return torch.stack([part.sum() for part in system.condition_residuals(name, row[None], tensors)])

    found = vmap(of_point, (own, 0))(tensors, points)
    values = system.residuals({name: points}, parameters)[name]
    tolerance = torch.finfo(values.dtype).eps ** 0.4  # of the largest; 5e-7 of doubles, 2e-3 of single precision
    return bool((found - values).abs().amax() <= tolerance * values.abs().amax().clamp_min(1e-9))


def _stand_in(system: ResidualSystem, like: Tensor) -> Tensor:
    """One point of the domain's box: how many parts a point sees, and of which slabs, does not depend on the point."""
    return like.new_tensor([system.problem.domain.low])


def _seen(system: ResidualSystem, rows: Tensor) -> SeenParts:
    seen = _seen_if_local(system, rows)
    assert seen is not None  # `check_sparse` saw to it
    return seen


def _seen_if_local(system: ResidualSystem, rows: Tensor) -> SeenParts | None:
    return seen_inside(system.trial.network, rows[:, : len(system.problem.coordinates)], "network.")
