"""Small problems, one for each kind of term: every conformance check of terms applies to each of them."""

from functools import partial

import numpy as np
import torch

from pinnlab.derivatives import d
from pinnlab.domains import Box, Chebyshev, Disk, FunctionSpace, Interval, Parameter
from pinnlab.networks import MLP, Tiles
from pinnlab.problems import (
    Coefficient,
    Continuity,
    Dirichlet,
    Energy,
    Exact,
    Given,
    Integral,
    Mean,
    Observations,
    OperatorData,
    Periodic,
    Problem,
    Residual,
    Unknown,
    Weak,
)

X, T = Interval("x", 0, 1), Interval("t", 0, 1)


def divergence_form():
    """Nonlinear diffusion in one line, and a flux of a flux."""
    conditions = {
        "pde": Residual(X * T, lambda u, x: (u.t - ((1 + u**2) * u.x).d("x"), d(x * d(u * u, "x"), "x") - 1)),
        "start": Dirichlet((X * T).face(t=0.0), u=lambda x: x * (1 - x)),
    }
    return Problem(X * T, ["u"], conditions)


def normals():
    """A nonlinear flux out of a disk, with another equation beside it."""
    disk = Disk()
    conditions = {
        "pde": Residual(disk, lambda u: u.laplacian() + 1),
        "cooling": Residual(disk.boundary(), lambda u, normal: (1 + u**2) * u.along(normal) + u),
    }
    return Problem(disk, ["u"], conditions)


def observations():
    """A value and a flux at five places, the latter roughly known."""
    places = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None]
    flux = (lambda u, k: k * u.x, torch.cos(places[:, 0]))
    conditions = {
        "ode": Residual(X, lambda u, k: (k * u.x).d("x") + u),
        "data": Observations(places, u=torch.sin(places[:, 0]), flux=flux, sigma={"flux": [1, 2, 3, 2, 1], "u": 0.1}),
    }
    return Problem(X, ["u"], conditions, {"k": Coefficient(0.5)})


def given():
    """A conductivity on a grid, a source as a function; the flux in divergence form."""
    axis = np.linspace(0, 1, 9)
    data = [Given("a", {"x": axis, "a": 1 + axis**2}), Given("f", lambda x, t: torch.sin(x) * t)]
    conditions = {"pde": Residual(X * T, lambda u, a, f: u.t - (a * u.x).d("x") - f * a.x)}
    return Problem(X * T, ["u"], conditions, given=data)


def energy():
    """Deep Ritz with a flux through the boundary."""
    disk = Disk()
    conditions = {
        "energy": Energy(disk, lambda u, x: 0.5 * (u.x**2 + u.y**2) + 0.5 * u**2 - x * u),
        "around": Energy(disk.boundary(), lambda u, normal: normal[:, 0] * u, weight=0.5),
        "centre": Observations([[0.0, 0.0]], u=[0.0]),
    }
    return Problem(disk, ["u"], conditions)


class Cooling(Problem):
    """u' = -k0 (u - k1) with an unknown start: a vector of coefficients, and one in the ansatz beside given data."""

    def __init__(self):
        times = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None]
        conditions = {
            "ode": Residual(T, lambda u, k: u.t + k[0] * (u - k[1])),
            "data": Observations(times, u=0.5 + 1.5 * torch.exp(-2 * times[:, 0])),
        }
        coefficients = {"k": Coefficient([1.0, 0.3], bounds=(0.0, 5.0)), "start": Coefficient(1.0)}
        super().__init__(
            T, ["u"], conditions, coefficients, [Given("ramp", {"t": [0, 0.5, 1], "ramp": [0, 0.5, 1]}, 1)]
        )

    def ansatz(self, u, start, ramp):
        return start + ramp * u


def family():
    """One equation for all values of a parameter."""
    domain = X * Parameter("nu", 0.5, 2.0)
    conditions = {
        "pde": Residual(domain, lambda u, nu: nu * u.laplacian() + 1),
        "ends": Dirichlet(domain.boundary(), u=0.0),
    }
    return Problem(domain, ["u"], conditions)


def periodic():
    """Periodic in u and its slope, and in the slope of v alone."""
    conditions = {
        "pde": Residual(X * T, lambda u, v: (u.t - v.x, v.t - u.x)),
        "u": Periodic(X * T, "x", unknowns=["u"]),
        "v": Periodic(X * T, "x", unknowns=["v"], orders=[1]),
        "start": Dirichlet((X * T).face(t=0.0), u=0.0, v=lambda x: torch.sin(6 * x)),
    }
    return Problem(X * T, ["u", "v"], conditions)


def tiled():
    """Two unknowns, one of which is continuous with its flux across the faces of 2 x 2 boxes."""

    def flux(u, x, normal, side):
        return (1 + x) * u.along(normal) + side

    conditions = {
        "pde": Residual(X * T, lambda u, v, x: (u.t - ((1 + x) * u.x).d("x"), v.t - u.x)),
        "u": Continuity(X * T, [2, 2], unknowns=["u"], flux=flux),
        "v": Continuity(X * T, [2, 2], unknowns=["v"], order=2),
    }
    return Problem(X * T, ["u", "v"], conditions)


