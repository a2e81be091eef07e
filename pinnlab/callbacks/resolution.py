"""Says when the training loss no longer says anything: when there are too few points."""

from __future__ import annotations

import functools

from pinnlab.analysis.signatures import UNDER_RESOLUTION, under_resolution
from pinnlab.callbacks.signatures import AbstractSignatureWatch
from pinnlab.errors import ConfigurationError, check_real, check_whole


class ResolutionWarning(AbstractSignatureWatch):
    """Warns when the residual is much larger between the training points than at them, once for each condition.

    It is the one of `FailureSignatures` that costs next to nothing: one evaluation of the residual without its gradient
    on training points and on the data module's held-out points. Loggers get the ratio of each condition as
    `training/held_out_ratio/<condition>`. Beside `FailureSignatures` it takes the signature over from it.

    Args:
        factor: what the held-out mean square may be times that of the training points; see `under_resolution`.
        patience: looks in a row in which it has to be larger.
        every: loss evaluations between two looks.

    Raises:
        ConfigurationError: `factor` does not exceed 1, or `patience` or `every` is below 1.
    """

    def __init__(self, factor: float = 100.0, patience: int = 2, every: int = 500) -> None:
        check_whole("ResolutionWarning", least=1, patience=patience)
        check_real("ResolutionWarning", factor=factor)
        if not factor > 1:
            raise ConfigurationError(f"ResolutionWarning.factor: must exceed 1, got {factor}")
        rule = functools.partial(under_resolution, factor=factor, patience=patience)
        super().__init__({UNDER_RESOLUTION: rule}, ("held_out",), every)
