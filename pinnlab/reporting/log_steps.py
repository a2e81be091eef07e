"""The steps of a run at which something is logged, measured or drawn: one rule for all who ask.

How long a run will be is not known while it goes on. Steps are therefore close together at its beginning and spread
out with it: numbers that are short in binary, such as 1, 2, 3, 4, 6, 8, 12, 16 with two digits. They depend on nothing
but the number of the step, so that a resumed run and all processes take the same ones.
"""

from __future__ import annotations

DENSE = 32
"""Up to here every step counts for curves: a run of more than 30 steps has 30 points."""

LOSS_DIGITS, ERROR_DIGITS = 5, 3
"""Binary digits beyond: 16 losses, which cost next to nothing, and 4 errors for each doubling of the steps."""


def is_spaced(step: int, digits: int) -> bool:
    """Whether a step is among the numbers whose binary form is, but for zeros behind, at most so many digits long.

    There are `2^(digits - 1)` of them for each doubling; all numbers up to `2^digits` are among them.

    Args:
        step: counted from 1; no smaller one is among them.
        digits: at least 1.
    """
    return step > 0 and step % (1 << max(step.bit_length() - digits, 0)) == 0


def logs_loss(step: int, phase_step: int, every: int) -> bool:
    """Whether the loss is logged after a step.

    Args:
        step: of the run, counted from 1.
        phase_step: of its phase, counted from 1: a quasi-Newton phase changes most where it begins. 0 where the phase
            before has just come to its end.
        every: steps between two logs later on, the trainer's `log_every_n_steps`; 0 logs nothing.
    """
    at_end = step > 0 and phase_step == 0
    spaced = is_spaced(step, LOSS_DIGITS) or is_spaced(phase_step, LOSS_DIGITS)
    return every > 0 and (step % every == 0 or at_end or spaced)


def measures_error(step: int, phase_step: int) -> bool:
    """Whether the error is measured after a step.

    Args:
        step: of the run, counted from 1.
        phase_step: of its phase, as in `logs_loss`.
    """
    return 0 < step <= DENSE or is_spaced(step, ERROR_DIGITS) or is_spaced(phase_step, ERROR_DIGITS)


def draws(step: int) -> bool:
    """Whether a figure is drawn after a step: at powers of two, and so often that 30 steps have eight with the end."""
    return is_spaced(step, 1) or step in (12, 24)
