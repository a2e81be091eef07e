"""Scimba, its JAX version, with its defaults and new points at every step; float64.

`--method eng` is its energy natural gradient with a line search, `ssbroyden` self-scaled Broyden. The loop of
`project` is run with a scan that hands each chunk's last state to the record, since the state that `project` returns is
the one with the smallest training loss, and no state is to be chosen here.
"""

from __future__ import annotations

import contextlib
from importlib.metadata import version
from typing import Any

import common
import jax
import jax.numpy as jnp
import numpy as np
from scimba_jax.domains.meshless_domains.domains_1d import Segment1D
from scimba_jax.domains.meshless_domains.domains_2d import Square2D
from scimba_jax.nonlinear_approximation.approximation_spaces.approximation_spaces import ApproximationSpace
from scimba_jax.nonlinear_approximation.integration.monte_carlo import DomainSampler, TensorizedSampler
from scimba_jax.nonlinear_approximation.integration.monte_carlo_time import UniformTimeSampler
from scimba_jax.nonlinear_approximation.networks.mlp import MLP
from scimba_jax.nonlinear_approximation.numerical_solvers import projectors
from scimba_jax.physical_models.abstract_physical_model import AbstractPhysicalModel
from scimba_jax.physical_models.abstract_residuals import InteriorResidual
from scimba_jax.physical_models.elliptic_pde.laplacians import LaplacianDirichletND
from scimba_jax.physical_models.temporal_pde.viscous_burgers import ViscousBurgers1D

METHODS = {"eng": ("ENG", "natural gradient", 5), "ssbroyden": ("SS-Broyden", "SS-Broyden", 20)}

given = common.arguments()
method, title, chunk = METHODS[given.method or "eng"]
record = common.record(given, f"Scimba, {title}", version("scimba"))
setting = record.setting
stationary = given.problem == "poisson"


class HeatResidual(InteriorResidual):
    """u_t - k u_xx; Scimba's own heat equation has k = 1."""

    def construct_residual(self, *unknowns: Any, precomputed: dict | None = None) -> Any:
        """The residual."""
        u = unknowns[0]
        return u.d_t() - common.DIFFUSIVITY * u.laplacian("x")


class Heat(AbstractPhysicalModel):
    """The heat equation; initial and boundary values hold by construction."""

    def __init__(self, line: Segment1D, times: tuple[float, float]) -> None:
        super().__init__(main_domain=line, time_domain=times)
        residual = HeatResidual(domain=line, size=1, model_type="t_x", time_domain=times)
        self.physical_residuals = {line.get_label(): residual}


def coordinates(*inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """First and second coordinate of a point, each of shape `(1,)`; Scimba has time first."""
    return (inputs[0][0:1], inputs[0][1:2]) if stationary else (inputs[1], inputs[0])


def before(*inputs: jax.Array) -> tuple[jax.Array]:
    """What the network gets."""
    return (jnp.concatenate(setting.scaled(*coordinates(*inputs))),)


def after(value: jax.Array, *inputs: jax.Array) -> jax.Array:
    """u, with exact initial and boundary values."""
    return setting.ansatz(value, *coordinates(*inputs), jnp.sin)


if stationary:
    domain = Square2D(list(zip(setting.low, setting.high, strict=True)), is_main_domain=True)
    kind, dims, samplers = "x", {"x": 2}, [DomainSampler(domain)]
    model = LaplacianDirichletND(
        domain, f_rhs=lambda x: 2 * jnp.pi**2 * jnp.sin(jnp.pi * x[0:1]) * jnp.sin(jnp.pi * x[1:2]), bc="strong"
    )
else:
    domain = Segment1D((setting.low[0], setting.high[0]), is_main_domain=True)
    times = (setting.low[1], setting.high[1])
    kind, dims, samplers = "t_x", {"x": 1}, [UniformTimeSampler(times), DomainSampler(domain)]
    if given.problem == "burgers":
        model = ViscousBurgers1D(domain, times, sigma=common.VISCOSITY, bc="strong", ic="strong")
    else:
        model = Heat(domain, times)

network_key, training_key = jax.random.split(jax.random.PRNGKey(given.seed))
network = MLP(in_size=2, out_size=1, hidden_sizes=list(setting.hidden), activation="tanh", key=network_key)
space = ApproximationSpace(dims, [(network, "scalar", None)], kind, pre_processing=before, post_processing=after)
sampler = TensorizedSampler(samplers, kind, bc=False, ic=False)
projector = projectors.Projector(model, space, sampler, method)


class OutOfTimeError(Exception):
    """Ends the training loop."""


@jax.jit
def values(space: Any, points: jax.Array) -> jax.Array:
    """The solution at points `(n, 2)`."""
    inputs = (points,) if stationary else (points[:, 1:], points[:, :1])
    return projector.evaluator.evaluate_variables(space, *inputs)


def measured(*arguments: Any, **options: Any) -> tuple:
    """One compiled chunk of training, then a look at the clock."""
    results = projectors._scan_train(*arguments, **options)
    jax.block_until_ready(results)
    if record.look(lambda points: np.ravel(values(results[-1], jnp.asarray(points)))):
        raise OutOfTimeError
    return results


with contextlib.suppress(OutOfTimeError):
    projector._project_chunks(measured, training_key, space, 10**6, setting.points, verbose=True, scan_chunk=chunk)
