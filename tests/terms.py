"""Small problems, one for each kind of term: every conformance check of terms applies to each of them."""

from pinnlab.derivatives import d
from pinnlab.domains import Disk, Interval
from pinnlab.problems import Dirichlet, Problem, Residual

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


TERMS = {"normals": normals, "divergence_form": divergence_form}
