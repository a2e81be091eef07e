"""How far a run on two processes moves away from one on one process, beside a run moved by one rounding at its start.

    python tests/benchmarks/bench_ranks.py [--write]

Two processes add the same numbers in another order. Training amplifies differences of the size of rounding as it
amplifies any other; the control has one weight moved to the next number, and all else the same. `--write` puts the
table into docs/reliability.md.
"""

import argparse
import functools
import os
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import lightning as L
import torch

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.networks import MLP
from pinnlab.optimizers import LBFGS, LevenbergMarquardt, SSBroyden
from pinnlab.problems import Burgers

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
AFTER = (20, 100, 500)
OPTIMIZERS = {
    "Adam": functools.partial(torch.optim.Adam, lr=5e-3),
    "LBFGS": functools.partial(LBFGS, iterations=2),
    "SSBroyden": functools.partial(SSBroyden, iterations=2),
    "LevenbergMarquardt": LevenbergMarquardt,
}
WAYS = {"one": (1, False), "two": (2, False), "moved": (1, True)}
"""Processes, and whether one weight is moved."""


class Keeper(L.Callback):
    """Keeps the parameters after some steps, and the loss; where a run ended before, those it ended with."""

    def __init__(self):
        self.seen = {}

    def on_train_batch_end(self, trainer, pl_module, *unused):
        if trainer.global_step in AFTER or trainer.should_stop:
            self.seen[trainer.global_step] = (flat(pl_module), pl_module.current_loss())

    def on_train_end(self, trainer, pl_module):
        self.seen[trainer.global_step] = (flat(pl_module), pl_module.current_loss())


def flat(module):
    return torch.cat([p.detach().reshape(-1).clone() for p in module.trial.parameters()])


def train(optimizer, processes, moved):
    """One run; parameters and loss by step."""
    problem = Burgers(viscosity=0.1)
    module = PINN(
        problem, functools.partial(MLP, hidden=[16, 16]), [Phase(optimizer, steps=max(AFTER))], compile=False, seed=0
    )
    if moved:
        weight = next(module.trial.parameters()).data.view(-1)
        weight[0] = torch.nextafter(weight[0], torch.tensor(torch.inf, dtype=weight.dtype))
    keeper = Keeper()
    trainer = L.Trainer(
        max_epochs=-1, devices=processes, strategy="ddp" if processes > 1 else "auto", accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, callbacks=[keeper],
        limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(module, CollocationDataModule(problem, points=101))
    return keeper.seen if trainer.is_global_zero else None


def run(way, folder):
    """All optimizers, in this process or as one of two."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    for name, optimizer in OPTIMIZERS.items():
        seen = train(optimizer, *WAYS[way])
        if seen is not None:
            torch.save(seen, folder / f"{way}.{name}.pt")


def at(seen, step):
    """Parameters after that step, or after the last before it."""
    return seen[max(s for s in seen if s <= step)]


def difference(one, other, step):
    """The largest difference of a parameter, relative to the largest parameter."""
    expected = at(one, step)[0]
    return float((at(other, step)[0] - expected).abs().max() / expected.abs().max())


def table(folder):
    """The lines of the page's table."""
    heads = [f"{what}, {step} steps" for step in AFTER for what in ("two processes", "one weight moved")]
    lines = [f"| optimizer | {' | '.join(heads)} | loss, 1 / 2 processes |", "|---" * (len(heads) + 2) + "|"]
    for name in OPTIMIZERS:
        one, two, moved = (torch.load(folder / f"{way}.{name}.pt") for way in WAYS)
        cells = [f"{difference(one, other, step):.1e}" for step in AFTER for other in (two, moved)]
        steps = max(one) if max(one) == max(two) else f"{max(one)} / {max(two)}"
        ended = "" if steps == max(AFTER) else f" (ended after {steps} steps)"
        losses = f"{at(one, max(AFTER))[1]:.2e} / {at(two, max(AFTER))[1]:.2e}"
        lines.append(f"| {name}{ended} | {' | '.join(cells)} | {losses} |")
    return lines


def main():
    """Three launches, the table, and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", choices=WAYS)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if options.run:
        return run(options.run, options.folder)
    with tempfile.TemporaryDirectory() as name:
        for way in WAYS:
            subprocess.run(
                [sys.executable, __file__, "--run", way, "--folder", name],
                env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, check=True,
            )  # fmt: skip
        lines = "\n".join(table(Path(name)))
    print(lines)
    if options.write:
        begin, end = "<!-- one and two: begin -->", "<!-- one and two: end -->"
        PAGE.write_text(re.sub(f"(?s){begin}.*{end}", lambda _: f"{begin}\n{lines}\n{end}", PAGE.read_text()))


if __name__ == "__main__":
    main()
