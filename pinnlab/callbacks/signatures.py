"""Says what is wrong with a run while it goes on: failure signatures, each with evidence and advice."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import lightning as L
import torch

from pinnlab.analysis.signatures import SIGNATURES, Finding, Look, Record, Rule, Switch
from pinnlab.callbacks.occasions import Occasions
from pinnlab.callbacks.point_weights import CausalWeights
from pinnlab.diagnosis.observation import PARTS, Observer
from pinnlab.errors import RankError, reason_of
from pinnlab.optimizers import is_multi_eval
from pinnlab.problems.conditions import Dirichlet
from pinnlab.reporting.loggers import board_of, log_scalars
from pinnlab.training.phase_precision import phase_dtype
from pinnlab.training.switching import phases_of
from pinnlab.training.trainer_parts import callbacks_of

WATCHED = 100
"""Steps of a new phase in which a blow-up is one of the switch; those up to the first snapshot of `Rollback`."""


class AbstractSignatureWatch(L.Callback):
    """Looks at a run from time to time, and says once what is wrong with it.

    It looks after the first step, every so many evaluations, when a phase ends, and when the run does. Training points
    are those that were trained: where others have taken their place in the same step, those of the step, unless points
    change after every step, when the new ones stand for them. A finding is a
    warning of one line on the screen, a text in TensorBoard, and a line in `summary.json`; the numbers that it rests on
    are logged at each look. In windows of time each begins anew, and the screen gets what several windows have in
    common once. Nothing that training uses is touched: weights, gradients, points, random numbers, and the number of
    evaluations, which others go by. All ranks look together and conclude the same.

    Args:
        rules: what to look for, by name.
        parts: what to measure, see `Observer.look`.
        every: loss evaluations between two looks.

    Attributes:
        rules: as above.
        record: what was seen so far.
        findings: what was concluded, each once.
        failed: why nothing more is looked for, if a look failed: a run goes on without.

    Raises:
        ConfigurationError: `every` is below 1.
    """

    logs: tuple[str, ...] = ("training/held_out_ratio/",)
    """The beginnings of the tags that loggers get."""

    def __init__(self, rules: Mapping[str, Rule], parts: Sequence[str], every: int) -> None:
        self._all_rules, self.parts = dict(rules), tuple(parts)
        self.occasions = Occasions(type(self).__name__, every)
        self._observer: Observer | None = None
        self._shown: list[tuple[str, str]] = []  # signature and subject of what the screen got, in all windows
        self._start_over()

    def _start_over(self) -> None:
        every = self.occasions.every or 0
        self.rules = dict(self._all_rules)
        self.record, self.findings = Record(), list[Finding]()
        self.occasions.last = -every  # the first look is after the first step: much is relative to the beginning
        self._switch: dict[str, Any] | None = None
        self._decisions = 0
        self._version, self._steps = 0, 0  # of the objective, and how many steps were made on it
        self.failed: str | None = None

    @property
    def warnings(self) -> list[str]:
        """What was said; goes into `summary.json`."""
        return [*(finding.line for finding in self.findings), *([] if self.failed is None else [self.failed])]

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Starts with nothing seen, and leaves to others what they look for."""
        self._observer = Observer(pl_module)
        if stage == "fit":
            self._start_over()
            if pl_module.counted_before.steps == 0:
                self._shown = []
            watches = callbacks_of(trainer, AbstractSignatureWatch)
            others = [c for c in watches if c is not self and len(c.rules) < len(self.rules)]
            self.rules = {name: rule for name, rule in self.rules.items() if not any(name in c.rules for c in others)}

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Watches the beginning of a phase, and looks when enough evaluations have passed."""
        self._steps = self._steps + 1 if self._version == pl_module.loss_version else 1
        self._version = pl_module.loss_version
        self._watch_switch(trainer, pl_module)
        if self.occasions.due(pl_module.evaluations):
            self._look(trainer, pl_module)

    def before_switch(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Looks at what the phase has come to."""
        if not self._looked(trainer):
            self._look(trainer, pl_module)
        self._switch = {"best": pl_module.current_loss(), "version": pl_module.loss_version}

    def after_switch(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Begins to watch the new phase."""
        phase, optimizer = pl_module.phase + 1, type(pl_module.current_optimizer()).__name__
        self._switch = {**(self._switch or {}), "phase": phase, "optimizer": optimizer, "step": trainer.global_step}

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Looks at what the run has come to."""
        if not self._looked(trainer):
            self._look(trainer, pl_module)
        if self._looked(trainer):
            self.record.looks[-1] = replace(self.record.looks[-1], final=True)
            self._conclude(trainer)

    def state_dict(self) -> dict[str, Any]:
        """What was seen and said, in primitives."""
        return {
            "record": asdict(self.record),
            "findings": [asdict(finding) for finding in self.findings],
            "last": self.occasions.last,
            "switch": copy.copy(self._switch),
            "decisions": self._decisions,
            "version": self._version,
            "steps": self._steps,
            "shown": list(self._shown),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues, and does not say it again."""
        self.record = Record.of(state_dict["record"])
        self.findings = [Finding(**finding) for finding in state_dict["findings"]]
        self.occasions.last = state_dict["last"]
        self._switch, self._decisions = copy.copy(state_dict["switch"]), state_dict["decisions"]
        self._version, self._steps = state_dict.get("version", 0), state_dict.get("steps", 0)
        self._shown = list(state_dict.get("shown", ()))

    def _look(self, trainer: L.Trainer, pl_module: Any) -> None:
        """One look, what it says, and its numbers for the loggers."""
        self.occasions.pass_to(pl_module.evaluations)
        look = self._seen(trainer.global_step)
        if look is None:
            return
        self.record.add(replace(look, held_back=_held_back(trainer)))
        log_scalars(trainer, look.scalars())
        self._conclude(trainer)

    def _seen(self, step: int) -> Look | None:
        """What is there to see; nothing once a function of the problem cannot be differentiated by parameters."""
        if self.failed is not None:
            return None
        assert self._observer is not None
        try:
            return self._observer.look(step, self.parts, trained=self._steps > 1)
        except (RankError, torch.OutOfMemoryError):
            raise
        except RuntimeError as error:
            self.failed = f"signatures of failure are not looked for: {reason_of(error)}"
            warnings.warn(self.failed, stacklevel=2)
            return None

    def _looked(self, trainer: L.Trainer) -> bool:
        """Whether there was a look at the present weights."""
        return bool(self.record.looks) and self.record.looks[-1].step == trainer.global_step

    def _conclude(self, trainer: L.Trainer) -> None:
        said = {(finding.signature, finding.subject) for finding in self.findings}
        for finding in (found for rule in self.rules.values() for found in rule(self.record)):
            if (finding.signature, finding.subject) not in said:
                self.findings.append(finding)
                self._tell(trainer, finding)

    def _tell(self, trainer: L.Trainer, finding: Finding) -> None:
        if not trainer.is_global_zero:
            return
        if (board := board_of(trainer)) is not None:
            board.experiment.add_text("findings", finding.line, trainer.global_step)
        if (key := (finding.signature, finding.subject)) not in self._shown:
            self._shown.append(key)
            warnings.warn(finding.line, stacklevel=2)

    def _watch_switch(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Notes the worst loss of a phase that has just begun; also of one that `Rollback` has ended since."""
        decisions = phases_of(trainer).decisions
        new, self._decisions = decisions[self._decisions :], len(decisions)
        watched = self._switch
        if watched is None or "phase" not in watched:
            return
        returns = [d.value for d in new if d.phase == watched["phase"] and d.event in ("back", "rollback")]
        blown_up = [value for value in returns if value is not None]
        after, version = trainer.global_step - watched["step"], pl_module.loss_version
        if version != watched["version"] and not blown_up:  # other points: the loss before says nothing
            watched |= {"version": version, "best": math.inf}
        loss = max(blown_up, default=pl_module.current_loss())
        loss = loss if math.isfinite(loss) else math.inf
        if loss > watched["best"]:
            switch = Switch(watched["step"], watched["phase"], watched["optimizer"], watched["best"], loss, after)
            if self.record.note(switch):
                self._conclude(trainer)
        watched["best"] = min(watched["best"], loss)
        if after >= WATCHED or pl_module.phase + 1 != watched["phase"]:
            self._switch = None


def _held_back(trainer: L.Trainer) -> float:
    return max((callback.held_back for callback in callbacks_of(trainer, CausalWeights)), default=0.0)


class FailureSignatures(AbstractSignatureWatch):
    """Tells why a run fails, with evidence and advice: spectral bias, a boundary condition that is violated, and so on.

    The signatures are those of `pinnlab.analysis.signatures`, each with its thresholds and the reason for them;
    docs/when-it-fails.md shows an example of each.

    Args:
        every: loss evaluations between two looks. A look costs 10 ms and two evaluations for each condition: at 500
            one percent of a run, and five where an evaluation takes less than a millisecond.
    """

    def __init__(self, every: int = 500) -> None:
        super().__init__(SIGNATURES, PARTS, every)

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Starts with nothing seen, and finds out what there will be to log."""
        super().setup(trainer, pl_module, stage)
        problem, phases = pl_module.problem, pl_module.phases
        sides = set(problem.conditions) - set(problem.differential_equations())
        line_search = any(is_multi_eval(phase.sample_optimizer()) for phase in phases)
        wanted = {
            "training/held_out_ratio/": True,
            "signature/gradient_norm/": True,
            "signature/violation/": any(isinstance(problem.conditions[name], Dirichlet) for name in sides)
            and len(sides) < len(problem.conditions),
            "signature/promised_decrease": line_search or bool(problem.coefficients),
            "signature/rounding_error": any(phase_dtype(pl_module, phase) == torch.float32 for phase in phases),
            "signature/coefficient_room/": bool(problem.coefficients),
            "signature/coefficient_influence/": bool(problem.coefficients),
        }
        self.logs = tuple(tag for tag, there in wanted.items() if there)
