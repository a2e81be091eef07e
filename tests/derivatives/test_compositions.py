"""Random compositions of operations in Taylor mode against nested reverse mode: derivatives, and their gradients.

What one operation knows of its input (that columns are those of the points, that a channel is zero) another one may
rely on wrongly; tests of single operations do not show that.
"""

import random

import pytest
import torch
from torch.nn import functional as F

from pinnlab.derivatives import Wanted, partials

LARGEST = 600
"""Numbers that an intermediate result may have."""


class Composition:
    """A function of points made of operations that are drawn one by one.

    Attributes:
        names: of the operations, for messages.
        constants: that the operations have, which require a gradient.
    """

    def __init__(self, seed):
        self.random, self.generator = random.Random(seed), torch.Generator().manual_seed(seed)
        self.names, self.constants, self._operations = [], [], []
        self.coordinates = self.random.choice([1, 1, 2, 2, 3])
        self.points = 0.2 + torch.rand(3, self.coordinates, generator=self.generator, dtype=torch.float64)
        for _ in range(self.random.randint(2, 7)):
            self._add(*self._drawn(self(self.points)))
        self.last = self.constant(2, self(self.points)[0].numel())
        self._operations.append(lambda x: self._ended(x.reshape(len(x), -1)))

    def __call__(self, x):
        for operation in self._operations:
            x = operation(x)
        return x

    def constant(self, *shape):
        self.constants.append(torch.randn(shape, generator=self.generator, dtype=torch.float64, requires_grad=True))
        return self.constants[-1]

    def _ended(self, x):
        return 3 * torch.tanh(F.linear(x, self.last)) + F.linear(x, self.last.flip(0))

    def _add(self, name, operation):
        with torch.no_grad():
            found = operation(self(self.points))
        if found.numel() <= LARGEST and found.ndim <= 4 and bool((found.abs() < 1e4).all()):
            self.names.append(name)
            self._operations.append(operation)

    def _drawn(self, x):
        """A name and an operation for inputs of this shape; those of a single column, which widen it, come often."""
        choice = self.random.choice
        several = {**self._of_rows(x.shape[-1]), **(of_axes if x.ndim > 2 else {})}
        pool = [*elementwise.items(), *of_columns.items(), *several.items()]
        if x.shape[-1] == 1 and choice([True, False]):
            pool = [*self._of_one_column().items()]
        elif x.shape[-1] > 1:
            pool += [*of_several.items()]
        return choice(pool)

    def _of_rows(self, n):
        row, single, centers = self.constant(n), self.constant(1, n), self.constant(4, n)
        weights, bias = self.constant(3, n), self.constant(3)
        return {
            "* row": lambda x: x * row,
            "row +": lambda x: row + x,
            "row -": lambda x: row - x,
            "/ row": lambda x: x / (1 + row**2),
            "* (1, n)": lambda x: x * single,
            "linear": lambda x: F.linear(x, weights, bias),
            "@": lambda x: x @ weights.T,
            "centers": lambda x: (x.unsqueeze(-2) - centers).square().sum(-1),
            "columns of rows": lambda x: (x.unsqueeze(-1) * row).flatten(-2),
        }

    def _of_one_column(self):
        row = self.constant(self.random.randint(2, 4))
        return {
            "widened *": lambda x: x * row,
            "widened +": lambda x: x + row,
            "widened -": lambda x: row - x,
            "expand": lambda x: x.expand(*x.shape[:-1], 3),
        }


elementwise = {
    "tanh": torch.tanh,
    "sin": torch.sin,
    "gelu": F.gelu,
    "square": lambda x: x**2,
    "1 -": lambda x: 1 - x,
    "1 / (1 + square)": lambda x: 1 / (1 + x * x),
    "* sin": lambda x: x * torch.sin(x),
    "where": lambda x: torch.where(x > 0, x * x, x),
    "lerp": lambda x: torch.lerp(x, torch.sin(x), 0.3),
}
of_columns = {
    "first": lambda x: x[..., :1],
    "ends": lambda x: x[..., [0, -1]],
    "flip": lambda x: x.flip(-1),
    "roll": lambda x: x.roll(1, -1),
    "cumsum": lambda x: x.cumsum(-1),
    "sum": lambda x: x.sum(-1, keepdim=True),
    "softmax": lambda x: torch.softmax(x, -1),
    "logsumexp": lambda x: torch.logsumexp(x, -1, keepdim=True),
    "norm": lambda x: (1 + x * x).norm(dim=-1, keepdim=True),
    "cat": lambda x: torch.cat([torch.sin(x), x], -1),
    "cat of ones": lambda x: torch.cat([x, torch.ones_like(x[..., :1])], -1),
    "stack": lambda x: torch.stack([x, x * x], -1),
    "* first": lambda x: x[..., :1] * x,
    "outer": lambda x: torch.einsum("...i,...j->...ij", x, x).flatten(-2),
    "unbind": lambda x: torch.stack(x.unbind(-1)[::-1], -1),
    "unsqueeze": lambda x: x.unsqueeze(-2),
    "pad": lambda x: F.pad(x, (1, 0)),
}
of_several = {"diff": lambda x: x.diff(dim=-1), "layer norm": lambda x: F.layer_norm(x, x.shape[-1:])}
of_axes = {
    "transpose": lambda x: x.transpose(-1, -2),
    "sum of an axis": lambda x: x.sum(-1),
    "reshape": lambda x: x.reshape(len(x), -1),
}


def differentiated(function, wanted, engine):
    """All wanted numbers, and the gradients of their sum of squares by the constants."""
    found = partials(function, function.points, wanted, engine)
    numbers = [found.value, *(found.partials[index] for index in sorted(wanted.partials)), *found.laplacians.values()]
    gradients = torch.autograd.grad(
        sum(part.square().sum() for part in numbers), function.constants, materialize_grads=True, allow_unused=True
    )
    return [part.detach() for part in (*numbers, *gradients)]


def wanted_of(function):
    """All derivatives of first and second order, or one that leaves channels out; and the Laplacian."""
    axes = range(function.coordinates)
    every = {(i,) for i in axes} | {(i, j) for i in axes for j in axes if i <= j}
    return Wanted(frozenset(function.random.choice([every, {(0, 0)}])), frozenset({tuple(axes)}))


@pytest.mark.parametrize(
    "seeds", [range(60), range(60, 120), pytest.param(range(120, 4000), marks=pytest.mark.slow)], ids=str
)
def test_compositions_agree_with_reverse_mode(seeds):
    for seed in seeds:
        function = Composition(seed)
        wanted = wanted_of(function)
        found, expected = (differentiated(function, wanted, engine) for engine in ("taylor", "reverse"))
        for a, b in zip(found, expected, strict=True):
            assert torch.allclose(a, b, rtol=0.0, atol=1e-8 * max(1.0, float(b.abs().max()))), (seed, function.names)
