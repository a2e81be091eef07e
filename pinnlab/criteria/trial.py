"""The criterion that does not guess what the next optimizer would do, but tries it."""

from __future__ import annotations

import math
from typing import Any, final

from pinnlab.criteria.base import Criterion, Progress, Series
from pinnlab.criteria.series import logarithms, medians, push
from pinnlab.errors import ConfigurationError, check_positive, check_real, check_whole


@final
class TrialStep(Series):
    """Calls for a trial of the next optimizer, and keeps it if it lowers the loss faster than the present one.

    Its word ends no phase: the training loop tries the next optimizer for some evaluations, asks `judge`, and goes on
    from there or goes back. The next optimizer is kept when it lowers log(loss) by more per evaluation than the
    present one has lately, which is the difference of the logarithms of the median losses of the halves of a window.

    A trial that is undone costs its evaluations. The first one is due as soon as it is proposed; after each that was
    undone the next waits until the phase is `backoff` times as long, so that few are made. A loss that is
    not finite, or new points, start the window again.

    Args:
        propose: when to think of a trial; after one that was undone it starts all over. Default: as soon as the
            window is full and the wait is over.
        evaluations: of a trial, at least; whole steps are made. 60 is six steps of L-BFGS, by when it has a picture
            of the curvature.
        margin: factor by which the trial has to be faster. 1, because a second-order method is usually still
            gaining speed during the trial.
        window: steps for the present rate; 200 for the same reason as in `LossPlateau`.
        backoff: factor between the evaluations of the phase at an undone trial and at the next one; 2, by which
            undone trials cost log2(phase / first trial) times `evaluations`: 7 % of 4,000, 1 % of 40,000.

    Raises:
        ConfigurationError: when a value is out of its range, or `propose` is a `TrialStep` itself.
    """

    def __init__(
        self,
        propose: Criterion | None = None,
        evaluations: int = 60,
        margin: float = 1.0,
        window: int = 200,
        backoff: float = 2.0,
    ) -> None:
        check_whole("", least=1, evaluations=evaluations)
        check_whole("", least=4, window=window)
        check_positive("", margin=margin)
        check_real("", backoff=backoff)
        if not backoff >= 1:
            raise ConfigurationError(f"backoff: must be at least 1, not {backoff}")
        if propose is not None and propose.trial is not None:
            raise ConfigurationError("propose: is a TrialStep itself; name another criterion or leave it out")
        self.propose, self.evaluations, self.margin = propose, evaluations, margin
        self.window, self.backoff = window, backoff
        super().__init__([] if propose is None else [propose])

    @property
    def trial(self) -> TrialStep | None:
        """Itself."""
        return self

    @property
    def needed(self) -> int:
        """The window."""
        return self.window

    def initial(self) -> dict[str, Any]:
        """An empty window and no trials.

        `spent` are the phase's evaluations without those `lost` to undone trials, `due` is their number, with those,
        from which on the next trial may be; `value` is how many times
        faster than the present optimizer the last trial was, and `outcome` says so in words.
        """
        return {
            **super().initial(), "losses": [], "spent": [], "proposed": False,
            "lost": 0, "due": 0, "value": None, "outcome": None,
        }  # fmt: skip

    def update(self, progress: Progress) -> bool:
        """True when a trial is due."""
        proposes = self.propose is None or self.propose.update(progress)
        ready = super().update(progress)
        self._state["proposed"] |= proposes and math.isfinite(progress.loss)
        return ready and self._state["proposed"]

    def start_over(self) -> None:
        """Forgets the window, but not what trials have cost."""
        self._state.update(losses=[], spent=[], proposed=False)

    def look(self, progress: Progress) -> bool:
        """True when the window is full and the wait is over."""
        state = self._state
        push(state["losses"], progress.loss, self.window)
        push(state["spent"], progress.evaluations - state["lost"], self.window)
        return len(state["losses"]) == self.window and progress.evaluations >= state["due"]

    def judge(self, before: float, after: float, evaluations: int) -> bool:
        """Decides on a trial and remembers the outcome.

        Args:
            before: the loss at its start, on the trial's points.
            after: the loss at its end, on the same points.
            evaluations: of the loss that the trial took; they are added to the phase's if it is undone.

        Returns:
            Whether the trial is kept.
        """
        present = max(self._present_rate(), 0.0)
        rate = _rate(before, after, evaluations)
        kept = rate > 0 and rate > self.margin * present
        state, ratio = self._state, rate / present if present > 0 else math.inf
        state["value"] = ratio if math.isfinite(ratio) else None
        outcome = "kept" if kept else "undone"
        state["outcome"] = f"trial step: {rate:.2g} against {present:.2g} per evaluation, {outcome}"
        if not kept:
            made = state["lost"] + (state["spent"][-1] if state["spent"] else 0)
            state.update(proposed=False, lost=state["lost"] + evaluations, due=math.ceil(self.backoff * made))
            if self.propose is not None:
                self.propose.reset()
        return kept

    @property
    def reason(self) -> str:
        """The outcome of the last trial: both rates, and whether it was kept."""
        return self._state["outcome"] or f"trial step: none yet, {len(self._state['losses'])} losses in the window"

    def _present_rate(self) -> float:
        """Fall of log(loss) per evaluation, between the medians of the window's halves; 0 without a window."""
        losses, spent = self._state["losses"], self._state["spent"]
        if len(losses) < 2 or spent[-1] == spent[0]:
            return 0.0
        first, second = logarithms(medians(losses))
        per_step = (spent[-1] - spent[0]) / (len(spent) - 1)
        apart = len(losses) - len(losses) // 2  # steps from the middle of one half to that of the other
        return (first - second) / (apart * per_step)


def _rate(before: float, after: float, evaluations: int) -> float:
    if evaluations == 0 or not (math.isfinite(before) and math.isfinite(after)):
        return -math.inf
    first, second = logarithms([before, after])
    return (first - second) / evaluations
