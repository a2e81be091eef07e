"""Options of Lightning's Trainer and loggers that it would refuse late, in its own words, or not at all."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.accelerators import AcceleratorRegistry, CUDAAccelerator, MPSAccelerator
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.strategies import StrategyRegistry

from pinnlab.cli.given import check_inside
from pinnlab.errors import ConfigurationError, unknown

LEAST: Mapping[str, float] = MappingProxyType(
    {
        "num_nodes": 1,
        "max_epochs": -1,
        "max_steps": -1,
        "min_epochs": 0,
        "min_steps": 0,
        "log_every_n_steps": 0,
        "check_val_every_n_epoch": 1,
        "num_sanity_val_steps": -1,
        "accumulate_grad_batches": 1,
        "gradient_clip_val": 0,
        "reload_dataloaders_every_n_epochs": 0,
        "limit_train_batches": 0,
        "limit_val_batches": 0,
        "limit_test_batches": 0,
        "limit_predict_batches": 0,
    }
)
"""The smallest value of the trainer's numbers."""

_CANNOT = ("fsdp", "parallelstrategy", "deepspeed", "spawn", "fork", "notebook")
"""Words in names of strategies that cannot differentiate twice."""

_INSTEAD: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("trainer.default_root_dir", "trainer.logger.save_dir"), "name another folder, or --trainer.logger false"
        ),
        "ckpt_path": "write elsewhere by --trainer.logger false --trainer.default_root_dir FOLDER",
    }
)
"""What to do about a folder that is read-only, by the key that names it."""

_TIME = r"\d+:\d\d:\d\d:\d\d"


def check_trainer(options: Any) -> None:
    """Refuses options of the trainer that it cannot work with.

    Args:
        options: those of the command, by name.

    Raises:
        ConfigurationError: a number is too small, a time is none, or there is no such accelerator, strategy or device.
    """
    for key, least in LEAST.items():
        value = options.get(key)
        if isinstance(value, (int, float)) and not value >= least:
            raise ConfigurationError(f"trainer.{key}: must be at least {least}, got {value}")
    interval = options.get("val_check_interval")
    if isinstance(interval, (int, float)) and not (interval > 0 and math.isfinite(interval)):
        raise ConfigurationError(f"trainer.val_check_interval: must be positive, got {interval}; in steps, such as 100")
    limit = options.get("max_time")
    if isinstance(limit, str) and not re.fullmatch(_TIME, limit.strip()):
        raise ConfigurationError(
            f"trainer.max_time: must be days:hours:minutes:seconds, such as 00:00:10:00 for ten minutes, got {limit}"
        )
    if options.get("barebones"):
        raise ConfigurationError(
            "trainer.barebones: leaves nothing of a run to look at; use --trainer.logger false, "
            "--trainer.enable_checkpointing false or --trainer.enable_progress_bar false"
        )
    _check_accelerator(options.get("accelerator"))
    _check_strategy(options.get("strategy"))
    _check_devices(options.get("devices"))


def check_folder(key: str, folder: Path) -> None:
    """Refuses a folder that cannot be written, before any time is spent on what would go there.

    Raises:
        ConfigurationError: a file is in its way, it is read-only, or its name is too long.
    """
    longest = max(folder.parts, key=len, default="")
    if len(os.fsencode(longest)) > 255:  # bytes, of the usual file systems
        raise ConfigurationError(f"{key}: {longest[:20]}... is too long for a folder; take another name")
    places = (folder, *folder.parents, *folder.absolute().parents)  # named as it was given, where that is enough
    there = next((place for place in places if place.exists()), folder)
    if not there.is_dir():
        raise ConfigurationError(f"{key}: {there} is a file, no folder; name another one")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{key}: {there} is read-only; {_INSTEAD.get(key, 'name another folder')}")


def is_replaced(standard: Callback, given: Iterable[Callback]) -> bool:
    """Whether a recipe brings a callback in the place of a standard one: of the same class, or another bar."""
    if isinstance(standard, ProgressBar):
        return any(isinstance(callback, ProgressBar) for callback in given)
    return type(standard) in map(type, given)


