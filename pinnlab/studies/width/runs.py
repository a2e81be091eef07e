"""Is the kernel of a wider network better conditioned, and does it learn high frequencies sooner?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pinnlab.analysis.ntk import KernelSpectrum
from pinnlab.networks import MLP
from pinnlab.objective.parameter_derivatives import jacobian_rows
from pinnlab.studies.engine.recording import recorded, recording, stable_rate
from pinnlab.studies.engine.runner import Config, Row, Study
from pinnlab.studies.spectral_bias.runs import mode_errors

WIDTHS = (8, 16, 32, 64, 128, 256)
POINTS = 128
STEPS = 1000
AT = (0, 1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 70, 100, 140, 200, 300, 500, 700, STEPS)
PLACES = (2, 4, 8, 16)
"""The eigenvalues to which the largest one is compared."""


def spectrum_at_start(trainer: Any, module: Any) -> dict[str, float]:
    """The kernel's eigenvalues: the largest, its ratio to some others, and how many matter.

    They are squares of the Jacobian's singular values: so even ratios of 10^25 are not yet round-off.
    """
    rows = jacobian_rows(module.system, module.trial.tensors(), trainer.datamodule.store.batch())[1].detach()
    values = torch.linalg.svdvals(rows).square() / len(rows)
    spectrum = KernelSpectrum(values, float(values.sum()), len(rows))
    ratios = {f"ratio_{k}": float(values[0] / values[k - 1]) for k in PLACES}
    return {"top": spectrum.top, "effective_rank": spectrum.effective_rank, "rank": spectrum.rank, **ratios}


def _family(kind: str = "MLP", **options: Any) -> tuple[str, Config]:
    callbacks = [recording([0], spectrum_at_start), recording(AT, mode_errors), stable_rate(0.5)]
    return "regression_gd", {
        "data": {"points": {"data": POINTS}, "evaluation_points": 2001},
        "model": {
            "network": {"class_path": kind, "init_args": options},
            "phases": [{"optimizer": {"class_path": "SGD", "init_args": {"lr": 0.02}}, "steps": STEPS}],
            "compile": False,
        },
        "trainer": {"callbacks": callbacks},
    }


class UnitFirstLayer(nn.Module):
    """A perceptron whose first weights are of order one for any width, and not of 1 / sqrt(width) as Glorot's are.

    Args:
        inputs: the number of coordinates.
        outputs: the number of unknowns.
        hidden: the widths of the hidden layers.
    """

    def __init__(self, inputs: int, outputs: int, *, hidden: Sequence[int] = (20, 20)) -> None:
        super().__init__()
        self.network = MLP(inputs, outputs, hidden=hidden)
        first = self.network.hidden[0]
        with torch.no_grad():
            nn.init.normal_(first.weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        values: Tensor = self.network(x)
        return values


PROBLEMS: Mapping[str, tuple[str, Config]] = {
    "plain": _family(),
    "plain_unit": _family(f"{__name__}.UnitFirstLayer"),
    "siren": _family("SIREN"),
    "fourier": _family(embedding={"class_path": "FourierFeatures", "init_args": {"scale": 10.0}}),
}
"""Networks on the regression of three sines: two hidden layers each, of the setting's width."""

SETTINGS: Mapping[str, Config] = {
    f"width_{m}": {"model": {"network": {"init_args": {"hidden": [m, m]}}}} for m in WIDTHS
}

MODES = ("mode_1", "mode_4", "mode_8")
COLUMNS = ("parameters", "loss", "top", "effective_rank", "rank", *(f"ratio_{k}" for k in PLACES), *MODES)


def measure(summary: Mapping[str, Any]) -> Row:
    """The size of the network and where training ended."""
    return {"parameters": summary["parameters"], "loss": summary["loss"]}


STUDY = Study("width", PROBLEMS, SETTINGS, COLUMNS, measure, seeds=range(5), probe=recorded)
