"""pinnlab beside DeepXDE, PINA, Scimba and jinns: the same problems, networks, numbers of points and time, in one go.

    python tests/benchmarks/peers/run.py                      # all, three seeds: writes docs/leaderboard.md and .csv
    python tests/benchmarks/peers/run.py --seconds 5 --seeds 0 --out /tmp --rows deepxde pinnlab-best   # a look

Makes a virtual environment for each package, with the versions below, in the folder `--envs`, and keeps it there. pip
asks the index that it is set up for; where that has torch for CUDA only, this takes some GB. pinnlab is that of the
Python that runs this script. The runs are made one after the other, seed by seed, so that a machine that changes its
speed does so to all. No run sees compiled code of an earlier one.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import report
from common import SETTINGS
from rows import ENVIRONMENTS, ROWS, Row

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def environment(name: str, folder: Path) -> str:
    """The Python of a package's environment, which is made unless it is there with these versions; pinnlab has none."""
    if name == "pinnlab":
        return sys.executable
    wanted, home = "\n".join(ENVIRONMENTS[name]) + "\n", folder / name
    python, stamp = home / "bin" / "python", home / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"{name}: making its environment in {home}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *ENVIRONMENTS[name]], check=True)
        stamp.write_text(wanted)
    return str(python)


def measure(row: Row, python: str, problem: str, seed: int, seconds: float, threads: int) -> list[dict[str, Any]]:
    """Makes one run; returns its measurements, or one line with the reason why there are none."""
    script = str(HERE / row.script)
    with tempfile.TemporaryDirectory() as cache:
        variables = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
        variables |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        variables["PYTHONPATH"] = str(ROOT) if row.environment == "pinnlab" else ""
        command = [python, script, f"--problem={problem}", f"--method={row.method}", f"--seed={seed}"]
        command += [f"--seconds={seconds}", f"--threads={threads}", f"--started={time.time()}"]
        try:
            done = subprocess.run(
                command, cwd=cache, env=variables, capture_output=True, text=True, timeout=10 * seconds + 300
            )
            reason = (done.stderr.strip().splitlines() or ["printed no measurement"])[-1]
        except subprocess.TimeoutExpired as error:
            done, reason = None, f"did not end in {error.timeout:g} s"
    printed = done.stdout.splitlines() if done is not None and done.returncode == 0 else []
    lines = [json.loads(line) for line in printed if line.startswith('{"peer"')]
    if not lines:
        return [{"row": row.name, "problem": problem, "seed": seed, "failed": reason}]
    return [{"row": row.name, **line} for line in lines]


def processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if info.exists() and names else platform.processor() or platform.machine()


def main() -> None:
    """Makes all runs, then the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of training for every run")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--problems", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--threads", type=int, default=2, help="and cores that a run may use")
    parser.add_argument("--envs", type=Path, default=Path.home() / ".cache" / "pinnlab-peers")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="the folder of page and CSV file")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    pythons = {row: environment(ROWS[row].environment, given.envs) for row in given.rows}
    if hasattr(os, "sched_setaffinity"):  # JAX takes all cores that it may use, whatever OMP_NUM_THREADS says
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.threads])
    began, lines = time.time(), []
    for seed in given.seeds:
        for problem in given.problems:
            for row in given.rows:
                found = measure(ROWS[row], pythons[row], problem, seed, given.seconds, given.threads)
                lines += found
                print(f"{problem}, seed {seed}, {row}: {found[-1].get('failed') or found[-1]['error']}", flush=True)
    facts = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": given.threads,
        "date": datetime.date.today().isoformat(),
        "load": load,
        "minutes": (time.time() - began) / 60,
        "python": platform.python_version(),
        "command": " ".join(["python tests/benchmarks/peers/run.py", *sys.argv[1:]]),
        "seconds": given.seconds,
        "seeds": given.seeds,
    }
    given.out.mkdir(exist_ok=True, parents=True)
    (given.out / "leaderboard.csv").write_text(report.table_of_lines(lines))
    (given.out / "leaderboard.md").write_text(report.page(lines, facts))


if __name__ == "__main__":
    main()
