"""The patterns that the rules of torch operations are made of: how a map acts on the channels of a `Jet`.

*Linear* operations act on every channel alike, *elementwise* functions follow Faa di Bruno's formula, *bilinear*
ones Leibniz' formula.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pinnlab.derivatives import elementwise
from pinnlab.derivatives.coordinates import CoordinateJet
from pinnlab.derivatives.jet import Channel, Jet, Laplacian
from pinnlab.derivatives.multi_index import chain_rule_terms, product_rule_terms

Operation = Callable[[Tensor], Tensor]


def linear_map(operation: Operation, jet: Jet) -> Jet:
    """Applies a linear operation on shapes (indexing, reshaping, sums) to the value and to every channel."""
    first = torch.vmap(operation)(jet.first.expand(len(jet.axes), *jet.shape))
    higher = {k: None if c is None else operation(c.expand(jet.shape)) for k, c in jet.higher.items()}
    return Jet(operation(jet.value), jet.axes, first, higher)


def scale_map(operation: Operation, jet: Jet, other: Any = None, value: Tensor | None = None) -> Jet:
    """Applies a linear operation that broadcasts, so that channels need not be expanded to the full shape.

    Args:
        operation: acts on the value, on single channels and on stacked first derivatives alike.
        jet: the argument.
        other: the constant operand, if there is one; it may have more dimensions than the jet.
        value: the new value, when it is not `operation(jet.value)` (an affine map).
    """
    higher = {k: None if c is None else operation(c) for k, c in jet.higher.items()}
    first = operation(lead(jet.first, jet, other))
    return Jet(operation(jet.value) if value is None else value, jet.axes, first, higher)


def starts_kernels(device: torch.device) -> bool:
    """Whether each call on a device takes the start of a kernel, so that few large calls beat many small ones."""
    return device.type != "cpu"


def at_once(operation: Operation, jet: Jet) -> Jet | None:
    """Applies a linear operation on the last dimension to value and channels in one call; None if some do not vary.

    A GPU starts one kernel then in place of one for each kind of channel, forward and backward: 14 products of matrices
    in place of 38 for a loss of Burgers' equation and its gradient. A CPU would only copy more.
    """
    higher = {key: channel for key, channel in jet.higher.items() if channel is not None}
    if jet.first.shape[1:] != jet.shape or any(channel.shape != jet.shape for channel in higher.values()):
        return None
    stacked = torch.cat([jet.value.unsqueeze(0), jet.first, *(c.unsqueeze(0) for c in higher.values())])
    # Not slices: the gradient of a split is one `cat`.
    value, first, *others = operation(stacked).split([1, len(jet.axes), *[1] * len(higher)])
    found = {key: other.squeeze(0) for key, other in zip(higher, others, strict=True)}
    return Jet(value.squeeze(0), jet.axes, first, {key: found.get(key) for key in jet.higher})


def apply_elementwise(derivatives: elementwise.Derivatives, jet: Jet) -> Jet:
    """Faa di Bruno: d^a f(g) = sum over set partitions of a of f^(number of blocks)(g) times the blocks of g."""
    f = derivatives(jet.value, jet.order)
    if isinstance(jet, CoordinateJet) and jet.slopes is not None:
        return jet.mapped(f[0], [part.index_select(-1, jet.columns).t() for part in f])
    higher: dict[Channel, Tensor | None] = {}
    for key, inner in jet.higher.items():
        if isinstance(key, Laplacian):
            squares = f[2] * jet.firsts(key.axes).square().sum(0)
            higher[key] = squares if inner is None else squares + f[1] * inner
            continue
        total: Tensor | None = None
        for multiplicity, blocks in chain_rule_terms(key):
            term: Tensor | None = f[len(blocks)] if multiplicity == 1 else multiplicity * f[len(blocks)]
            for block in blocks:
                factor = jet.channel(block)
                term = None if term is None or factor is None else term * factor
            total = plus(total, term)
        higher[key] = total
    return Jet(f[0], jet.axes, f[1] * jet.first, higher)


def bilinear(operation: Callable[[Tensor, Tensor], Tensor], a: Any, b: Any) -> Jet:
    """Leibniz: d^a op(f, g) = sum over the splits of a of op(d^left f, d^right g); constants are allowed."""
    if not isinstance(b, Jet):
        return scale_map(lambda t: operation(t, b), a, b)
    if not isinstance(a, Jet):
        return scale_map(lambda t: operation(a, t), b, a)
    a_first, b_first = lead(a.first, a, b), lead(b.first, b, a)
    higher: dict[Channel, Tensor | None] = {}
    for key in a.higher:
        total: Tensor | None = None
        if isinstance(key, Laplacian):
            total = 2 * operation(lead(a.firsts(key.axes), a, b), lead(b.firsts(key.axes), b, a)).sum(0)
            x, y = a.higher[key], b.higher[key]
            total = plus(total, None if x is None else operation(x, b.value))
            higher[key] = plus(total, None if y is None else operation(a.value, y))
            continue
        for multiplicity, left, right in product_rule_terms(key):
            x, y = a.channel(left), b.channel(right)
            if x is not None and y is not None:
                term = operation(x, y)
                total = plus(total, term if multiplicity == 1 else multiplicity * term)
        higher[key] = total
    first = operation(a_first, b.value) + operation(a.value, b_first)
    return Jet(operation(a.value, b.value), a.axes, first, higher)


def whole(jet: Jet) -> Jet:
    """Expands every channel along the last dimension, for an operation that sums over it.

    Channels may have ones where they do not vary; a sum over such a dimension needs all of its entries.
    """
    size = jet.shape[-1]

    def expand(channel: Tensor) -> Tensor:
        return channel.expand(*channel.shape[:-1], size)

    higher = {key: None if channel is None else expand(channel) for key, channel in jet.higher.items()}
    return Jet(jet.value, jet.axes, expand(jet.first), higher)


def lead(stacked: Tensor, owner: Jet, other: Any) -> Tensor:
    """Makes room behind the leading channel dimension when the other operand has more dimensions."""
    missing = getattr(other, "ndim", 0) - owner.ndim
    return stacked if missing <= 0 else stacked.reshape(stacked.shape[0], *[1] * missing, *stacked.shape[1:])


def plus(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """The sum of two channels, None being zero."""
    if a is None or b is None:
        return b if a is None else a
    return a + b
