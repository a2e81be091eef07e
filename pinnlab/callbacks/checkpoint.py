"""The checkpoint that a run can go on from: always there, always exact."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from pinnlab.errors import check_positive
from pinnlab.numerics import distributed
from pinnlab.reporting.loggers import run_folder
from pinnlab.training.checkpoint_io import AtomicCheckpointIO

SHARE = 0.01
"""Of a run's time that may go into its checkpoints."""

MOST_STEPS = 200
"""Between two looks at the clock of several processes, who look together."""


class RunCheckpoint(Checkpoint):
    """Keeps `last.ckpt` of a run: every so many seconds, when a phase ends, and at the end.

    Written between steps only, so that a run which goes on from it follows the same path bit for bit. An exception in
    the middle of a step leaves the last one as it is. The one before stays as `previous.ckpt`: the two are never both
    gone.

    Where writing takes long, as with a dense inverse Hessian of gigabytes, saves come more seldom: they take a
    hundredth of the run's time at most. `fast_dev_run` writes nothing.

    Args:
        seconds: between two saves. 30: what a power failure may cost.
        folder: where to. Default: `checkpoints` in the logger's folder; without a logger in `checkpoints` here.

    Attributes:
        path: of `last.ckpt`, once training has begun.
        seconds_spent: on saving, in this session.
        failed: whether the last save could not be written.

    Raises:
        ConfigurationError: `seconds` is not positive.
    """

    def __init__(self, seconds: float = 30.0, folder: str | None = None) -> None:
        check_positive("RunCheckpoint", seconds=seconds)
        self.seconds, self.folder = seconds, folder
        self.path: Path | None = None
        self.seconds_spent, self.failed = 0.0, False
        self._saved, self._phase, self._wait = 0.0, 0, seconds
        self._looked, self._steps, self._stride = 0.0, 0, 1

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Finds the folder, which is a collective."""
        if stage != "fit":
            return
        self.path = None
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        folder = self.folder or os.path.join(run_folder(trainer) or trainer.default_root_dir, "checkpoints")
        self.path = Path(trainer.strategy.broadcast(folder)) / "last.ckpt"

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """The time until the first save begins."""
        self._saved = self._looked = time.monotonic()
        self._phase, self._wait, self.seconds_spent = pl_module.phase, self.seconds, 0.0
        self._steps, self._stride = 0, 1

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Saves when it is time, or when another phase has begun."""
        switched, self._phase = pl_module.phase != self._phase, pl_module.phase
        if self._due(pl_module) or switched:
            self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Saves the end."""
        self._save(trainer)

    def _due(self, module: Any) -> bool:
        """Whether it is time; all ranks say the same, and look at their clocks together, about once a second."""
        self._steps += 1
        if distributed.world_size() == 1:
            return time.monotonic() - self._saved > self._wait
        if self._steps < self._stride:
            return False
        now = time.monotonic()
        waited, step = distributed.largest([now - self._saved, (now - self._looked) / self._steps], module.device)
        self._stride = min(MOST_STEPS, max(1, int(1 / max(step, 1e-9))))
        self._steps, self._looked = 0, now
        return waited > self._wait

    def _save(self, trainer: L.Trainer) -> None:
        """Writes the present state; a collective."""
        if self.path is None:
            return
        begun = time.monotonic()
        with _tolerant(trainer.strategy.checkpoint_io):
            if trainer.is_global_zero:
                _keep_previous(self.path)
            trainer.save_checkpoint(self.path, weights_only=False)
        self._saved = time.monotonic()
        took = self._saved - begun
        self.seconds_spent += took
        failed = getattr(trainer.strategy.checkpoint_io, "failed", None)
        longest, lost = distributed.largest([took, float(failed is not None)], trainer.strategy.root_device)
        self._wait, self.failed = max(self.seconds, longest / SHARE), lost > 0


@contextlib.contextmanager
def _tolerant(writer: Any) -> Iterator[None]:
    """A failure to write is a warning in here, see `AtomicCheckpointIO`."""
    if not isinstance(writer, AtomicCheckpointIO):
        yield
        return
    writer.tolerant = True
    try:
        yield
    finally:
        writer.tolerant = False


def _keep_previous(path: Path) -> None:
    """Gives the present file a second name, which costs nothing; it then loses the first to the next one."""
    previous = path.with_name("previous.ckpt")
    if path.exists():
        with contextlib.suppress(OSError):  # a file system without links
            spare = path.with_name(".previous.part")
            spare.unlink(missing_ok=True)
            os.link(path, spare)
            os.replace(spare, previous)
            spare.unlink(missing_ok=True)  # still there where both are one file already, as after a kill in a save
