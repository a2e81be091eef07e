"""Keys of phases in messages: a phase knows no number, and its optimizer not where it stands."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from pinnlab.errors import ConfigurationError


@contextlib.contextmanager
def of_phase(number: int) -> Iterator[None]:
    """Gives the number of a phase to the keys that name none: `model.phases.steps` becomes `model.phases.0.steps`."""
    try:
        yield
    except ConfigurationError as error:
        told = re.sub(r"\bmodel\.phases\.(?!\d)", f"model.phases.{number}.", str(error), count=1)
        raise ConfigurationError(told) from error


def of_optimizer(error: Exception) -> ConfigurationError:
    """What an optimizer refuses, with the key of the optimizer before its own: `lr` is `model.phases.optimizer.lr`.

    >>> print(of_optimizer(ValueError("Invalid learning rate: -1")))
    model.phases.optimizer: Invalid learning rate: -1
    """
    told = " ".join(str(error).split())
    if not isinstance(error, ConfigurationError):
        return ConfigurationError(f"model.phases.optimizer: {told}")
    is_key = re.match(r"[\w.]+:", told)
    return ConfigurationError(
        told if told.startswith("model.") else f"model.phases.optimizer{'.' if is_key else ': '}{told}"
    )