def weak():
    """A heat equation in weak form, with a conductivity of its own."""
    conditions = {
        "pde": Weak(X * T, lambda u, v, x, k: u.t * v + k * (1 + x) * u.x * v.x - x * v, cells=(3, 2)),
        "start": Dirichlet((X * T).face(t=0.0), u=0.0),
    }
    return Problem(X * T, ["u"], conditions, {"k": Coefficient(0.5)})


def fluxes():
    """A heat equation in weak form in a square without a disk, with radiation from the hole, and a flux on one side."""
    hole = Disk(center=(0.5, 0.5), radius=0.3)
    plate = Box(["x", "y"], 0, 1) - hole
    boundary = {
        plate.boundary(on=hole): lambda u, v, k, normal: (k * u**2 - normal[:, 0]) * v,
        plate.face(x=1.0): None,
    }
    conditions = {
        "pde": Weak(plate, lambda u, v, x: (1 + x) * (u.x * v.x + u.y * v.y) - v, cells=4, boundary=boundary),
        "wall": Dirichlet(plate.boundary(where=lambda x: x < 1 - 1e-9), u=0.0),
    }
    return Problem(plate, ["u"], conditions, {"k": Coefficient(0.5)})


def own_unknowns():
    """A conductivity of space alone, a flux that lives on a face, and a reference for two of the three."""
    domain = X * T
    left = domain.face(x=0.0)
    conditions = {
        "pde": Residual(domain, lambda u, k: u.t - (k * u.x).d("x")),
        "flux": Residual(left, lambda u, k, q: q - k * u.x),
        "ends": Dirichlet(domain.boundary("x"), u=0.0, k=1.0),
        "start": Dirichlet(domain.face(t=0.0), u=lambda x: torch.sin(torch.pi * x)),
    }
    unknowns = {"q": Unknown(on=left), "u": Unknown(), "k": Unknown(coordinates=("x",))}
    problem = Problem(domain, unknowns, conditions)

    def known(x, t):
        return 1 + x * (1 - x), torch.sin(torch.pi * x) * torch.exp(-t)

    problem.reference = lambda: Exact(known, unknowns=("k", "u"))
    return problem


def masses():
    """A mass that is a function of time, with a coefficient, and what flows out of both ends at any time."""
    rod = X * T
    conditions = {
        "pde": Residual(rod, lambda u: u.t - u.xx),
        "mass": Integral(rod, lambda u, x: (1 + x) * u, value=lambda t, k: k * t, points=6, each="t"),
        "out": Mean(rod.boundary("x"), lambda u, normal: u.x * normal[:, 0], value=0.5, each="t"),
    }
    return Problem(rod, ["u"], conditions, {"k": Coefficient(0.5)})


def other_points():
    """A delay to find behind a history, a flux that a sensor steers, and an end whose place is unknown."""
    rod = X * T

    def spread(u, x, t, a, delay):
        past = torch.where(t < delay, x, u.at(t=t - delay))
        return u.t - ((1 + u.at(x=1 - x, t=t**2) ** 2) * u.x).d("x") - a.at(x=x / 2) * past

    conditions = {
        "pde": Residual(rod, spread),
        "flux": Residual(rod.face(x=1.0), lambda u: u.x + u - u.at(x=0.3)),
        "end": Residual(rod.face(x=0.0), lambda u, s: (u.at(x=s), u.at(x=s).x + s.t)),
        "start": Dirichlet(rod.face(t=0.0), u=lambda u: 0.1 + u.at(t=1.0)),
    }
    unknowns = {"u": Unknown(), "s": Unknown(coordinates=["t"])}
    return Problem(rod, unknowns, conditions, {"delay": Coefficient(0.5)}, [Given("a", lambda x: x**2)])


def one_test_function():
    """A weak form of one row."""
    start = Dirichlet((X * T).face(t=0.0), u=lambda x: x)
    return Problem(X * T, ["u"], {"pde": Weak(X * T, lambda u, v: u.x * v.x + u.t * v, cells=2), "start": start})


def operator():
    """One equation for all functions of a space, whose slope it needs too; and two solutions at three places."""
    space = FunctionSpace("a", Chebyshev(X, modes=2))
    domain = X * T * space
    conditions = {
        "pde": Residual(domain, lambda u, a: (u.t - ((1 + a**2) * u.x).d("x"), u.laplacian() - a.x)),
        "start": Dirichlet(domain.face(t=0.0), u=lambda a: a.value),
        "data": OperatorData([[0.5, -0.2], [-1.0, 0.3]], torch.ones(2, 3), [[0.1, 0.2], [0.5, 0.6], [0.9, 1.0]]),
    }
    return Problem(domain, ["u"], conditions)


NETWORKS = {"tiled": partial(Tiles, grid=[2, 2], network=partial(MLP, hidden=[6, 5]))}
"""What builds the network of a term, where it has to be a certain one."""


TERMS = {
    build.__name__: build
    for build in (
        Cooling,
        family,
        periodic,
        tiled,
        weak,
        fluxes,
        divergence_form,
        normals,
        observations,
        given,
        energy,
        own_unknowns,
        masses,
        other_points,
        operator,
    )
}
