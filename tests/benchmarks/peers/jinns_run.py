"""jinns (JAX) on fixed points, in one call of `solve`; float64.

`--method ngd` is its energy natural gradient with a backtracking line search, `ssbroyden` self-scaled Broyden
with a zoom line search; both with their defaults. Measurements are made by jinns' own validation hook, which calls back
from the compiled loop every so many iterations.
"""

from __future__ import annotations

import warnings
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import common
import equinox as eqx
import jax
import jax.numpy as jnp
import jinns
import numpy as np
import optax
from jinns.validation._validation import AbstractValidationModule

jax.config.update("jax_enable_x64", True)
warnings.filterwarnings("ignore")  # conditions that are not in the loss hold by construction
given = common.arguments()
titles = {"ngd": "natural gradient", "ssbroyden": "SS-Broyden"}
record = common.record(given, f"jinns, {titles[given.method]}", version("jinns"))
setting = record.setting
network_key, data_key = jax.random.split(jax.random.PRNGKey(given.seed))
stationary = given.problem == "poisson"
kind = "PDEStatio" if stationary else "PDENonStatio"


def coordinates(inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """First and second coordinate of one point; jinns has time first."""
    return (inputs[0], inputs[1]) if stationary else (inputs[1], inputs[0])


widths = [2, *setting.hidden, 1]
layers = [part for sizes in pairwise(widths) for part in ((eqx.nn.Linear, *sizes), (jax.nn.tanh,))]
u, network = jinns.nn.PINN_MLP.create(
    key=network_key,
    eqx_list=tuple(layers[:-1]),
    eq_type=kind,
    input_transform=lambda inputs, params: jnp.stack(setting.scaled(*coordinates(inputs))),
    output_transform=lambda inputs, value, params: setting.ansatz(value, *coordinates(inputs), jnp.sin),
)
params = jinns.parameters.Params(nn_params=network, eq_params={})


def equation(inputs: jax.Array, u: Any, params: Any) -> jax.Array:
    """The residual at one point."""

    def value(inputs: jax.Array) -> jax.Array:
        return jnp.squeeze(u(inputs, params))

    first, second = (0, 1) if stationary else (1, 0)
    slope = jax.grad(value)
    along_x, along_second = jnp.eye(2)[first], jnp.eye(2)[second]
    gradient, curvature = jax.jvp(slope, (inputs,), (along_x,))
    derivatives = {
        "u": value(inputs),
        "x": gradient[first],
        setting.coordinates[1]: gradient[second],
        "xx": curvature[first],
    }
    if stationary:
        derivatives["yy"] = jax.jvp(slope, (inputs,), (along_second,))[1][second]
    return common.residual(given.problem, derivatives, *coordinates(inputs), jnp.sin)[None]


class Stationary(jinns.loss.PDEStatio):
    """The equation without time."""

    def equation(self, inputs: jax.Array, u: Any, params: Any) -> jax.Array:
        """The residual."""
        return equation(inputs, u, params)


class Transient(jinns.loss.PDENonStatio):
    """The equation with time."""

    def equation(self, inputs: jax.Array, u: Any, params: Any) -> jax.Array:
        """The residual."""
        return equation(inputs, u, params)


class Measurements(AbstractValidationModule):
    """Evaluates the solution on the grid and hands it to the record, which ends the run when the time is up."""

    call_every: int = eqx.field(kw_only=True)
    points: jax.Array = eqx.field(kw_only=True)

    def __call__(self, params: Any) -> tuple[Measurements, jax.Array, jax.Array, bool]:
        """Validation, whether to stop, the criterion, whether it is the best."""
        values = jax.vmap(lambda inputs: jnp.squeeze(u(inputs, params)))(self.points)
        over = jax.experimental.io_callback(look, jax.ShapeDtypeStruct((), jnp.bool_), values, ordered=True)
        return self, over, jnp.array(0.0), False


def look(values: np.ndarray) -> np.ndarray:
    """Whether the time is up."""
    return np.asarray(record.look(lambda points: values))


points = jnp.asarray(record.points if stationary else record.points[:, ::-1])
if stationary:
    data = jinns.data.CubicMeshPDEStatio(
        key=data_key, n=setting.points, dim=2, min_pts=setting.low, max_pts=setting.high, method="uniform"
    )
    weights = jinns.loss.LossWeightsPDEStatio(dyn_loss=1.0)
    loss = jinns.loss.LossPDEStatio(u=u, dynamic_loss=Stationary(), loss_weights=weights, params=params)
else:
    data = jinns.data.CubicMeshPDENonStatio(
        key=data_key, n=setting.points, ni=1, dim=1, method="uniform",
        min_pts=setting.low[:1], max_pts=setting.high[:1], tmin=setting.low[1], tmax=setting.high[1],
    )  # fmt: skip
    weights = jinns.loss.LossWeightsPDENonStatio(dyn_loss=1.0)
    loss = jinns.loss.LossPDENonStatio(u=u, dynamic_loss=Transient(), loss_weights=weights, params=params)


def callback_value(params: Any, loss: Any, batch: Any) -> jax.Array:
    """The loss, which the line search asks for."""
    return loss.evaluate(params, batch)[0]


def callback_grad(params: Any, loss: Any, batch: Any) -> Any:
    """Its gradient; jinns wants such functions by this first part of their names, without outer variables."""
    return jax.grad(lambda params: loss.evaluate(params, batch)[0])(params)


variables = {"value": "train_loss_value", "grad_pt": "grads", "loss": "loss", "batch": "batch"}
if given.method == "ngd":
    search = optax.scale_by_backtracking_linesearch(max_backtracking_steps=15)
    optimizer, extra, every = jinns.optimizers.vanilla_ngd(linesearch=search), None, 5
    if given.problem == "burgers":
        every = 1
else:
    optimizer, every = jinns.optimizers.scale_by_SSBroyden_family(), 20
    extra = {name: jinns.solver.GetJinnsVariableName(inside) for name, inside in variables.items()}
    extra |= {"value_fn": callback_value, "grad_fn": callback_grad}
jinns.solve(
    init_params=params,
    data=data,
    loss=loss,
    optimizer=optimizer,
    extra_optax_args_and_kwargs=extra,
    n_iter=10**6,
    print_loss_every=10**9,
    validation=Measurements(call_every=every, points=points),
    verbose=False,
)
