"""Lightning's launcher of processes, watched by `RankWatch`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast

import lightning as L
from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector

from pinnlab.errors import PinnlabError
from pinnlab.numerics import distributed
from pinnlab.training.ranks import RankWatch, signals_held

TIMEOUT = timedelta(minutes=10)
"""How long a rank waits in a collective: longer than ranks differ in compiling, shorter than torch's 30 minutes."""


class RankLauncher(_SubprocessScriptLauncher):
    """Starts the other ranks as Lightning does; all of them are watched.

    Lightning's own observer looks every five seconds and kills the main process, too, which then has no word to say.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.watch = RankWatch()

    def launch(self, function: Callable, *args: Any, trainer: L.Trainer | None = None, **kwargs: Any) -> Any:
        """Starts the other ranks, unless something else did, and calls the function."""
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            os.environ["LOCAL_WORLD_SIZE"] = str(self.num_processes)  # as torchrun does, for `distributed.ranks_here`
            with signals_held():
                self._call_children_scripts()
        self.watch.start(self.cluster_environment.local_rank(), self.procs)
        _set_num_threads_if_needed(num_processes=self.num_processes)
        # Here, before Lightning's callbacks would save a checkpoint in the middle of a step, with collectives.
        with self.guarded():
            return function(*args, **kwargs)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """An error in here becomes the watch's one line; a collective that fails, as a rank is gone, ends the process.

        Raises:
            RankError: one of several processes failed, by a fault of the program.
        """
        try:
            yield
        except PinnlabError:
            raise
        except Exception as error:
            if isinstance(error, RuntimeError) and distributed.is_lost(error):
                self.watch.await_end(error)
            if self.num_processes * self.num_nodes == 1:
                raise
            raise self.watch.failed(error) from error


class _Signals(_SignalConnector):
    """Leaves SIGTERM to a `RankWatch`: Lightning's handler broadcasts, in the midst of other collectives."""

    def __init__(self, trainer: L.Trainer, watch: RankWatch) -> None:
        super().__init__(cast(Any, trainer))
        self._watch = watch

    def register_signal_handlers(self) -> None:
        super().register_signal_handlers()
        self._watch.take_signals()


def end_together(trainer: L.Trainer) -> None:
    """Has the processes of a trainer end together, on signals and when one is lost; a single process is left alone.

    Args:
        trainer: before it starts its processes.
    """
    strategy = trainer.strategy
    if not isinstance(strategy, DDPStrategy) or not isinstance(strategy.launcher, _SubprocessScriptLauncher):
        return
    given = strategy.launcher
    if given.num_processes * given.num_nodes > 1:
        # One rank alone may have failed: a checkpoint, which all of them write together, would never be finished.
        for saver in trainer.checkpoint_callbacks:
            if isinstance(saver, ModelCheckpoint):
                saver.save_on_exception = False
    launcher = RankLauncher(given.cluster_environment, given.num_processes, given.num_nodes)
    strategy._launcher = launcher
    if strategy._timeout == distributed.DEFAULT_TIMEOUT:
        strategy._timeout = TIMEOUT
    trainer._signal_connector = _Signals(trainer, launcher.watch)


def launcher_of(trainer: L.Trainer) -> RankLauncher | None:
    """What started the processes of a trainer and watches them; None where nothing does, as in a single process."""
    launcher = trainer.strategy.launcher
    return launcher if isinstance(launcher, RankLauncher) else None
