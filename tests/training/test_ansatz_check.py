"""An ansatz that some optimizer, engine or compiler could not run is refused in one line, whatever it would raise."""

import math

import numpy as np
import pytest
import torch

from pinnlab import PINN
from pinnlab.domains import Interval, distance
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP
from pinnlab.problems import Coefficient, Given, Problem, Residual
from pinnlab.training.condition_checks import warn_of_conditions

LINE = Interval("x", 0, 1)
SMOOTH = distance(LINE)


def trained(ansatz):
    kind = type("Own", (Problem,), {"ansatz": ansatz})
    data = {
        "coefficients": {"k": Coefficient([1.0, 2.0])},
        "given": [Given("g", {"x": np.linspace(0, 1, 5), "g": np.arange(5.0)})],
    }
    return PINN(kind(LINE, ["u"], {"pde": Residual(LINE, lambda u: u.xx)}, **data), MLP)


BAD = {
    "numpy": (lambda self, u, x: np.sin(x) * u, "numpy cannot take part in it; write torch.sin in place of np.sin"),
    "array": (lambda self, u: np.ones(1) * u, r"numpy cannot take part in it; write torch.as_tensor\(...\)"),
    "math": (
        lambda self, u, x: math.sin(x) * u,
        "numpy cannot take part in it; write torch.sin in place of np.sin or math.sin",
    ),
    "number": (lambda self, u, k: math.exp(k[0]) * u, "numpy cannot take part in it; write torch.sin in place of"),
    "branch": (lambda self, u, x: u if x > 0.5 else -u, "it decides by the values of a tensor .*; write torch.where"),
    "complex": (lambda self, u: 1j * u, "is complex; make real and imaginary part two unknowns"),
    "derivative": (lambda self, u: u.x, "gets values of unknowns and coordinates, without derivatives"),
    "shape": (lambda self, u: u[:1], r"must return one number for each of 5 points, got \(1,\)"),
    "failing": (lambda self, u: u + [][0], "it fails with IndexError: list index out of range"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_an_ansatz_cannot_do_is_refused_with_what_to_write(name):
    ansatz, words = BAD[name]
    with pytest.raises(ConfigurationError, match=f"^ansatz of problem Own: {words}") as error:
        trained(ansatz)
    assert "\n" not in str(error.value)


def test_the_line_of_the_ansatz_is_named():
    with pytest.raises(ConfigurationError, match=r"; see line \d+ of .*test_ansatz_check.py$"):
        trained(lambda self, u, x: np.sin(x) * u)


GOOD = {
    "all it may ask for": lambda self, u, x, k, g, points: k[0] + k[1] * x + g * u + points.sum(1),
    "distance": lambda self, u, x: SMOOTH(x) * u,
    "where": lambda self, u, x: torch.where(x > 0.5, u, x**2),
    "one number": lambda self, u, x: math.sin(1) * u + np.float64(2) * x,
}


@pytest.mark.parametrize("name", GOOD)
def test_what_it_can_do_is_not(name):
    assert trained(GOOD[name]).trial(torch.rand(3, 1, dtype=torch.float64)).shape == (3, 1)


def test_a_payoff_in_the_ansatz_is_told_before_the_first_step():
    model = trained(lambda self, u, x, k: k[0] * torch.relu(0.25 - x) + x * u)
    with pytest.warns(UserWarning, match=r"^ansatz: its derivative by x jumps at x = 0\.25, where condition 'pde' "):
        warn_of_conditions(model.system, model.weights.own)
