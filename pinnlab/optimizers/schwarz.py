"""L-BFGS preconditioned by a Schwarz method over the layers of the network."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, check_real, check_whole, unknown
from pinnlab.optimizers.flat import FlatObjective
from pinnlab.optimizers.lbfgs import LBFGS
from pinnlab.optimizers.line_search import SearchStatus

_MODES = ("additive", "multiplicative")


class SchwarzLBFGS(LBFGS):
    """Schwarz-preconditioned L-BFGS, SPQN (Kopaničáková, Kothari, Karniadakis & Krause, arXiv 2306.17648).

    The parameters are split into blocks, one for each layer of the network. A step first solves the blocks'
    own problems approximately, by L-BFGS with the other blocks frozen and no memory of earlier steps; then it
    makes one L-BFGS iteration in all parameters, with a direction that is bent towards the last one.

    `multiplicative`: one block after the other, each from where the one before ended. `additive`: all blocks
    from the same point theta, and then theta plus alpha times the sum of their corrections, alpha from a line
    search. Each block alone tends to fit what all of them could share, so that the sum overshoots and alpha is
    small (1e-3 on `Poisson1D`); where the best correction alone gives a lower loss than that, it is taken
    instead. In the paper each block of the additive method has a processor of its own; here they are solved in
    turn, and every process works on its share of the points.

    A step is many evaluations, about (`local_iterations` + 1) times the number of blocks: plan few steps. At equal
    numbers of evaluations it is about level with L-BFGS of 3 pairs and behind L-BFGS of 50
    (relative error 1e-4 to 9e-4 against 1.5e-5 on `Poisson1D` after 5,000 evaluations).

    Restarts, the count of evaluations and what a checkpoint holds: see `QuasiNewton`; the pairs (s, y) are
    those of the steps in all parameters.

    Args:
        params: the parameters, in one group, real and of one dtype, in the order of the layers.
        mode: `multiplicative` or `additive`. Without a processor for each block the first is ahead: it throws no
            correction away.
        blocks: at most so many blocks, of neighbouring layers, as equal as can be in layers; None is one for
            each layer.
        local_iterations: L-BFGS iterations in each block and step; 50 as in the paper's experiments.
        history: curvature pairs of the global L-BFGS; 3 as in the paper.
        momentum: share of the last global step in the next direction; 0.1 as in the authors' code. A direction
            that would not descend loses it.
        lr: first trial of the line search in all parameters, as a multiple of the quasi-Newton step.
        line_search: `strong_wolfe` or `hager_zhang`, everywhere.
        c1: sufficient decrease; see `StrongWolfe`.
        c2: curvature condition; see `StrongWolfe`.
        max_evaluations: budget of one line search; see `StrongWolfe`.

    Raises:
        ConfigurationError: when a value is out of its range, or there is more than one parameter group.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        mode: str = "multiplicative",
        blocks: int | None = None,
        local_iterations: int = 50,
        history: int = 3,
        momentum: float = 0.1,
        lr: float = 1.0,
        line_search: str = "strong_wolfe",
        c1: float = 1e-4,
        c2: float = 0.9,
        max_evaluations: int = 25,
    ) -> None:
        check_whole("", least=1, local_iterations=local_iterations)
        check_real("", momentum=momentum)
        if mode not in _MODES:
            raise unknown("mode", mode, _MODES)
        if blocks is not None:
            check_whole("", blocks=blocks)
        if blocks is not None and blocks < 1:
            raise ConfigurationError(f"blocks: must be at least 1, or null for one a layer, not {blocks}")
        if not 0 <= momentum < 1:
            raise ConfigurationError(f"momentum: must be in [0, 1), not {momentum}")
        search: dict[str, Any] = {"line_search": line_search, "c1": c1, "c2": c2, "max_evaluations": max_evaluations}
        super().__init__(params, lr=lr, history=history, iterations=1, **search)
        self.param_groups[0].update(mode=mode, blocks=blocks, local_iterations=local_iterations, momentum=momentum)

    @property
    def evaluations_per_step(self) -> int:
        """How often a step calls its closure, about: each iteration once, each block once at its start."""
        group = self.param_groups[0]
        return len(self._blocks()) * (group["local_iterations"] + 1) + 2

    def _iterate(self, objective: FlatObjective, *, fresh: bool) -> bool:
        loss = self._memory["loss"]
        additive = self.param_groups[0]["mode"] == "additive"
        fresh = self._correct_additively(objective) or fresh if additive else self._correct_in_turn(objective)
        decreased = self._memory["loss"] < loss
        if not super()._iterate(objective, fresh=fresh) and decreased:
            # Nothing is left to gain in all parameters at once, but the blocks did move: this is no stall.
            self._note(SearchStatus.DECREASE)
        return self.search_status.moved

    def _correct_in_turn(self, objective: FlatObjective) -> bool:
        """Solves the blocks one after the other; true: the kept values are those of an evaluation in this step."""
        objective.move(self._memory["point"])
        for block in self._blocks():
            self._solve(objective, block)
        self._evaluate(objective, objective.point())
        return True

    def _correct_additively(self, objective: FlatObjective) -> bool:
        """Solves all blocks from the kept point and moves along the corrections; false: it stays."""
        point, corrections, losses = self._memory["point"], [], []
        for block in self._blocks():
            objective.move(point)
            losses.append(self._solve(objective, block))
            corrections.append(objective.point() - point)
        correction = torch.stack(corrections).sum(0)
        result = self._search_along(objective, correction, 1.0)
        best = min(range(len(losses)), key=losses.__getitem__)
        if losses[best] < result.loss:
            self._evaluate(objective, point + corrections[best])
            return True
        if result.status.moved:
            self._keep(point.add(correction, alpha=result.step), result.loss, result.gradient)
        return result.status.moved

    def _solve(self, objective: FlatObjective, block: Sequence[Tensor]) -> float:
        """Moves a block to where L-BFGS from here takes it, and returns the loss there."""
        group = self.param_groups[0]
        search = {key: group[key] for key in ("line_search", "c1", "c2", "max_evaluations")}
        solver = LBFGS(block, iterations=group["local_iterations"], **search)
        # Through the objective of all parameters: it counts, and clears the gradients of the other blocks too.
        solver.step(lambda: objective(objective.point())[0])
        assert solver.loss is not None  # it made a step
        return solver.loss

    def _blocks(self) -> list[list[Tensor]]:
        group = self.param_groups[0]
        return blocks_of_layers(group["params"], group["blocks"])

    def _direction(self, gradient: Tensor) -> tuple[Tensor, float]:
        direction, first = super()._direction(gradient)
        if "momentum" in self._memory:
            bent = torch.lerp(direction, self._memory["momentum"], self.param_groups[0]["momentum"])
            direction = bent if float(bent @ gradient) < 0 else direction
        return direction, first

    def _learn(self, s: Tensor, y: Tensor, gradient: Tensor, step: float) -> None:
        super()._learn(s, y, gradient, step)
        if self.param_groups[0]["momentum"]:
            self._memory["momentum"] = s

    def _restart(self) -> None:
        super()._restart()
        self._memory.pop("momentum", None)


def blocks_of_layers(parameters: Sequence[Tensor], blocks: int | None = None) -> list[list[Tensor]]:
    """Splits consecutive parameters by layers.

    A parameter with two or more dimensions begins a layer. The others (biases, coefficients) belong to the
    layer before them, and to the first one when none is before.

    Args:
        parameters: in the order of the layers.
        blocks: merges neighbouring layers into at most so many blocks; None merges none.

    Returns:
        The blocks, which joined are the parameters in their order.
    """
    layers: list[list[Tensor]] = [[]]
    for parameter in parameters:
        if parameter.ndim >= 2 and any(p.ndim >= 2 for p in layers[-1]):
            layers.append([])
        layers[-1].append(parameter)
    count = len(layers) if blocks is None else min(blocks, len(layers))
    bounds = [len(layers) * k // count for k in range(count + 1)]
    return [[p for layer in layers[a:b] for p in layer] for a, b in itertools.pairwise(bounds)]
