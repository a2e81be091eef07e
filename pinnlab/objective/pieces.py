"""Solutions in windows of time, side by side as one function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import nn

from pinnlab.networks.scaling import network_in_words
from pinnlab.numerics.torch_version import has_values
from pinnlab.objective.trial_function import Trial


class Pieces(nn.Module):
    """The trial functions of windows as one function: at each point that of its window.

    A point on the edge between two windows is in the later one, and so derivatives there are those from above. Before
    the first edge the first window goes on, and the last one after the last edge.

    Args:
        trials: one for each window, in order; each is the one that the next goes on from.
        edges: the `len(trials) + 1` values of the coordinate at which windows begin and end.
        column: of that coordinate.
    """

    def __init__(self, trials: Sequence[Trial], edges: Sequence[float], column: int) -> None:
        super().__init__()
        self.trials = nn.ModuleList(trials)
        self.edges, self.column = tuple(edges), column

    def forward(self, points: Any) -> Any:
        """The unknowns at `(n, d)` points, `(n, m)`; the points may be a jet.

        Points are gathered by window, so that each asks the trial function of its own. Where the values of points are
        not known, inside of `torch.func.vmap` and where code is compiled, all windows are evaluated at all points.
        """
        later = [points[:, self.column] >= edge for edge in self.edges[1:-1]]
        if not later:
            return self._values(0, points)
        if not has_values(later[0]):
            return self._everywhere(points)
        windows = torch.stack(later).sum(0).as_subclass(torch.Tensor)  # a trial run of a problem hides its numbers
        order = windows.argsort(stable=True)
        numbers, counts = windows[order].unique_consecutive(return_counts=True)
        if len(numbers) <= 1:
            return self._values(int(numbers[0]) if len(numbers) else 0, points)
        parts = order.split(counts.tolist())
        values = [self._values(k, points[part]) for k, part in zip(numbers.tolist(), parts, strict=True)]
        return torch.cat(values)[order.argsort()]

    def in_words(self) -> str:
        """How many windows, and the network of each."""
        count = f"{len(self.trials)} window{'s' if len(self.trials) > 1 else ''}"
        return f"{count} of {network_in_words(cast('Trial', self.trials[-1]).network)} each"

    def _values(self, k: int, points: Any) -> Any:
        """Those of one window."""
        return self.trials[k](points) if k == 0 else self.trials[k](points, _States(self, points).at(k))

    def _everywhere(self, points: Any) -> Any:
        """All windows at all points, of which one counts at each."""
        states = _States(self, points)
        values = self.trials[0](points)
        for k in range(1, len(self.trials)):
            later = (points[:, self.column : self.column + 1] >= self.edges[k]).expand(values.shape)
            values = torch.where(later, self.trials[k](points, states.at(k)), values)
        return values

    def at_edge(self, points: Any, k: int) -> Any:
        """The points, moved to the beginning of window k."""
        columns = [points[:, i] for i in range(points.shape[-1])]
        columns[self.column] = columns[self.column] * 0.0 + self.edges[k]
        return torch.stack(columns, -1)


class _States:
    """What each window begins with, above or below some points: computed where a window asks, and once."""

    def __init__(self, pieces: Pieces, points: Any) -> None:
        self._pieces, self._points = pieces, points
        self._known: dict[int, Any] = {}

    def at(self, k: int) -> Callable[[Any], Any]:
        """The function that window k goes on from; it is asked at the beginning of the window only."""
        return lambda edge: self._state(k)

    def _state(self, k: int) -> Any:
        if k not in self._known:
            before = self._pieces.trials[k - 1]
            edge = self._pieces.at_edge(self._points, k)
            self._known[k] = before(edge) if k == 1 else before(edge, self.at(k - 1))
        return self._known[k]
