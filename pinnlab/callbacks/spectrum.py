"""The spectrum of the neural tangent kernel while a run goes on."""

from __future__ import annotations

import csv
import io
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from pinnlab.analysis.ntk import KernelSpectrum, kernel_spectra
from pinnlab.callbacks.occasions import Occasions
from pinnlab.callbacks.redraw import refuse_energies
from pinnlab.errors import check_seed, check_whole, reason_of
from pinnlab.numerics import distributed
from pinnlab.objective.linearization import LinearizedFunctions
from pinnlab.reporting.files import append_whole, whole
from pinnlab.reporting.loggers import board_of, log_scalars, run_folder
from pinnlab.training.exact_linearization import linearization
from pinnlab.training.point_store import probe_rows

QUANTITIES = ("trace", "top", "condition_number", "rank", "effective_rank")
"""What loggers get of each spectrum, as `spectrum/<block>/<quantity>`; see `pinnlab.analysis.ntk.KernelSpectrum`."""

_COLUMNS = ("step", "evaluations", "phase", "block", "size", *QUANTITIES, "seconds")
_DRAWN = frozenset(4**k for k in range(1, 20))
"""Measurements after which there is a figure, beside those at switches: it takes longer than the measurement."""

_KEPT = 16
"""Spectra in the figure, and so in a checkpoint, at most."""


