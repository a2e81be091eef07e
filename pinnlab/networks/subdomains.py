"""Subdomains: many small networks in overlapping windows, evaluated as one batched network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from pinnlab.errors import ConfigurationError, check_list
from pinnlab.networks.checks import positive_int
from pinnlab.networks.locality import SeenParts
from pinnlab.networks.mlp import MLP
from pinnlab.networks.stacked import by_parts, checked_grid, parts_of, stacked, tensors_of
from pinnlab.networks.windows import Windows


@final
class Subdomains(nn.Module):
    r"""Finite-basis networks: `u(x) = sum_j w_j(x) net_j((x - c_j) / h_j)`, a small network in each of many windows.

    The windows overlap, sum up to one and are smooth (see `Windows`); each network sees its own window as [-1, 1]. A
    high frequency on the whole domain is a low one in a window, so that what one network would learn last, or never
    (spectral bias), each of many learns soon. A point is computed in the windows that it lies in, 2 along each
    coordinate, so that the cost of a step does not grow with their number. All parameters of one layer, of all windows,
    are one tensor with the windows in front, and the windows are evaluated together.

    Source: Moseley, Markham, Nissen-Meyer, "Finite basis physics-informed neural networks" (arXiv:2107.07871); levels
    as in Dolean, Heinlein, Mishra, Moseley, "Multilevel domain decomposition-based architectures for physics-informed
    neural networks" (arXiv:2306.05486).

    Args:
        inputs: the number of coordinates, scaled to [-1, 1].
        outputs: the number of unknowns.
        grid: the number of windows along each coordinate, such as `[8, 4]`; one number is for all of them.
        overlap: the width of a window over the distance of two centres, above 1 and at most 2. Wide windows make
            smooth solutions; the default is what the paper on levels has found to be best.
        network: what builds the network of a window; default an `MLP` with one hidden layer of 16.
        levels: how many grids, each with half as many windows along each coordinate as the one before; their sum is the
            solution. The coarse ones carry what is common to many windows.
        periodic: the columns of coordinates along which windows and solution are periodic, from 0.
        smoothness: how many derivatives of the windows are continuous, at least the order of the equation. On
            `MultiscalePoisson` 32 windows of 24 random sines end at 1.3e-10 with 2 and at 1.0e-11 with 4.

    Raises:
        ConfigurationError: a size is not positive, the grid has another number of coordinates, or `overlap` is out of
            its range.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        grid: Sequence[int] | int,
        overlap: float = 1.9,
        network: Callable[[int, int], nn.Module] | None = None,
        levels: int = 1,
        periodic: Sequence[int] = (),
        smoothness: int = 4,
    ):
        super().__init__()
        positive_int("outputs", outputs)
        finest = checked_grid(grid, positive_int("inputs", inputs))
        check_list("", overlap=[overlap])
        if not 1 < overlap <= 2:
            raise ConfigurationError(f"overlap: must be above 1 and at most 2, not {overlap}")
        columns = _periodic(periodic, inputs)
        positive_int("smoothness", smoothness)
        build = partial(MLP, hidden=[16]) if network is None else network
        grids = [[-(-count // 2**level) for count in finest] for level in range(positive_int("levels", levels))]
        self.windows = nn.ModuleList(Windows(own, overlap, columns, smoothness) for own in grids)
        self.networks = nn.ModuleList(stacked(build, inputs, outputs, math.prod(own)) for own in grids)

    @property
    def last(self) -> nn.ModuleList:
        """The last layers of the networks of each level, see `last_layer`; empty where these have none."""
        found = [getattr(network, "last", None) for network in self.networks]
        return nn.ModuleList(last for last in found if isinstance(last, nn.Module))

    def seen(self, x: Tensor) -> SeenParts:
        """Which windows points `(n, inputs)` see, see `Local`; slabs of windows across the coordinate with most."""
        numbers: dict[str, Tensor] = {}
        slabs: dict[str, Tensor] = {}
        colours: dict[str, Tensor] = {}
        taken = 0
        for level, (windows, network) in enumerate(self._levels()):
            own = windows(x).numbers
            if own.shape[1] >= windows.count:
                continue  # all of them
            for name in tensors_of(network):
                numbers[f"networks.{level}.{name}"] = own
                # The finest level has neighbours; a coarse window lies over many of its slabs.
                slabs[f"networks.{level}.{name}"] = windows.slabs() if level == 0 else torch.full((windows.count,), -1)
                colours[f"networks.{level}.{name}"] = windows.colours() + taken
            taken += int(windows.colours().max()) + 1
        return SeenParts(numbers, slabs, colours)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        rows = x.reshape(-1, x.shape[-1])
        parts = [_in_windows(windows, network, rows) for windows, network in self._levels()]
        total = reduce(torch.add, parts)
        return total.reshape(*x.shape[:-1], total.shape[-1])

    def _levels(self) -> list[tuple[Windows, nn.Module]]:
        """Windows and the networks in them, the finest grid first."""
        return list(zip(cast("list[Windows]", list(self.windows)), self.networks, strict=True))


def _in_windows(windows: Windows, network: nn.Module, x: Any) -> Any:
    """The sum over the windows that each point `(n, d)` lies in, `(n, m)`."""
    numbers, local, weights = windows(x)
    (n, k), count = numbers.shape, windows.count
    if parts_of(network) < count:  # those that the one point sees, see `Local`
        count, numbers = k, torch.arange(k, device=numbers.device).expand(n, k)
    values = by_parts(network, local, numbers, count)
    return (weights.unsqueeze(-1) * values).sum(-2)


def _periodic(columns: Sequence[int], inputs: int) -> list[int]:
    if not isinstance(columns, Sequence) or isinstance(columns, str):
        raise ConfigurationError(f"periodic must list columns of coordinates, such as [0], not {columns!r}")
    if any(isinstance(c, bool) or not isinstance(c, int) or not 0 <= c < inputs for c in columns):
        raise ConfigurationError(f"periodic: {list(columns)} must name some of the columns 0 to {inputs - 1}")
    return list(columns)
