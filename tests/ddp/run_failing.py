"""The command, with one rank that runs out of memory at step 30; run by test_signals_of_two.py."""

import os
import sys

from pinnlab.cli.commands import run
from pinnlab.training.module import PINN

begin = PINN.on_train_batch_start


def fail_later(self, batch, batch_idx):
    """As before, up to a step."""
    if self.global_step == 30 and os.environ.get("LOCAL_RANK", "0") == os.environ["FAILING"]:
        raise MemoryError("no more")
    return begin(self, batch, batch_idx)


if __name__ == "__main__":
    PINN.on_train_batch_start = fail_later
    sys.exit(run())
