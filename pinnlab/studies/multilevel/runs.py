"""Where does a ladder pay? From few neurons or windows to many, against as many from the start, at equal time."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pinnlab.networks import Correction, SeenParts
from pinnlab.studies.engine.recipes import HARDLY, mlp, siren, windows
from pinnlab.studies.engine.recording import clock_of, error, errors_in_time, recording
from pinnlab.studies.engine.runner import QUIET, Config, Study, merged, outcome_and_size, train

AT = (0.5, 1, 2, 4)
"""Seconds of the processor after which the error is measured; the last one ends a run."""
MANY = 100_000
FIRST = 40
"""Steps on the first neurons: a small part of the time, because they are cheap."""
RUNG = 1
"""Seconds after which a rung of a ladder is frozen; one of `AT`."""
NARROW = 8
"""Neurons of each hidden layer that are trained first."""


class Rung(nn.Module):
    """A `Correction` of the network in a file, as a recipe can name it.

    Args:
        inputs: the number of coordinates.
        outputs: the number of unknowns.
        before: the file that `climb` has written.
        network: what builds that of the new rung.
        scale: how large the correction is going to be.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        before: str,
        network: Callable[[int, int], nn.Module],
        scale: float = 0.1,
    ) -> None:
        super().__init__()
        found = torch.load(before, map_location="cpu", weights_only=False)
        self.correction = Correction(inputs, outputs, before=found, network=network, scale=scale)

    @property
    def last(self) -> nn.Module | None:
        """The last layer of the new network."""
        return self.correction.last

    def seen(self, x: Tensor) -> SeenParts:
        """Which parts of the new network points `(n, inputs)` see, see `Local`."""
        found = self.correction.seen(x)
        return SeenParts(*({f"correction.{name}": value for name, value in part.items()} for part in found))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`."""
        values: Tensor = self.correction(x)
        return values


def climb(config: Config) -> tuple[dict[str, Any], Any]:
    """Makes one run, rung by rung where the recipe has `rungs`: what `model` was before, coarse first.

    Each rung is frozen, and the next one is a `Correction` of it. Time goes on from rung to rung; what it takes to
    build a network is not in it.

    Returns:
        Those of the last rung, whose `Recorder` has the errors of all.
    """
    own = {key: value for key, value in config.items() if key != "rungs"}
    spent, errors, before = 0.0, list[float](), ""
    with tempfile.TemporaryDirectory() as folder:
        rungs = config.get("rungs", [])
        for number, model in enumerate([*rungs, own["model"]]):
            network = model["network"]
            if before:
                above = {"before": before, "network": network}
                network = {"class_path": f"{__name__}.Rung", "init_args": above}
            end = AT[-1] if number == len(rungs) else RUNG * (number + 1)
            left = [at - spent for at in AT if spent < at <= end]
            summary, trained = train({**own, "model": {**own["model"], **model, "network": network}, **_timed(left)})
            clock = clock_of(trained)
            spent += clock.spent
            errors += clock.curves.get("relative_l2", [])
            before = f"{folder}/{number}.pt"
            torch.save(trained.model.trial.network, before)
    clock.spent, clock.curves = spent, {"relative_l2": errors}
    return summary, trained


def _timed(at: Sequence[float]) -> dict[str, Any]:
    callbacks = [recording(at, error, "processor_seconds", ends=True)]
    return {"trainer": {**QUIET["trainer"], "callbacks": callbacks}}


def _gauss_newton(damping: Config | None = None, **options: Any) -> Config:
    given = {**options, **({} if damping is None else {"damping": damping})}
    return {"optimizer": {"class_path": "LevenbergMarquardt", "init_args": given}, "steps": MANY}


def _family(
    one: Config, whole: Config, levelled: Config, coarse: Config, fine: Config, damping: Config | None = None
) -> dict[str, Config]:
    """The settings of a problem, of about as many numbers each."""
    dense, sparse = _gauss_newton(damping), _gauss_newton(damping, form="sparse")
    narrow = {**dense, "steps": FIRST, "width": NARROW}
    several = math.prod(coarse["init_args"]["grid"]) > 2 ** len(coarse["init_args"]["grid"])
    first = sparse if several else dense  # every point sees all of the fewest windows
    return {
        "one": {"model": {"network": one, "phases": [dense]}},
        "widths": {"model": {"network": one, "phases": [narrow, dense]}},
        "windows": {"model": {"network": whole, "phases": [sparse]}},
        "levels": {"model": {"network": levelled, "phases": [sparse]}},
        "ladder": {"model": {"network": fine, "phases": [sparse]}, "rungs": [{"network": coarse, "phases": [first]}]},
    }


_OWN: Mapping[str, Mapping[str, Config]] = {
    "smooth": _family(
        mlp(24, 24),
        windows([3, 3], mlp(18)),
        windows([3, 3], mlp(14), levels=2),
        windows([2, 2], mlp(14)),
        windows([3, 3], mlp(14)),
    ),
    "multiscale": _family(
        siren(30.0, 26, 26),
        windows([16], siren(10.0, 16)),
        windows([16], siren(10.0, 11), levels=2),
        windows([8], siren(10.0, 11)),
        windows([16], siren(10.0, 11)),
        HARDLY,
    ),
    "burgers": _family(
        mlp(24, 24),
        windows([4, 3], mlp(14)),
        windows([4, 3], mlp(11), levels=2),
        windows([2, 2], mlp(11)),
        windows([4, 3], mlp(11)),
    ),
}
_TIMED: Config = {"model": {"compile": False}, **_timed(AT)}

PROBLEMS: Mapping[str, tuple[str, Config]] = {
    "smooth": ("poisson2d_lm", _TIMED),
    "multiscale": ("multiscale1d_trained", merged(_TIMED, {"data": {"points": {"pde": 1500}}})),
    "burgers": ("burgers_viscous", merged(_TIMED, {"data": {"points": {"pde": 2000}}})),
}
SETTINGS: Mapping[str, Config] = {name: {} for name in _OWN["smooth"]}
COLUMNS = ("parameters", "relative_l2", "loss", "evaluations", "processor_seconds", "errors")


STUDY = Study(
    "multilevel",
    PROBLEMS,
    SETTINGS,
    COLUMNS,
    outcome_and_size,
    probe=errors_in_time,
    own={(problem, setting): own for problem, family in _OWN.items() for setting, own in family.items()},
    make=climb,
)
