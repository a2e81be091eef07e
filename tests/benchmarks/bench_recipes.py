"""What the shipped recipes reach: trains them with the real command and prints one line each.

    python tests/benchmarks/bench_recipes.py poisson1d poisson1d_adam poisson1d_lbfgs --seeds 0 1 2

Compare errors and evaluations; seconds depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def train(recipe: str, seed: int, extra: list[str]) -> dict:
    """Trains one recipe and returns its summary."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pinnlab", "fit", "-c", recipe, f"--seed_everything={seed}", *extra]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return json.loads(next(Path(folder).rglob("summary.json")).read_text())


def main() -> None:
    """Parses the arguments and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments, extra = parser.parse_known_args()
    for recipe in arguments.recipes:
        errors = []
        for seed in arguments.seeds:
            summary = train(recipe, seed, extra)
            error = max(summary["relative_l2"].values())
            errors.append(error)
            print(
                f"{recipe:20s} seed {seed}  relative L2 {error:.2e}  evaluations {summary['evaluations']}  "
                f"{summary['seconds']:.0f} s  {' then '.join(p['optimizer'] for p in summary['phases'])}",
                flush=True,
            )
        if len(errors) > 1:
            print(f"{recipe:20s} median  relative L2 {statistics.median(errors):.2e}", flush=True)


if __name__ == "__main__":
    main()
