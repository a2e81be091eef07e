"""L-BFGS that corrections of subdomains precondition: merged in the small space that they span."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from pinnlab.errors import check_whole
from pinnlab.optimizers.flat import FlatObjective
from pinnlab.optimizers.lbfgs import LBFGS
from pinnlab.optimizers.line_search import SearchStatus
from pinnlab.optimizers.local_lbfgs import correct_blocks, inverse_hessians_times
from pinnlab.optimizers.merging import Corrections, Place, merge
from pinnlab.optimizers.schwarz import blocks_of_layers


class MultiPreconditionedLBFGS(LBFGS):
    """Multi-preconditioned L-BFGS for networks of windows, after MP-LBFGS (Salvadó-Benasco et al., arXiv 2601.08709).

    The parameters are split into blocks, one for each window of `Subdomains`, those of coarse levels among them. A step
    has three parts:

    1. Each block makes local L-BFGS steps while the others are frozen, all from the same point (nonlinear additive
       Schwarz). No point sees two windows of a colour, so their gradients come out of one evaluation of the loss, see
       `correct_blocks`: in d coordinates there are 2^d colours for each level, however many windows there are.
    2. The corrections are merged: L-BFGS minimises the loss over a factor for each, and one for the last step before.
    3. L-BFGS iterations in all parameters follow; the pair (s, y) of the merged correction is one of theirs.

    That is the idea of the paper, of which we know the summary only. Ours are the details: that windows have memories,
    which last from step to step, and step lengths of their own at one evaluation for each colour; the scaling of the
    merging; many iterations in all parameters; and what makes it pay, that their directions start from the inverse
    Hessians that the windows have learned (`block_start`) where L-BFGS starts from a multiple of the identity.

    When to choose it: windows along one coordinate, where neither a Jacobian nor an n x n matrix is to be had. After
    2,000 evaluations on `MultiscalePoisson` in 16 windows errors are 3 to 58 times below those of `LBFGS` (but 37 to
    2,300 times above those of `SSBroyden`, which has a matrix). On grids in two dimensions, where a point lies in four
    windows, it is behind `LBFGS` (docs/subdomains.md).

    Where a condition looks at several points (`Periodic`, `Integral`), windows of a colour are not quite free of each
    other; the merging never raises the loss all the same. Networks without windows are split by layers, each a colour
    of its own, as in `SchwarzLBFGS`.

    Restarts, the count of evaluations and what a checkpoint holds: see `QuasiNewton`. `inverse_hessian_root` is that of
    the pairs of steps in all parameters, from a multiple of the identity.

    Args:
        params: the parameters, in one group, real and of one dtype.
        local_evaluations: evaluations for each colour in a step. More fit windows to errors of their neighbours.
        local_history: curvature pairs that each window keeps.
        merging_iterations: L-BFGS iterations over the factors.
        global_iterations: L-BFGS iterations in all parameters that follow. Few leave most of the work to windows, which
            do not see long waves; with 1 the method is behind `LBFGS` (docs/subdomains.md).
        block_start: whether directions in all parameters start from the windows' inverse Hessians.
        history: curvature pairs of steps in all parameters.
        lr: first trial of a line search in all parameters, as a multiple of the quasi-Newton step.
        line_search: `strong_wolfe` or `hager_zhang`, in all parameters.
        c1: sufficient decrease; see `StrongWolfe`.
        c2: curvature condition; see `StrongWolfe`.
        max_evaluations: budget of one line search; see `StrongWolfe`.

    Raises:
        ConfigurationError: when a value is out of its range, or there is more than one parameter group.
    """

    wants_blocks = True
    """Marks optimizers that work on parts of a network; `step` takes the keyword `blocks`."""

    _blocks: Sequence[Tensor] | None = None

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        local_evaluations: int = 5,
        local_history: int = 10,
        merging_iterations: int = 5,
        global_iterations: int = 40,
        block_start: bool = True,
        history: int = 50,
        lr: float = 1.0,
        line_search: str = "strong_wolfe",
        c1: float = 1e-4,
        c2: float = 0.9,
        max_evaluations: int = 25,
    ) -> None:
        own = {
            "local_evaluations": local_evaluations,
            "local_history": local_history,
            "merging_iterations": merging_iterations,
            "global_iterations": global_iterations,
        }
        check_whole("", least=1, **own)
        search: dict[str, Any] = {"line_search": line_search, "c1": c1, "c2": c2, "max_evaluations": max_evaluations}
        super().__init__(params, lr=lr, history=history, iterations=1, **search)
        self.param_groups[0].update(**own, block_start=bool(block_start))

    @property
    def evaluations_per_step(self) -> int:
        """How often a step calls its closure, about; before the first one colours are guessed from the layers."""
        group, colours = self.param_groups[0], len(self._layers() if self._blocks is None else self._blocks)
        return colours * group["local_evaluations"] + group["merging_iterations"] + group["global_iterations"]

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], Tensor] | None = None, *, blocks: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Corrects the blocks, merges the corrections, and goes on in all parameters.

        Args:
            closure: computes the loss, calls `backward` and returns the loss. It is called at least once.
            blocks: by colour `(blocks, m)`, the places in the flat vector of each block's numbers, each place once;
                None is a block for each layer.

        Returns:
            The loss at the start of the step.

        Raises:
            ConfigurationError: when there is no closure, it returns no loss, or a parameter was frozen in mid-phase.
        """
        self._blocks = self._layers() if blocks is None else blocks
        return super().step(closure)

    def _layers(self) -> list[Tensor]:
        """The places of each layer's numbers, `(1, m)`."""
        sizes = [sum(p.numel() for p in block) for block in blocks_of_layers(self.param_groups[0]["params"])]
        device = self.param_groups[0]["params"][0].device
        return [places[None] for places in torch.arange(sum(sizes), device=device).split(sizes)]

    def _iterate(self, objective: FlatObjective, *, fresh: bool) -> bool:
        loss = self._memory["loss"]
        fresh = self._correct(objective) or fresh
        for _ in range(self.param_groups[0]["global_iterations"]):
            if not super()._iterate(objective, fresh=fresh):
                break
            fresh = True
        if self._memory["loss"] < loss and not self.search_status.moved:
            # Nothing is left to gain in all parameters at once, but they did move: this is no stall.
            self._note(SearchStatus.DECREASE)
        return self.search_status.moved

    def _correct(self, objective: FlatObjective) -> bool:
        """Moves along the corrections of all blocks, merged; false: the kept point stays."""
        memory = self._memory
        point, gradient = memory["point"], memory["gradient"]
        if not bool(gradient.isfinite().all()):
            return False
        search = {key: self.param_groups[0][key] for key in ("line_search", "c1", "c2", "max_evaluations")}
        corrections = self._corrections(objective, point, gradient)
        start = Place(point, memory["loss"], gradient)
        merged = merge(objective, corrections, start, self.param_groups[0]["merging_iterations"], search)
        if merged is None:
            return False
        self._learn(merged.point - point, merged.gradient - gradient, gradient, 1.0)
        self._keep(*merged)
        return True

    def _corrections(self, objective: FlatObjective, point: Tensor, gradient: Tensor) -> Corrections:
        """What each block does alone, colour after colour, and remembers."""
        group, memory = self.param_groups[0], self._memory
        moves, change = torch.zeros_like(point), torch.zeros_like(point)
        owner, count = torch.zeros_like(point, dtype=torch.long), 0
        for colour, places in enumerate(self._blocks or []):

            def gradients(moves: Tensor, places: Tensor = places) -> Tensor:
                return objective(point.index_put((places,), point[places] + moves))[1][places]

            pairs = memory.get(f"local_{colour}")
            if pairs is None:
                pairs = point.new_zeros(len(places), group["local_history"], 2, places.shape[1])
            found = correct_blocks(gradients, gradient[places], pairs, group["local_evaluations"])
            memory[f"local_{colour}"] = found.pairs
            moves[places], change[places] = found.moves, found.change
            owner[places] = count + torch.arange(len(places), device=point.device)[:, None]
            count += len(places)
        last = tuple(memory.get(key, torch.zeros_like(point)) for key in ("last_step", "last_change"))
        return Corrections(moves, change, owner, count, last)

    def _direction(self, gradient: Tensor) -> tuple[Tensor, float]:
        if not (self._has_curvature() and self.param_groups[0]["block_start"] and "local_0" in self._memory):
            return super()._direction(gradient)
        return self._pairs.times(gradient, self._start).neg_(), 1.0

    def _start(self, vector: Tensor, gamma: Tensor) -> Tensor:
        """The product of the blocks' inverse Hessians with `(n,)`; gamma for those that have learned nothing."""
        product = torch.empty_like(vector)
        for colour, places in enumerate(self._blocks or []):
            product[places] = inverse_hessians_times(self._memory[f"local_{colour}"], vector[places], gamma)
        return product

    def _learn(self, s: Tensor, y: Tensor, gradient: Tensor, step: float) -> None:
        super()._learn(s, y, gradient, step)
        self._memory.update(last_step=s, last_change=y)

    def _restart(self) -> None:
        super()._restart()
        for key in [key for key in self._memory if key.startswith(("local_", "last_"))]:
            del self._memory[key]
