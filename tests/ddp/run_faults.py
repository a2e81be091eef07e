"""Run by test_faults_of_two.py: a run on two processes whose equation is not finite at one process's points only.

python run_faults.py FOLDER GUARDED
"""

import sys
import warnings
from pathlib import Path

import torch

warnings.filterwarnings("ignore")
sys.path.insert(0, str(Path(__file__).parents[1]))
torch.set_num_threads(1)

from faulty import Break, Faulty  # noqa: E402
from training import ADAM, QUASI_NEWTON, quiet_trainer, small_data, small_module  # noqa: E402

from pinnlab.callbacks import Rollback  # noqa: E402
from pinnlab.errors import NotFiniteError  # noqa: E402
from pinnlab.training.phases import Phase  # noqa: E402
from pinnlab.training.switching import phases_of  # noqa: E402

ENDS = 1.0 - 2.0**-4
"""One of 16 points lies beyond."""


class OnOneRank(Faulty):
    def balance(self, u, x):
        return super().balance(u, torch.where(x > ENDS, x, 0.0))


if __name__ == "__main__":
    folder, guarded = Path(sys.argv[1]), sys.argv[2] == "True"
    lines = []
    for optimizer in (ADAM, QUASI_NEWTON):
        module = small_module(OnOneRank(), [Phase(optimizer, steps=6)])
        callbacks = [Break("residual"), *([Rollback(every=2, attempts=1)] if guarded else [])]
        trainer = quiet_trainer(devices=2, strategy="ddp", callbacks=callbacks)
        try:
            trainer.fit(module, small_data(module.problem, points={"pde": 16, "wall": 2}))
            lines.append(phases_of(trainer).decisions[-1].reason)
        except NotFiniteError as error:
            lines.append(str(error))
        shares = module.batch["pde"]
        lines.append(f"{int((shares > ENDS).sum())} points")
        (folder / f"{trainer.global_rank}-{guarded}.txt").write_text("\n".join(lines))
