"""Which directions the estimated operators of a problem are computed from: numbered draws, one for each step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from pinnlab.derivatives import Sample, Wanted
from pinnlab.derivatives.sampling import in_order
from pinnlab.samplers import seed_for

HELD_OUT = -1
"""The number of the draw that scores are computed with: the same at every validation, and that of no step."""


class StepDraws(nn.Module):
    """What estimated Laplacians and traces are computed from, as buffers: arguments of compiled functions.

    A draw depends on the seed, on its number and on the estimate alone. So a run that is resumed repeats it, all ranks
    draw alike, and every evaluation of a step, as those of a line search, sees one draw. All points have the same: the
    residual stays a function of the point, and the first layer's derivatives are a few of its columns for all of them.

    Args:
        samples: the estimates that the problem's conditions ask for.

    Attributes:
        samples: those of them that are random, in order.
        seed: of all draws.
        number: of the present one.
    """

    def __init__(self, samples: Iterable[Sample]) -> None:
        super().__init__()
        self.samples = tuple(in_order(sample for sample in samples if sample.is_random))
        self.seed, self.number = 0, HELD_OUT
        for i, sample in enumerate(self.samples):
            self.register_buffer(str(i), self._drawn(sample), persistent=False)

    def take(self, number: int = HELD_OUT, seed: int | None = None) -> None:
        """Makes the draw of a number; default: the one for scores."""
        same = number == self.number and seed in (None, self.seed)
        if same or not self.samples:
            return
        self.number, self.seed = number, self.seed if seed is None else seed
        for i, sample in enumerate(self.samples):
            self.get_buffer(str(i)).copy_(self._drawn(sample))

    def columns(self, values: Mapping[str, Tensor] | None = None) -> dict[Sample, Tensor]:
        """What was drawn for each estimate: the columns `(count,)` of a Laplacian, the signs `(count, r)` of a trace.

        Args:
            values: tensors by their names in the trial function, to be used instead of the buffers.
        """
        given = values or {}
        return {
            sample: given.get(f"{NAME}.{i}", self.get_buffer(str(i))).clone()  # clone: kept until the gradient is known
            for i, sample in enumerate(self.samples)
        }

    def _drawn(self, sample: Sample) -> Tensor:
        kind, *rest = sample.seeds
        seed = seed_for(self.seed, kind, self.number, *rest)
        return sample.drawn(torch.Generator().manual_seed(seed))


def draws_of(trial: nn.Module, wanted: Iterable[Wanted]) -> StepDraws:
    """The draws that a trial function has; new ones for a function that stands in for one and has none."""
    own = getattr(trial, NAME, None)
    return own if isinstance(own, StepDraws) else StepDraws(set().union(*(each.samples for each in wanted)))


NAME = "draws"
"""The attribute of the trial function that the draws are, the beginning of the names of their tensors."""
