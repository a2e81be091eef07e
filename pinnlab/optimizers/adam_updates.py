"""Updates of Adam as a pure computation: a GPU can record several of them, with the gradients in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adam import adam
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from pinnlab.numerics.tensor_lists import copy_all, laid_out_like
from pinnlab.objective.faults import total

Gradients = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], Mapping[str, Tensor | None]]
"""Of parameters, by name, from all tensors of the loss and the points; None where nothing depends on one."""

_KINDS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step")
_NUMBERS = ("lr", "betas", "eps", "weight_decay", "amsgrad", "maximize", "decoupled_weight_decay")


class _Group(NamedTuple):
    numbers: tuple[tuple[str, Any], ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class AdamRule:
    """What a fused Adam or AdamW does to parameters, by their names; equal ones do the same.

    An update whose gradient is not finite is not made, as torch does it for a scaler of gradients; neither are those
    after it then, as nothing has moved.

    Attributes:
        groups: of parameters, with their numbers, such as the rate.
    """

    groups: tuple[_Group, ...]

    def after(
        self, number: int, gradients: Gradients, tensors: Mapping[str, Tensor], inputs: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """What some updates make of parameters and of what the optimizer keeps; nothing is changed.

        Args:
            number: of updates.
            gradients: of the parameters.
            tensors: `AdamState.tensors()`, the parameters, and whatever else the gradients depend on.
            inputs: the points.
        """
        trained = [name for group in self.groups for name in group.names]
        kept = [key for name in trained for kind in _KINDS if (key := f"{name} {kind}") in tensors]
        with torch.no_grad():
            own = {name: tensors[name].detach().clone().requires_grad_() for name in trained}
            state = {key: tensors[key].clone() for key in kept}
            others = {name: tensor for name, tensor in tensors.items() if name not in state}
            for _ in range(number):
                found = gradients({**others, **own}, inputs)
                self._update(own, state, {name: g for name in trained if (g := found[name]) is not None})
        return {**{name: tensor.detach() for name, tensor in own.items()}, **state}

    def _update(self, own: Mapping[str, Tensor], state: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
        """One update in place."""
        bad = (~total([*gradients.values()]).isfinite()).float()
        for group in self.groups:
            present = [name for name in group.names if name in gradients]
            numbers = dict(group.numbers)
            beta1, beta2 = numbers.pop("betas")
            averages, squares, largest, steps = (
                [state[key] for name in present if (key := f"{name} {kind}") in state] for kind in _KINDS
            )
            parameters = [own[name] for name in present]
            slopes = [laid_out_like(p, gradients[name]) for p, name in zip(parameters, present, strict=True)]
            if present:
                adam(
                    parameters, slopes, averages, squares, largest, steps,
                    fused=True, found_inf=bad, beta1=beta1, beta2=beta2, **numbers,
                )  # fmt: skip


class AdamState:
    """The parameters of a fused Adam or AdamW, and what it keeps of each.

    Args:
        optimizer: see `is_pure`.
        names: of its parameters; those that are not trained now are none of its business.

    Attributes:
        rule: what its next updates do.
    """

    def __init__(self, optimizer: Optimizer, names: Mapping[torch.nn.Parameter, str]) -> None:
        groups, self._parameters, self._state = [], dict[str, Tensor](), dict[str, Tensor]()
        for group in optimizer.param_groups:
            own = {names[p]: p for p in group["params"] if p in names and p.requires_grad and optimizer.state.get(p)}
            groups.append(_Group(tuple((key, group[key]) for key in _NUMBERS), tuple(own)))
            self._parameters |= own
            for name, p in own.items():
                kept = optimizer.state[p]
                self._state |= {f"{name} {kind}": kept[kind] for kind in _KINDS if kind in kept}
        self.rule = AdamRule(tuple(groups))

    def tensors(self) -> dict[str, Tensor]:
        """The averages, and counts of updates, that the optimizer keeps, by name."""
        return dict(self._state)

    @torch.no_grad()
    def take(self, changed: Mapping[str, Tensor]) -> None:
        """Makes parameters and the optimizer's state what updates made of them."""
        mine = {**self._parameters, **self._state}
        copy_all([*mine.values()], [changed[name] for name in mine])


def is_pure(optimizer: Optimizer) -> bool:
    """Whether an `AdamRule` makes an optimizer's steps: those of a fused Adam or AdamW, where no hook looks on."""
    if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW) or not optimizer.state:
        return False
    groups = optimizer.param_groups
    known = all(g["fused"] and isinstance(g["lr"], float) and not g["capturable"] for g in groups)
    parameters = [p for group in groups for p in group["params"]]
    hooks = [p._backward_hooks or p._post_accumulate_grad_hooks for p in parameters]
    hooks += [optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks]
    return known and not any([*hooks, _global_optimizer_pre_hooks, _global_optimizer_post_hooks])
