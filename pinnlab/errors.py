"""The errors pinnlab raises and the reasons for which training stops."""

from __future__ import annotations

import difflib
import math
import textwrap
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from numbers import Integral, Real

LARGEST_SEED = 2**32 - 1
"""What numpy takes; torch takes more."""


class PinnlabError(Exception):
    """Base of every error that pinnlab raises on purpose."""


class ConfigurationError(PinnlabError, ValueError):
    """The user's input is wrong: one line that names the offending key and says what to do."""


class SavingError(PinnlabError, OSError):
    """What a run came to could not be written: one line that names the file."""


class NotFiniteError(PinnlabError, ArithmeticError):
    """A loss, a gradient or a parameter is not finite: one line that names the value, its condition and its point."""


class RankError(PinnlabError, RuntimeError):
    """One of several processes failed: one line that names it, and where its traceback is.

    Args:
        message: the line.
        exit_code: of that process.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class UnsupportedOperationError(PinnlabError, TypeError):
    """The Taylor-mode engine met an operation it has no rule for; the message names it."""


class UnknownDerivativeError(ConfigurationError, AttributeError):
    """A residual asked for a derivative with respect to something that is not a coordinate."""


class StopReason(str, Enum):
    """Why a phase, a run or an optimizer step came to an end; the value is the message."""

    RUNNING = "still running"
    STEPS = "the planned number of steps was reached"
    CRITERION = "the criterion was met"
    TOLERANCE = "the held-out residual is within the tolerance"
    STALLED = "the line search found no further decrease"
    ROLLED_BACK = "the run went back to the phase before"
    DIVERGED = "the loss blew up again after the allowed number of rollbacks"
    NOT_FINITE = "a value was not finite"
    BUDGET = "the budget of evaluations was spent"
    POINTS = "the budget of points was spent"
    TRAINER = "the trainer's limit was reached"
    CALLBACK = "a callback ended the run"
    INTERRUPTED = "the run was interrupted"


def suggest(name: str, known: Iterable[str]) -> str:
    """Returns `` (did you mean 'x'?)`` for the closest known name, or one that begins with it, or nothing.

    >>> suggest("optimiser", ["optimizer", "steps"]), suggest("seed", ["name", "seed_everything"])
    (" (did you mean 'optimizer'?)", " (did you mean 'seed_everything'?)")
    """
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    close = close or [longer for longer in names if len(name) > 2 and longer.startswith(name)]
    return f" (did you mean {close[0]!r}?)" if close else ""


def unknown(kind: str, name: object, known: Iterable[str]) -> ConfigurationError:
    """Builds the one-line error for a name that does not exist, with the closest one that does."""
    names = sorted(known)
    return ConfigurationError(f"unknown {kind} {name!r}{suggest(str(name), names)}; known: {', '.join(names)}")


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def reason_of(error: BaseException) -> str:
    """The first sentence of an error, short enough for a message.

    >>> reason_of(RuntimeError("not a ZIP archive. This is an internal error. If you are seeing this, report it"))
    'not a ZIP archive'
    """
    return textwrap.shorten(first_line(error).partition(". ")[0].rstrip("."), 120, placeholder=" ...")


def is_finite(value: object) -> bool:
    """Whether something is a finite real number that a float can hold: Python's whole numbers have no largest one."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def in_short(value: object) -> str:
    """A value for a message: on one line, which an array or a function would break or fill.

    >>> in_short(0.5), in_short("a"), in_short(in_short)
    ('0.5', "'a'", 'function')
    """
    shown = repr(value)
    return type(value).__name__ if callable(value) or "\n" in shown or len(shown) > 60 else shown


def check_whole(owner: str, least: float = -math.inf, **values: object) -> None:
    """Refuses arguments that are no whole numbers, or too small.

    Args:
        owner: whose arguments they are, for the message; empty when their names say enough.
        least: the smallest possible value of each.
        **values: by name.

    Raises:
        ConfigurationError: one is of another kind, or smaller; other limits are for the caller to check.
    """
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise ConfigurationError(f"{_named(owner, key)}: must be a whole number, got {in_short(value)}")
        if int(value) < least:
            raise ConfigurationError(f"{_named(owner, key)}: must be at least {least}, got {value}")


def check_real(owner: str, **values: object) -> None:
    """Refuses arguments that are no finite real numbers.

    Args:
        owner: whose arguments they are, for the message; empty when their names say enough.
        **values: by name.

    Raises:
        ConfigurationError: one is of another kind; limits are for the caller to check.
    """
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, Real) or value != value:
            raise ConfigurationError(f"{_named(owner, key)}: must be a number, got {in_short(value)}")
        if not is_finite(value):
            raise ConfigurationError(f"{_named(owner, key)}: must be finite, got {in_short(value)}")


def check_positive(owner: str, **values: object) -> None:
    """Refuses arguments that are no finite real numbers above 0.

    Args:
        owner: whose arguments they are, for the message; empty when their names say enough.
        **values: by name.

    Raises:
        ConfigurationError: one is of another kind, or not above 0.
    """
    check_real(owner, **values)
    for key, value in values.items():
        if not value > 0:  # type: ignore[operator]
            raise ConfigurationError(f"{_named(owner, key)}: must be positive, got {value}")


def check_list(owner: str, **values: object) -> None:
    """Refuses arguments that are no lists of finite real numbers.

    Args:
        owner: whose arguments they are, for the message; empty when their names say enough.
        **values: by name.

    Raises:
        ConfigurationError: one is of another kind; limits are for the caller to check.
    """
    for key, value in values.items():
        if isinstance(value, str) or not isinstance(value, Collection):
            raise ConfigurationError(f"{_named(owner, key)}: must be a list of numbers, got {in_short(value)}")
        for k, number in enumerate(value):
            check_real(owner, **{f"{key}[{k}]": number})


def check_names(key: str, names: object, example: str) -> None:
    """Refuses what is no list of names: a single one would be taken letter by letter.

    Args:
        key: what it is given for, for the message.
        names: what is given.
        example: of a name.

    Raises:
        ConfigurationError: it is text, or no list; which names there are is for the caller to check.
    """
    if isinstance(names, str):
        raise ConfigurationError(f"{key}: must be a list of names; write {[names]}")
    if not isinstance(names, Collection):
        raise ConfigurationError(f"{key}: must be a list of names such as {[example]}, got {in_short(names)}")


def check_by_name(key: str, value: object, example: str) -> None:
    """Refuses what is no dictionary.

    Args:
        key: what it is given for, for the message.
        value: what is given.
        example: of what could be.

    Raises:
        ConfigurationError: it is something else.
    """
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{key}: must be a dictionary by name such as {example}, got {in_short(value)}")


def check_seed(owner: str, seed: object) -> None:
    """Refuses what cannot seed a generator of random numbers: of numpy's and torch's, the narrower range.

    Args:
        owner: whose argument it is, for the message.
        seed: the number.

    Raises:
        ConfigurationError: it is no whole number from 0 to `LARGEST_SEED`.
    """
    check_whole(owner, seed=seed)
    if not 0 <= int(seed) <= LARGEST_SEED:  # type: ignore[call-overload]
        raise ConfigurationError(f"{_named(owner, 'seed')}: must be from 0 to {LARGEST_SEED}, got {seed}")


def _named(owner: str, key: str) -> str:
    return f"{owner}.{key}" if owner else key
