"""One network, windows, and windows on two levels: on batches of new points, from few to many for their numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor, nn

from pinnlab.networks.locality import seen_inside
from pinnlab.studies.engine.recipes import HARDLY, mlp, sines, siren, windows
from pinnlab.studies.engine.recording import error, recorded, recording
from pinnlab.studies.engine.runner import Config, Row, Study, outcome

RATIOS = (0.125, 0.25, 0.5, 1, 2)
"""Points of a batch over the numbers that are trained; of least squares, which see one batch, twice as many."""

DRAWS: Mapping[str, str] = {"random": "UniformRandom", "even": "Sobol"}
"""Where the points of a batch lie: anywhere, or spread evenly (Sobol's sequence, scrambled anew for each batch)."""

LOOKS = 12
"""How often in a run the error is measured; the last is at the end."""

RATE = 5e-3
"""Adam's learning rate; a cosine takes it to zero."""

NETWORKS = ("one", "windows", "levels")


class Case(NamedTuple):
    """An equation, what trains the networks, and these.

    Attributes:
        recipe: that is changed.
        condition: whose points are drawn.
        numbers: that each network trains, within 10 %; what ratios refer to.
        networks: by name.
        phase: from the name of a network and the number of steps to what trains it.
        problem: options that differ from the recipe's.
        budget: points seen in a run, and in each step new ones; 0 for two steps on one batch.
    """

    recipe: str
    condition: str
    numbers: int
    networks: Mapping[str, Config]
    phase: Callable[[str, int], Config]
    problem: Config = MappingProxyType({})
    budget: int = 60_000

    def config(self, network: str, draw: str, ratio: float) -> Config:
        """What differs from the recipe in one setting."""
        points = round(self.numbers * ratio * (1 if self.budget else 2))
        callbacks: list[Config] = []
        if self.budget:
            marks = [self.budget * k // LOOKS for k in range(1, LOOKS + 1)]
            budget = {"class_path": "EvaluationBudget", "init_args": {"points_seen": self.budget}}
            callbacks = [{"class_path": "FreshPoints"}, budget, recording(marks, curve, "points_seen")]
        return {
            "problem": {"init_args": dict(self.problem)},
            "data": {"points": {self.condition: points}, "sampler": {"class_path": DRAWS[draw]}},
            "model": {
                "network": self.networks[network],
                "phases": [self.phase(network, self.budget // points)],
                "compile": False,
            },
            "trainer": {"callbacks": callbacks},
        }


def curve(trainer: Any, module: Any) -> dict[str, float]:
    """The relative L2 error, for a `Recorder`."""
    return {"curve": error(trainer, module)["relative_l2"]}


def _phase(name: str, options: Mapping[str, Any] | None = None, steps: int = 10**6) -> Config:
    return {"optimizer": {"class_path": name, "init_args": dict(options or {})}, "steps": steps}


def _least_squares(network: str, steps: int) -> Config:
    """Both of two steps see the same batch; the second takes off what rounding has left."""
    del steps
    return _phase("LeastSquares", {} if network == "one" else {"sparse": True}, 2)


def _gauss_newton(network: str, steps: int) -> Config:
    del steps
    return _phase("LevenbergMarquardt", {} if network == "one" else {"form": "sparse"})


def _hardly_damped(network: str, steps: int) -> Config:
    phase = _gauss_newton(network, steps)
    phase["optimizer"]["init_args"]["damping"] = HARDLY
    return phase


def _adam(network: str, steps: int) -> Config:
    del network
    cosine = {"class_path": "CosineAnnealingLR", "init_args": {"T_max": steps}}
    return {**_phase("Adam", {"lr": RATE}, steps), "scheduler": cosine}


def _lbfgs(network: str, steps: int) -> Config:
    del steps
    return _phase("LBFGS" if network == "one" else "MultiPreconditionedLBFGS")


def _three(one: Config, whole: Config, level: Config, grid: Sequence[int]) -> Mapping[str, Config]:
    return {"one": one, "windows": windows(grid, whole), "levels": windows(grid, level, levels=2)}


SMOOTH = _three(mlp(24, 24), mlp(18), mlp(14), [3, 3])
WAVES = _three(siren(30.0, 26, 26), siren(10.0, 16), siren(10.0, 11), [16])
RANDOM_SINES = _three(sines(1055, 100.0), sines(32, 6.0), sines(21, 6.0), [32])
FITTED = _three(mlp(26, 26), mlp(16), mlp(11), [16])
SINES: Config = {"frequencies": [1, 8]}

CASES: Mapping[str, Case] = {
    "waves_least_squares": Case("multiscale1d_subdomains", "pde", 1056, RANDOM_SINES, _least_squares, budget=0),
    "waves_gauss_newton": Case("multiscale1d_trained", "pde", 781, WAVES, _hardly_damped, budget=120_000),
    "smooth_gauss_newton": Case("poisson2d_lm", "pde", 690, SMOOTH, _gauss_newton),
    "smooth_lbfgs": Case("poisson2d_lm", "pde", 690, SMOOTH, _lbfgs),
    "smooth_adam": Case("poisson2d_lm", "pde", 690, SMOOTH, _adam),
    "sines_adam": Case("regression_adam", "data", 781, FITTED, _adam, SINES),
}
SETTINGS = {
    f"{network}/{draw}/{ratio:g}": (network, draw, ratio) for network in NETWORKS for draw in DRAWS for ratio in RATIOS
}
COLUMNS = ("relative_l2", "loss", "evaluations", "seconds", "parameters", "points", "fewest", "curve")


def fewest(network: nn.Module, points: Tensor) -> float:
    """The points that are computed in a part of a network over the numbers that it trains, where that is least.

    Args:
        network: one without parts is a part itself.
        points: `(n, coordinates)`.
    """
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    seen = seen_inside(network, points)
    sizes: dict[str, tuple[int, Tensor]] = {}  # by level: numbers of a window, and how often each is seen
    for name, parts in (seen.numbers if seen else {}).items():
        if name in trained:
            own, counts = trained[name], parts.flatten().bincount(minlength=len(trained[name]))
            level = name[: name.find("networks.") + len("networks.0")]
            size = sizes[level][0] if level in sizes else 0
            sizes[level] = size + own[0].numel(), counts
    if not sizes:
        return len(points) / sum(p.numel() for p in trained.values())
    return min(float(counts.min()) / size for size, counts in sizes.values())


def measure(summary: Mapping[str, Any]) -> Row:
    """Where the run ended, and with how many numbers."""
    return {**outcome(summary), "parameters": summary["parameters"]}


def probe(trained: Any) -> Row:
    """The errors on the way, the points of a batch, and how few of the last batch a window saw."""
    (points,) = trained.datamodule.store.rows.values()
    network = trained.model.trial.network
    return {"points": len(points), "fewest": round(fewest(network, points), 3), "curve": "", **recorded(trained)}


STUDY = Study(
    "stochastic",
    {name: (case.recipe, {}) for name, case in CASES.items()},
    {name: {} for name in SETTINGS},
    COLUMNS,
    measure,
    probe=probe,
    own={(name, setting): case.config(*chosen) for name, case in CASES.items() for setting, chosen in SETTINGS.items()},
)
