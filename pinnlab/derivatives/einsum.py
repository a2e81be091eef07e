"""How `torch.einsum` acts on jets: by Leibniz' rule, two factors that vary at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pinnlab.derivatives.jet import Jet, rule
from pinnlab.derivatives.patterns import bilinear, linear_map
from pinnlab.errors import UnsupportedOperationError


@rule("einsum")
def _einsum(equation: str, *operands: Any) -> Jet:
    factors = operands[0] if isinstance(operands[0], (list, tuple)) else operands
    jets = [factor for factor in factors if isinstance(factor, Jet)]
    if len(jets) > 2:
        return _einsum_in_pairs(equation, factors)

    def product(*varying: Tensor) -> Tensor:
        given = iter(varying)
        return torch.einsum(equation, *(next(given) if isinstance(factor, Jet) else factor for factor in factors))

    if len(jets) == 1:
        return linear_map(product, jets[0])
    a, b = (linear_map(lambda t: t, jet) for jet in jets)  # with all of their entries

    def each(*parts: Tensor) -> Tensor:
        stacked = [t.ndim > jet.ndim for t, jet in zip(parts, (a, b), strict=True)]
        # Without the room that `bilinear` makes for broadcasting: here indices say what meets what.
        own = [
            t.reshape(t.shape[0], *jet.shape) if many else t
            for t, jet, many in zip(parts, (a, b), stacked, strict=True)
        ]
        return (
            torch.vmap(product, tuple(0 if many else None for many in stacked))(*own) if any(stacked) else product(*own)
        )

    return bilinear(each, a, b)


def _einsum_in_pairs(equation: str, factors: Sequence[Any]) -> Any:
    """An einsum of more factors: the first two by each other, then the rest."""
    terms, arrow, result = equation.replace(" ", "").partition("->")
    a, b, *others = terms.split(",")
    if not arrow or "." in equation:
        raise UnsupportedOperationError(
            f"the Taylor engine has no rule for einsum {equation!r}: write all indices and ->"
        )
    kept = "".join(sorted(set(a + b) & set(result + "".join(others))))
    product = torch.einsum(f"{a},{b}->{kept}", *factors[:2])
    return torch.einsum(f"{','.join([kept, *others])}->{result}", product, *factors[2:])
