"""Parts of recipes that several studies have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pinnlab.studies.engine.runner import Config

HARDLY: Config = {"class_path": "GainRatio", "init_args": {"initial": 1e-12, "lowest": 1e-24}}
"""Damping for waves of many frequencies: the equation hardly weighs the low ones. Rows without squares resolve it."""


def mlp(*hidden: int) -> Config:
    """A perceptron."""
    return {"class_path": "MLP", "init_args": {"hidden": list(hidden)}}


def sines(count: int, scale: float) -> Config:
    """A network of random sines."""
    return {"class_path": "RandomFeatures", "init_args": {"count": count, "scale": scale}}


def siren(frequency: float, *hidden: int) -> Config:
    """A network of trained sines."""
    return {"class_path": "SIREN", "init_args": {"hidden": list(hidden), "first_frequency": frequency}}


def windows(grid: int | Sequence[int], network: Config, **options: Any) -> Config:
    """A network in each of many windows.

    Args:
        grid: how many along all coordinates, or along each.
        network: of a window.
        **options: further ones of `Subdomains`.
    """
    numbers = grid if isinstance(grid, int) else list(grid)
    return {"class_path": "Subdomains", "init_args": {"grid": numbers, "network": network, **options}}
