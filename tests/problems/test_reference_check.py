"""A reference that is the solution of another problem is told; one that is right, or cannot be looked at, is not."""

import warnings

import lightning as L
import numpy as np
import pytest
import torch

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.domains import Interval
from pinnlab.problems import Coefficient, Dirichlet, Exact, Numerical, Poisson1D, Problem, Residual
from pinnlab.problems.reference_check import missed_by_reference, warn_of_reference
from pinnlab.training.condition_checks import warn_of_conditions
from tests.cases import PROBLEMS

X = Interval("x", 0, 1)


class Bar(Problem):
    """u'' = -k pi^2 sin(pi x) + more, u = 0 at the ends; with k = 1 and without more u = sin(pi x)."""

    def __init__(self, known, more=0.0, **options):
        self.known, self.more = known, more
        conditions = {"pde": Residual(X, self.balance), "ends": Dirichlet(X.boundary(), u=0.0)}
        super().__init__(X, ["u"], conditions, **options)

    def balance(self, u, x, k=1.0):
        return u.xx + k * torch.pi**2 * torch.sin(torch.pi * x) + self.more

    def reference(self):
        return self.known if isinstance(self.known, Numerical) else Exact(self.known)


def sine(x):
    return torch.sin(torch.pi * x)


@pytest.mark.parametrize(
    ("known", "more", "missed"),
    [
        (sine, 1.0, "pde"),  # the equation was changed
        (lambda x: sine(x) + 1e-2 * x * (1 - x), 0.0, "pde"),
        (lambda x: sine(x) + 1e-2 * x, 0.0, "ends"),
        (lambda x: torch.cos(torch.pi * x), 0.0, "pde, ends"),
    ],
)
def test_conditions_that_a_reference_does_not_meet_are_told(known, more, missed):
    with pytest.warns(UserWarning, match=f"reference of Bar: does not meet {missed}, so that errors against it"):
        warn_of_reference(Bar(known, more))


@pytest.mark.parametrize(
    "known",
    [
        sine,
        lambda x: sine(x) + 1e-6 * x * (1 - x),
        lambda x: torch.as_tensor(np.cos(x.numpy())),  # without derivatives
        lambda x: torch.cos(x.detach()),
        lambda x: torch.tensor([np.cos(v.item()) for v in x]),
        Numerical(lambda points: np.cos(points[:, 0])),
    ],
)
def test_a_right_one_and_one_that_cannot_be_put_into_the_equation_are_not(known):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_reference(Bar(known))


class Smooth(Problem):
    """The same bar with a penalty on slopes, which the solution of the equation does not meet."""

    def __init__(self, more=0.0):
        smooth = Residual(X, lambda u: u.x, weight=1e-3)
        super().__init__(X, ["u"], {**Bar(sine, more).conditions, "smooth": smooth})

    def reference(self):
        return Exact(sine)


def test_a_penalty_may_stay_and_its_warning_is_silenced_by_its_name_alone():
    with pytest.warns(UserWarning, match="does not meet smooth, .* a penalty, which is to be small, may stay"):
        warn_of_reference(Smooth())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings(
            "ignore", "reference of Smooth: does not meet smooth,"
        )  # as docs/when-it-fails.md has it
        warn_of_reference(Smooth())
        with pytest.raises(UserWarning, match="does not meet pde, smooth,"):
            warn_of_reference(Smooth(more=1.0))


def test_nobody_knows_what_belongs_to_it_while_a_coefficient_is_sought():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_reference(Bar(sine, coefficients={"k": Coefficient(3.0)}))


@pytest.mark.parametrize(
    "name", ["interface", "kovasznay", "elasticity", "wave_exact", "antiderivative_soft", "convection_soft", "layer"]
)
def test_those_of_shipped_problems_are_right(name):
    assert not missed_by_reference(PROBLEMS[name]())


def test_shipped_problems_begin_without_this_look(monkeypatch):
    monkeypatch.setattr(Poisson1D, "reference", lambda self: Exact(lambda x: 1 + x))
    assert missed_by_reference(Poisson1D()) == ["pde", "boundary"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_reference(Poisson1D())


def test_it_is_told_before_the_first_step(tmp_path):
    problem = Bar(sine, more=1.0)
    model = PINN(problem, phases=[Phase(torch.optim.Adam, steps=1)], compile=False)
    trainer = L.Trainer(max_steps=1, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    with pytest.warns(UserWarning, match="reference of Bar: does not meet pde"):
        trainer.fit(model, CollocationDataModule(problem, points=20))


def test_conditions_that_are_switched_off_are_left_alone():
    """Neither the reference needs to meet them, nor the values of others to be theirs."""
    problem = Bar(lambda x: sine(x) + x * (1 - x))
    both = Problem(X, ["u"], {**problem.conditions, "one": Dirichlet(X.face(x=1.0), u=1.0, weight=0.0)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for given, weights in ((problem, {"pde": 0.0}), (both, {})):
            module = PINN(given, weights=weights, compile=False)
            warn_of_conditions(module.system, module.weights.own)
    with pytest.warns(UserWarning, match="does not meet pde"):
        warn_of_conditions(PINN(problem).system, torch.ones(2))
