"""`diagnose` shows a diagnosis on the screen and writes it to files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from pinnlab.callbacks.signatures import FailureSignatures
from pinnlab.diagnosis.picture import Diagnosis, diagnose
from pinnlab.diagnosis.tables import tables
from pinnlab.errors import ConfigurationError
from pinnlab.reporting.files import free_path, write_json
from pinnlab.reporting.loggers import run_folder
from pinnlab.training.checkpoints import WEIGHTS_ONLY, phase_in
from pinnlab.training.condition_checks import warn_of_conditions
from pinnlab.training.phases import draw_points, enter
from pinnlab.training.trainer_parts import callbacks_of

if TYPE_CHECKING:
    from pinnlab.reporting.figures.diagnosis import Panels


class DiagnosisWriter(L.Callback):
    """Diagnoses a module at the end of a validation: tables on the screen, `diagnosis.json` and `diagnosis.png`.

    Without a checkpoint it is the set-up as it would begin, in its first phase; with one, the run as it was saved: in
    its phase, on its points, and with what `FailureSignatures` had seen of it, if that is among the trainer's
    callbacks. Existing files are never overwritten: a number is added to the name.

    Args:
        folder: where; default: the run's folder.

    Attributes:
        result: what was found.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.folder = folder
        self.result: Diagnosis | None = None
        self._saved: dict[str, int] | None = None

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Notes where in the run it is."""
        self._saved = {"phase": phase_in(checkpoint)["number"], "step": checkpoint["global_step"]}

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Enters the phase, the first one with its own points, and warns of conditions as training does.

        Raises:
            ConfigurationError: the checkpoint holds weights only, which say nothing of a phase and its points.
        """
        if trainer.state.fn != "validate":
            return
        if self._saved is None and trainer.ckpt_path is not None:  # no callback is shown a checkpoint of weights
            raise ConfigurationError(f"ckpt_path: {trainer.ckpt_path} {WEIGHTS_ONLY}")
        with torch.inference_mode(False):
            enter(pl_module, min(self._saved["phase"], len(pl_module.phases) - 1) if self._saved else 0)
            if self._saved is None:
                draw_points(pl_module)
            warn_of_conditions(pl_module.system, pl_module.weights.own)  # what a run was told when it began

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Diagnoses, shows and writes."""
        if trainer.state.fn != "validate":
            return
        watch = next(iter(callbacks_of(trainer, FailureSignatures)), None)
        seen = (watch.record, watch.findings) if watch else (None, ())
        with torch.inference_mode(False):
            self.result = diagnose(pl_module, self._saved["step"] if self._saved else 0, *seen)
        folder = self.folder or run_folder(trainer) or trainer.default_root_dir
        self._write(Path(folder), self.result)

    @rank_zero_only
    def _write(self, folder: Path, result: Diagnosis) -> None:
        from pinnlab.reporting.figures.diagnosis import diagnosis_figure
        from pinnlab.reporting.figures.style import save

        console = Console()
        for table in tables(result):
            console.print(table)
        for finding in result.findings:
            console.print(finding.line, markup=False, highlight=False)
        if not result.findings:
            console.print("no signature of failure")
        console.print("what suits such a set-up, see docs/how-to-choose.md:")
        for line in result.advice:
            console.print(f"- {line}", markup=False, highlight=False)
        path = free_path(folder / "diagnosis.json")
        save(diagnosis_figure(_panels(result)), path.with_suffix(".png"))
        write_json(path, result.summary())
        print(f"wrote {path} and {path.stem}.png")


def _panels(result: Diagnosis) -> Panels:
    from pinnlab.reporting.figures.diagnosis import Panels

    terms = {name: (term.weight * term.mean_square, term.gradient) for name, term in result.terms.items()}
    kernel = {name: spectrum.eigenvalues[: spectrum.rank].numpy() for name, spectrum in result.kernel.items()}
    return Panels(f"{result.problem}, {result.where}", kernel, terms, result.cosines, result.hessian, result.look.bands)
