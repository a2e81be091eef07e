"""Packages that only some parts of pinnlab need: imported when asked for, missed in one line."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pinnlab.errors import ConfigurationError

EXTRA = "pip install 'pinnlab-lightning[solution]'"
GEOMETRY = "pip install 'pinnlab-lightning[geometry]'"


def needed(package: str, purpose: str, install: str = EXTRA) -> Any:
    """A package by its import name.

    Args:
        package: such as `xarray`.
        purpose: what asks for it, for the message.
        install: the command that brings it.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ConfigurationError(f"{purpose}: needs the package {package}; install it: {install}") from error
