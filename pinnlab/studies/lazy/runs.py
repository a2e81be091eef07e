"""When does the kernel of the initial weights predict training, and when not? Widths, steps, and Adam."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from pinnlab.analysis.ntk import Modes, kernel_modes
from pinnlab.objective.linearization import Linearization
from pinnlab.studies.engine.recording import kernel_of, recorded, recording, stable_rate
from pinnlab.studies.engine.runner import Config, Row, Study
from pinnlab.training.trainer_parts import callbacks_of

AT = (10, 20, 50, 100, 200, 500, 1000)
FRACTIONS = (0.02, 0.1, 0.5)
"""Rates of gradient descent, relative to the largest stable one."""

WIDTHS = (16, 64, 256, 1024)

LEADING = 0.01
"""Modes count that hold this share of the initial loss at least: below it, what leaks from the others is more."""

LEFT = 0.1
"""... while the prediction leaves this share of them at least."""


class InitialModel(L.Callback):
    """Keeps what the model of the residual that is linear in the parameters needs, as they are when training starts.

    Attributes:
        point: the parameters theta_0, `(n,)`.
        residual: r_0, `(N,)`.
        linearization: has J_0.
        kernel: J_0 J_0', `(N, N)`.
        modes: its eigenvectors.
    """

    point: Tensor
    residual: Tensor
    linearization: Linearization
    kernel: Tensor
    modes: Modes

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Computes it."""
        self.linearization = pl_module.linearization(trainer.datamodule.store.batch())  # type: ignore[attr-defined]
        self.point, self.residual = parameters_of(pl_module), self.linearization.residual()
        self.kernel, self.modes = self.linearization.kernel(), kernel_modes(self.linearization, len(self.residual))


def parameters_of(module: Any) -> Tensor:
    """A copy of the flat vector `(n,)` of the trained parameters, in the order of linearizations."""
    return torch.cat([p.detach().reshape(-1) for p in module.trial.parameters() if p.requires_grad])


def laziness(trainer: Any, module: Any) -> dict[str, float]:
    """How far training is from what the initial model predicts; all are 0 where it is exact.

    Returns:
        `mode`: the largest relative error of a predicted coefficient among the modes that lead, see `LEADING` and
        `LEFT`; NaN where none is left, and for any optimizer but gradient descent. `residual`: the relative error of
        the predicted residual; NaN likewise. `linear`: how much of the residual's change the linear model misses for
        the parameters that training has reached, whatever it reached them by. `kernel`: the relative change of the
        kernel; `weights`: of the parameters. `loss`: what is left of the initial one; `predicted`: what should be.
    """
    start = callbacks_of(trainer, InitialModel)[0]
    residual = module.linearization(trainer.datamodule.store.batch()).residual()
    moved = parameters_of(module) - start.point
    change, predicted = residual - start.residual, start.linearization.times(moved)
    optimizer = module.current_optimizer()
    descends = isinstance(optimizer, torch.optim.SGD)
    decay = _decay(start, residual, optimizer.param_groups[0]["lr"], trainer.global_step) if descends else {}
    return {
        **dict.fromkeys(("mode", "residual", "predicted"), math.nan),
        **decay,
        "linear": float((change - predicted).norm() / change.norm()),
        "kernel": float((kernel_of(trainer, module) - start.kernel).norm() / start.kernel.norm()),
        "weights": float(moved.norm() / start.point.norm()),
        "loss": float(residual.square().sum() / start.residual.square().sum()),
    }


def _decay(start: InitialModel, residual: Tensor, rate: float, steps: int) -> dict[str, float]:
    """The prediction that each mode's coefficient shrinks by 1 - 2 rate lambda a step, against the measured ones."""
    first, last = (start.modes.coefficients(r) for r in (start.residual, residual))
    expected = start.modes.decayed(first, rate, steps)[-1]
    whole = start.residual + start.modes.vectors @ (expected - first)  # what is in no mode stays as it is
    share = first.square() / start.residual.square().sum()
    leads = (share >= LEADING) & (expected / first >= LEFT)
    errors = (last / expected - 1).abs()[leads]
    return {
        "mode": float(errors.max()) if len(errors) else math.nan,
        "residual": float((residual - whole).norm() / whole.norm()),
        "predicted": float(whole.square().sum() / start.residual.square().sum()),
    }


def _base(recipe: str, scale: float, **points: int) -> tuple[str, Config]:
    embedding = {"class_path": "FourierFeatures", "init_args": {"scale": scale}}
    return recipe, {
        "data": {"points": points, "evaluation_points": 101},
        "model": {"network": {"init_args": {"embedding": embedding}}, "compile": False},
    }


PROBLEMS: Mapping[str, tuple[str, Config]] = {
    "regression": _base("regression_gd", 10.0, data=64),
    "poisson1d": _base("poisson1d", 5.0, pde=64, boundary=2),
}
"""With Fourier features, whose kernels have many modes that move; those of plain networks have two or three."""


def _setting(hidden: Sequence[int], fraction: float | None, **adam: float) -> Config:
    kind = "Adam" if fraction is None else "SGD"
    phase = {"optimizer": {"class_path": kind, "init_args": adam or {"lr": 1.0}}, "steps": AT[-1]}
    callbacks = [
        {"class_path": f"{__name__}.InitialModel"},
        *([] if fraction is None else [stable_rate(fraction)]),
        recording(AT, laziness),
    ]
    network = {"init_args": {"hidden": list(hidden)}}
    return {"model": {"network": network, "phases": [phase]}, "trainer": {"callbacks": callbacks}}


SETTINGS: Mapping[str, Config] = {
    **{f"gd_{f}_width_{m}": _setting([m], f) for m in WIDTHS for f in FRACTIONS},
    "gd_0.1_two_layers_64": _setting([64, 64], 0.1),
    "adam_1e-4_width_1024": _setting([1024], None, lr=1e-4),
    "adam_1e-3_width_1024": _setting([1024], None, lr=1e-3),
}

CURVES = ("mode", "residual", "linear", "kernel", "weights", "loss", "predicted")
COLUMNS = ("parameters", *CURVES)


def measure(summary: Mapping[str, Any]) -> Row:
    """The size of the network."""
    return {"parameters": summary["parameters"]}


STUDY = Study("lazy", PROBLEMS, SETTINGS, COLUMNS, measure, seeds=range(3), probe=recorded)
