"""The folder of a run: its own where several begin at once, and gone again where a run is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning as L

CONFIG = "config.yaml"
"""What is written before a run is set up, when it may still be refused."""

WRITTEN = (CONFIG, "hparams.yaml", "events.out.tfevents.*")
"""What there is when the first step begins: of loggers, what they say of every run."""


@contextlib.contextmanager
def own_folder(trainer: L.Trainer) -> Iterator[None]:
    """Makes the folder of a run; it is taken away if the run makes no step, as one that is refused or interrupted.

    What is not written at the start of every run stays there.
    """
    logger: Any = next(iter(trainer.loggers), None)
    numbered = getattr(logger, "_version", 0) is None  # Lightning's: no version was asked for, and none looked for yet
    if not trainer.is_global_zero or not isinstance(getattr(logger, "log_dir", None), str) or "://" in logger.log_dir:
        yield
        return
    made = _claim(logger, numbered)
    try:
        yield
    except BaseException:
        _release(made, WRITTEN if trainer.global_step == 0 else (CONFIG,))
        raise


def _claim(logger: Any, numbered: bool) -> list[Path]:
    """Makes the folder of a logger; of a numbered one under the next number where another run has made it meanwhile.

    Lightning only looks for a number that is free, and the run's first file comes later.

    Returns:
        The folders that were not there, from the inside out.
    """
    while True:
        folder = Path(logger.log_dir)
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        try:
            folder.mkdir(parents=True)
            return missing
        except FileExistsError:
            if not numbered:
                return []
            logger._version = logger.version + 1


def _release(made: Sequence[Path], written: Sequence[str]) -> None:
    """Removes what was made, as far as it holds nothing but files of these names."""
    with contextlib.suppress(OSError):
        files = list(made[0].iterdir()) if made else []
        if all(any(path.match(name) for name in written) for path in files):
            for path in files:
                path.unlink()
            for place in made:
                place.rmdir()
