"""A Laplacian that sums over a time not called t, or over polar coordinates, is told; what is well is not."""

import warnings

import pytest

from pinnlab.domains import Interval
from pinnlab.problems import Problem, Residual
from pinnlab.problems.laplacian_check import warn_of_laplacians


def told(residual, time="time", place="x"):
    domain = Interval(place, 1, 2) * Interval(time, 0, 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_laplacians(Problem(domain, ["u"], {"pde": Residual(domain, residual)}))
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


@pytest.mark.parametrize(
    ("residual", "other"),
    [
        (lambda u: u.laplacian() + 1, "theta"),
        (lambda u, r: u.laplacian() + u.d("r") / r, "theta"),  # which still lacks 1 / r**2
        (lambda u: u.laplacian() + 1, "z"),
        (lambda u: u.laplacian("r", "phi").square(), "phi"),
    ],
)
def test_a_laplacian_in_polar_coordinates(residual, other):
    assert told(residual, other, "r") == [
        f"condition 'pde': its Laplacian sums second derivatives by 'r', '{other}' as by lengths; with a radius write "
        "it out, such as u.d('r', 'r') + u.d('r') / r + u.d('theta', 'theta') / r**2"
    ]


def test_polar_coordinates_that_are_well():
    assert told(lambda u, r: u.d("r", "r") + u.d("r") / r + u.d("theta", "theta") / r**2, "theta", "r") == []
    assert told(lambda u, r: u.laplacian("r") + u.d("r") / r + u.laplacian("theta") / r**2, "theta", "r") == []
    assert told(lambda u, r: u.laplacian() + u.d("r") / r, "z", "r") == []
    assert told(lambda u: u.laplacian(), "phi", "theta") == []  # two angles of a torus
    assert told(lambda u: u.laplacian(), "y", "x") == []
