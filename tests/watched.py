"""Watches what a GPU records: once caches are filled it may neither copy from the CPU nor wait."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import torch
from card import MIXED, WAITS

from pinnlab.objective import global_loss, linearized_functions, residuals

RECORDED = {"loss and gradient", "sizes of residuals", "loss", "Jacobian", "jvp", "vjp", "hessian product"}
"""All that may be."""


@dataclass
class Watched:
    """The recorded functions that were evaluated, and what they copied or waited for."""

    evaluated: set[str] = field(default_factory=set)
    seen: list[str] = field(default_factory=list)


@contextmanager
def watched() -> Iterator[Watched]:
    """Evaluates each loss once more before, which fills caches, and lists what then still has two places, or waits."""
    watch, filled = Watched(), set()

    def chosen(function, compiler, title="", recordings=None, **how):
        def evaluate(parameters, inputs):
            watch.evaluated.add(title)
            if title == "loss and gradient" and evaluate not in filled:
                filled.add(evaluate)
                with torch.no_grad():
                    function(parameters, inputs)
            for notes in (MIXED, WAITS):
                notes.clear()
            with torch.no_grad():
                found = function(parameters, inputs)
            watch.seen += MIXED.seen + WAITS.seen
            return found

        return evaluate

    with pytest.MonkeyPatch.context() as patch:
        for module in (global_loss, linearized_functions, residuals):
            patch.setattr(module, "evaluator", chosen)
        yield watch