class NTKSpectrum(L.Callback):
    """Measures the spectrum of the neural tangent kernel, whole and by condition, as the run goes on.

    At the beginning and the end, at every switch of the optimizer, and every so many evaluations in between. On points
    of its own, which stay the same in a run and in every other one with the same `seed`, whatever becomes of the
    training points; in float64, whatever the phase's precision; with the weights of the conditions as they stand, and
    without those of single points. Blocks are the conditions' names and `total`; see `pinnlab.analysis.ntk` for the
    scaling.

    Every logger gets `spectrum/<block>/trace`, `top`, `condition_number`, `rank` and `effective_rank`. TensorBoard also
    gets a histogram of the decimal logarithms of the eigenvalues above round-off, and, at measurements 4, 16, 64, ...,
    at switches and at the end, a figure of the spectra so far. `spectrum.csv` beside the logs has a line for each
    block.

    Training does not notice: no parameter, point, random number or count of evaluations is touched, so a run goes the
    same way bit by bit with and without it. The cost is that of the Jacobian of the probe points, uncompiled, and of
    the eigenvalues, about (conditions x `max_points`)^3 operations. In the recipe `burgers` a measurement takes
    as long as 7 evaluations, figures included: 1.5 % of the run. With three conditions it is about four times that.

    Args:
        every: loss evaluations between two measurements; None measures only at the beginning, at switches and at the
            end.
        max_points: probe points of each condition. On Burgers' equation 50 show the first ten eigenvalues of an
            untrained network to 10 %, 200 to 4 %. Once there is a shock, the first ones hang on the few points in it:
            with 200 they are right within a factor of two or three, but the points stay the same, and so does the bias.
        seed: of the probe points.

    Attributes:
        latest: the last spectra, by block.

    Raises:
        ConfigurationError: a number is below 1.
    """

    logs = ("spectrum/",)

    def __init__(self, every: int | None = 500, max_points: int = 200, seed: int = 0) -> None:
        check_whole("NTKSpectrum", least=1, max_points=max_points)
        check_seed("NTKSpectrum", seed)
        self.occasions = Occasions(type(self).__name__, every, at_switch=True)
        self.max_points, self.seed = max_points, seed
        self._start_over()

    def _start_over(self) -> None:
        self.latest: dict[str, KernelSpectrum] = {}
        self._history: list[tuple[int, dict[str, Tensor]]] = []
        self._count = 0
        self._rows: dict[str, Tensor] = {}
        self._functions: LinearizedFunctions | None = None
        self._file: Path | None = None

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Starts with nothing measured."""
        if stage == "fit":
            refuse_energies(type(self).__name__, pl_module.problem, pl_module.problem.conditions)
            self.occasions.begin(pl_module.counted_before.evaluations)
            self._start_over()

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Draws the probe points; measures, unless a checkpoint brought measurements."""
        rows = probe_rows(pl_module.problem, self.max_points, self.seed)
        self._rows = {name: distributed.shard(part).to(pl_module.device) for name, part in rows.items()}
        # Functions of its own: compiled ones keep sizes of blocks, and those of the run must stay as they are.
        self._functions = LinearizedFunctions(pl_module.system)
        folder = run_folder(trainer)  # a collective, so not in the rank-zero part
        if folder is not None:
            self._file = Path(folder) / "spectrum.csv"
            goes_on = self._count or pl_module.counted_before.steps  # resumed, or another window of time
            _drop_lines_after(self._file, trainer.global_step if goes_on else -1)
        if not self._count:
            self._measure(trainer, pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Measures when enough evaluations have passed."""
        if self.occasions.due(pl_module.evaluations):
            self._measure(trainer, pl_module)

    def after_switch(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Measures where a phase begins."""
        self._measure_once(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Measures what the run has come to."""
        self._measure_once(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """When it was last measured, and the spectra that the figure shows."""
        history = [{"evaluations": evaluations, "spectra": dict(spectra)} for evaluations, spectra in self._history]
        return {"last": self.occasions.last, "count": self._count, "history": history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues where a checkpoint left off."""
        self.occasions.last, self._count = state_dict["last"], state_dict["count"]
        self._history = [(saved["evaluations"], dict(saved["spectra"])) for saved in state_dict["history"]]

    def _measure_once(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Measures unless it just did, and draws."""
        if pl_module.evaluations > self.occasions.last:
            self._measure(trainer, pl_module)
        self._draw(trainer)

    def _measure(self, trainer: L.Trainer, pl_module: Any) -> None:
        """All of a measurement; a collective."""
        start = time.perf_counter()
        self.latest = kernel_spectra(linearization(pl_module, self._rows, self._functions))
        seconds = time.perf_counter() - start
        self.occasions.pass_to(pl_module.evaluations)
        self._count += 1
        values = {name: spectrum.eigenvalues for name, spectrum in self.latest.items()}
        self._history.append((pl_module.evaluations, values))
        if len(self._history) > _KEPT:
            self._history = self._history[::2]  # an odd number: the first and the last one stay
        numbers = {
            f"spectrum/{block}/{quantity}": float(getattr(spectrum, quantity))
            for block, spectrum in self.latest.items()
            for quantity in QUANTITIES
        }
        log_scalars(trainer, numbers)  # on all ranks: callbacks that monitor a number must see it on each of them
        self._write(trainer, pl_module, seconds)
        if self._count in _DRAWN:
            self._draw(trainer)

    @rank_zero_only
    def _write(self, trainer: L.Trainer, pl_module: Any, seconds: float) -> None:
        if (board := board_of(trainer)) is not None:
            _add_histograms(board.experiment, self.latest, trainer.global_step)
        if self._file is not None:
            where = {"step": trainer.global_step, "evaluations": pl_module.evaluations, "phase": pl_module.phase + 1}
            lines = [{**where, **_line(b, s), "seconds": seconds} for b, s in self.latest.items()]
            try:
                _append(self._file, lines)
            except OSError as error:
                warnings.warn(f"{self._file} lacks step {trainer.global_step}: {reason_of(error)}", stacklevel=2)

    @rank_zero_only
    def _draw(self, trainer: L.Trainer) -> None:
        board = board_of(trainer)
        if board is not None:
            from pinnlab.reporting.figures.spectra import spectrum_figure

            figure = spectrum_figure(self._history)
            board.experiment.add_figure("spectrum/eigenvalues", figure, global_step=trainer.global_step, close=False)


def _add_histograms(writer: Any, spectra: Mapping[str, KernelSpectrum], step: int) -> None:
    for block, spectrum in spectra.items():
        values = spectrum.eigenvalues[: spectrum.rank]
        if len(values):
            writer.add_histogram(f"spectrum/{block}/log10_eigenvalues", values.log10(), step)


def _line(block: str, spectrum: KernelSpectrum) -> dict[str, Any]:
    return {"block": block, **{name: getattr(spectrum, name) for name in ("size", *QUANTITIES)}}


def _append(path: Path, lines: list[dict[str, Any]]) -> None:
    append_whole(path, _csv(lines, header=not path.exists() or not path.stat().st_size))


def _csv(lines: list[dict[str, Any]], header: bool) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS)
    if header:
        writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().encode()


@rank_zero_only
def _drop_lines_after(path: Path, step: int) -> None:
    """Takes out of a file what another run wrote there after the step at which this one goes on."""
    if path.exists():
        with path.open(newline="") as file:
            lines = [line for line in csv.DictReader(file) if int(line["step"]) <= step]
        whole(path, lambda part: part.write_bytes(_csv(lines, header=True)))
