"""How long one waits for a run: until the first line, the first step, and full speed, with an empty and a full cache.

    python tests/benchmarks/bench_start.py [--recipes burgers poisson2d_lm] [--rounds 5]

Runs the real command on a pseudo-terminal, as a user sees it, and reads the clock when a line or a step appears. Full
speed is when the loss with its gradient runs compiled, or the first step where a run never compiles. Medians.
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WATCH = """
import sys
from pinnlab.cli.dispatch import answer
answer(sys.argv[1:])  # what the command says before it imports torch
from pinnlab.training.module import PINN
from pinnlab.numerics.compiler import Compiler

step, finish = PINN.on_train_batch_end, Compiler._finish

def told(self, *arguments):
    if self.global_step == 1:
        print("\\n@first step", self.objective.compiler is None, flush=True)
    step(self, *arguments)

def finished(self, job):
    finish(self, job)
    print("\\n@compiled " + job.title, flush=True)

PINN.on_train_batch_end, Compiler._finish = told, finished
from pinnlab.__main__ import main
sys.argv[0] = "pinnlab"
sys.exit(main())
"""


def measure(recipe: str, cache: Path, most: float) -> dict[str, float]:
    """Seconds from the start of the process to each event, of a run that is ended after full speed."""
    parent, child = pty.openpty()
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(cache), "COLUMNS": "120"}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", WATCH, "fit", "-c", recipe],
            stdout=child, stderr=child, stdin=child, cwd=folder, env=environment,
        )  # fmt: skip
        os.close(child)
        found, text = {}, ""
        while time.perf_counter() - start < most and "full speed" not in found:
            try:
                text += os.read(parent, 65536).decode(errors="replace")
            except OSError:  # the other end is closed
                break
            now = time.perf_counter() - start
            found.setdefault("first line", now)
            if "problem  " in text:
                found.setdefault("what it is about", now)
            if (first := re.search(r"@first step (\w+)", text)) is not None:
                found.setdefault("first step", now)
                if first[1] == "True" or "@compiled loss and gradient" in text:
                    found.setdefault("full speed", now)
        process.kill()
        process.wait()
        os.close(parent)
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=["burgers", "poisson2d_lm"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=float, default=90.0, help="seconds after which a run is ended")
    given = parser.parse_args()
    events = ("first line", "what it is about", "first step", "full speed")
    print("| recipe | cache | " + " | ".join(events) + " |\n|---|---|" + "---|" * len(events))
    for recipe in given.recipes:
        with tempfile.TemporaryDirectory() as warm:
            measure(recipe, Path(warm), given.most)
            for word in ("empty", "full"):
                runs = []
                for _ in range(given.rounds):
                    with tempfile.TemporaryDirectory() as empty:
                        runs.append(measure(recipe, Path(empty if word == "empty" else warm), given.most))
                medians = [statistics.median(run.get(event, float("inf")) for run in runs) for event in events]
                print(f"| {recipe} | {word} | " + " | ".join(f"{value:.1f} s" for value in medians) + " |", flush=True)


if __name__ == "__main__":
    main()
