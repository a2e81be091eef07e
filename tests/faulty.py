"""A problem that stops being finite, from the first step or in mid-run, in one of several ways."""

import math

import lightning as L
import torch

from pinnlab.callbacks import Rollback
from pinnlab.domains import Interval
from pinnlab.problems import Dirichlet, Exact, Problem, Residual

KINDS = ("target", "residual", "gradient", "weight", "parameter")
FROM = 0.8
"""Where the equation is not finite: at x > 0.8."""


class Faulty(Problem):
    """u'' = -1 with u = 0 at both ends.

    Args:
        broken: what is not finite: `residual`, `gradient` (of a residual that is), or `target`; default: all is well.
        reference: whether the solution is known: `none`, `exact`, `half` (where x < 0.5) or `undeclared` half.
    """

    def __init__(self, broken=None, reference="none"):
        self._broken, self.solution = None, reference
        x = Interval("x", 0.0, 1.0)
        conditions = {"pde": Residual(x, self.balance), "wall": Dirichlet(x.boundary(), u=self.value)}
        super().__init__(x, ("u",), conditions)
        self._broken = broken

    def balance(self, u, x):
        residual, bad = u.xx + 1.0, x > FROM
        if self._broken == "residual":
            residual = residual + torch.where(bad, math.nan, 0.0)
        if self._broken == "gradient":  # the root of the square of zero: 0, with the slope 0 times infinity
            residual = residual + ((0.0 * u.value).square() + (~bad).to(x)).sqrt() - (~bad).to(x)
        return residual

    def value(self, x):
        return torch.where(x > 0.5, math.inf, 0.0) if self._broken == "target" else 0.0 * x

    def reference(self):
        if self.solution == "none":
            return None
        half = self.solution != "exact"
        where = (lambda x: x < 0.5) if self.solution == "half" else None
        return Exact(lambda x: torch.where((x < 0.5) | (not half), x * (1 - x) / 2, math.nan), where)


class Break(L.Callback):
    """Breaks a run before one of its steps: a Faulty problem, a weight of the loss, or the parameters.

    Args:
        kind: one of KINDS.
        step: the first step that it is broken in.
        once: whether only that one.
    """

    def __init__(self, kind, step=3, once=False):
        self.kind, self.step, self.once = kind, step, once

    def on_train_batch_start(self, trainer, pl_module, *unused):
        if self.once and trainer.global_step > self.step:
            pl_module.problem._broken = None
            return
        if trainer.global_step < self.step:
            return
        if self.kind == "parameter":
            with torch.no_grad():
                next(pl_module.trial.parameters()).fill_(math.nan)
        elif self.kind == "weight":
            pl_module.weights.set_factors(torch.full_like(pl_module.weights.factors, math.nan))
        else:
            pl_module.problem._broken = self.kind


class NoRollback(L.Callback):
    """A command's run without the `Rollback` that every command has."""

    def setup(self, trainer, pl_module, stage):
        trainer.callbacks = [c for c in trainer.callbacks if not isinstance(c, Rollback)]
