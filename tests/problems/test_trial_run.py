"""What a residual is refused for when its problem is built, and what it may do."""

import math

import numpy as np
import pytest
import torch

from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.problems import Coefficient, Dirichlet, Exact, Integral, Observations, Problem, Residual

X, T = Interval("x", 0, 1), Interval("t", 0, 1)
TABLE = torch.ones(2, dtype=torch.float64)


def posed(function):
    return Problem(X * T, ["u"], {"pde": Residual(X * T, function)})


REFUSED = {
    "numpy of a coordinate": (lambda u, x: u.x + np.sin(x), "write torch.sin in place of np.sin"),
    "numpy of an unknown": (lambda u: np.exp(u), "write torch.sin in place of np.sin"),
    "numpy of a derivative": (lambda u: np.exp(u.x), "write torch.sin in place of np.sin"),
    "numpy of an expression": (lambda u: (u * u.x).d("x") + np.exp(u * u), "write torch.sin in place of np.sin"),
    "numbers of a tensor": (lambda u, x: u * x.numpy(), "write torch.sin in place of np.sin"),
    "an array of a tensor": (lambda u, x: u * torch.as_tensor(np.asarray(x)), "write torch.sin in place of np.sin"),
    "an array before an unknown": (lambda u: np.ones(1) * u, "write torch.as_tensor(...) around the array"),
    "torch.autograd": (lambda u, x: torch.autograd.grad(u.value.sum(), x)[0], "derivatives are u.x, or d(expression"),
    "math": (lambda u, x: u * math.sin(x), "in place of np.sin or math.sin"),
    "a number": (lambda u, x: u * float(x), "in place of np.sin or math.sin"),
    "if": (lambda u, x: u if x > 0.5 else -u, "write torch.where"),
    "maximum": (lambda u, x: max(u, x), "write torch.where"),
    "and": (lambda u, x, t: torch.where(x > 0.5 and t > 0.5, u, u.x), "and & and | between conditions"),
    "shapes": (lambda u, points: u * points, "tensors of shape (n,)"),
    "a number of points": (lambda u: u.x * TABLE, "shapes do not fit"),
    "another number of points": (lambda u: TABLE + 0 * u.value[:2], "tensors of shape (n,)"),
    "booleans": (lambda u: u.value > 0, "returns torch.bool"),
    "whole numbers": (lambda u: (u.value > 0).long(), "returns torch.int64"),
    "complex": (lambda u: u * 1j, "its real and its imaginary part"),
    "an error of its own": (lambda u: [][1], "it fails with IndexError: list index out of range"),
    "an operation without a rule": (
        lambda u: torch.polygamma(1, u * u).d("x"),
        "no rule for torch's 'polygamma'; write it with",
    ),
}


@pytest.mark.parametrize(
    ("rate", "advice"),
    [
        (np.exp, "write torch.sin in place of np.sin"),
        (math.exp, "write torch.sin in place of np.sin or math.sin"),
        (float, "write torch.sin in place of np.sin or math.sin"),
        (lambda k: k.item(), "write torch.sin"),
    ],
)
def test_a_number_of_a_coefficient_would_be_a_constant(rate, advice):
    with pytest.raises(ConfigurationError, match=f"^condition 'ode': .*{advice}"):
        Problem(X, ["u"], {"ode": Residual(X, lambda u, k: u.x + rate(k) * u)}, coefficients={"k": Coefficient(1.0)})


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line_with_what_to_write(case):
    function, advice = REFUSED[case]
    with pytest.raises(ConfigurationError) as caught:
        posed(function)
    assert advice in str(caught.value)
    assert "condition 'pde'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_line_is_named():
    with pytest.raises(ConfigurationError, match=r"see line \d+ of .*test_trial_run.py"):
        posed(lambda u, x: u * math.sin(x))


def test_targets_integrals_and_measured_expressions_are_run_too():
    for condition in (
        Dirichlet(X.boundary(), u=lambda x: np.sin(x)),
        Integral(X, lambda u, x: u * np.sin(x)),
        Observations([[0.5]], flux=(lambda u: np.exp(u.x), [1.0])),
    ):
        with pytest.raises(ConfigurationError, match=r"condition 'c'.*write torch.sin"):
            Problem(X, ["u"], {"c": condition})


def test_numbers_of_numpy_and_tables_are_fine():
    factor, table = np.float64(2.0), np.linspace(0, 1, 5)
    problem = posed(lambda u, x: factor * u.x + u * factor - factor * x * torch.as_tensor(table).mean() + np.pi * u)
    assert problem.wanted["pde"].partials == {(0,)}
    assert posed(lambda u, x: (factor * u * u.x).d("x") - factor * x).wanted["pde"].partials == {(0,), (0, 0)}


def test_where_of_a_reference_fails_in_one_line():
    class Known(Problem):
        def reference(self):
            return Exact(lambda x: x, where=lambda x: x > 0 and x < 1)

    known = Known(X, ["u"], {"pde": Residual(X, lambda u: u.xx)})
    with pytest.raises(ConfigurationError, match=r"^where of the reference of Known: .*& and \| between conditions"):
        known.reference_known(torch.rand(3, 1, dtype=torch.float64))


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (lambda x: x, r"must be Exact\(function\) or Numerical\(function\), got function"),
        (Exact(lambda x: math.sin(x)), "it makes a number of a tensor .*; write the function of torch"),
        (Exact(lambda x: torch.where(x > 0 and x < 1, x, 0)), "it decides by the values of a tensor"),
        (Exact(lambda x: x @ torch.ones(7, dtype=torch.float64)), "it fails with RuntimeError"),
    ],
)
def test_a_reference_fails_in_one_line(reference, words):
    known = Problem(X, ["u"], {"pde": Residual(X, lambda u: u.xx)})
    known.reference = lambda: reference
    with pytest.raises(ConfigurationError, match=f"^reference of Problem: {words}") as caught:
        known.reference_values(torch.rand(3, 1, dtype=torch.float64))
    assert "\n" not in str(caught.value)
