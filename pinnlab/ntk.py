"""Spectra of the neural tangent kernel: what gradient descent can learn quickly, and what it hardly can.

The kernel is JJ' of the residuals as they stand in the loss: those of condition b are multiplied by the root of its
weight w over its number of points N, so that the loss is r'r (see `Linearization`). Its eigenvalues therefore do not
grow with the number of points, and those of a condition's block are w / N times those of the literature's K_bb (Wang,
Yu, Perdikaris, arXiv 2007.14527), where residuals are not scaled. Condition number and effective rank of a single block
are the same in both; those of the whole depend on the weights, as training does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError
from pinnlab.linearization import Linearization

WHOLE = "total"
"""The name of the whole kernel beside those of its blocks; loggers have `loss/total` likewise."""


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of a symmetric positive semidefinite matrix, and what they say in one number.

    Attributes:
        eigenvalues: `(k,)` the largest ones, in descending order, float64 on the CPU; round-off may make those that
            are zero slightly negative.
        trace: of the matrix: the sum of all its eigenvalues.
        size: N, its number of rows.
        epsilon: rounding unit of the numbers that the matrix was computed in.
        complete: whether all eigenvalues that are not zero are among them. Otherwise the numbers below are bounds.
    """

    eigenvalues: Tensor
    trace: float
    size: int
    epsilon: float = torch.finfo(torch.float64).eps
    complete: bool = True

    @property
    def top(self) -> float:
        """The largest eigenvalue; gradient descent on r'r with a step beyond its inverse diverges."""
        return float(self.eigenvalues[0]) if len(self.eigenvalues) else 0.0

    @property
    def rank(self) -> int:
        """How many eigenvalues are above round-off, which is size x epsilon x the largest one."""
        return len(self._significant)

    @property
    def condition_number(self) -> float:
        """The largest eigenvalue over the smallest one above round-off (see `rank`); NaN of a matrix that is zero.

        So it never exceeds 1 / (size x epsilon). Of an incomplete spectrum it is a lower bound.
        """
        kept = self._significant
        return float(kept[0] / kept[-1]) if len(kept) else float("nan")

    @property
    def effective_rank(self) -> float:
        """The exponential of the entropy of the eigenvalues over their sum (Roy & Vetterli, EUSIPCO 2007).

        As many equal eigenvalues would be as evenly spread; 0 of a matrix that is zero. Of an incomplete spectrum it is
        a lower bound: what is missing counts as one eigenvalue.
        """
        if not self.top > 0:
            return self.top  # also when it is NaN
        parts = torch.cat([self.eigenvalues.clamp(min=0), self.eigenvalues.new_tensor([self._rest])])
        parts = parts[parts > 0] / parts.sum()
        return float(torch.exp(-(parts * parts.log()).sum()))

    def effective_dimension(self, damping: float) -> float:
        """The trace of K (K + damping I)^-1: how many directions a damped Gauss-Newton step resolves.

        Of an incomplete spectrum it is a lower bound: no missing eigenvalue exceeds the last one.

        Raises:
            ConfigurationError: the damping is not positive.
        """
        if not damping > 0:
            raise ConfigurationError(f"damping: must be above 0, got {damping}")
        values = self.eigenvalues.clamp(min=0)
        found = float((values / (values + damping)).sum())
        return found + self._rest / (float(values[-1]) + damping) if self._rest else found

    @property
    def _significant(self) -> Tensor:
        return self.eigenvalues[self.eigenvalues > self.size * self.epsilon * self.top]

    @property
    def _rest(self) -> float:
        """The sum of the eigenvalues that were not found."""
        return 0.0 if self.complete else max(self.trace - float(self.eigenvalues.sum()), 0.0)


def spectrum_of(kernel: Tensor) -> Spectrum:
    """All eigenvalues of a dense symmetric positive semidefinite matrix `(N, N)`.

    They are accurate to N epsilon times the largest one. All are NaN when the matrix is not finite.
    """
    epsilon = torch.finfo(kernel.dtype).eps
    trace = float(kernel.diagonal().sum())
    if not bool(kernel.isfinite().all()):
        return Spectrum(torch.full((len(kernel),), torch.nan, dtype=torch.float64), trace, len(kernel), epsilon)
    values = torch.linalg.eigvalsh(kernel).flip(0).to("cpu", torch.float64)
    return Spectrum(values, trace, len(kernel), epsilon)


def kernel_spectra(linearization: Linearization) -> dict[str, Spectrum]:
    """The spectrum of the kernel and of its diagonal blocks; a collective, with the same result on every rank.

    Args:
        linearization: the loss around some parameters; `PINN.linearization(batch)` makes one.

    Returns:
        For each condition that of its own kernel, by name, and that of the whole one as `total`; all of the residuals
        as they are scaled in the loss, see above.
    """
    kernel = linearization.kernel()
    blocks = {name: kernel[rows][:, rows] for name, rows in linearization.row_numbers().items()}
    return {**{name: spectrum_of(block) for name, block in blocks.items()}, WHOLE: spectrum_of(kernel)}
