"""Which optimizer for an operator? A physics-informed DeepONet at equal processor time, and what its kernel says."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch

from pinnlab.analysis.ntk import KernelSpectrum
from pinnlab.studies.engine.recording import cell, error
from pinnlab.studies.engine.runner import Config, Row, Study, merged, outcome
from pinnlab.training.trainer_parts import callbacks_of

AT = (1, 2, 4, 8, 16, 32)
"""Seconds of the processor after which the error is measured; the last one ends a run."""
ADAM_STEPS = 100
"""Of Adam before another optimizer."""
PLACES = (10, 100)
"""The eigenvalues to which the largest one is compared."""
ROWS = 600
"""Of each condition that the kernel is of, at most."""


class ProcessorTime(L.Callback):
    """Measures the error after so many seconds of this process's processor, and ends the run after the last of them.

    What others do on the machine is not counted, nor is the measuring.

    Args:
        at: when, in seconds: at the end of the step in which they are over.

    Attributes:
        errors: what was measured.
        spectra: of the kernel at the start and at the end.
    """

    ends_runs = True

    def __init__(self, at: list[float]) -> None:
        self.at = list(at)
        self.errors: list[float] = []
        self.spectra: list[KernelSpectrum] = []
        self._began = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Takes the kernel's spectrum at the initial weights; then the clock runs."""
        self.spectra.append(_spectrum(trainer, pl_module))
        self._began = time.process_time()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Measures when the next time is reached."""
        asked = time.process_time()
        while len(self.errors) < len(self.at) and asked - self._began >= self.at[len(self.errors)]:
            self.errors.append(error(trainer, pl_module)["relative_l2"])
        self._began += time.process_time() - asked
        if len(self.errors) == len(self.at):
            trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Takes the spectrum again."""
        self.spectra.append(_spectrum(trainer, pl_module))


def _spectrum(trainer: Any, module: Any) -> KernelSpectrum:
    """Of the loss on some of the rows, spread evenly: all of them may be too many for a matrix."""
    batch = trainer.datamodule.store.batch()
    some = {name: rows[torch.linspace(0, len(rows) - 1, min(ROWS, len(rows))).long()] for name, rows in batch.items()}
    values = torch.linalg.eigvalsh(module.linearization(some).kernel()).flip(0).cpu()
    return KernelSpectrum(values, float(values.sum()), len(values))


BASE: Config = {
    "trainer": {"callbacks": [{"class_path": f"{__name__}.ProcessorTime", "init_args": {"at": list(AT)}}]},
    "model": {"compile": False},
}
# Of more rank and waves than the recipe's, so that what solutions are made of fits in; and at more places, as such a
# network learns by heart what is at 128 of them. Functions can be fewer, but not 100 for half a minute.
WIDER: Config = {
    "problem": {"init_args": {"data": 200, "places": 400}},
    "model": {
        "network": {
            "init_args": {
                "branch": [24],
                "trunk": [20, 20],
                "rank": 24,
                "embedding": {"class_path": "PeriodicEmbedding", "init_args": {"columns": [0], "harmonics": 6}},
            }
        }
    },
}
PROBLEMS: Mapping[str, tuple[str, Config]] = {
    "antiderivative": ("antiderivative", BASE),
    "diffusion_reaction": ("diffusion_reaction_operator", BASE),
    "burgers": ("burgers_operator", merged(BASE, WIDER)),
}
ADAM: Config = {"optimizer": {"class_path": "Adam", "init_args": {"lr": 5e-3}}}
MANY = 100_000


def _after_adam(optimizer: str) -> Config:
    second = {"optimizer": {"class_path": optimizer}, "steps": MANY}
    return {"model": {"phases": [{**ADAM, "steps": ADAM_STEPS}, second]}}


DECAY: Config = {"class_path": "ExponentialLR", "init_args": {"gamma": 0.999}}
SETTINGS: Mapping[str, Config] = {
    "adam": {"model": {"phases": [{**ADAM, "steps": MANY, "scheduler": DECAY}]}},
    "adam_lbfgs": _after_adam("LBFGS"),
    "adam_ssbroyden": _after_adam("SSBroyden"),
    "adam_ng": _after_adam("EnergyNaturalGradient"),
}
SPECTRA = ("top", "effective_rank", *(f"ratio_{k}" for k in PLACES))
COLUMNS = ("relative_l2", "loss", "evaluations", "errors", *SPECTRA)


def measure(summary: Mapping[str, Any]) -> Row:
    """What is kept of a run's summary."""
    ended = outcome(summary)
    return {key: ended[key] for key in ("relative_l2", "loss", "evaluations")}


def probe(trained: Any) -> Row:
    """The errors by time, and of the kernel the numbers at the start and at the end."""
    clock = callbacks_of(trained.trainer, ProcessorTime)[0]
    found: dict[str, list[float]] = {"top": [s.top for s in clock.spectra]}
    found["effective_rank"] = [s.effective_rank for s in clock.spectra]
    found |= {f"ratio_{k}": [s.top / float(s.eigenvalues[k - 1].abs()) for s in clock.spectra] for k in PLACES}
    return {"errors": cell(clock.errors), **{name: cell(values) for name, values in found.items()}}


STUDY = Study("operators", PROBLEMS, SETTINGS, COLUMNS, measure, seeds=range(3), probe=probe)
