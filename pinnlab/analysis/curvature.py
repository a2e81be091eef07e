"""Spectra of the loss's curvature: of its Hessian, of the Gauss-Newton part, and of what a preconditioner makes of it.

For the loss r'r the Gauss-Newton matrix is 2 J'J, whose eigenvalues are twice those of the kernel JJ' and zeros; the
Hessian is that plus 2 sum_i r_i (Hessian of r_i), which the residual scales, and which may be indefinite.

A quasi-Newton method multiplies the gradient with an approximate inverse Hessian H. With H = L L' its steps are those
of gradient descent in the variables z of theta = L z, where the Hessian is L' (Hessian) L: H times Hessian has the same
eigenvalues. Where H has learned everything they are all 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pinnlab.errors import ConfigurationError, unknown
from pinnlab.numerics.lanczos import Density, lanczos, spectral_density
from pinnlab.numerics.linalg import Product, SquareRoot
from pinnlab.objective.linearization import Linearization

MATRICES = ("hessian", "gauss_newton")


@dataclass(frozen=True)
class Curvature:
    """The spectrum of a symmetric matrix `(n, n)` on the parameters.

    Attributes:
        eigenvalues: `(k,)` those of the largest absolute value, in descending order.
        errors: `(k,)` within that distance of each of them there is an eigenvalue.
        density: where all of them are, about.
        products: with how many vectors the matrix was multiplied; a Hessian costs about four losses for each.
    """

    eigenvalues: Tensor
    errors: Tensor
    density: Density
    products: int


def curvature(
    linearization: Linearization,
    matrix: str = "hessian",
    *,
    root: SquareRoot | None = None,
    top: int = 20,
    probes: int = 8,
    steps: int = 60,
    seed: int = 0,
) -> Curvature:
    """The spectrum of the loss's curvature; a collective, with the same result on every rank.

    Args:
        linearization: the loss around some parameters; `PINN.linearization(batch)` makes one.
        matrix: `hessian` or `gauss_newton`.
        root: L; the spectrum is then that of L' (matrix) L. See `preconditioner`.
        top: how many eigenvalues are computed by themselves; see `lanczos`.
        probes: random vectors of the density; see `spectral_density`.
        steps: nodes for each; see `spectral_density`.
        seed: of all random vectors.

    Raises:
        ConfigurationError: there is no such matrix, or a number is below 1.
    """
    if matrix not in MATRICES:
        raise unknown("matrix", matrix, MATRICES)
    times: Product = linearization.hessian_times if matrix == "hessian" else _gauss_newton(linearization)
    product = times if root is None else _between(root, times)
    like, generator = linearization.point, torch.Generator().manual_seed(seed)
    place: dict[str, Any] = {"dtype": like.dtype, "device": like.device}
    found = lanczos(product, len(like), top, generator, by_size=True, **place)
    density = spectral_density(product, len(like), generator, probes=probes, steps=steps, **place)
    return Curvature(found.values, found.errors, density, found.products + len(density.nodes))


def preconditioner(optimizer: Any) -> SquareRoot:
    """L with L L' = H, the inverse Hessian that a quasi-Newton method has learned so far.

    Args:
        optimizer: a quasi-Newton method, such as `SSBroyden` or `LBFGS`, as a run has left it.

    Raises:
        ConfigurationError: it is no such method, or it has learned nothing.
    """
    name = type(optimizer).__name__
    if not hasattr(optimizer, "inverse_hessian_root"):
        raise ConfigurationError(f"optimizer: {name} keeps no inverse Hessian; take a quasi-Newton method")
    root: SquareRoot | None = optimizer.inverse_hessian_root()
    if root is None:
        raise ConfigurationError(f"optimizer: {name} has no positive definite inverse Hessian yet; let it make a step")
    return root


def _gauss_newton(linearization: Linearization) -> Product:
    return lambda vectors: 2 * linearization.gram_times(vectors)


def _between(root: SquareRoot, times: Product) -> Product:
    return lambda vectors: root.transposed_times(times(root.times(vectors)))
