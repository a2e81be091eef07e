"""Weights of conditions that adapt: how much each term of the loss counts, decided anew from time to time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from pinnlab.callbacks.occasions import Occasions
from pinnlab.callbacks.redraw import refuse_energies
from pinnlab.errors import ConfigurationError, check_names, in_short, unknown
from pinnlab.numerics import distributed
from pinnlab.objective.balancing import AbstractLossTerms, WeightRule
from pinnlab.objective.parameter_derivatives import jacobian_rows
from pinnlab.optimizers import is_multi_eval
from pinnlab.problems.window import absent, present
from pinnlab.reporting.log_steps import logs_loss
from pinnlab.reporting.loggers import log_scalars
from pinnlab.training.switching import phases_of
from pinnlab.training.trainer_parts import needed_store


class LossBalancing(L.Callback):
    """Changes the weights of conditions between steps, so that none drowns the others.

    The weights multiply the user's own (`model.weights`), which rules take into account: they also correct one that is
    far off. They are frozen during a step, however often the loss is evaluated in it. A change is a change of the
    objective, and L-BFGS forgets its curvature: closure optimizers have a number of their own. Weights are saved, and
    logged as `weight/<condition>`.

    Cost: one evaluation for each condition of the problem and update with `GradientNorm` and `LRA`, about one with
    `NTKTrace`, none with `ReLoBRaLo` and `SoftAdapt`; with the default `every`, 5 % of a step on average for five
    conditions. What is spent counts among the run's evaluations.

    Args:
        rule: how weights follow from the terms; see `pinnlab.objective.balancing`.
        every: loss evaluations between two updates.
        conditions: whose weights; default: all with an own weight above zero. The others keep theirs, and the rule does
            not see them.
        closure_every: the same with optimizers that make several evaluations a step, such as L-BFGS; 1,000, because a
            change costs them their curvature.

    Raises:
        ConfigurationError: `rule` is none, `every` or `closure_every` is below 1, a name is not a condition with a
            weight, or the rule needs a differential equation and there is none.
    """

    logs = ("weight/",)

    def __init__(
        self,
        rule: WeightRule,
        every: int = 100,
        conditions: Sequence[str] | None = None,
        closure_every: int = 1000,
    ) -> None:
        if not isinstance(rule, WeightRule):
            raise ConfigurationError(f"LossBalancing.rule: must be a rule such as NTKTrace(), got {in_short(rule)}")
        if conditions is not None:
            check_names("LossBalancing.conditions", conditions, "pde")
        self.rule, self.conditions = rule, conditions
        self.occasions = Occasions(type(self).__name__, every, closure_every=closure_every)
        self._balanced: list[str] = []  # the conditions of this training

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Checks names and rule, and starts counting."""
        if stage != "fit":
            return
        needed_store(pl_module, type(self).__name__)
        refuse_energies(type(self).__name__, pl_module.problem, self.conditions or pl_module.problem.conditions)
        known = _weighable(pl_module)
        for name in self.conditions or ():
            if name not in known and name not in absent(pl_module.problem):
                raise unknown("condition in LossBalancing.conditions (its weight is not zero)", name, known)
        equations = pl_module.problem.differential_equations()
        if self.rule.needs_equation and not set(self._names(pl_module)) & set(equations):
            raise ConfigurationError(
                f"LossBalancing.rule: {type(self.rule).__name__} needs a differential equation among the conditions; "
                "use GradientNorm"
            )
        self._balanced = list(self._names(pl_module))
        if len(self._balanced) < 2 and not absent(pl_module.problem):
            alone = ", ".join(self._balanced) or "no condition"
            warnings.warn(f"LossBalancing: balances {alone} with nothing else; leave it out", stacklevel=2)
        self.occasions.begin(pl_module.counted_before.evaluations)
        self.rule.reset()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Changes the weights when enough evaluations have passed; logs them."""
        if self.occasions.due(pl_module.evaluations, is_multi_eval(pl_module.current_optimizer())):
            self._update(pl_module)
            self.occasions.pass_to(pl_module.evaluations)
        step, every = trainer.global_step, trainer.log_every_n_steps  # type: ignore[attr-defined]
        if logs_loss(step, phases_of(trainer).history.phase_step(step), every):
            factors = dict(zip(pl_module.problem.conditions, pl_module.weights.factors.tolist(), strict=True))
            log_scalars(trainer, {f"weight/{name}": factors[name] for name in self._names(pl_module)})

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Counts from a checkpoint on, unless that has a state of this callback, which is loaded after this."""
        self.occasions.begin(pl_module.evaluations)

    def state_dict(self) -> dict[str, Any]:
        """When weights were last changed, and what the rule remembers of which conditions."""
        return {"last": self.occasions.last, **self._sort(), "rule": self.rule.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues where a checkpoint left off; another rule, or one for other conditions, remembers nothing of it."""
        self.occasions.last, own = state_dict["last"], self._sort()
        if {key: state_dict.get(key, value) for key, value in own.items()} == own:
            self.rule.load_state_dict(state_dict["rule"])

    def _sort(self) -> dict[str, Any]:
        """Which rule it is, and of what: what it remembers is of use to the same only."""
        return {"name": type(self.rule).__name__, "conditions": list(self._balanced)}

    def _names(self, pl_module: Any) -> Sequence[str]:
        return present(self.conditions, pl_module.problem) if self.conditions else _weighable(pl_module)

    def _update(self, pl_module: Any) -> None:
        if not (names := self._names(pl_module)):
            return  # in a window of time that has none of them
        terms = _Terms(pl_module, names)
        if not terms.values().isfinite().all():
            return  # the loss has blown up; that is for `Rollback`
        weights = self.rule.update(terms)
        if weights.isfinite().all():
            factors = pl_module.weights.factors.clone()
            factors[terms.chosen] = weights.to(factors)
            pl_module.weights.set_factors(factors)


class _Terms(AbstractLossTerms):
    """The terms of a module's loss after a step; on what was the step's batch, at the present parameters.

    Args:
        module: the `PINN`.
        names: the conditions that the rule sees.

    Attributes:
        chosen: their numbers among the conditions of the problem.
    """

    def __init__(self, module: Any, names: Sequence[str]) -> None:
        conditions, equations = list(module.problem.conditions), module.problem.differential_equations()
        self._module, self._names = module, names
        self._own: Tensor = module.weights.own
        self.chosen = torch.tensor([conditions.index(name) for name in names], device=self._own.device)
        self.weights = module.weights.factors[self.chosen]
        self.equations = torch.tensor([name in equations for name in names], device=self._own.device)

    def values(self) -> Tensor:
        squares = self._module.loss_terms()
        return self._own[self.chosen] * self._own.new_tensor([squares[name] for name in self._names])

    def gradients(self) -> Tensor:
        found = self._module.loss_gradients(self._own)
        gradients = found.by_condition()[self.chosen].double()
        self._module.evaluations += found.evaluations
        return gradients

    @torch.no_grad()
    def traces(self, max_rows: int) -> Tensor:
        self._module.evaluations += 1
        return self._own[self.chosen] * torch.stack([self._trace(name, max_rows) for name in self._names])

    def generator(self) -> torch.Generator:
        return needed_store(self._module, LossBalancing.__name__).generator("loss balancing")

    def _trace(self, name: str, max_rows: int) -> Tensor:
        """The mean over points of the squared norm of the residual's gradient, in float64; a collective."""
        own = distributed.thin(self._module.loss_gradients().batch[name], max_rows)
        found = self._own.new_tensor([0.0, len(own)])
        if len(own):
            system = self._module.system
            found[0] = jacobian_rows(system, system.trial.tensors(), {name: own})[1].double().square().sum()
        squares, count = distributed.all_sum(found)
        return squares / count


def _weighable(module: Any) -> list[str]:
    """The conditions that are not switched off."""
    weights = module.weights.own.tolist()
    return [name for name, weight in zip(module.problem.conditions, weights, strict=True) if weight > 0]
