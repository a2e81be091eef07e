"""What a module that is trained in phases asks of its trainer, and brings along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import lightning as L

from pinnlab.training.evaluated_module import EvaluatedModule
from pinnlab.training.phases import Phase
from pinnlab.training.trainer_defaults import standard_callbacks, use_defaults
from pinnlab.training.wording import network_in_words, phase_in_words


class PhasedModule(EvaluatedModule):
    """A module that a plain `Trainer` trains in phases; a subclass sets the attributes.

    Attributes:
        phases: the optimizers, one after the other.
        phase: the number of the present one, from 0.
    """

    phases: Sequence[Phase]
    phase: int

    def __repr__(self) -> str:
        """One line, instead of the tree of all modules in it."""
        phases = ", ".join(phase_in_words(phase).removeprefix("Phase") for phase in self.phases)
        dtype = str(self.dtype).removeprefix("torch.")
        return f"{type(self).__name__}({self.problem.name}; {network_in_words(self.trial.network)}, {dtype}; {phases})"

    @property
    def trainer(self) -> Any:
        """The trainer, while there is one."""
        return cast(Any, super().trainer)

    @trainer.setter
    def trainer(self, trainer: Any) -> None:
        """The trainer and the module meet here, before Lightning fills in the limits that its user left open."""
        cast(Any, L.LightningModule.trainer).fset(self, trainer)
        if isinstance(trainer, L.Trainer):
            use_defaults(trainer)

    def configure_callbacks(self) -> list[L.Callback]:
        """The callback that moves from phase to phase is always there; for the others see `standard_callbacks`."""
        return standard_callbacks(self.trainer)

    def configure_optimizers(self) -> Any:
        """The optimizer of the current phase only, with its scheduler."""
        return self.phases[self.phase].configured(self.trial.trained())
