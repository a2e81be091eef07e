"""The run of test_faults_of_two.py: its equation is not finite at one of the two processes' points only."""

import torch
from faulty import Break, Faulty
from training import ADAM, QUASI_NEWTON, quiet_trainer, small_data, small_module

from pinnlab.callbacks import Rollback
from pinnlab.errors import NotFiniteError
from pinnlab.training.phases import Phase
from pinnlab.training.switching import phases_of

ENDS = 1.0 - 2.0**-4
"""One of 16 points lies beyond."""


class OnOneRank(Faulty):
    def balance(self, u, x):
        return super().balance(u, torch.where(x > ENDS, x, 0.0))


def break_down(rank, folder, guarded):
    """As one of two processes, guarded by going back or not; saves what the run said."""
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
