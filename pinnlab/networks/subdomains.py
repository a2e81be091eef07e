"""Subdomains: many small networks in overlapping windows, evaluated as one batched network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple, cast, final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pinnlab.errors import ConfigurationError, check_list
from pinnlab.networks.checks import positive_int
from pinnlab.networks.locality import SeenParts
from pinnlab.networks.mlp import MLP
from pinnlab.networks.windows import Windows
from pinnlab.numerics.mapped import mapped

_ROWS = 16
"""Rows of a window that are computed together: enough for efficient products, and few to fill up a window's last block.
"""


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
        finest = _grid(grid, positive_int("inputs", inputs))
        check_list("", overlap=[overlap])
        if not 1 < overlap <= 2:
            raise ConfigurationError(f"overlap: must be above 1 and at most 2, not {overlap}")
        columns = _periodic(periodic, inputs)
        positive_int("smoothness", smoothness)
        build = partial(MLP, hidden=[16]) if network is None else network
        if not callable(build):
            raise ConfigurationError(f"network must build a Module from inputs and outputs, not {network!r}")
        grids = [[-(-count // 2**level) for count in finest] for level in range(positive_int("levels", levels))]
        self.windows = nn.ModuleList(Windows(own, overlap, columns, smoothness) for own in grids)
        self.networks = nn.ModuleList(_stacked(build, inputs, outputs, own) for own in grids)

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
            for name in _tensors(network):
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
    n, k, d = local.shape
    tensors = _tensors(network)
    if n == 0 or torch.compiler.is_exporting():  # `vmap` does not take none, and would fix their number
        return _window_by_window(windows, network, (numbers, local, weights))
    if len(next(iter(tensors.values()))) < windows.count:  # of the windows that the one point sees, see `Local`
        numbers = torch.arange(k, device=numbers.device).expand(n, k)
        blocks = blocks_of_windows(numbers.flatten(), k)
    else:
        blocks = blocks_of_windows(numbers.flatten(), windows.count)
    rows = local.reshape(n * k, d)[blocks.rows].reshape(len(blocks.windows), blocks.size, d)
    own = {name: tensor.index_select(0, blocks.windows) for name, tensor in tensors.items()}
    values = mapped(lambda x, tensors: functional_call(network, tensors, (x,)), rows, own)
    values = values.flatten(0, 1)[blocks.places].unflatten(0, (n, k))
    return (weights.unsqueeze(-1) * values).sum(-2)


def _window_by_window(windows: Windows, network: nn.Module, seen: tuple[Tensor, Any, Any]) -> Any:
    """The same in plain operations, every window at every point."""
    numbers, local, weights = seen
    parts = []
    for window in range(windows.count):
        own = {name: tensor[window] for name, tensor in _tensors(network).items()}
        values = functional_call(network, own, (local,))
        parts.append(((weights * (numbers == window)).unsqueeze(-1) * values).sum(-2))
    return reduce(torch.add, parts)


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return dict(network.named_parameters()) | dict(network.named_buffers())


class Blocks(NamedTuple):
    """Rows by windows: blocks of as many rows each, all rows of a block in one window.

    Attributes:
        rows: `(blocks * size,)` the number of the row in each place; some places repeat row 0 and are not read.
        windows: `(blocks,)` the window of each block.
        places: `(rows,)` where each row is.
        size: how many rows a block has.
    """

    rows: Tensor
    windows: Tensor
    places: Tensor
    size: int


def blocks_of_windows(numbers: Tensor, count: int) -> Blocks:
    """Sorts rows by window, into blocks; how many there are depends on the number of rows alone, as compilers need.

    Args:
        numbers: `(rows,)` the window of each row.
        count: the number of windows.
    """
    n, size = numbers.shape[0], _ROWS
    every = torch.arange(n, device=numbers.device)
    if n < 2 * size * count:
        return Blocks(every, numbers, every, 1)
    order = torch.argsort(numbers, stable=True)
    ordered = numbers[order]
    rows_of = torch.zeros(count, dtype=torch.long, device=numbers.device).index_add(0, numbers, torch.ones_like(every))
    blocks_of = (rows_of + size - 1) // size
    first_row, first_block = rows_of.cumsum(0) - rows_of, blocks_of.cumsum(0) - blocks_of
    places = first_block[ordered] * size + every - first_row[ordered]
    blocks = n // size + count
    rows = torch.zeros(blocks * size, dtype=torch.long, device=numbers.device).index_copy(0, places, order)
    windows = torch.zeros(blocks, dtype=torch.long, device=numbers.device).index_copy(0, places // size, ordered)
    return Blocks(rows, windows, torch.zeros_like(every).index_copy(0, order, places), size)


def _stacked(build: Callable[[int, int], nn.Module], inputs: int, outputs: int, grid: Sequence[int]) -> nn.Module:
    """One module that holds the parameters and buffers of as many networks as there are windows, windows in front."""
    networks = [build(inputs, outputs) for _ in range(math.prod(grid))]
    first = networks[0]
    if not isinstance(first, nn.Module):
        raise ConfigurationError(f"network must build a Module, got {type(first).__name__}")
    tensors = [_tensors(network) for network in networks]
    for name, tensor in tensors[0].items():
        owner, _, leaf = name.rpartition(".")
        both = torch.stack([own[name].detach() for own in tensors])
        is_parameter = isinstance(tensor, nn.Parameter)
        setattr(
            first.get_submodule(owner),
            leaf,
            nn.Parameter(both, requires_grad=tensor.requires_grad) if is_parameter else both,
        )
    return first


def _grid(grid: Sequence[int] | int, inputs: int) -> list[int]:
    counts = [grid] * inputs if isinstance(grid, int) else grid
    if not isinstance(counts, Sequence) or isinstance(counts, str) or len(counts) != inputs:
        raise ConfigurationError(f"grid must list {inputs} numbers of windows, one for each coordinate, not {grid!r}")
    return [positive_int(f"grid[{k}]", count) for k, count in enumerate(counts)]


def _periodic(columns: Sequence[int], inputs: int) -> list[int]:
    if not isinstance(columns, Sequence) or isinstance(columns, str):
        raise ConfigurationError(f"periodic must list columns of coordinates, such as [0], not {columns!r}")
    if any(isinstance(c, bool) or not isinstance(c, int) or not 0 <= c < inputs for c in columns):
        raise ConfigurationError(f"periodic: {list(columns)} must name some of the columns 0 to {inputs - 1}")
    return list(columns)
