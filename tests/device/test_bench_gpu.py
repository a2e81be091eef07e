"""The benchmark of a GPU runs, smaller, without one: it is known to work before it meets a card."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "bench_gpu.py"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_small_run_fills_its_tables(tmp_path):
    page = tmp_path / "page.md"
    command = [sys.executable, str(SCRIPT), "--small", "--out", str(page), "--minutes", "8"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=560)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert text.strip() == done.stdout.strip()
    cells = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in _rows(text)}
    for way in ("eager", "compiled", "replayed"):
        for kind in ("float32", "float64"):
            assert all(float(cell) > 0 for cell in cells[f"{way}, {kind}"])
    assert cells["1,000"][0] == "no"
    assert all(float(cell) > 0 for cell in cells["1,000"][1:])
    for kind in ("problems", "networks", "runs of 20 steps"):
        tried, wrong = cells[kind]
        assert tried.split()[0] == tried.split()[2]
        assert wrong == "-"
    assert " s" in cells["`pinnlab fit -c burgers`, one step, not compiled"][0]
    assert all(cell.endswith(" s") for cell in cells["poisson2d_lm"])


def _rows(text):
    return [line.strip("| ").split("|") for line in text.splitlines() if line.startswith("| ")]
