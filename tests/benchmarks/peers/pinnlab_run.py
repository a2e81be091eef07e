"""pinnlab: like the others, Adam, then L-BFGS, on fixed points; or `--method best`, what its documentation recommends.

The latter is `TargetRatioGaussNewton` on fixed points for the smooth solutions; for Burgers' equation what the recipe
`burgers_ng` begins with: Levenberg-Marquardt on residual-based points that are new at every step. Neither is compiled:
that pays later.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import common
import lightning as L
import numpy as np
import torch

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.callbacks import ResidualResampling
from pinnlab.cli.version import __version__
from pinnlab.networks import MLP
from pinnlab.optimizers import LBFGS, LevenbergMarquardt, TargetRatioGaussNewton
from pinnlab.problems import Burgers, Heat1D, Poisson2D

PROBLEMS = {"poisson": Poisson2D, "burgers": Burgers, "heat": Heat1D}
ENDLESS = 10**7
"""Steps of the last phase: the clock ends it."""

given = common.arguments()
methods = {"lbfgs": "Adam + L-BFGS", "best": "Levenberg-Marquardt" if given.problem == "burgers" else "Gauss-Newton"}
record = common.record(given, f"pinnlab, {methods[given.method]}", __version__)
setting = record.setting
torch.set_num_threads(given.threads)
L.seed_everything(given.seed, verbose=False)


class Measurements(L.Callback):
    """Measures the error after every step, and ends the run."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *unused: Any) -> None:
        """Looks at the clock."""
        trainer.should_stop = measure(pl_module) or trainer.should_stop


def measure(model: PINN, last: bool = False) -> bool:
    """Hands the present solution and the number of evaluations to the record; returns whether the time is up."""

    def predict(points: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model(torch.as_tensor(points)).numpy()

    return record.look(predict, model.evaluations, last)


callbacks: list[L.Callback] = [Measurements()]
if given.method == "lbfgs":
    adam = Phase(partial(torch.optim.Adam, lr=common.ADAM_RATE), steps=common.ADAM_STEPS)
    phases = [adam, Phase(LBFGS, steps=ENDLESS)]
elif given.problem == "burgers":
    phases = [Phase(LevenbergMarquardt, steps=ENDLESS)]
    callbacks.append(ResidualResampling(every=1, pool=20_000))
else:
    phases = [Phase(TargetRatioGaussNewton, steps=ENDLESS)]

problem = PROBLEMS[given.problem](exact_conditions=True)
model = PINN(
    problem,
    partial(MLP, hidden=list(setting.hidden)),
    phases=phases,
    compile="auto" if given.method == "lbfgs" else False,
)
data = CollocationDataModule(problem, points=setting.points)
quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "limit_val_batches": 0}
L.Trainer(callbacks=callbacks, **quiet).fit(model, data)
measure(model, last=True)
