"""Updates of Adam as a pure computation: a GPU can record several of them, with the gradients in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adam import adam

Gradients = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], Mapping[str, Tensor | None]]
"""Of parameters, by name, from all tensors and the points; None where nothing depends on one."""

_KINDS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step")
_NUMBERS = ("lr", "betas", "eps", "weight_decay", "amsgrad", "maximize", "decoupled_weight_decay")


class AdamUpdates:
    """A fused Adam or AdamW on named parameters.

    An update whose gradient is not finite is not made, as torch does it for a scaler of gradients; neither are those
    after it then, as nothing has moved.

    Args:
        optimizer: after its first step.
        names: of its parameters; those without a state are none of its business.

    Attributes:
        numbers: all that the computation has in it besides its arguments; it is another one when they change.
    """

    def __init__(self, optimizer: Optimizer, names: Mapping[torch.nn.Parameter, str]) -> None:
        self._groups = [
            (
                {name: group[name] for name in _NUMBERS},
                {names[p]: p for p in group["params"] if p in names and optimizer.state.get(p)},
            )
            for group in optimizer.param_groups
        ]
        self._state = {
            f"{names[p]} {kind}": optimizer.state[p][kind]
            for _, parameters in self._groups
            for p in parameters.values()
            for kind in _KINDS
            if kind in optimizer.state[p]
        }
        self.numbers = tuple((*options.values(), *parameters) for options, parameters in self._groups)

    def tensors(self) -> dict[str, Tensor]:
        """The averages and counts of updates that the optimizer keeps, by name."""
        return dict(self._state)

    def after(
        self, number: int, gradients: Gradients, tensors: Mapping[str, Tensor], inputs: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """What some updates make of parameters and of `tensors()`; nothing is changed.

        Args:
            number: of updates.
            gradients: of the parameters.
            tensors: parameters, `tensors()`, and whatever the gradients depend on.
            inputs: the points.
        """
        trained = [name for _, parameters in self._groups for name in parameters]
        with torch.no_grad():
            own = dict(zip(trained, (tensors[name].detach().clone().requires_grad_() for name in trained), strict=True))
            own |= {name: tensors[name].clone() for name in self._state}
            for _ in range(number):
                found = gradients({**tensors, **own}, inputs)
                self._update(own, {name: found[name] for name in trained if found[name] is not None})
        return {name: tensor.detach() for name, tensor in own.items()}

    def _update(self, own: Mapping[str, Tensor], gradients: Mapping[str, Any]) -> None:
        """One update in place."""
        bad = (~torch.cat([g.reshape(-1) for g in gradients.values()]).sum().isfinite()).float()
        for options, parameters in self._groups:
            present = [name for name in parameters if name in gradients]
            beta1, beta2 = options["betas"]
            numbers = {name: value for name, value in options.items() if name != "betas"}
            averages, squares, largest, steps = (
                [own[key] for name in present if (key := f"{name} {kind}") in own] for kind in _KINDS
            )
            lists = [own[name] for name in present], [gradients[name].contiguous() for name in present]
            if present:
                adam(
                    *lists, averages, squares, largest, steps,
                    fused=True, found_inf=bad, beta1=beta1, beta2=beta2, **numbers,
                )  # fmt: skip

    @torch.no_grad()
    def take(self, changed: Mapping[str, Tensor]) -> None:
        """Makes parameters and the optimizer's state what updates made of them."""
        mine = {**{name: p for _, parameters in self._groups for name, p in parameters.items()}, **self._state}
        torch._foreach_copy_([*mine.values()], [changed[name] for name in mine])


def is_pure(optimizer: Optimizer) -> bool:
    """Whether `AdamUpdates` makes an optimizer's steps: those of a fused Adam or AdamW, where no hook looks on."""
    if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW) or not optimizer.state:
        return False
    groups = optimizer.param_groups
    known = all(g["fused"] and isinstance(g["lr"], float) and not g["capturable"] for g in groups)
    parameters = [p for group in groups for p in group["params"]]
    hooks = [p._backward_hooks or p._post_accumulate_grad_hooks for p in parameters]
    return known and not any([*hooks, optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks])
