"""When callbacks act that go by the number of loss evaluations."""

from __future__ import annotations

from pinnlab.errors import ConfigurationError, check_real, check_whole


class Occasions:
    """When a callback acts: after so many evaluations, at a phase change, or when points do not stand for their region.

    Args:
        owner: the callback's name, for messages.
        every: loss evaluations between two times; None for none in between phases.
        start: evaluations before the first count.
        at_switch: whether it also acts when a phase begins.
        ratio: only on the points of conditions whose mean-square residual on fresh points is more than so many
            times that on their own; measured every `every` evaluations, not at a phase change.
        closure_every: takes the place of `every` while an optimizer is at work that evaluates the loss several times a
            step; default: `every` itself.

    Attributes:
        last: the evaluation at which it was last due.

    Raises:
        ConfigurationError: a number is out of its range, or it would never be time.
    """

    def __init__(
        self,
        owner: str,
        every: int | None,
        start: int = 0,
        at_switch: bool = False,
        ratio: float | None = None,
        closure_every: int | None = None,
    ) -> None:
        check_whole(owner, least=0, start=start)
        for key, value in (("every", every), ("closure_every", closure_every)):
            if value is not None:
                check_whole(owner, least=1, **{key: value})
        if ratio is not None:
            check_real(owner, ratio=ratio)
            if ratio < 1:
                raise ConfigurationError(f"{owner}.ratio: must be at least 1, got {ratio}")
        if every is None and (ratio is not None or not at_switch):
            needed = "ratio is measured every so many evaluations" if ratio is not None else "else nothing ever happens"
            raise ConfigurationError(f"{owner}.every: give a number, {needed}")
        self.every, self.start, self.at_switch, self.ratio = every, start, at_switch, ratio
        self.closure_every = every if closure_every is None else closure_every
        self.last = start

    def begin(self, evaluations: int) -> None:
        """Counts anew, from so many evaluations on: what a run made before this training, as in windows of time."""
        self.last = evaluations + self.start

    def due(self, evaluations: int, closure: bool = False, times: int = 1) -> bool:
        """Whether enough evaluations have passed.

        Args:
            evaluations: made so far.
            closure: the optimizer makes several a step.
            times: how many times more evaluations it takes.
        """
        every = self.closure_every if closure else self.every
        return every is not None and evaluations - self.last >= times * every

    def pass_to(self, evaluations: int) -> int:
        """Counts from here on; returns how many evaluations have passed since the last time."""
        passed = max(evaluations - self.last, 0)
        self.last += passed
        return passed
