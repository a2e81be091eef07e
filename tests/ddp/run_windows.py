"""Run by test_windows_of_two.py: a run in windows on as many processes as asked.

python run_windows.py PROCESSES FILE
"""

import functools
import sys
import warnings
from pathlib import Path

import torch

warnings.filterwarnings("ignore")
sys.path.insert(0, str(Path(__file__).parents[1]))
torch.set_num_threads(1)

from training import quiet_trainer  # noqa: E402

from pinnlab import PINN, CollocationDataModule, Phase  # noqa: E402
from pinnlab.callbacks import RunSummary  # noqa: E402
from pinnlab.networks import MLP  # noqa: E402
from pinnlab.optimizers import LBFGS  # noqa: E402
from pinnlab.problems import Wave1D  # noqa: E402
from pinnlab.training.marching import train_windows  # noqa: E402
from pinnlab.training.windows import March  # noqa: E402

if __name__ == "__main__":
    processes = int(sys.argv[1])
    problem, summary = Wave1D(), RunSummary()
    adam = functools.partial(torch.optim.Adam, lr=5e-3)
    phases = [Phase(adam, steps=4), Phase(functools.partial(LBFGS, iterations=2), steps=2)]
    module = PINN(problem, functools.partial(MLP, hidden=(6,)), phases, compile=False)
    data = CollocationDataModule(problem, 21, held_out=11, evaluation_points=60)
    trainer = quiet_trainer(callbacks=[summary], devices=processes, strategy="ddp" if processes > 1 else "auto")
    plan = March(windows=2, tolerance=1e-9, every=2, halvings=1)
    whole = train_windows(module, data, trainer, plan)
    if trainer.is_global_zero:
        torch.save({"state": whole.state_dict(), "windows": summary.result["windows"]}, sys.argv[2])
