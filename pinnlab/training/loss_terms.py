"""What the terms of the loss weigh, and which derivatives of residuals are among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pinnlab.errors import ConfigurationError, check_by_name, check_real, unknown
from pinnlab.problems.base import Problem
from pinnlab.problems.enhancement import Enhancement


class LossWeights(nn.Module):
    """The factors of the conditions in the loss: the user's own times those that a callback may change between steps.

    Both are saved, and both are exact whatever precision they are used in: a phase in float32 rounds what is used, not
    what it is made from.

    Args:
        own: `(conditions,)` the user's weights, in float64.

    Attributes:
        own: the same; float64.
        factors: what they are multiplied by, all 1 until `set_factors`; float64.
        used: the weights of the loss, in the precision of the module.
        version: counts changes of the factors, also those by a return to an earlier state.
    """

    own: Tensor
    factors: Tensor
    used: Tensor

    def __init__(self, own: Tensor) -> None:
        super().__init__()
        self.register_buffer("own", own)
        self.register_buffer("factors", torch.ones_like(own))
        self.register_buffer("used", own.clone(), persistent=False)
        self.version = 0

    def set_factors(self, factors: Tensor) -> None:
        """Changes the factors `(conditions,)`: a change of the objective, unless they are what they were."""
        if torch.equal(factors.to(self.factors), self.factors):
            return
        self.factors.copy_(factors)
        self._use()
        self.version += 1

    def get_extra_state(self) -> Tensor:
        """The version, for a checkpoint."""
        return torch.tensor(self.version)

    def set_extra_state(self, state: Tensor) -> None:
        """Continues counting; a return to an earlier state is one more change, not the earlier objective's number."""
        self.version = int(state) if int(state) >= self.version else self.version + 1

    def _use(self) -> None:
        self.used.copy_(self.own * self.factors)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LossWeights:
        exact = self.own, self.factors
        super()._apply(fn, recurse)
        self.own, self.factors = (tensor.to(self.used.device) for tensor in exact)
        self._use()
        return self

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self._use()


def loss_weights(problem: Problem, weights: dict[str, float] | None) -> Tensor:
    """The factors `(conditions,)` of the loss: the given ones by name, the problem's for the other conditions."""
    check_by_name("model.weights", weights or {}, f"{{{next(iter(problem.conditions))!r}: 10.0}}")
    values = {name: condition.weight for name, condition in problem.conditions.items()}
    for name, weight in (weights or {}).items():
        if name not in values:
            raise unknown("condition in model.weights", name, values)
        check_real("model.weights", **{name: weight})
        if not weight >= 0:
            raise ConfigurationError(f"model.weights.{name}: {weight} is no finite number >= 0; 0 switches it off")
        values[name] = weight
    return torch.tensor(list(values.values()), dtype=torch.float64)


def enhancements(
    problem: Problem, enhance: Mapping[str, Sequence[str] | Mapping[str, float]] | None, weight: float
) -> dict[str, Enhancement]:
    """The derivatives of residuals in the loss that replace the problem's own, by condition."""
    found, equations = {}, problem.differential_equations()
    check_by_name("model.enhance", enhance or {}, f"{{{next(iter(equations), 'pde')!r}: ['x']}}")
    for name, derivatives in (enhance or {}).items():
        if name not in equations:
            raise unknown("differential equation in model.enhance", name, equations)
        found[name] = Enhancement.of(derivatives, weight, problem.coordinates, f"model.enhance.{name}")
    return found
