"""Checkpoints on their way to a disk and back: whole or not at all, and one line where a file is no checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import lightning
import torch
from lightning.fabric.plugins import TorchCheckpointIO

from pinnlab.errors import ConfigurationError, reason_of
from pinnlab.reporting.files import write_whole


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary file in the same folder, waits for the disk, and renames: a reader sees old or new.

    Lightning writes to the system's folder for temporary files and moves from there, which is a copy where that is
    another file system, and leaves half a file where the process is killed meanwhile.

    Attributes:
        tolerant: a file that cannot be written, on a full disk, is a warning instead of an error. For saves in the
            middle of a run, which goes on with the checkpoint that it has; and only the first rank writes, so an error
            there would leave the others waiting.
        failed: why the last file could not be written; None if it could.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tolerant = False
        self.failed: OSError | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Writes a checkpoint.

        Raises:
            OSError: it cannot be written, and `tolerant` is not set.
        """
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)  # object stores write whole files by themselves
            return
        try:
            write_whole(Path(path), lambda file: _save(checkpoint, file))
            self.failed = None
        except OSError as error:
            self.failed = error
            if not self.tolerant:
                raise
            warnings.warn(f"no checkpoint was written: {reason_of(error)}", stacklevel=2)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None) -> dict[str, Any]:
        """Reads a checkpoint.

        Args:
            path: of the file.
            map_location: where its tensors go, as in `torch.load`. By default to the CPU, and from there to where the
                run computes: the machine may have no GPU, or fewer than the one that wrote the file, and ranks would
                all fill the GPU of rank 0.
            weights_only: as in `torch.load`.

        Raises:
            ConfigurationError: there is none, or it is damaged, or something else.
        """
        try:
            found = super().load_checkpoint(path, map_location, weights_only)
        except FileNotFoundError as error:
            raise ConfigurationError(f"ckpt_path: there is no file {path}") from error
        except Exception as error:  # what unpickling half a file comes to differs from file to file
            raise ConfigurationError(f"ckpt_path: {path} is damaged or no checkpoint ({reason_of(error)})") from error
        if not isinstance(found, dict) or not isinstance(found.get("pinnlab"), dict):
            raise ConfigurationError(f"ckpt_path: {path} is not a checkpoint of pinnlab")
        if not isinstance(found.get("state_dict"), Mapping):
            raise ConfigurationError(f"ckpt_path: {path} has no state_dict, the network's parameters; take another")
        found.setdefault("pytorch-lightning_version", lightning.__version__)  # of a file that was stripped
        found["pinnlab"]["file"] = str(path)  # for `refusal`
        return found


def _save(checkpoint: dict[str, Any], file: BinaryIO) -> None:
    """`torch.save`, with the disk's own error: torch hides it behind one about a position where it meets it early."""
    try:
        torch.save(checkpoint, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint on the CPU; tensors and primitives only, whatever the file holds.

    Raises:
        ConfigurationError: there is none, or it is damaged, or something else.
    """
    return AtomicCheckpointIO().load_checkpoint(path, weights_only=True)


def refusal(checkpoint: Mapping[str, Any], why: str) -> ConfigurationError:
    """Builds the one-line error for a checkpoint that cannot be used, with its file as far as that is known.

    Args:
        checkpoint: its content.
        why: the rest of the sentence that begins with the file, and what to do.
    """
    return ConfigurationError(f"ckpt_path: {checkpoint.get('pinnlab', {}).get('file', 'the checkpoint')} {why}")


def use_atomic_writes(trainer: Any) -> None:
    """Has a trainer write its checkpoints whole or not at all, unless it was given an own way to write them."""
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = AtomicCheckpointIO()
