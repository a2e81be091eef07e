"""Windows of time together with what else there is: tiles, tests of a weak form, operators."""

import functools
import math

import lightning as L
import numpy as np
import pytest
import torch
from training import quiet_trainer

import pinnlab
from pinnlab import Phase
from pinnlab.callbacks import FreshPoints, LossBalancing, RunSummary, SelfAdaptive
from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, DeepONet, SpectralFeatures, Tiles
from pinnlab.objective.balancing import GradientNorm
from pinnlab.objective.trial_function import Trial
from pinnlab.optimizers import LeastSquares, LevenbergMarquardt
from pinnlab.problems import (
    BurgersOperator,
    DiffusionReactionOperator,
    Dirichlet,
    Exact,
    Heat1D,
    Observations,
    Problem,
    Residual,
    Tiled,
    Unknown,
    Weak,
)
from pinnlab.problems.window import Window
from pinnlab.samplers import Grid
from pinnlab.training.marching import error_over

pytestmark = pytest.mark.filterwarnings("ignore")


def march(problem, network, optimizer=LevenbergMarquardt, steps=25, points=150, callbacks=()):
    return pinnlab.march(
        problem,
        windows=2,
        model={"network": network, "phases": [Phase(optimizer, steps=steps)], "compile": False},
        data={"points": points, "evaluation_points": 500},
        trainer=quiet_trainer(callbacks=list(callbacks)),
    )


@pytest.mark.parametrize("grid", [[2, 2], *(pytest.param(grid, marks=pytest.mark.slow) for grid in ([2, 1], [1, 2]))])
def test_tiles_in_space_and_in_time_meet_in_every_window(grid):
    network = functools.partial(Tiles, grid=grid, network=functools.partial(MLP, hidden=[8]))
    solution = march(Tiled(Heat1D(), grid=grid, weight=10.0), network, steps=18)
    assert solution.errors()["u"] < 1e-2
    x, side = torch.linspace(0.1, 0.9, 9, dtype=torch.float64), 1e-9
    for at in (0.25, 0.75):  # where the tiles of a window meet in time
        below, above = (solution.u(x=x, t=torch.full_like(x, at + shift)) for shift in (-side, side))
        assert abs(above - below).max() < 0.02
    left, right = (solution.derivative("u", "x", x=torch.full_like(x, 0.5 + shift), t=x) for shift in (-side, side))
    assert abs(right - left).max() < 0.1


def before(problem):
    """A solution up to the window."""
    return Trial(problem, torch.nn.Linear(2, len(problem.unknowns), dtype=torch.float64)).frozen()


def test_tiles_of_a_window_are_cut_in_it():
    window = Window(Tiled(Heat1D(), grid=[1, 4]), "t", 0.5, 1.0, before(Heat1D()))
    points, _ = window.conditions["interfaces"].region.quadrature(30)
    assert points[:, 1].unique().tolist() == pytest.approx([0.625, 0.75, 0.875])
    assert window.conditions["interfaces"].weight == Tiled(Heat1D(), grid=[1, 4]).conditions["interfaces"].weight


class WeakHeat(Problem):
    """u_t = u_xx / 10 against hats in space and time."""

    def __init__(self):
        xt = Interval("x", 0, 1) * Interval("t", 0, 1)
        conditions = {
            "pde": Weak(xt, lambda u, v: u.t * v + 0.1 * u.x * v.x, cells=[8, 6], weight=3.0),
            "start": Dirichlet(xt.face(t=0.0), u=lambda x: torch.sin(torch.pi * x), weight=10.0),
            "walls": Dirichlet(xt.boundary("x"), u=0.0, weight=10.0),
        }
        super().__init__(xt, ["u"], conditions)

    def reference(self):
        return Exact(lambda x, t: torch.exp(-0.1 * torch.pi**2 * t) * torch.sin(torch.pi * x))


