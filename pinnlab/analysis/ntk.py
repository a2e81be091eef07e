"""Spectra of the neural tangent kernel: what gradient descent can learn quickly, and what it hardly can.

The kernel is JJ' of the residuals as they stand in the loss: those of condition b are multiplied by the root of its
weight w over its number of points N, so that the loss is r'r (see `Linearization`). Its eigenvalues therefore do not
grow with the number of points, and those of a condition's block are w / N times those of the literature's K_bb (Wang,
Yu, Perdikaris, arXiv 2007.14527), where residuals are not scaled. Condition number and effective rank of a single block
are the same in both; those of the whole depend on the weights, as training does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError
from pinnlab.numerics.lanczos import Ritz, lanczos
from pinnlab.objective.linearization import Linearization

WHOLE = "total"
"""The name of the whole kernel beside those of its blocks; loggers have `loss/total` likewise."""

DENSE = 2000
"""Rows up to which a matrix is made: 32 MB in float64, and all eigenvalues in a second or two on one core."""


@dataclass(frozen=True)
class KernelSpectrum:
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


def spectrum_of(kernel: Tensor) -> KernelSpectrum:
    """All eigenvalues of a dense symmetric positive semidefinite matrix `(N, N)`.

    They are accurate to N epsilon times the largest one. All are NaN when the matrix is not finite.
    """
    epsilon = torch.finfo(kernel.dtype).eps
    trace = float(kernel.diagonal().sum())
    if not bool(kernel.isfinite().all()):
        return KernelSpectrum(torch.full((len(kernel),), torch.nan, dtype=torch.float64), trace, len(kernel), epsilon)
    values = torch.linalg.eigvalsh(kernel).flip(0).to("cpu", torch.float64)
    return KernelSpectrum(values, trace, len(kernel), epsilon)


def kernel_spectra(
    linearization: Linearization, *, top: int = 50, dense: int = DENSE, seed: int = 0
) -> dict[str, KernelSpectrum]:
    """The spectrum of the kernel and of its diagonal blocks; a collective, with the same result on every rank.

    Args:
        linearization: the loss around some parameters; `PINN.linearization(batch)` makes one.
        top: see `kernel_spectrum`.
        dense: see `kernel_spectrum`.
        seed: see `kernel_spectrum`.

    Returns:
        For each condition that of its own kernel, by name, and that of the whole one as `total`; all of the residuals
        as they are scaled in the loss, see above.
    """

    def spectrum(part: Linearization) -> KernelSpectrum:
        return kernel_spectrum(part, top=top, dense=dense, seed=seed)

    blocks, (size, columns) = linearization.row_numbers(), linearization.shape
    if len(blocks) == 1:
        only = spectrum(linearization)
        return {**dict.fromkeys(blocks, only), WHOLE: only}
    if size <= min(columns, dense):
        kernel = linearization.kernel()
        found = {name: spectrum_of(kernel[rows][:, rows]) for name, rows in blocks.items()}
        return {**found, WHOLE: spectrum_of(kernel)}
    return {**{name: spectrum(linearization.of_condition(name)) for name in blocks}, WHOLE: spectrum(linearization)}


def kernel_spectrum(
    linearization: Linearization, *, top: int = 50, dense: int = DENSE, seed: int = 0
) -> KernelSpectrum:
    """The spectrum of the whole kernel JJ', N x N; a collective, with the same result on every rank.

    JJ' and J'J have the same eigenvalues but for zeros. So the smaller one is made where N or n, the number of
    parameters, is at most `dense`: that gives all of them, from a matrix of at most 32 MB. Else block Lanczos on J'J
    finds the largest ones; its vectors have n numbers, which belong to no rank and to no order of the points. Either
    way J is only kept if it fits into the memory of the linearization.

    Args:
        linearization: the loss around some parameters.
        top: how many eigenvalues are found when not all are. Lanczos' basis takes up to 16 times as many vectors.
        dense: size up to which a matrix is made; 2,000 take a second or two.
        seed: of the vectors that Lanczos' method starts with.
    """
    size, columns = linearization.shape
    if size <= min(columns, dense):
        return spectrum_of(linearization.kernel())
    if columns <= dense:
        return replace(spectrum_of(linearization.gram()[0]), size=size)
    found, epsilon = _leading(linearization, min(top, size), seed), torch.finfo(linearization.point.dtype).eps
    complete = len(found.values) == min(size, columns)
    return KernelSpectrum(found.values.to("cpu", torch.float64), linearization.trace(), size, epsilon, complete)


def _leading(linearization: Linearization, count: int, seed: int) -> Ritz:
    """The largest eigenvalues of J'J, and their eigenvectors."""
    generator, like = torch.Generator().manual_seed(seed), linearization.point
    return lanczos(linearization.gram_times, len(like), count, generator, dtype=like.dtype, device=like.device)


# ----------------------------------------------------------------------------- modes


