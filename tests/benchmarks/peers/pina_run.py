"""PINA: Adam, then torch's L-BFGS with a strong-Wolfe line search, on fixed points; float64.

Its documentation trains with Adam; L-BFGS is taken from torch, as it takes any optimizer, in a second solver with the
same network. Everything that costs time and is not needed (logger, progress bar, checkpoints) is off.
"""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import Any

import common
import lightning as L
import torch
from pina import Condition, LabelTensor, Trainer
from pina.domain import CartesianDomain
from pina.equation import Equation
from pina.model import FeedForward
from pina.operator import grad
from pina.optim import TorchOptimizer
from pina.problem import SpatialProblem
from pina.solver import PhysicsInformedSingleModelSolver

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
given = common.arguments()
record = common.record(given, "PINA, Adam + L-BFGS", version("pina-mathlab"))
setting = record.setting
first, second = setting.coordinates
torch.set_default_dtype(torch.float64)
torch.set_num_threads(given.threads)
L.seed_everything(given.seed, verbose=False)


def equation(points: LabelTensor, output: LabelTensor) -> torch.Tensor:
    """The residual."""
    slope = grad(output, points, components=["u"], d=[first, second])
    along_x, along_second = (slope.extract([f"dud{name}"]) for name in setting.coordinates)
    derivatives = {
        "u": output.extract(["u"]).tensor,
        "x": along_x.tensor,
        second: along_second.tensor,
        "xx": grad(along_x, points, components=["dudx"], d=["x"]).tensor,
    }
    if second == "y":
        derivatives["yy"] = grad(along_second, points, components=["dudy"], d=["y"]).tensor
    x, other = (points.extract([name]).tensor for name in setting.coordinates)
    return common.residual(given.problem, derivatives, x, other, torch.sin)


rectangle = CartesianDomain(
    {name: [low, high] for name, low, high in zip(setting.coordinates, setting.low, setting.high, strict=True)}
)


class Rectangle(SpatialProblem):
    """The equation; the rest holds by construction."""

    output_variables = ["u"]  # noqa: RUF012
    spatial_domain = rectangle
    domains = {"inside": rectangle}  # noqa: RUF012
    conditions = {"inside": Condition(domain="inside", equation=Equation(equation))}  # noqa: RUF012


class Exact(torch.nn.Module):
    """The network with exact initial and boundary values around it."""

    def __init__(self) -> None:
        super().__init__()
        self.network = FeedForward(input_dimensions=2, output_dimensions=1, layers=list(setting.hidden))

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        """Values of u."""
        if isinstance(points, LabelTensor):
            points = points.extract(list(setting.coordinates)).tensor
        x, other = points[:, :1], points[:, 1:]
        return setting.ansatz(self.network(torch.cat(setting.scaled(x, other), 1)), x, other, torch.sin)


class Measurements(L.Callback):
    """Measures the error after every step, and ends the run."""

    def on_train_batch_end(self, trainer: L.Trainer, *unused: Any) -> None:
        """Looks at the clock."""
        trainer.should_stop = measure(trainer)


def measure(trainer: L.Trainer | None = None) -> bool:
    """Hands the present solution and the number of evaluations to the record; returns whether the time is up."""
    evaluations = None
    if trainer is not None:
        optimizer = trainer.optimizers[0]
        evaluations = trainer.global_step
        if isinstance(optimizer, torch.optim.LBFGS):
            state = next(iter(optimizer.state.values()))
            evaluations = common.ADAM_STEPS + state["func_evals"]
    with torch.no_grad():
        return record.look(lambda points: model(torch.as_tensor(points)).numpy(), evaluations, last=trainer is None)


problem = Rectangle()
problem.discretise_domain(setting.points, "lh", domains=["inside"])
model = Exact()
quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
quiet |= {"enable_model_summary": False, "callbacks": [Measurements()]}
lbfgs = {"lr": 1.0, "line_search_fn": "strong_wolfe", "tolerance_grad": 0.0, "tolerance_change": 0.0}
for epochs, optimizer in (
    (common.ADAM_STEPS, TorchOptimizer(torch.optim.Adam, lr=common.ADAM_RATE)),
    (10**7, TorchOptimizer(torch.optim.LBFGS, **lbfgs)),
):
    if not record.over:
        solver = PhysicsInformedSingleModelSolver(problem, model, optimizer=optimizer)
        Trainer(solver, max_epochs=epochs, **quiet).train()
measure()
