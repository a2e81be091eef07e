"""A progress bar over the whole run: phase, loss and error."""

from __future__ import annotations

import sys
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from pinnlab.errors import ConfigurationError, check_whole


class PhaseProgressBar(ProgressBar):
    """Shows the phase, the loss and the last measured error; one bar for the run, not one for each epoch.

    On a terminal it is a bar; in a file or a pipe it is one line for every tenth of the run.

    Args:
        refresh: optimizer steps between two updates. Drawing costs about a millisecond.
    """

    def __init__(self, refresh: int = 20) -> None:
        check_whole("PhaseProgressBar", refresh=refresh)
        if refresh < 0:
            raise ConfigurationError(f"PhaseProgressBar.refresh: must not be negative, got {refresh}")
        super().__init__()
        self.refresh = refresh
        self._bar: tqdm | None = None
        self._total = 0
        self._enabled = True

    @property
    def is_enabled(self) -> bool:
        """Whether this rank draws."""
        return self._enabled

    def disable(self) -> None:
        """Draws nothing: Lightning calls this on all ranks but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Draws."""
        self._enabled = True

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Opens the bar."""
        steps = [phase.steps for phase in pl_module.phases]
        self._total = 0 if any(s is None for s in steps) else sum(s for s in steps if s is not None)
        if trainer.max_steps >= 0:
            self._total = min(self._total or trainer.max_steps, trainer.max_steps)
        if self._enabled and sys.stderr.isatty():
            self._bar = tqdm(total=self._total or None, dynamic_ncols=True, unit="step")

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Shows the state of the run now and then."""
        step = trainer.global_step
        last = trainer.should_stop or step == self._total
        if self._bar is not None:
            if step % self.refresh == 0 or last:
                self._bar.set_description_str(_phase(pl_module), refresh=False)
                self._bar.set_postfix_str(_numbers(trainer, pl_module), refresh=False)
                self._bar.n = step
                self._bar.refresh()
        elif self._enabled and (last or step % max(1, (self._total or 5000) // 10) == 0):
            total = f"/{self._total}" if self._total else ""
            print(f"step {step}{total}  {_phase(pl_module)}  {_numbers(trainer, pl_module)}", file=sys.stderr)

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Writes a line above the bar, to the error stream."""
        if self._enabled:
            tqdm.write(" ".join(map(str, args)), file=sys.stderr)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Closes the bar."""
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Closes the bar."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _phase(module: Any) -> str:
    name = type(module.current_optimizer()).__name__
    return f"{name} ({module.phase + 1}/{len(module.phases)})"


def _numbers(trainer: L.Trainer, module: Any) -> str:
    errors = [
        f"error {name} {float(trainer.callback_metrics[f'relative_l2/{name}']):.2e}"
        for name in module.problem.unknowns
        if f"relative_l2/{name}" in trainer.callback_metrics
    ]
    return "  ".join([f"loss {module.current_loss():.2e}", *errors])
