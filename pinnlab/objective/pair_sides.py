"""The columns of a Jacobian on functions times places that belong to one of the two nets, in factors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pinnlab.numerics.memory import BLOCK_BYTES as _BLOCK_BYTES


@dataclass(frozen=True)
class Side:
    """The columns of one net's parameters: those of its hidden layers, then those of its last layer.

    The net makes s numbers, and k derivatives of each, of every point p of its own kind (a function or a place).
    Residuals depend on them by `coupling[p, o]`, o being a point of the other kind and an equation.

    Attributes:
        coupling: `(own, others, k * s)`.
        features: `(own, k, w)` what the last layer is given, and 1 for its bias.
        hidden: `(own, k * s, h)` the numbers' derivatives by the parameters of the hidden layers.
        columns: `(h + s * w,)` which numbers of the flat vector the columns are; of the last layer number by number.
    """

    coupling: Tensor
    features: Tensor
    hidden: Tensor
    columns: Tensor

    def rows(self, own: slice, others: slice) -> Tensor:
        """The rows of some points, `(own, others, columns)`."""
        coupling = self.coupling[own, others]
        last = torch.einsum("poks,pkw->posw", self._by_derivative(coupling), self.features[own])
        return torch.cat([coupling @ self.hidden[own], last.flatten(2)], 2)

    def times(self, v: Tensor) -> Tensor:
        """`(own, others)`, of the columns' part of a vector."""
        of_hidden, of_last = v.split([self.hidden.shape[2], len(v) - self.hidden.shape[2]])
        moved = (self.features @ of_last.view(-1, self.features.shape[2]).T).flatten(1)
        return (self.coupling @ (moved + self.hidden @ of_hidden).unsqueeze(2)).squeeze(2)

    def transposed_times(self, u: Tensor) -> Tensor:
        """`(columns,)`, of `(own, others)`."""
        pulled = (u.unsqueeze(1) @ self.coupling).squeeze(1)
        hidden = self.hidden.flatten(0, 1).T @ pulled.flatten()
        last = torch.einsum("pks,pkw->sw", self._by_derivative(pulled), self.features)
        return torch.cat([hidden, last.flatten()])

    def gram(self) -> Tensor:
        """The products of all columns, `(columns, columns)`; what is above the diagonal is of no meaning."""
        h, inner = self.hidden.shape[2], self.coupling.mT @ self.coupling
        whole = self.hidden.new_zeros(len(self.columns), len(self.columns))
        pulled = inner @ self.hidden
        _add_lower(self.hidden.flatten(0, 1), pulled.flatten(0, 1), whole[:h, :h])
        whole[h:, :h] = self._last(pulled)
        count = self.features.shape[1]
        s = inner.shape[1] // count
        blocks = inner.unflatten(2, (count, s)).unflatten(1, (count, s))
        for k in range(count):
            for j in range(k + 1):
                outer = self.features[:, k, :, None] * self.features[:, j, None]
                part = blocks[:, k, :, j].flatten(1).T @ outer.flatten(1)
                both = part.view(s, s, *outer.shape[1:]).transpose(1, 2).flatten(2).flatten(0, 1)
                whole[h:, h:] += both if j == k else both + both.T
        return whole

    def last_product(self, k: int, slopes: Tensor, partner: Tensor, other: Side, with_last: bool) -> Tensor:
        """The products of a part of its last layer's columns with the other's, `(r * w, other's columns)`.

        That part, number by number, is `sum_r slopes[p, o] partner[o, r] features[p, k]`. So the other's columns are
        first summed with slopes and features, and no rows are made.

        Args:
            k: of which derivative.
            slopes: `(own, others, equations)`.
            partner: `(others, r)` what its numbers are multiplied with.
            other: of the other kind.
            with_last: whether with the columns of the other's last layer, or those of its hidden layers only.
        """
        own, features, h = len(self.coupling), self.features[:, k], other.hidden.shape[2]
        width = len(other.columns) if with_last else h
        total = partner.new_zeros(partner.shape[1], features.shape[1] * width)
        step = max(1, _BLOCK_BYTES // (features.shape[1] * max(width, 1) * partner.element_size()))
        for start in range(0, len(partner), step):
            part = slice(start, start + step)
            turned = slopes[:, part].transpose(0, 1).unsqueeze(3)  # (others, own, equations, 1)
            weighted = (other.coupling[part].unflatten(1, (own, -1)) * turned).sum(2)
            seen = features.T @ weighted  # (others, w, the other's numbers)
            both = seen @ other.hidden[part]
            if with_last:
                last = torch.einsum("owks,okv->owsv", other._by_derivative(seen), other.features[part])
                both = torch.cat([both, last.flatten(2)], 2)
            total.addmm_(partner[part].T, both.flatten(1))
        return total.unflatten(1, (features.shape[1], width)).flatten(0, 1)

    def hidden_product(self, other: Side, equations: int) -> Tensor:
        """The products of the columns of its hidden layers with the other's, `(h, other's h)`.

        The other's rows are made, some points at a time; of the own ones the factors are enough.
        """
        own, others, width = len(self.coupling), len(other.coupling), other.hidden.shape[2]
        pulled = self.hidden.new_zeros(own, self.coupling.shape[2], width)
        step = max(1, _BLOCK_BYTES // (own * equations * max(width, 1) * pulled.element_size()))
        for start in range(0, others, step):
            part = slice(start, min(start + step, others))
            rows = other.coupling[part] @ other.hidden[part]
            rows = rows.unflatten(1, (own, equations)).transpose(0, 1).flatten(1, 2)
            chosen = slice(part.start * equations, part.stop * equations)
            pulled.baddbmm_(self.coupling[:, chosen].mT, rows)
        return self.hidden.flatten(0, 1).T @ pulled.flatten(0, 1)

    def hidden_cost(self, other: Side, equations: int) -> int:
        """About how many products of two numbers `hidden_product` takes."""
        (own, _, q), (others, _, theirs) = self.coupling.shape, other.coupling.shape
        h, width = self.hidden.shape[2], other.hidden.shape[2]
        return own * others * equations * width * (theirs + q) + own * q * h * width

    def _by_derivative(self, numbers: Tensor) -> Tensor:
        return numbers.unflatten(-1, (self.features.shape[1], -1))

    def _last(self, pulled: Tensor) -> Tensor:
        """The last layer's part of the products with what was pulled back to the numbers, `(own, k * s, width)`."""
        by_derivative = pulled.unflatten(1, (self.features.shape[1], -1))
        return torch.einsum("pksc,pkw->swc", by_derivative, self.features).flatten(0, 1)


def _add_lower(left: Tensor, right: Tensor, total: Tensor, block: int = 160) -> None:
    """Adds the lower triangle of `left' right`, which is symmetric, in blocks of columns as `gram` takes."""
    for start in range(0, len(total), block):
        stop = min(start + block, len(total))
        total[start:stop, :stop].addmm_(left[:, start:stop].T, right[:, :stop])
