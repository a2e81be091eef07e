"""A correction to a network that was trained before: the next rung of a ladder."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

from pinnlab.errors import ConfigurationError
from pinnlab.networks.checks import positive
from pinnlab.networks.locality import Local, SeenParts
from pinnlab.networks.scaling import ScaledInput


@final
class Correction(nn.Module):
    r"""A frozen network and a new one: `before(x) + scale * network(x)`, the new one zero at first.

    Training goes on from the very function that was trained before, with other numbers: more neurons, more windows,
    higher frequencies. Only the new network is trained; a correction of a correction is one more rung of the ladder.
    The network must have a last layer, which begins at zero.

    Source: multi-stage networks, Wang and Lai (arXiv:2307.08934). Levels of subdomains that are trained together are
    `levels` of `Subdomains`.

    Args:
        inputs: the number of coordinates, scaled to [-1, 1].
        outputs: the number of unknowns.
        before: what was trained, such as `model.trial.network`, on the same domain; a copy of it is kept.
        network: what builds the new network.
        scale: how large the correction is going to be, about; the smaller, the less a step changes.

    Raises:
        ConfigurationError: one of the two is no network, the new one has no last layer, or the scale is not positive.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        before: nn.Module,
        network: Callable[[int, int], nn.Module],
        scale: float = 1.0,
    ):
        super().__init__()
        self.scale = positive("scale", scale)
        if not isinstance(before, nn.Module):
            raise ConfigurationError(f"before: must be a trained network, not {before!r}")
        if not callable(network):
            raise ConfigurationError(f"network must build a Module from inputs and outputs, not {network!r}")
        # Both see the same scaled coordinates.
        before = before.network if isinstance(before, ScaledInput) else before
        self.before = copy.deepcopy(before).requires_grad_(False)
        self.network = network(inputs, outputs)
        if not isinstance(self.last, nn.Module):
            raise ConfigurationError("network: has no last layer that could begin at zero; take one of the package")
        with torch.no_grad():
            for parameter in self.last.parameters():
                parameter.zero_()

    @property
    def last(self) -> nn.Module | None:
        """The last layer of the new network, see `last_layer`."""
        found = getattr(self.network, "last", None)
        return found if isinstance(found, nn.Module) else None

    def seen(self, x: Tensor) -> SeenParts:
        """Which parts of the new network points `(n, inputs)` see, see `Local`; none where it has no parts."""
        if not isinstance(self.network, Local):
            return SeenParts({}, {}, {})
        return SeenParts(*({f"network.{name}": value for name, value in part.items()} for part in self.network.seen(x)))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        values: Tensor = self.before(x) + self.scale * self.network(x)
        return values
