"""Progress in points seen."""

from __future__ import annotations


class PointCount:
    """Counts the points at which a loss was evaluated, from how often it was and how large the batches were.

    Python numbers only: nothing is added at an evaluation, and nothing waits for a device.

    Args:
        evaluations: made so far.
        seen: points seen in those.
    """

    def __init__(self, evaluations: int = 0, seen: int = 0) -> None:
        self._evaluations, self._seen = evaluations, seen
        self._sizes: dict[str, int] = {}

    @property
    def largest(self) -> int:
        """How many rows of one condition the present batch has, of all ranks."""
        return max(self._sizes.values())

    def begin_step(self, evaluations: int, sizes: dict[str, int]) -> None:
        """Learns how many rows of each condition, of all ranks, the evaluations from now on are made on."""
        if sizes != self._sizes:
            self._seen, self._evaluations, self._sizes = self.seen(evaluations), evaluations, sizes

    def seen(self, evaluations: int) -> int:
        """The points seen after so many evaluations."""
        return self._seen + (evaluations - self._evaluations) * sum(self._sizes.values())
