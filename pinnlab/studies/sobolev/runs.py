"""Derivatives of the residual in the loss: what the initial kernel predicts of them, and what four optimizers make."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import lightning as L
import torch
from torch import Tensor, nn

from pinnlab.derivatives import AbstractField
from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Dirichlet, Exact, Problem, Residual
from pinnlab.problems.conditions import Condition
from pinnlab.problems.enhancement import Enhancement
from pinnlab.studies.engine.recording import cell, kernel_of, recorded, recording, stable_rate
from pinnlab.studies.engine.runner import Config, Row, Study, outcome
from pinnlab.training.trainer_parts import callbacks_of

WAVE_NUMBERS = (1, 2, 4)
"""k of the waves sin(pi k x) on [-1, 1] of which the solution is the sum."""

ORDERS = (0, 1, 2)
"""p: the equation is u = f, u + u' = f or u - u'' = f, whose symbols grow as omega^p."""

POINTS = 48
"""Twelve for each period of the last wave."""

GRID = 512
"""Places at which errors are taken."""


class Waves(Problem):
    """The sum of three sines on [-1, 1], from an equation of order 0, 1 or 2.

    A wave of frequency omega in u is one of size (1 + omega^2)^(p/2) in the residual. Periodic networks need no
    boundary conditions; for the others the values at the ends are given, as many as the equation needs.

    Args:
        order: p.
        periodic: whether the network is.

    Raises:
        ConfigurationError: there is no such order.
    """

    def __init__(self, order: int = 0, periodic: bool = True) -> None:
        if order not in ORDERS:
            raise ConfigurationError(f"problem.order: must be 0, 1 or 2, got {order!r}")
        self.order = order
        x = Interval("x", -1, 1)
        conditions: dict[str, Condition] = {"pde": Residual(x, self.balance)}
        if order and not periodic:
            ends = x.face(x=-1.0) if order == 1 else x.boundary()
            conditions["ends"] = Dirichlet(ends, weight=10.0, u=self.solution)
        super().__init__(domain=x, unknowns=("u",), conditions=conditions)

    def balance(self, u: AbstractField, x: Tensor) -> Tensor:
        """The equation less its right-hand side, divided by (1 + (2 pi)^2)^(p/2)."""
        frequencies = math.pi * torch.tensor(WAVE_NUMBERS).to(x)[:, None]
        phase = frequencies * x
        waves = torch.sin(phase).sum(0)
        if self.order == 0:
            return u - waves
        size = (1 + (2 * math.pi) ** 2) ** (self.order / 2)
        if self.order == 1:
            return (u + u.x - waves - (frequencies * torch.cos(phase)).sum(0)) / size
        return (u - u.xx - waves - (frequencies.square() * torch.sin(phase)).sum(0)) / size

    def solution(self, x: Tensor) -> Tensor:
        """The sum of the waves."""
        return torch.sin(math.pi * torch.tensor(WAVE_NUMBERS).to(x)[:, None] * x).sum(0)

    def reference(self) -> Exact:
        """The sum of the waves."""
        return Exact(self.solution)


class Shifted(nn.Module):
    """The solution and a wave on top of it, in place of a network.

    Args:
        problem: a `Waves`.
        k: the wave number; 0 for no wave.
    """

    def __init__(self, problem: Waves, k: int) -> None:
        super().__init__()
        self.problem, self.k = problem, k

    def forward(self, points: Tensor) -> Tensor:
        """The values `(n, 1)` at points `(n, 1)`."""
        x = points[:, 0]
        return (self.problem.solution(x) + torch.sin(math.pi * self.k * x))[:, None]


class Prediction(L.Callback):
    """What the initial kernel K = JJ' of the whole loss says of each wave, kept from before the first step.

    An error in u that is a wave leaves a residual q in the equation, its derivatives and the conditions. Gradient
    descent takes q'Kq / q'q off it, as a share of what it takes off the leading mode.

    Args:
        enhance: the derivatives in the loss with their weights, as the model has them.

    Attributes:
        shares: of each wave number: q'Kq / q'q over K's largest eigenvalue.
    """

    def __init__(self, enhance: dict[str, float]) -> None:
        self.enhance = enhance
        self.shares: list[float] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Computes them."""
        batch = trainer.datamodule.store.batch()  # type: ignore[attr-defined]
        linearization = pl_module.linearization(batch)
        largest = torch.linalg.eigvalsh(kernel_of(trainer, pl_module))[-1]
        factors = {name: pl_module.loss_weights[i] / len(batch[name]) for i, name in enumerate(batch)}
        for k in WAVE_NUMBERS:
            residual = wave_residual(pl_module.problem, batch, factors, self.enhance, k)
            unit = residual / residual.norm()
            self.shares.append(float(linearization.transposed_times(unit).square().sum() / largest))


def wave_residual(
    problem: Waves, batch: Mapping[str, Tensor], factors: Mapping[str, Tensor], enhance: Mapping[str, float], k: int
) -> Tensor:
    """What a wave of number k on top of the solution adds to the vector `(N,)` of residuals.

    Args:
        problem: the equation.
        batch: the points of each condition.
        factors: by condition, what its squares are multiplied by in the loss.
        enhance: the derivatives of the equation's residual in the loss, with their weights.
        k: the wave number.
    """
    enhancement = Enhancement.of(enhance, 1.0, problem.coordinates)
    with_wave, without = (
        ResidualSystem(problem, Trial(problem, Shifted(problem, number)), "reverse", {"pde": enhancement}).residuals(
            batch, enhanced=True
        )
        for number in (k, 0)
    )
    parts = [factors[name].sqrt() * (with_wave[name] - without[name]).detach().reshape(-1) for name in batch]
    return torch.cat(parts)


def wave_errors(trainer: Any, module: Any) -> dict[str, float]:
    """The relative L2 error of u, that of u', and the part of each wave in the error; for a `Recorder`."""
    points = (torch.arange(GRID) + 0.5).to(module.loss_weights)[:, None] * (2 / GRID) - 1
    points.requires_grad_()
    with torch.enable_grad():
        error = module(points)[:, 0] - module.problem.solution(points[:, 0])
        (slope,) = torch.autograd.grad(error.sum(), points)
    x, error = points[:, 0].detach(), error.detach()
    frequencies = math.pi * torch.tensor(WAVE_NUMBERS).to(x)[:, None]
    parts = (torch.sin(frequencies * x) @ error).abs() * (2 / GRID)
    size = math.sqrt(GRID / 2)  # the norm of a wave on the grid
    return {
        "error": float(error.norm() / (size * math.sqrt(len(WAVE_NUMBERS)))),
        "slope_error": float(slope.norm() / (size * frequencies.norm())),
        **{f"wave_{k}": part for k, part in zip(WAVE_NUMBERS, parts.tolist(), strict=True)},
    }


