"""A progress bar over the whole run: phase, loss and errors."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from pinnlab.errors import check_whole
from pinnlab.training.course import Course
from pinnlab.training.trainer_parts import evaluation_data

WITH_TOTAL = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"
WITHOUT_TOTAL = "{desc} {n_fmt} steps{postfix}"

NOTEBOOK_COLUMNS = 110
"""The width of a bar where nobody can say how wide the screen is."""

FAST, SLOW = 0.1, 0.5
"""Seconds between two updates at least, and at most where steps are short."""

LINES_EVERY = 10.0
"""Seconds between two lines in a file, where nobody knows how long the run will be."""

LINES_AT_LEAST = 60.0
"""Seconds between two lines in a file at most: who looks into the log of a long run sees that it is alive."""


class PhaseProgressBar(ProgressBar):
    """Shows the phase, the loss and the last measured errors; one bar for the run, not one for each epoch.

    Behind them is the time that is left, when it is known, and the steps per second: both those of the present phase.
    What is printed meanwhile, such as a decision to switch, stands above the bar on a line of its own. At the end of
    the run the bar shows what the summary says.

    On a terminal and in a notebook it is a bar; in a file or a pipe one line for every tenth of the run, for every
    minute of a long one, and when a phase begins. Where the number of steps is not known, a line comes every ten
    seconds.

    Args:
        refresh: optimizer steps between two updates, of which there are ten a second at most, and two at least where
            steps are short: drawing costs about a millisecond. 0 draws nothing.
    """

    def __init__(self, refresh: int = 20) -> None:
        check_whole("PhaseProgressBar", least=0, refresh=refresh)
        super().__init__()
        self.refresh = refresh
        self._bar: tqdm | None = None
        self._enabled = refresh > 0
        self._course = Course()
        self._drawn, self._tenth = 0.0, 0
        self._show_warning: Any = None

    @property
    def is_enabled(self) -> bool:
        """Whether this rank draws."""
        return self._enabled

    def disable(self) -> None:
        """Draws nothing: Lightning calls this on all ranks but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Draws."""
        self._enabled = self.refresh > 0

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Opens the bar."""
        self._course = Course()
        self._drawn, self._tenth = time.monotonic(), 0
        if self._enabled and is_drawn_on(sys.stderr):
            columns = {"dynamic_ncols": True} if sys.stderr.isatty() else {"ncols": NOTEBOOK_COLUMNS}
            # With `miniters` 1 tqdm's own thread leaves the bar alone, which would draw between two steps.
            self._bar = tqdm(total=None, bar_format=WITHOUT_TOTAL, file=sys.stderr, miniters=1, **columns)
            self._show_warning, warnings.showwarning = warnings.showwarning, self._warn_above
            self._draw(trainer, pl_module, trainer.callback_metrics)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Shows the state of the run now and then."""
        if not self._enabled:
            return
        self._course.step(trainer)
        waited = time.monotonic() - self._drawn
        if self._bar is None:
            due = self._line_is_due(trainer, pl_module, waited)
        else:
            due = waited >= (FAST if trainer.global_step % self.refresh == 0 else SLOW)
        if due:
            self._show(trainer, pl_module, trainer.callback_metrics)

    def after_switch(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Shows that another phase has begun."""
        if not self._enabled:
            return
        self._course.step(trainer)
        self._show(trainer, pl_module, trainer.callback_metrics)

    def print(self, *args: Any, sep: str = " ", end: str = "\n", **kwargs: Any) -> None:
        """Writes above the bar, to the error stream."""
        if self._enabled:
            tqdm.write(sep.join(map(str, args)), file=sys.stderr, end=end)
            sys.stderr.flush()

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Measures the final weights, shows that, and closes the bar. A collective: all ranks call it."""
        metrics = final_metrics(trainer, pl_module)
        if self._enabled:
            self._show(trainer, pl_module, metrics)
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Closes the bar."""
        self._close()

    def _line_is_due(self, trainer: L.Trainer, module: Any, waited: float) -> bool:
        total = self._course.total(trainer, module)
        if total is None:
            return waited >= LINES_EVERY
        passed = 10 * trainer.global_step // max(total, 1) > self._tenth
        return (passed or waited >= LINES_AT_LEAST) and trainer.global_step < total

    def _show(self, trainer: L.Trainer, module: Any, metrics: Mapping[str, Any]) -> None:
        (self._write if self._bar is None else self._draw)(trainer, module, metrics)

    def _write(self, trainer: L.Trainer, module: Any, metrics: Mapping[str, Any]) -> None:
        """One line; the next one is due after another tenth of the run."""
        step, total = trainer.global_step, self._course.total(trainer, module)
        self._drawn = time.monotonic()
        self._tenth = 0 if total is None else 10 * step // max(total, 1)
        of = "" if total is None else f"/{total}"
        numbers = self._course.numbers(module, metrics)
        self.print("  ".join([f"step {step}{of}", self._course.phase(module), *numbers]))

    def _draw(self, trainer: L.Trainer, module: Any, metrics: Mapping[str, Any]) -> None:
        """The bar anew."""
        assert self._bar is not None
        self._drawn = time.monotonic()
        total = self._course.total(trainer, module)
        self._bar.total, self._bar.n = total, trainer.global_step
        self._bar.bar_format = WITH_TOTAL if total else WITHOUT_TOTAL
        phase, count = self._course.phase(module), f"{trainer.global_step}/{total}"
        self._bar.set_description_str(phase, refresh=False)
        columns = self._bar.format_dict["ncols"] or NOTEBOOK_COLUMNS
        said = [*self._course.numbers(module, metrics), *self._course.pace(trainer, module)]
        self._bar.set_postfix_str(as_many_as_fit(said, columns - len(f"{phase} 100%|#| {count}, ")), refresh=False)
        self._bar.refresh()

    def _warn_above(
        self, message: Any, category: Any, filename: str, lineno: int, file: TextIO | None = None, line: Any = None
    ) -> None:
        """Shows a warning where it would be shown without the bar, above it."""
        with tqdm.external_write_mode(file=sys.stderr):
            self._show_warning(message, category, filename, lineno, file, line)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
            warnings.showwarning, self._show_warning = self._show_warning, None


def as_many_as_fit(words: Sequence[str], room: int) -> str:
    """The first of some words that stand in one line of so many characters, without those that do not fit."""
    line = ""
    for word in words:
        longer = f"{line}  {word}" if line else word
        line = longer if len(longer) <= room else line
    return line


def is_drawn_on(stream: Any) -> bool:
    """Whether lines of a stream can be drawn anew: it is a terminal, or the output of a notebook's cell."""
    return bool(stream.isatty()) or type(stream).__module__.partition(".")[0] == "ipykernel"


def final_metrics(trainer: L.Trainer, module: Any) -> dict[str, Any]:
    """Errors and held-out residuals of the present weights, by tag; a collective.

    Residuals only where validation has measured some before: else a function might be compiled for them at the end.
    """
    metrics, data = dict(trainer.callback_metrics), evaluation_data(module)
    if data is not None:
        metrics |= {f"relative_l2/{name}": error for name, error in module.measure_errors(data).items()}
        if any(tag.startswith("held_out/") for tag in metrics):
            squares = module.mean_squares(data.held_out_rows())
            metrics |= {f"held_out/{name}": square.detach() for name, square in squares.items()}
    return metrics
