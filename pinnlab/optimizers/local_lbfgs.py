"""L-BFGS in many blocks of parameters at once, each with a memory and a line search of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_SIGMA, _DELTA = 0.9, 0.1  # Hager & Zhang's
_GROWTH = 9.0
"""The most by which a step that was too short grows, as in `StrongWolfe`."""
_ROUNDED = 64
"""Changes of a gradient below so many roundings of what it was at the start have no digits that are right."""


@dataclass(frozen=True)
class Corrected:
    """Where blocks have moved.

    Attributes:
        moves: `(blocks, m)` from where they began; zero where no step was found.
        change: `(blocks, m)` of their gradients over the moves.
        pairs: `(blocks, history, 2, m)` the last steps and changes of gradients, the newest last, zero where none is.
    """

    moves: Tensor
    change: Tensor
    pairs: Tensor


def correct_blocks(
    evaluate: Callable[[Tensor], Tensor], gradient: Tensor, pairs: Tensor, evaluations: int
) -> Corrected:
    """Minimises a sum of functions of one block each, all at once: a gradient of the sum has the gradients of all.

    Their values are not known, only that of their sum. So steps are judged by slopes alone, by the approximate Wolfe
    conditions of Hager & Zhang, `(2 delta - 1) f'(0) >= f'(t) >= sigma f'(0)`, which for a quadratic are the Wolfe
    conditions. Blocks do not wait for each other: each evaluation is for some the trial of a next step, and for others
    another trial of the present one, by the secant through two slopes. A block that found no step in all evaluations
    forgets its memory; one that is at its minimum goes on by roundings, and remembers nothing of them.

    Args:
        evaluate: the gradients `(blocks, m)` at moves `(blocks, m)` from the start.
        gradient: `(blocks, m)` at the start.
        pairs: `(blocks, history, 2, m)` what they remember.
        evaluations: how many to make.
    """
    moves, start, own = torch.zeros_like(gradient), gradient, gradient
    direction, first = _directions(pairs, own)
    search = _Searches(_dots(direction, own), first)
    moved = torch.zeros(len(gradient), dtype=torch.bool, device=gradient.device)
    least = _ROUNDED * torch.finfo(gradient.dtype).eps * gradient.norm(dim=-1)
    for _ in range(evaluations):
        steps = search.step[:, None] * direction
        found = evaluate(moves + steps)
        done = search.judge(_dots(found, direction))
        change = found - own
        seen = change.norm(dim=-1) > least
        pairs = _appended(pairs, steps, change, done & seen)
        moved |= done
        moves, own = torch.where(done[:, None], moves + steps, moves), torch.where(done[:, None], found, own)
        turned, first = _directions(pairs, own)
        direction = torch.where(done[:, None], turned, direction)
        search.begin(done, _dots(direction, own), first)
    return Corrected(moves, own - start, torch.where(moved[:, None, None, None], pairs, 0.0))


class _Searches:
    """A line search for each block, which sees slopes only.

    Args:
        slope: `(blocks,)` at the start of each.
        step: `(blocks,)` the first trials.
    """

    def __init__(self, slope: Tensor, step: Tensor) -> None:
        self.step, self._slope = step, slope
        self._low, self._low_slope = torch.zeros_like(slope), slope
        self._high = torch.full_like(slope, torch.inf)

    def judge(self, slope: Tensor) -> Tensor:
        """Which trials are accepted, given the slopes there; the others get another step."""
        done = (slope >= _SIGMA * self._slope) & (slope <= (2 * _DELTA - 1) * self._slope)
        short = slope < _SIGMA * self._slope  # false where the slope is not a number: then it went too far
        secant = self._low - self._low_slope * (self.step - self._low) / (slope - self._low_slope)
        longest = self._low + _GROWTH * (self.step - self._low)
        self._high = torch.where(short, self._high, self.step)
        low = torch.where(short, self.step, self._low)
        self._low_slope = torch.where(short, slope, self._low_slope)
        width = self._high - low
        within = torch.where(secant.isfinite(), secant, low).clamp(low + 0.1 * width, low + 0.9 * width)
        ahead = torch.where(secant > 1.1 * self.step, secant, torch.inf).clamp(max=longest + self.step)
        self.step, self._low = torch.where(width.isinf(), ahead, within), low
        return done

    def begin(self, where: Tensor, slope: Tensor, step: Tensor) -> None:
        """Begins anew where `(blocks,)` says so."""
        self._slope = torch.where(where, slope, self._slope)
        self._low_slope = torch.where(where, slope, self._low_slope)
        self._low = torch.where(where, 0.0, self._low)
        self._high = torch.where(where, torch.inf, self._high)
        self.step = torch.where(where, step, self.step)


def inverse_hessians_times(pairs: Tensor, vectors: Tensor, unlearned: Tensor) -> Tensor:
    """The inverse Hessians of blocks times a vector of each, `(blocks, m)`, by the two-loop recursion.

    Each starts from the identity times s'y / y'y of its newest pair.

    Args:
        pairs: `(blocks, history, 2, m)`, zero where there is none, the newest last.
        vectors: `(blocks, m)`.
        unlearned: 0-dimensional, the factor for blocks without a pair.
    """
    s, y = pairs[:, :, 0], pairs[:, :, 1]
    curvature = _dots(s, y)
    rho = torch.where(curvature > 0, 1 / curvature, 0.0)
    product, weights = vectors, []
    for k in reversed(range(pairs.shape[1])):
        weight = rho[:, k] * _dots(s[:, k], product)
        product = product - weight[:, None] * y[:, k]
        weights.append(weight)
    newest = curvature[:, -1:] / y[:, -1].square().sum(-1, keepdim=True)
    product = product * torch.where(curvature[:, -1:] > 0, newest, unlearned)
    for k, weight in enumerate(reversed(weights)):
        product = product + (weight - rho[:, k] * _dots(y[:, k], product))[:, None] * s[:, k]
    return product


def _directions(pairs: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Where blocks go, `(blocks, m)`, and the first trials `(blocks,)`.

    A block that remembers nothing, or whose direction does not descend, goes along its gradient, at most 1 in the
    1-norm.
    """
    product = inverse_hessians_times(pairs, gradient, gradient.new_ones(()))
    learned = (pairs[:, -1] != 0).flatten(1).any(1) & (_dots(product, gradient) > 0)
    steepest = 1 / gradient.abs().sum(-1).clamp(min=1.0)
    return -torch.where(learned[:, None], product, gradient), torch.where(learned, 1.0, steepest)


def _appended(pairs: Tensor, s: Tensor, y: Tensor, where: Tensor) -> Tensor:
    """With a new pair in the place of the oldest one, where it is wanted and its curvature is above round-off."""
    sound = _dots(s, y) > torch.finfo(s.dtype).eps * s.norm(dim=-1) * y.norm(dim=-1)
    newer = torch.cat([pairs[:, 1:], torch.stack([s, y], 1)[:, None]], 1)
    return torch.where((where & sound)[:, None, None, None], newer, pairs)


def _dots(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1)
