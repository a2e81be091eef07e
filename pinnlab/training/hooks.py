"""Hooks of Lightning's that a user's own subclass of `PINN` overrides."""

from __future__ import annotations

import inspect

import lightning as L

from pinnlab.errors import ConfigurationError

_OTHERS = ("setup", "configure_callbacks")
"""Hooks whose names do not begin with on_."""


def check_hooks(kind: type[L.LightningModule]) -> None:
    """Refuses hooks that do not call those of `PINN`, which count, look at gradients and write checkpoints.

    Those of a plain `LightningModule` are empty, so that nobody is used to it; without them a run goes on, and its
    checkpoints cannot be resumed.

    Raises:
        ConfigurationError: a hook does not have the name of the inherited one in it.
    """
    classes = kind.__mro__
    ours = next(k for k, cls in enumerate(classes) if cls.__module__.startswith("pinnlab."))
    for cls in classes[:ours]:
        for name, method in vars(cls).items():
            is_hook = name.startswith("on_") or name in _OTHERS
            if not is_hook or getattr(classes[ours], name, None) is getattr(L.LightningModule, name, None):
                continue
            code = getattr(inspect.unwrap(method), "__code__", None) if callable(method) else None
            if code is not None and name not in code.co_names:
                raise ConfigurationError(
                    f"{cls.__name__}.{name}: PINN has work of its own in this hook; begin with super().{name}(...)"
                )
