"""Criteria made of criteria."""

from __future__ import annotations

import typing
from collections.abc import Sequence

from pinnlab.criteria.base import Criterion, Progress
from pinnlab.errors import ConfigurationError, check_whole


@typing.final
class Any(Criterion):
    """Ends a phase when one of several criteria would.

    Args:
        criteria: at least one; each of them sees every step.

    Raises:
        ConfigurationError: when there is none, or one is a `TrialStep`.
    """

    def __init__(self, criteria: Sequence[Criterion]) -> None:
        super().__init__(_checked("Any", criteria))

    def initial(self) -> dict[str, typing.Any]:
        """`decided` is the number of the criterion that ended the phase."""
        return {"decided": None}

    def update(self, progress: Progress) -> bool:
        """True when one of them says so; the first of them, if several do."""
        verdicts = [member.update(progress) for member in self._members]
        self._state["decided"] = verdicts.index(True) if True in verdicts else None
        return True in verdicts

    @property
    def value(self) -> float | None:
        """That of the criterion that decided; while none has, of the first one that has any."""
        return _first_value(self._deciding())

    @property
    def reason(self) -> str:
        """That of the criterion that decided; while none has, of all."""
        return " or ".join(member.reason for member in self._deciding())

    def _deciding(self) -> Sequence[Criterion]:
        decided = self._state["decided"]
        return self._members if decided is None else [self._members[decided]]


@typing.final
class All(Criterion):
    """Ends a phase when all of several criteria would, at the same step.

    Args:
        criteria: at least one; each of them sees every step.

    Raises:
        ConfigurationError: when there is none, or one is a `TrialStep`.
    """

    def __init__(self, criteria: Sequence[Criterion]) -> None:
        super().__init__(_checked("All", criteria))

    def initial(self) -> dict[str, typing.Any]:
        """Nothing but what the criteria keep."""
        return {}

    def update(self, progress: Progress) -> bool:
        """True when all of them say so."""
        return all([member.update(progress) for member in self._members])  # a list: each has to see the step

    @property
    def value(self) -> float | None:
        """That of the first criterion that has any."""
        return _first_value(self._members)

    @property
    def reason(self) -> str:
        """Those of all."""
        return " and ".join(member.reason for member in self._members)


@typing.final
class AtLeast(Criterion):
    """Ends a phase when a criterion would, but not before a number of steps.

    Args:
        steps: to make in any case.
        until: the criterion; it sees the first steps, too.

    Raises:
        ConfigurationError: when `steps` is not positive, or the criterion is a `TrialStep`.
    """

    def __init__(self, steps: int, until: Criterion) -> None:
        check_whole("", least=1, steps=steps)
        self.steps = steps
        super().__init__(_checked("AtLeast", [until]))

    def initial(self) -> dict[str, typing.Any]:
        """Nothing but what the criterion keeps."""
        return {}

    def update(self, progress: Progress) -> bool:
        """True when the criterion says so at step `steps` or later."""
        return self._members[0].update(progress) and progress.step >= self.steps

    @property
    def value(self) -> float | None:
        """The criterion's."""
        return self._members[0].value

    @property
    def reason(self) -> str:
        """The criterion's."""
        return self._members[0].reason


def _checked(name: str, criteria: Sequence[Criterion]) -> Sequence[Criterion]:
    if not criteria:
        raise ConfigurationError(f"{name}.criteria: is empty; name at least one criterion")
    if any(member.trial is not None for member in criteria):
        outside = f"TrialStep(propose={name}(...))"
        raise ConfigurationError(f"{name}: a TrialStep cannot be a member; put it outside: {outside}")
    return criteria


def _first_value(criteria: Sequence[Criterion]) -> float | None:
    return next((member.value for member in criteria if member.value is not None), None)
