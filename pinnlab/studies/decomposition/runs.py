"""Many small networks or one? Subdomains, overlap and levels, at equal numbers of parameters and equal time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pinnlab.studies.engine.recipes import HARDLY, sines, siren, windows
from pinnlab.studies.engine.recording import error, errors_in_time, recording
from pinnlab.studies.engine.runner import Config, Study, outcome_and_size

AT = (1, 2, 4, 8, 16)
"""Seconds of the processor after which the error is measured; the last one ends a run, in one dimension the one before.
"""
MANY = 100_000


def _phase(name: str, steps: int = MANY, **options: Any) -> Config:
    return {"optimizer": {"class_path": name, "init_args": options}, "steps": steps}


ADAM = _phase("Adam", 100, lr=1e-3)
DIRECT = [_phase("LeastSquares", 2)]
SPARSE = [_phase("LeastSquares", 2, sparse=True)]
LBFGS = [ADAM, _phase("LBFGS")]
GAUSS_NEWTON = [ADAM, _phase("LevenbergMarquardt", damping=HARDLY)]
SPARSE_GAUSS_NEWTON = [_phase("LevenbergMarquardt", form="sparse", damping=HARDLY)]


SETTINGS: Mapping[str, Sequence[Config]] = {
    "sines_one": DIRECT,
    "sines_windows": SPARSE,
    "sines_fewer": SPARSE,
    "sines_more": SPARSE,
    "sines_overlap": SPARSE,
    "sines_levels": SPARSE,
    "trained_one_lbfgs": LBFGS,
    "trained_one": GAUSS_NEWTON,
    "trained_lbfgs": LBFGS,
    "trained_windows": SPARSE_GAUSS_NEWTON,
    "trained_fewer": SPARSE_GAUSS_NEWTON,
    "trained_more": SPARSE_GAUSS_NEWTON,
    "trained_levels": SPARSE_GAUSS_NEWTON,
    "trained_large": SPARSE_GAUSS_NEWTON,
}
"""What trains each of them: random sines by least squares, trained ones by L-BFGS or Gauss-Newton."""

_LINE: Mapping[str, Config] = {
    "sines_one": sines(1055, 100.0),
    "sines_windows": windows(32, sines(32, 6.0)),
    "sines_fewer": windows(16, sines(65, 12.0)),
    "sines_more": windows(64, sines(16, 3.0)),
    "sines_overlap": windows(32, sines(32, 6.0), overlap=1.3),
    "sines_levels": windows(32, sines(21, 6.0), levels=2),
    "trained_one_lbfgs": siren(30.0, 26, 26),
    "trained_one": siren(30.0, 26, 26),
    "trained_lbfgs": windows(16, siren(10.0, 16)),
    "trained_windows": windows(16, siren(10.0, 16)),
    "trained_fewer": windows(8, siren(20.0, 32)),
    "trained_more": windows(32, siren(6.0, 8)),
    "trained_levels": windows(16, siren(10.0, 11), levels=2),
    "trained_large": windows(16, siren(8.0, 8, 8)),
}
_SQUARE: Mapping[str, Config] = {
    "sines_one": sines(1600, 25.0),
    "sines_windows": windows(8, sines(100, 7.0)),
    "sines_fewer": windows(4, sines(403, 14.0)),
    "sines_more": windows(16, sines(24, 3.5)),
    "sines_overlap": windows(8, sines(100, 7.0), overlap=1.3),
    "sines_levels": windows(8, sines(80, 7.0), levels=2),
    "trained_one_lbfgs": siren(20.0, 55, 55),
    "trained_one": siren(20.0, 32, 32),
    "trained_lbfgs": windows(8, siren(7.0, 12)),
    "trained_windows": windows(8, siren(7.0, 12)),
    "trained_fewer": windows(4, siren(14.0, 12, 12)),
    "trained_more": windows(16, siren(3.5, 4)),
    "trained_levels": windows(8, siren(7.0, 10), levels=2),
    "trained_large": windows(8, siren(7.0, 6, 6)),
}


def _own() -> dict[tuple[str, str], Config]:
    """Networks by problem and setting; trained ones have fewer points, because they have fewer numbers."""
    made: dict[tuple[str, str], Config] = {}
    for problem, points in (("poisson1d", 1500), ("poisson2d", 6000), ("helmholtz", 6000)):
        for setting, network in (_LINE if problem == "poisson1d" else _SQUARE).items():
            fewer = {"data": {"points": {"pde": points}}} if setting.startswith("trained") else {}
            made[problem, setting] = {"model": {"network": network}, **fewer}
    return made


def _timed(at: Sequence[int]) -> Config:
    callbacks = [recording(at, error, "processor_seconds", ends=True)]
    return {"model": {"compile": False}, "trainer": {"callbacks": callbacks}}


PROBLEMS: Mapping[str, tuple[str, Config]] = {
    "poisson1d": ("multiscale1d_subdomains", _timed(AT[:-1])),
    "poisson2d": ("multiscale2d_subdomains", _timed(AT)),
    "helmholtz": ("helmholtz_subdomains", _timed(AT)),
}
COLUMNS = ("parameters", "relative_l2", "loss", "evaluations", "processor_seconds", "errors")


STUDY = Study(
    "decomposition",
    PROBLEMS,
    {name: {"model": {"phases": phases}} for name, phases in SETTINGS.items()},
    COLUMNS,
    outcome_and_size,
    seeds=range(4),
    probe=errors_in_time,
    own=_own(),
)
