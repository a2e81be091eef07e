"""Networks of which a point sees a part: what makes Jacobians sparse."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from pinnlab.networks.scaling import ScaledInput


class SeenParts(NamedTuple):
    """What n points see of a network whose tensors hold many parts, one behind the other along the first axis.

    Attributes:
        numbers: by name of a tensor `(parts, ...)`, `(n, k)` the parts that each point sees.
        slabs: by name of a tensor, `(parts,)` a whole number for each part, so that parts that a point sees together
            have neighbouring numbers; -1 for parts that points see together with any other. A tensor without an entry
            is seen by all.
        colours: by name of a tensor, `(parts,)` a number for each part, so that no point sees two parts with the same
            one; tensors of the same parts have the same numbers, and others have others.
    """

    numbers: dict[str, Tensor]
    slabs: dict[str, Tensor]
    colours: dict[str, Tensor]


@runtime_checkable
class Local(Protocol):
    """A network that consists of parts of which a point sees a few.

    Evaluated at one point by `torch.func.functional_call` with `tensor[numbers]` in place of each of the tensors that
    `seen` names, it gives the same value; so derivatives by the parts that a point sees need no others.
    """

    def seen(self, x: Tensor) -> SeenParts:
        """What points `(n, inputs)` see."""
        ...


def seen_inside(network: nn.Module, x: Tensor, prefix: str = "") -> SeenParts | None:
    """What points see of a network, also inside a `ScaledInput`, with names of the outer one; None: all see all."""
    while isinstance(network, ScaledInput):
        x, prefix = (x - network.center) * network.scale, prefix + "network."
        network = network.network
    if not isinstance(network, Local):
        return None
    seen = network.seen(x)
    named = SeenParts(*({prefix + name: value for name, value in part.items()} for part in seen))
    return named if named.numbers else None