@dataclass(frozen=True)
class Modes:
    """Eigenvectors of the kernel: combinations of residuals that decay by themselves while J stays what it is.

    Attributes:
        eigenvalues: `(k,)` the largest ones, in descending order.
        vectors: `(N, k)`, orthonormal; rows are ordered as the residuals of the linearization.
    """

    eigenvalues: Tensor
    vectors: Tensor

    def coefficients(self, residual: Tensor) -> Tensor:
        """The parts `(k,)` of a residual `(N,)` along the modes."""
        return self.vectors.T @ residual

    def decayed(self, coefficients: Tensor, rate: float, steps: int) -> Tensor:
        """What gradient descent makes of the coefficients `(k,)` in 0 to `steps` steps, `(steps + 1, k)`, J being kept.

        The loss r'r has the gradient 2 J'r. A step of gradient descent moves the parameters by -2 rate J'r, and so r by
        -2 rate JJ'r: the coefficient of a mode with eigenvalue l is multiplied by 1 - 2 rate l. Beyond rate = 1 / l it
        grows.
        """
        powers = torch.arange(steps + 1, dtype=self.eigenvalues.dtype, device=self.eigenvalues.device)
        return coefficients * (1 - 2 * rate * self.eigenvalues) ** powers[:, None]


def kernel_modes(linearization: Linearization, count: int, *, dense: int = DENSE, seed: int = 0) -> Modes:
    """The modes with the largest eigenvalues: at most `count`, and none whose eigenvalue is round-off; a collective.

    The dense or matrix-free ways are those of `kernel_spectrum`; their signs are arbitrary.

    Args:
        linearization: the loss around some parameters.
        count: how many modes.
        dense: see `kernel_spectrum`.
        seed: see `kernel_spectrum`.

    Raises:
        ConfigurationError: `count` is below 1.
    """
    if count < 1:
        raise ConfigurationError(f"count: must be at least 1, got {count}")
    size, columns = linearization.shape
    if size <= min(columns, dense):
        values, vectors = torch.linalg.eigh(linearization.kernel())
        values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
        return _significant(values, vectors, size)
    if columns <= dense:
        values, sides = torch.linalg.eigh(linearization.gram()[0])
        values, sides = values.flip(0)[:count], sides.flip(1)[:, :count]
    else:
        found = _leading(linearization, count, seed)
        values, sides = found.values, found.vectors
    kept = _significant(values, sides, size)
    images = torch.stack([linearization.times(side) for side in kept.vectors.T], 1)
    return Modes(kept.eigenvalues, images / images.norm(dim=0))


def _significant(values: Tensor, vectors: Tensor, size: int) -> Modes:
    """Those that are not round-off; see `KernelSpectrum.rank`."""
    kept = values > size * torch.finfo(values.dtype).eps * values[0]
    return Modes(values[kept], vectors[:, kept])


@dataclass(frozen=True)
class ModeDecay:
    """How the residual's parts along the modes of the first kernel decayed, against what that kernel predicts.

    Attributes:
        modes: of the kernel where gradient descent began.
        rate: its step length.
        measured: `(steps + 1, k)` the coefficients after 0, 1, ... steps.
    """

    modes: Modes
    rate: float
    measured: Tensor

    @property
    def predicted(self) -> Tensor:
        """The coefficients `(steps + 1, k)` of a kernel that does not move; see `Modes.decayed`."""
        return self.modes.decayed(self.measured[0], self.rate, len(self.measured) - 1)

    @property
    def deviation(self) -> Tensor:
        """The distance `(steps + 1, k)` of the two, as a share of the coefficient at the beginning."""
        return (self.measured - self.predicted).abs() / self.measured[0].abs()


def mode_decay(
    linearization: Linearization, rate: float, steps: int, count: int, *, dense: int = DENSE, seed: int = 0
) -> ModeDecay:
    """Measures how modes decay under gradient descent from the present parameters, which stay where they are.

    That it agrees with the prediction is what "lazy training" means; where it does not, the kernel has moved. A
    collective; each step costs an evaluation with its gradient and one without.

    Args:
        linearization: the loss around the parameters to begin at; not a row-scaled view, whose loss is another.
        rate: step length of gradient descent on the loss; beyond 1 / (largest eigenvalue) it diverges.
        steps: how many steps.
        count: how many modes, those with the largest eigenvalues.
        dense: see `kernel_spectrum`.
        seed: see `kernel_spectrum`.

    Raises:
        ConfigurationError: `rate` is not positive, or `steps` or `count` is below 1.
    """
    if not rate > 0:
        raise ConfigurationError(f"rate: must be above 0, got {rate}")
    if steps < 1:
        raise ConfigurationError(f"steps: must be at least 1, got {steps}")
    modes, point = kernel_modes(linearization, count, dense=dense, seed=seed), linearization.point
    measured = [modes.coefficients(linearization.residual(point))]
    for _ in range(steps):
        point = point - rate * linearization.gradient(point)
        measured.append(modes.coefficients(linearization.residual(point)))
    return ModeDecay(modes, rate, torch.stack(measured))