def test_a_weak_form_is_tested_in_every_window():
    window = Window(WeakHeat(), "t", 0.5, 1.0, before(WeakHeat()))
    assert window.conditions["pde"].weight == 3.0
    tests = window.conditions["pde"].fixed_points()
    assert len(tests) == 7 * 5
    assert tests[:, 1].unique().tolist() == pytest.approx([0.5 + k / 12 for k in range(1, 6)])
    solution = march(WeakHeat(), functools.partial(MLP, hidden=[10]), points={"start": 30, "walls": 60})
    assert solution.errors()["u"] < 2e-2


class Errors(L.Callback):
    """Those of each window, at its end."""

    def __init__(self):
        self.errors = []

    def on_train_end(self, trainer, pl_module):
        self.errors.append(pl_module.measure_errors(trainer.datamodule))


@pytest.mark.parametrize("hard", [pytest.param(True, marks=pytest.mark.slow), False])
def test_an_operator_goes_on_for_every_function(hard):
    problem, summary = DiffusionReactionOperator(diffusion=0.1, modes=2, exact_conditions=hard), RunSummary()
    own = Errors()
    network = functools.partial(DeepONet, modes=2, branch=[], trunk=[12], rank=8)
    solution = march(problem, network, steps=40, points=300, callbacks=[summary, own])
    assert solution.errors()["u"] < 0.03
    x, functions = torch.linspace(0.1, 0.9, 9, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    for function in functions:
        rows = [torch.cat([x[:, None], torch.full((9, 1), t), function.expand(9, 2)], 1) for t in (0.5 - 1e-12, 0.5)]
        below, above = map(solution, rows)
        assert abs(above - below).max() < (1e-10 if hard else 0.02)
    first = summary.result["windows"][0]["relative_l2"]["u"]
    assert first == pytest.approx(own.errors[0]["u"], rel=1e-12)  # a mean over the functions


def test_the_error_of_an_operator_over_windows_is_the_mean_of_those_of_its_functions():
    """Two functions: the first is wrong by 1 of 2 in the short window, the second by 3 of 3 in the long one."""
    records = [
        {"low": 0.0, "high": 1.0, "squares": {"u": [[1.0, 0.0], [4.0, 9.0]]}},
        {"low": 1.0, "high": 4.0, "squares": {"u": [[0.0, 9.0], [4.0, 9.0]]}},
    ]
    expected = ((1 / 16) ** 0.5 + (27 / 36) ** 0.5) / 2
    assert error_over(records)["u"] == pytest.approx(expected, rel=1e-12)


def test_the_error_over_windows_of_what_should_be_zero_is_a_root_mean_square():
    squares = (1.0, 25.0)
    records = [{"low": 8 * k, "high": 8 * k + 8, "squares": {"u": [[s], [0.0]]}} for k, s in enumerate(squares)]
    assert error_over(records)["u"] == pytest.approx(13**0.5, rel=1e-12)


def test_data_of_an_operator_are_those_of_the_window():
    problem = BurgersOperator(modes=2, data=5, places=20)
    window = Window(problem, "t", 0.0, 0.5, None)
    t = window.conditions["data"].points[:, 1]
    assert 0 < len(t) < len(problem.conditions["data"].points)
    assert float(t.max()) < 0.5
    assert list(window.given) == ["a"]


class Driven(Problem):
    """u_t = u_xx / 10 + q with an unknown of the time alone, and one at the left wall."""

    def __init__(self, of=("t",)):
        xt = Interval("x", 0, 1) * Interval("t", 0, 1)
        left = xt.face(x=0.0)
        conditions = {
            "pde": Residual(xt, lambda u, q: u.t - 0.1 * u.xx - q),
            "drive": Residual(xt, lambda q, x, t: q - (t if "t" in of else x)),
            "flux": Residual(left, lambda u, p: p - u.x),
            "start": Dirichlet(xt.face(t=0.0), u=lambda x: torch.sin(torch.pi * x)),
            "walls": Dirichlet(xt.boundary("x"), u=0.0),
        }
        unknowns = {"u": Unknown(), "q": Unknown(coordinates=list(of)), "p": Unknown(coordinates=["t"], on=left)}
        super().__init__(xt, unknowns, conditions)


def test_unknowns_keep_their_coordinates_and_where_they_live():
    problem = Driven()
    window = Window(problem, "t", 0.5, 1.0, before(problem))
    assert window.living["q"].columns(window.coordinates) == (1,)
    places = torch.tensor([[0.0, 0.7], [0.0, 0.2], [0.4, 0.7]], dtype=torch.float64)
    assert window.living["p"].lives_at(places).tolist() == [True, False, False]
    network = {"u": functools.partial(MLP, hidden=[8]), "q": functools.partial(MLP, hidden=[4]), "p": MLP}
    solution = march(problem, network, steps=15, points=60)
    assert solution.q(t=0.7) == pytest.approx(0.7, abs=0.1)  # no x
    assert solution.derivative("q", "x", x=0.3, t=0.7) == 0.0
    with pytest.raises(ConfigurationError, match="march: Driven is to find q, the same at all times; train it whole"):
        march(Driven(of=("x",)), network)


class Growth(Problem):
    """u' = u from u(0) = 1, with measurements in the first half of the time."""

    def __init__(self):
        t = Interval("t", 0, 1)
        times = torch.linspace(0.05, 0.45, 6, dtype=torch.float64)
        conditions = {
            "ode": Residual(t, lambda u: u.t - u),
            "start": Dirichlet(t.face(t=0.0), u=1.0),
            "data": Observations(times[:, None], u=torch.exp(times)),
        }
        super().__init__(t, ["u"], conditions)


@pytest.mark.parametrize(
    "callback",
    [
        lambda: LossBalancing(GradientNorm(), every=1, conditions=["ode", "data"]),
        lambda: LossBalancing(GradientNorm(), every=1, conditions=["data"]),
        lambda: SelfAdaptive(every=1, conditions=["data"]),
    ],
)
def test_measurements_that_are_named_may_be_in_some_windows_only(callback):
    adam = functools.partial(torch.optim.Adam, lr=1e-2)
    model = {"network": functools.partial(MLP, hidden=[4]), "phases": [Phase(adam, steps=3)], "compile": False}
    trainer = quiet_trainer(callbacks=[callback()])
    options = {"windows": 2, "data": {"points": 20, "evaluation_points": 100}}
    solution = pinnlab.march(Growth(), model={**model, "weights": {"data": 10.0}}, trainer=trainer, **options)
    assert trainer.global_step == 6
    assert math.isfinite(solution.u(t=0.9))
    with pytest.raises(ConfigurationError, match=r"unknown condition in model\.weights 'date'"):
        pinnlab.march(Growth(), model={**model, "weights": {"date": 10.0}}, trainer=quiet_trainer(), **options)


class Turn(Problem):
    """u' = 1 up to t = 0.5, and -2 from then on."""

    def __init__(self):
        t, early, late = (Interval("t", *ends) for ends in ((0, 1), (0, 0.5), (0.5, 1)))
        equations = {"up": Residual(early, lambda u: u.t - 1), "down": Residual(late, lambda u: u.t + 2)}
        super().__init__(t, ["u"], {**equations, "start": Dirichlet(t.face(t=0.0), u=0.0)})


def test_conditions_for_some_of_the_time_may_be_named_everywhere():
    """In counts of points, designs and callbacks, which find nothing of them in the other windows."""
    phases = [Phase(LeastSquares, steps=1), Phase(LeastSquares, steps=1, points={"up": 12, "down": 14})]
    trainer = quiet_trainer(callbacks=[FreshPoints(every=1, conditions=["up"])])
    solution = pinnlab.march(
        Turn(),
        [0, 0.25, 0.5, 1],
        model={
            "network": functools.partial(SpectralFeatures, columns=[], degree=3),
            "phases": phases,
            "compile": False,
        },
        data={"points": {"up": 10, "down": 10, "start": 1}, "samplers": {"up": Grid(), "down": Grid()}},
        trainer=trainer,
    )
    assert solution.u(t=np.array([0.25, 0.5, 1.0])) == pytest.approx([0.25, 0.5, -0.5])
    wrong = FreshPoints(every=1, conditions=["upwards"])
    with pytest.raises(ConfigurationError, match=r"FreshPoints\.conditions 'upwards'"):
        pinnlab.march(Turn(), 2, data={"points": 10}, trainer=quiet_trainer(callbacks=[wrong]))
