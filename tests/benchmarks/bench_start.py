"""How long one waits for a run: until the first line, the first step, and full speed, with an empty and a full cache.

    python tests/benchmarks/bench_start.py [--recipes burgers poisson2d_lm] [--rounds 5] [--peers]

Runs the real command on a pseudo-terminal, as a user sees it, and reads the clock when a line or a step appears. Full
speed is the end of the first step after which nothing is being compiled: all that the first step used runs compiled
then, or the run never compiles. Medians. `--peers` adds jinns on the same equations, in the environment that
`peers/run.py` made: the end of its first step, without and with JAX's own cache on disk; all is compiled before that.
"""

from __future__ import annotations

import argparse
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

WATCH = """
import sys
from pinnlab.cli.dispatch import answer
answer(sys.argv[1:])  # what the command says before it imports torch
from pinnlab.training.module import PINN

step = PINN.on_train_batch_end

def told(self, *arguments):
    if self.global_step == 1:
        print("\\n@first step", flush=True)
    if self.objective.compiler is None or self.objective.compiler.waiting is None:
        print("\\n@full speed", flush=True)
    step(self, *arguments)

PINN.on_train_batch_end = told
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
            for event in ("first step", "full speed"):
                if f"@{event}" in text:
                    found.setdefault(event, now)
        process.kill()
        process.wait()
        os.close(parent)
    if "first step" not in found:
        raise SystemExit(f"{recipe}: the run ended before its first step:\n{text[-2000:]}")
    return found


def measure_jinns(problem: str, cache: Path) -> dict[str, float]:
    """Seconds from the start of the process to the end of the first step of its natural gradient."""
    sys.path.insert(0, str(Path(__file__).parent / "peers"))
    from rows import ROWS
    from run import environment
    from run import measure as measure_peer

    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(cache)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    row = ROWS["jinns-ng"]
    python = environment(row.environment, Path.home() / ".cache" / "pinnlab-peers")
    first = measure_peer(row, python, problem, seed=0, seconds=0.1, threads=os.cpu_count() or 1)[0]
    if "failed" in first:
        raise SystemExit(f"jinns, {problem}: {first['failed']}")
    return {"first step": first["seconds"], "full speed": first["seconds"]}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=["burgers", "poisson2d_lm"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=float, default=90.0, help="seconds after which a run is ended")
    parser.add_argument("--peers", action="store_true", help="jinns, too")
    given = parser.parse_args()
    events = ("first line", "what it is about", "first step", "full speed")
    print("| run | cache | " + " | ".join(events) + " |\n|---|---|" + "---|" * len(events))
    rows: dict[str, Callable[[Path], dict[str, float]]] = {
        recipe: partial(measure, recipe, most=given.most) for recipe in given.recipes
    }
    if given.peers:
        rows |= {f"jinns, {problem}": partial(measure_jinns, problem) for problem in ("burgers", "poisson")}
    for name, run in rows.items():
        with tempfile.TemporaryDirectory() as warm:
            run(Path(warm))
            for word in ("empty", "full"):
                found = []
                for _ in range(given.rounds):
                    with tempfile.TemporaryDirectory() as empty:
                        found.append(run(Path(empty if word == "empty" else warm)))
                medians = [statistics.median(each.get(event, float("inf")) for each in found) for event in events]
                told = " | ".join(f"{value:.1f} s" if value < float("inf") else "-" for value in medians)
                print(f"| {name} | {word} | {told} |", flush=True)


if __name__ == "__main__":
    main()
