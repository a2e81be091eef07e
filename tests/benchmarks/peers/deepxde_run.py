"""DeepXDE: Adam, then L-BFGS, on fixed points, as its documentation recommends; float64."""

from __future__ import annotations

import os

os.environ["DDE_BACKEND"] = "pytorch"

import common
import deepxde as dde
import torch
from deepxde.optimizers.config import LBFGS_options

given = common.arguments()
record = common.record(given, "DeepXDE, Adam + L-BFGS", dde.__version__)
setting = record.setting
dde.config.set_default_float("float64")
dde.config.set_random_seed(given.seed)
torch.set_num_threads(given.threads)


def equation(inputs: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """The residual."""
    second = setting.coordinates[1]
    derivatives = {
        "u": u,
        "x": dde.grad.jacobian(u, inputs, i=0, j=0),
        second: dde.grad.jacobian(u, inputs, i=0, j=1),
        "xx": dde.grad.hessian(u, inputs, i=0, j=0),
    }
    if second == "y":
        derivatives["yy"] = dde.grad.hessian(u, inputs, i=1, j=1)
    return common.residual(given.problem, derivatives, inputs[:, :1], inputs[:, 1:], torch.sin)


rectangle = dde.geometry.Rectangle(setting.low, setting.high)
data = dde.data.PDE(rectangle, equation, [], num_domain=setting.points, train_distribution="Hammersley")
net = dde.nn.FNN([2, *setting.hidden, 1], "tanh", "Glorot normal")
net.apply_feature_transform(lambda inputs: torch.cat(setting.scaled(inputs[:, :1], inputs[:, 1:]), 1))
net.apply_output_transform(lambda inputs, u: setting.ansatz(u, inputs[:, :1], inputs[:, 1:], torch.sin))
model = dde.Model(data, net)


class Measurements(dde.callbacks.Callback):
    """Measures the error after every step, and ends the run."""

    def on_epoch_end(self) -> None:
        """Looks at the clock."""
        self.model.stop_training = measure()


def measure(last: bool = False) -> bool:
    """Hands the present network and the number of evaluations to the record; returns whether the time is up."""
    evaluations = model.train_state.step  # one each in Adam
    if model.opt_name == "L-BFGS":
        evaluations = common.ADAM_STEPS + model.opt.state_dict()["state"][0]["func_evals"]
    with torch.no_grad():
        return record.look(lambda points: net(torch.as_tensor(points)).numpy(), evaluations, last)


# The default is 1000 iterations per call, several seconds in which nothing could be measured or ended.
dde.optimizers.set_LBFGS_options(maxiter=10**7)
LBFGS_options["iter_per_step"], LBFGS_options["fun_per_step"] = 100, 125
model.compile("adam", lr=common.ADAM_RATE)
model.train(iterations=common.ADAM_STEPS, display_every=10**9, callbacks=[Measurements()], verbose=0)
if not record.over:
    model.compile("L-BFGS")
    model.train(display_every=10**9, callbacks=[Measurements()], verbose=0)
measure(last=True)