def check_callbacks(callbacks: Iterable[Callback]) -> None:
    """Refuses two callbacks whose states a checkpoint could not tell apart.

    Raises:
        ConfigurationError: there are two of a kind, for the same.
    """
    known = set()
    for callback in callbacks:
        if type(callback).state_dict is not Callback.state_dict:
            if callback.state_key in known:
                kind = type(callback).__name__
                raise ConfigurationError(f"trainer.callbacks: a checkpoint cannot hold two {kind}; leave one out")
            known.add(callback.state_key)


def board_in(loggers: Any) -> Any:
    """The arguments of the first TensorBoard logger of a configuration, which may be changed; None without one."""
    given = loggers if isinstance(loggers, list) else [loggers]
    boards = (one for one in given if isinstance(one, Namespace) and one.class_path.endswith("TensorBoardLogger"))
    return next((board.init_args for board in boards), None)


def use_root(options: Any, logger: Any, default: str) -> str:
    """Lets runs go to `trainer.default_root_dir`, unless the logger was given a folder of its own.

    Args:
        options: the trainer's.
        logger: the arguments of its TensorBoard logger.
        default: where runs go when nobody says so.

    Returns:
        The key that says where they go.
    """
    root = options.get("default_root_dir")
    follows = root is not None and str(logger.get("save_dir")) == default
    if follows:
        logger["save_dir"] = str(root)
    for key in ("name", "version"):
        check_inside(f"trainer.logger.{key}", logger.get(key))
    return "trainer.default_root_dir" if follows else "trainer.logger.save_dir"


def check_board(key: str, logger: Any) -> None:
    """Refuses a folder of a run, or of runs, that cannot be written.

    Args:
        key: that says where it is.
        logger: the arguments of the TensorBoard logger.

    Raises:
        ConfigurationError: as `check_folder`.
    """
    parts = (part for part in (logger.get("name"), logger.get("version")) if isinstance(part, str))
    check_folder(key, Path(str(logger.get("save_dir")), *parts))


def _check_accelerator(accelerator: Any) -> None:
    """Refuses what Lightning does not know, and a GPU where it finds none."""
    known = ["auto", "gpu", *AcceleratorRegistry.available_accelerators()]
    if isinstance(accelerator, str) and accelerator not in known:
        raise unknown("value of trainer.accelerator:", accelerator, known)
    kinds = {"cuda": (CUDAAccelerator,), "mps": (MPSAccelerator,), "gpu": (CUDAAccelerator, MPSAccelerator)}
    if accelerator in kinds and not any(kind.is_available() for kind in kinds[accelerator]):
        raise ConfigurationError(
            f"trainer.accelerator: torch finds no {accelerator} on this machine; leave it out, or install the torch "
            "build for yours"
        )


def _check_strategy(strategy: Any) -> None:
    """Refuses what is not there, and what cannot differentiate twice."""
    name = strategy if isinstance(strategy, str) else str(getattr(strategy, "class_path", "auto"))
    if any(word in name.lower() for word in _CANNOT):
        raise ConfigurationError(f"trainer.strategy: {name} cannot train a PINN; use auto or ddp")
    known = {"auto", *StrategyRegistry.available_strategies()}
    if isinstance(strategy, str) and strategy not in known:
        can = [k for k in known if k.startswith(("auto", "ddp")) and not any(word in k for word in _CANNOT)]
        raise unknown("value of trainer.strategy:", strategy, can)


def _check_devices(devices: Any) -> None:
    """A number of devices, -1 or `auto` for all, or a list of their numbers."""
    text = str(devices).replace(" ", "").strip("[]")
    numbers = text.split(",")
    is_list = all(part.isdigit() for part in numbers if part) and any(numbers)
    if devices is None or text in ("auto", "-1") or (is_list and str(devices) != "0"):
        return
    raise ConfigurationError(f"trainer.devices: must be a number of devices from 1 on, a list, or auto, got {devices}")
