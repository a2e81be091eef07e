"""Small runs that fail, each for its own reason, by the signature that says so."""

import functools

import torch
from training import quiet_trainer, small_data, small_module

from pinnlab.callbacks import CausalWeights
from pinnlab.domains import Interval
from pinnlab.optimizers import LBFGS, FixedDamping, LevenbergMarquardt, SSBroyden
from pinnlab.problems import Coefficient, Dirichlet, Heat1D, Observations, Poisson1D, Problem, Regression1D, Residual
from pinnlab.training.phases import Phase

ADAM = functools.partial(torch.optim.Adam, lr=5e-3)


class Decay(Problem):
    """u' = -k u with u(0) = 1, and k to find from two values of exp(-3 t).

    Args:
        bounds: of k.
        influence: how much of k is in the equation; the rest is its first guess.
    """

    def __init__(self, bounds=None, influence=1.0):
        t = Interval("t", 0.0, 1.0)
        times = torch.tensor([[0.3], [0.7]], dtype=torch.float64)
        self.influence = influence
        conditions = {
            "pde": Residual(t, self.balance),
            "start": Dirichlet(t.face(t=0.0), u=1.0),
            "data": Observations(times, u=torch.exp(-3 * times[:, 0])),
        }
        super().__init__(t, ["u"], conditions, {"k": Coefficient(0.5, bounds)})

    def balance(self, u, k):
        return u.t + (0.5 + self.influence * (k - 0.5)) * u


def poisson(*phases, **options):
    problem = Poisson1D(frequency=2)
    return small_module(problem, [Phase(optimizer, steps=steps) for optimizer, steps in phases], **options)


def spectral_bias():
    descent = functools.partial(torch.optim.SGD, lr=0.05, momentum=0.9)
    return small_module(Regression1D([1, 8]), [Phase(descent, steps=320)])


def violated_boundary():
    return poisson((ADAM, 60), (SSBroyden, 8), weights={"boundary": 1e-8})


def bad_switch():
    return poisson((ADAM, 30), (functools.partial(torch.optim.SGD, lr=1.0), 20))


def too_few_points():
    return poisson((functools.partial(LevenbergMarquardt, damping=FixedDamping(1e-8)), 30))


def bad_line_search():
    return poisson((ADAM, 30), (functools.partial(LBFGS, lr=1e4, max_evaluations=2), 20))


def bounded_coefficient():
    return small_module(Decay(bounds=(0.0, 1.0)), [Phase(ADAM, steps=20), Phase(SSBroyden, steps=15)])


def idle_coefficient():
    return small_module(Decay(influence=1e-5), [Phase(ADAM, steps=100)])


def unbalanced_terms():
    return poisson((ADAM, 120), weights={"boundary": 1e-8})


def float32():
    return poisson((ADAM, 50), (LBFGS, 60), dtype="float32")


def late_times():
    return small_module(Heat1D(), [Phase(ADAM, steps=40)])


FAILING = {
    "spectral bias": spectral_bias,
    "boundary violation": violated_boundary,
    "divergence on switch": bad_switch,
    "under-resolution": too_few_points,
    "stagnation with a large gradient": bad_line_search,
    "vanishing coefficient gradient": bounded_coefficient,
    "vanishing coefficient gradient, without influence": idle_coefficient,
    "loss terms out of balance": unbalanced_terms,
    "float32 floor": float32,
    "late times held back": late_times,
}
"""Modules to be trained, by what is wrong with them."""

POINTS = {"under-resolution": 4}
CALLBACKS = {"late times held back": lambda: [CausalWeights(every=5, tolerances=[100.0])]}


def fit_failing(name, *callbacks, **options):
    """Trains one of the modules; returns the trainer."""
    module = FAILING[name]()
    data = small_data(module.problem, points=POINTS.get(name, 50), held_out=50, evaluation_points=300)
    trainer = quiet_trainer(callbacks=[*callbacks, *CALLBACKS.get(name, list)()], val_check_interval=10_000, **options)
    trainer.fit(module, data)
    return trainer
