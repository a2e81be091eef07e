"""The run of test_windows_of_two.py: in windows, on as many processes as asked."""

import functools

import torch
from training import quiet_trainer

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.callbacks import RunSummary
from pinnlab.networks import MLP
from pinnlab.optimizers import LBFGS
from pinnlab.problems import Wave1D
from pinnlab.training.march import March
from pinnlab.training.marching import train_windows


def march(rank, processes, file):
    """As one of the processes; the first one saves what came out."""
    problem, summary = Wave1D(), RunSummary()
    adam = functools.partial(torch.optim.Adam, lr=5e-3)
    phases = [Phase(adam, steps=4), Phase(functools.partial(LBFGS, iterations=2), steps=2)]
    module = PINN(problem, functools.partial(MLP, hidden=(6,)), phases, compile=False)
    data = CollocationDataModule(problem, 21, held_out=11, evaluation_points=60)
    trainer = quiet_trainer(callbacks=[summary], devices=processes, strategy="ddp" if processes > 1 else "auto")
    plan = March(windows=2, tolerance=1e-9, every=2, halvings=1)
    whole = train_windows(module, data, trainer, plan)
    if trainer.is_global_zero:
        torch.save({"state": whole.state_dict(), "windows": summary.result["windows"]}, file)
