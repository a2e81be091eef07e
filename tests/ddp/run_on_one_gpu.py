"""Run by test_two_on_one_gpu.py: trains on one GPU with as many processes as asked, which talk over gloo.

python run_on_one_gpu.py PROCESSES FOLDER
"""

import sys
import warnings
from pathlib import Path

import torch
from lightning.pytorch.strategies import DDPStrategy

warnings.filterwarnings("ignore")
sys.path.insert(0, str(Path(__file__).parents[1]))

from training import ADAM, PRIMAL, QUASI_NEWTON, Recorder, quiet_trainer, small_data, small_module  # noqa: E402

from pinnlab.training.phases import Phase  # noqa: E402


def train(processes, folder):
    """One run; its parameters after every step go into the folder. The second process has the smaller share."""
    module = small_module(phases=[Phase(ADAM, steps=4), Phase(QUASI_NEWTON, steps=4), Phase(PRIMAL, steps=2)])
    recorder, options = Recorder(), {"accelerator": "gpu"}
    if processes > 1:
        places = [torch.device("cuda", 0)] * processes  # NCCL wants a GPU for each process
        strategy = DDPStrategy(parallel_devices=places, process_group_backend="gloo")
        options = {"accelerator": "auto", "devices": "auto", "strategy": strategy}
    trainer = quiet_trainer(callbacks=[recorder], **options)
    trainer.fit(module, small_data(module.problem))
    if trainer.is_global_zero:
        torch.save({step: flat.cpu() for step, flat in recorder.parameters.items()}, folder / f"{processes}.pt")


if __name__ == "__main__":
    train(int(sys.argv[1]), Path(sys.argv[2]))
