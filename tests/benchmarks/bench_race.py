"""The error against training time: which recipe is ahead after 15, 30, 45, 60 seconds?

    python tests/benchmarks/bench_race.py burgers_ng allen_cahn_ng --seeds 0 1 2

Trains recipes with the real command. What counts is time in training steps: not that of imports and set-up, nor of
compilation (the first step of every phase is counted like its second one), nor of measuring the error. What was left
out is printed behind. On a shared machine take `--clock cpu --threads 1`: the processor's time of one thread. Other
frameworks beside pinnlab: `peers/run.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lightning as L
import torch

MARKS = (15.0, 30.0, 45.0, 60.0)
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class ErrorAgainstTime(L.Callback):
    """Measures the error at given times of training and ends the run at the last; writes them to a file.

    Args:
        path: of a JSON file with `[seconds, error]` pairs as `errors`, and with the seconds that did not count.
        marks: seconds of training.
        clock: `wall` or `cpu`.
    """

    def __init__(self, path: str, marks: list[float], clock: str = "wall") -> None:
        self._path, self._marks, self._clock = Path(path), sorted(marks), CLOCKS[clock]
        self._counted, self._left_out, self._before = 0.0, 0.0, 0.0
        self._phase, self._waiting = -1, 0.0
        self._errors: list[tuple[float, float]] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock."""
        self._before = self._clock()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *unused: object) -> None:
        """Counts the step, and measures the error when it is time."""
        seconds = self._clock() - self._before
        if self._phase != pl_module.phase:  # compiled; counts like the next one
            self._phase, self._waiting = pl_module.phase, seconds
        else:
            steps = 2 if self._waiting else 1
            self._left_out += max(self._waiting - seconds, 0.0)
            self._counted += seconds * steps
            self._waiting = 0.0
        while self._marks and self._counted >= self._marks[0]:
            self._marks.pop(0)
            self._measure(trainer, pl_module)
            trainer.should_stop = not self._marks
        self._before = self._clock()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes what was found; the error at the end, if the run ended before the last time."""
        if self._marks:
            self._measure(trainer, pl_module)
        self._path.write_text(json.dumps({"errors": self._errors, "left_out": self._left_out}))

    def _measure(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        error = max(pl_module.measure_errors(trainer.datamodule).values())
        self._errors.append((self._counted, error))


def race(recipe: str, seed: int, arguments: argparse.Namespace, extra: list[str]) -> dict:
    """Trains one recipe; returns the errors at the marks and the seconds left out."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "errors.json"
        command = [
            sys.executable, "-m", "pinnlab", "fit", "-c", recipe, f"--seed_everything={seed}", "--trainer.logger=false",
            "--trainer.enable_progress_bar=false", "--trainer.limit_val_batches=0",
            "--trainer.callbacks+=bench_race.ErrorAgainstTime", f"--trainer.callbacks.path={result}",
            f"--trainer.callbacks.marks={list(arguments.marks)}",
            f"--trainer.callbacks.clock={arguments.clock}",
            *extra,
        ]  # fmt: skip
        paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(arguments.threads))
        environment = {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(paths)}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{recipe}: {done.stderr.strip().splitlines()[-1]}")
        return json.loads(result.read_text())


def row(title: str, cells: list[str], remark: str = "") -> str:
    """One line of the table."""
    return f"{title:36s}" + "".join(f"{cell:>10s}" for cell in cells) + f"  {remark}"


def main() -> None:
    """Parses the arguments and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--marks", nargs="+", type=float, default=MARKS, help="seconds of training")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    arguments, extra = parser.parse_known_args()
    marks = tuple(sorted(arguments.marks))
    print(row(f"{arguments.clock} time, {arguments.threads} threads", [f"{mark:g} s" for mark in marks]))
    for recipe in arguments.recipes:
        for seed in arguments.seeds:
            found = race(recipe, seed, arguments, extra)
            seconds, _ = found["errors"][-1]
            cells = [f"{error:.1e}" for _, error in found["errors"]]
            remark = f"{found['left_out']:.0f} s compiling"
            if seconds < marks[-1]:
                remark += f", over after {seconds:.0f} s"
            print(row(f"{recipe}, seed {seed}", cells + [""] * (len(marks) - len(cells)), remark), flush=True)


if __name__ == "__main__":
    main()
