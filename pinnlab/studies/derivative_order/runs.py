"""Does the kernel of a residual of order p grow as omega^2p? Rayleigh quotients of waves, on untrained networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pinnlab.analysis.ntk import spectrum_of
from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.objective.parameter_derivatives import jacobian_rows
from pinnlab.problems import Problem, Residual
from pinnlab.studies.engine.recording import cell
from pinnlab.studies.engine.runner import Config, Row, Study

ORDERS = (0, 1, 2, 4)
WAVE_NUMBERS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32)
"""k of sin(pi k x) on [-1, 1], which has k periods there."""

POINTS = 256
"""Eight for each period of the last wave. The rule of midpoints on them is exact for periodic functions."""


class Derivatives(Problem):
    """The derivatives of `ORDERS` of one unknown on [-1, 1], each the residual of a condition."""

    def __init__(self) -> None:
        x = Interval("x", -1, 1)
        conditions = {f"order_{p}": Residual(x, _derivative(p)) for p in ORDERS}
        super().__init__(domain=x, unknowns=("u",), conditions=conditions)


def _derivative(order: int) -> Callable[[AbstractField], Tensor]:
    def residual(u: AbstractField) -> Tensor:
        return u.d(*["x"] * order) if order else 1.0 * u

    return residual


def waves(points: Tensor, wave_numbers: Sequence[int] = WAVE_NUMBERS) -> Iterator[tuple[str, list[Tensor]]]:
    """The functions whose Rayleigh quotients are taken, at `(N,)` points; quotients of one name are averaged.

    Args:
        points: equally spaced on [-1, 1], without the ends.
        wave_numbers: the wave numbers.

    Yields:
        A name and `(waves, N)` vectors of norm 1: `sine`, sin(omega x); `phases`, sine and cosine; `packet`, both
        times the Hann window cos^2(pi x / 2), which takes value and slope to zero at the ends.
    """
    phase = math.pi * torch.tensor(wave_numbers).to(points)[:, None] * points
    window = torch.cos(math.pi * points / 2).square()
    sine, cosine = torch.sin(phase), torch.cos(phase)
    for name, functions in (
        ("sine", [sine]), ("phases", [sine, cosine]), ("packet", [window * sine, window * cosine]),
    ):  # fmt: skip
        yield name, [f / f.norm(dim=1, keepdim=True) for f in functions]


def quotients(rows: Tensor, vectors: Sequence[Tensor]) -> Tensor:
    """The Rayleigh quotients q'Kq of K = JJ', averaged over several sets of vectors.

    They are squares of J'q: from K itself nothing is left of those below its largest eigenvalue times round-off.

    Args:
        rows: J, `(N, n)`.
        vectors: sets of k vectors q of norm 1, `(k, N)` each.

    Returns:
        `(k,)`.
    """
    return torch.stack([(q @ rows).square().sum(1) for q in vectors]).mean(0)


def probe(trained: Any) -> Row:
    """Of each order: quotients, what the ends of the interval alone would make of them, the kernel's effective rank."""
    system, row = trained.model.system, {}
    tensors = trained.model.trial.tensors()
    points = (torch.arange(POINTS) + 0.5).to(trained.model.loss_weights) * (2 / POINTS) - 1
    for p in ORDERS:
        rows = _jacobian(system, tensors, p, points) / math.sqrt(POINTS)
        for name, vectors in waves(points):
            row[f"{name}_{p}"] = cell(quotients(rows, vectors).tolist())
        # Of J'q for q = sin(omega x) integration by parts leaves at the ends: cos(omega) (g(1) - g(-1)) / omega.
        ends = _jacobian(system, tensors, p, points.new_tensor([-1.0, 1.0]))
        row[f"ends_{p}"] = cell([float((ends[1] - ends[0]).square().sum())])
        row[f"effective_rank_{p}"] = cell([spectrum_of(rows @ rows.T).effective_rank])
    return row


def _jacobian(system: Any, tensors: Mapping[str, Tensor], order: int, points: Tensor) -> Tensor:
    rows: Tensor = jacobian_rows(system, tensors, {f"order_{order}": points[:, None]})[1].detach()
    return rows


def _network(kind: str = "MLP", **options: Any) -> Config:
    return {"model": {"network": {"class_path": kind, "init_args": options}}}


def _embedded(kind: str, **options: Any) -> Config:
    return _network(hidden=[64, 64], embedding={"class_path": kind, "init_args": options})


SETTINGS: Mapping[str, Config] = {
    "plain": _network(hidden=[64, 64]),
    "plain_256": _network(hidden=[256, 256]),
    "siren": _network("SIREN", hidden=[64, 64]),
    "fourier_10": _embedded("FourierFeatures", scale=10.0),
    "fourier_30": _embedded("FourierFeatures", scale=30.0),
    "periodic": _embedded("PeriodicEmbedding", columns=[0], harmonics=8),
}

UNTRAINED: Config = {
    "problem": {"class_path": f"{__name__}.Derivatives"},
    "data": {"points": 4},
    # One step of length zero.
    "model": {"phases": [{"optimizer": {"class_path": "SGD", "init_args": {"lr": 0.0}}, "steps": 1}], "compile": False},
}

KINDS = ("sine", "phases", "packet", "ends", "effective_rank")
COLUMNS = ("parameters", *(f"{kind}_{p}" for kind in KINDS for p in ORDERS))


def measure(summary: Mapping[str, Any]) -> Row:
    """The size of the network; nothing is trained."""
    return {"parameters": summary["parameters"]}


STUDY = Study(
    "derivative_order", {"derivatives": ("regression_gd", UNTRAINED)}, SETTINGS, COLUMNS, measure,
    seeds=range(10), probe=probe,
)  # fmt: skip