class Loss(NamedTuple):
    """Which derivatives are in the loss: its symbol is that of the equation times (1 + (length omega)^2)^order.

    Attributes:
        order: of the highest derivative.
        from_wave: the wave number k at which length omega is 1: from there on derivatives count.
    """

    order: int
    from_wave: int

    def weights(self) -> dict[str, float]:
        """The weights of the derivatives, relative to the squared residual."""
        length = 1 / (math.pi * self.from_wave)
        return {"x" * j: math.comb(self.order, j) * length ** (2 * j) for j in range(1, self.order + 1)}


DENSER = 3
"""How many times as many points `dense` has: as many rows as two derivatives make."""

LOSSES: Mapping[str, Loss | None] = {
    "plain": None,
    "dense": None,
    **{f"h{order}_{k}": Loss(order, k) for order in (1, 2) for k in (4, 2, 1)},
}

EMBEDDINGS: Mapping[str, int | None] = {"low": 1, "high": 4, "tanh": None}
"""Harmonics of the periodic embedding in front of a 2x32 network; None for none of both."""

AT = (0, 10, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000)
"""Evaluations at which errors are taken."""

FRACTION = 0.1
"""The rate of gradient descent over the largest stable one; with 1/2 most diverge, as the kernel grows."""


class Method(NamedTuple):
    """An optimizer and its budget.

    Attributes:
        name: of its class.
        evaluations: of the loss.
        options: what it is built with.
    """

    name: str
    evaluations: int
    options: Mapping[str, float] = {}


METHODS: Mapping[str, Method] = {
    "gd": Method("SGD", 2000, {"lr": 1.0}),
    "adam": Method("Adam", 2000, {"lr": 3e-3}),
    "ssbroyden": Method("SSBroyden", 1000),
    "gauss_newton": Method("LevenbergMarquardt", 100),
}


def _problem(order: int, harmonics: int | None) -> tuple[str, Config]:
    embedding: Config | None = None
    if harmonics:
        embedding = {"class_path": "PeriodicEmbedding", "init_args": {"columns": [0], "harmonics": harmonics}}
    options = {"order": order, "periodic": embedding is not None}
    return "regression_gd", {
        "problem": {"class_path": f"{__name__}.Waves", "init_args": options},
        "data": {"points": POINTS, "sampler": {"class_path": "Lattice"}, "evaluation_points": 101},
        "model": {"network": {"init_args": {"hidden": [32, 32], "embedding": embedding}}, "compile": True},
    }


PROBLEMS: Mapping[str, tuple[str, Config]] = {
    f"{network}_{order}": _problem(order, harmonics) for network, harmonics in EMBEDDINGS.items() for order in ORDERS
}


def _setting(method: Method, name: str) -> Config:
    loss = LOSSES[name]
    weights = loss.weights() if loss else {}
    callbacks: list[Config] = [
        {"class_path": "EvaluationBudget", "init_args": {"evaluations": method.evaluations}},
        {"class_path": f"{__name__}.Prediction", "init_args": {"enhance": weights}},
        recording([k for k in AT if k <= method.evaluations], wave_errors),
    ]
    if method.name == "SGD":
        callbacks.append(stable_rate(FRACTION))
    phase = {"optimizer": {"class_path": method.name, "init_args": dict(method.options)}, "steps": method.evaluations}
    model: Config = {"phases": [phase], **({"enhance": {"pde": weights}} if weights else {})}
    points = {"data": {"points": DENSER * POINTS}} if name == "dense" else {}
    return {"model": model, "trainer": {"callbacks": callbacks}, **points}


SETTINGS: Mapping[str, Config] = {
    f"{name}/{loss}": _setting(method, loss) for name, method in METHODS.items() for loss in LOSSES
}

CURVES = ("error", "slope_error", *(f"wave_{k}" for k in WAVE_NUMBERS))
COLUMNS = ("relative_l2", "loss", "evaluations", "seconds", "share", *CURVES)


def probe(trained: Any) -> Row:
    """The curves of a run, and what the initial kernel said of each wave."""
    prediction = callbacks_of(trained.trainer, Prediction)[0]
    return {**recorded(trained), "share": cell(prediction.shares)}


STUDY = Study("sobolev", PROBLEMS, SETTINGS, COLUMNS, outcome, probe=probe)
