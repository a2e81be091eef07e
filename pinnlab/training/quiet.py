"""What Lightning and torch say that nobody can act on: advertisements, and remarks about how pinnlab uses them."""

from __future__ import annotations

import logging
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER = "lightning.pytorch.utilities.rank_zero"
"""Where Lightning's one-line messages come from."""

ADVERTISEMENTS = ("💡 Tip:", "GPU available: False", "TPU available: False")
"""How lines begin that sell something, or say that a machine lacks what nobody asked for."""

REMARKS = (
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*does not have many workers.*",
    r"The number of training batches .* is smaller than the logging interval.*",  # an epoch means nothing here
    r".*sync_dist=True.*",  # what is logged is that of all ranks
    r".*callbacks returned in.*will override.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*The `srun` command is available.*",
    r".*predict returned None.*",
    r".*your dataloader is not resumable.*",  # the points and where they are is in the checkpoint
    r".*dirpath has changed.*",
    r"Be aware that when using .ckpt_path.*: \['Dashboard'\]",
    r".*LightningCLI's args parameter is intended.*",
)
"""Warnings, as regular expressions, that a user of pinnlab cannot act on."""


def ignore_remarks() -> None:
    """Hides `REMARKS`, for good or until the filters of warnings are put back."""
    for remark in REMARKS:
        warnings.filterwarnings("ignore", message=remark)


@contextmanager
def quiet() -> Iterator[None]:
    """No `REMARKS` in here; the filters are put back afterwards."""
    with warnings.catch_warnings():
        ignore_remarks()
        yield


def without_advertisements(owner: object) -> None:
    """Keeps advertisements out of Lightning's messages while an object lives, such as the module that is trained.

    A trainer prints them when it is made, before it knows what it will train.
    """

    def is_wanted(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(ADVERTISEMENTS)

    logger = logging.getLogger(LOGGER)
    logger.addFilter(is_wanted)
    weakref.finalize(owner, logger.removeFilter, is_wanted).atexit = False
