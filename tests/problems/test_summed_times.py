"""A time that is not called t is told where a Laplacian sums over it; where it is left out, nothing is."""

import warnings

import pytest

from pinnlab.domains import Interval
from pinnlab.problems import Problem, Residual
from pinnlab.problems.summed_times import warn_of_summed_times


def told(residual, time="time"):
    domain = Interval("x", 0, 1) * Interval(time, 0, 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_summed_times(Problem(domain, ["u"], {"pde": Residual(domain, residual)}))
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    "residual",
    [
        lambda u: u.d("time") - u.laplacian(),
        lambda u: u.d("time", "time") - u.laplacian(),
        lambda u: u.d("time") - u.laplacian(sample=1),
    ],
)
def test_a_time_that_is_summed_over(residual):
    assert told(residual) == [
        "condition 'pde': its Laplacian sums over 'time', too, as only 't' is taken for a time; call that 't', or name "
        "the places: laplacian('x')"
    ]


def test_what_is_well():
    assert told(lambda u: u.d("time") - u.laplacian("x")) == []
    assert told(lambda u: u.laplacian()) == []  # nothing says that it is a time
    assert told(lambda u: u.t - u.laplacian(), "t") == []
    assert told(lambda u: u.y - u.laplacian(), "y") == []  # convection along y
