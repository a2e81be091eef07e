"""What a criterion is given and what it has to say."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from pinnlab.errors import ConfigurationError


class Gradients(Protocol):
    """Gradients of the loss after a step, computed when asked for: `objective.gradients.LossGradients` in training."""

    @property
    def conditions(self) -> int:
        """How many conditions the loss has."""

    def norm(self) -> float:
        """The 2-norm of the gradient that the optimizer used last; free, and NaN where there is none."""

    def by_condition(self) -> Tensor:
        """Gradients `(conditions, n)` of the single weighted terms of the loss; one evaluation per condition."""

    def by_chunk(self, chunks: int) -> Tensor:
        """Gradients `(at most chunks, n)` on as many equal parts of the points; one evaluation in all."""


class TrialRule(Protocol):
    """What a training loop needs to know to try the next phase's optimizer; `TrialStep` is one."""

    @property
    def evaluations(self) -> int:
        """How many evaluations of the loss a trial takes, at least."""

    @property
    def reason(self) -> str:
        """The outcome of the last trial, in one line."""

    @property
    def value(self) -> float | None:
        """The number that it rests on."""

    def judge(self, before: float, after: float, evaluations: int) -> bool:
        """Whether a trial with these losses at its start and end, and so many evaluations, is kept."""


@dataclass(frozen=True)
class Progress:
    """What one optimizer step did.

    Attributes:
        step: steps made in this phase, this one included.
        evaluations: evaluations of the loss made in this phase.
        loss: the global loss after the step.
        seconds: wall time of this phase.
        version: of the objective: another number means other points, and a loss that cannot be compared.
        gradients: gradients of the loss, for criteria that look at them.
        damping: of the step that a Gauss-Newton method made; None for other optimizers, and without a step.
    """

    step: int
    evaluations: int
    loss: float
    seconds: float = 0.0
    version: int = 0
    gradients: Gradients | None = None
    damping: float | None = None


class Criterion(ABC):
    """Decides when a phase is over; is given one `Progress` per optimizer step.

    A subclass says how its state looks before the first step (`initial`, primitives and lists of them only,
    because checkpoints hold it), how a step changes it (`update`, working on `self._state`), and why the
    phase ended (`reason`). `value` is the state's entry of that name.

    Args:
        members: criteria that this one asks; they are reset, saved and restored along with it.
    """

    def __init__(self, members: Sequence[Criterion] = ()) -> None:
        self._members = list(members)
        self._state = self.initial()

    def __repr__(self) -> str:
        options = [
            f"{name}={value:g}"
            for name, value in vars(self).items()
            if name[0] != "_" and isinstance(value, (int, float))
        ]
        return f"{type(self).__name__}({', '.join([*map(repr, self._members), *options])})"

    @abstractmethod
    def initial(self) -> dict[str, Any]:
        """The state before the first step."""

    @abstractmethod
    def update(self, progress: Progress) -> bool:
        """Takes in one step; True when the phase should end. The answer may rest on a measurement some steps old."""

    @property
    @abstractmethod
    def reason(self) -> str:
        """One line with the value that the last decision rests on."""

    @property
    def value(self) -> float | None:
        """The number that the last decision rests on; None before there is one."""
        return self._state.get("value")

    @property
    def trial(self) -> TrialRule | None:
        """The criterion itself if its word only calls for a trial of the next optimizer, see `TrialStep`."""
        return None

    def reset(self) -> None:
        """Forgets all steps."""
        self._state = self.initial()
        for member in self._members:
            member.reset()

    def state_dict(self) -> dict[str, Any]:
        """A copy of everything that later decisions depend on."""
        state = copy.deepcopy(self._state)
        return {**state, "members": [member.state_dict() for member in self._members]} if self._members else state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from a `state_dict` of the same criterion.

        Raises:
            ConfigurationError: when the state belongs to another kind of criterion.
        """
        own = {key: value for key, value in state.items() if key != "members"}
        members, name = state.get("members", []), type(self).__name__
        if own.keys() != self.initial().keys():
            expected, found = sorted(self.initial()), sorted(own)
            raise ConfigurationError(f"criterion state: {name} needs {expected}, the checkpoint has {found}")
        if len(members) != len(self._members):
            own_number, number = len(self._members), len(members)
            raise ConfigurationError(f"criterion state: {name} has {own_number} members, the checkpoint {number}")
        self._state = copy.deepcopy(own)
        for member, saved in zip(self._members, members, strict=True):
            member.load_state_dict(saved)


STANDING = 10
"""Steps on the same points from which on new ones break a series off."""


class Series(Criterion):
    """A criterion on a series of steps that starts all over when the series breaks off.

    It does at a loss that is not finite, and at new points after ten steps on the same ones: their loss is
    another function's, and its jump would look like a plateau. Points that change more often are noise like that of
    mini-batches; so are those that twice in a row have not stood for twice the steps that a decision takes at least, or
    the phase might never end.
    """

    @property
    @abstractmethod
    def needed(self) -> int:
        """Steps that it takes to decide, at least."""

    def initial(self) -> dict[str, Any]:
        """The objective's version, the step since which it stands, and how long the one before stood."""
        return {"version": None, "since": 0, "stood": math.inf}

    def update(self, progress: Progress) -> bool:
        """Starts all over if need be; what a finite loss means is for `look` to say."""
        version, since, stood = (self._state[key] for key in ("version", "since", "stood"))
        broken = not math.isfinite(progress.loss)
        if version not in (None, progress.version):  # other points
            standing = progress.step - since
            broken |= standing >= STANDING and max(standing, stood) >= 2 * self.needed
            stood = standing
        if broken:
            self.start_over()
        if progress.version != version:
            since = progress.step
        self._state.update(version=progress.version, since=since, stood=stood)
        return math.isfinite(progress.loss) and self.look(progress)

    def start_over(self) -> None:
        """Forgets the series."""
        self.reset()

    @abstractmethod
    def look(self, progress: Progress) -> bool:
        """Takes in a step with a finite loss; True when the phase should end."""


def gradients_of(progress: Progress, name: str) -> Gradients:
    """The gradients of a step.

    Args:
        progress: the step.
        name: the criterion that asks.

    Raises:
        ConfigurationError: there are none.
    """
    if progress.gradients is None:
        raise ConfigurationError(f"until: {name} needs the gradients of the loss; give Progress its gradients")
    return progress.gradients
