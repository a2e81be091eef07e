"""What a GPU gives: right or not, the time of a loss with its gradient, of an update, memory, recipes, the first step.

    python tests/benchmarks/bench_gpu.py [--small] [--write] [--out FILE] [--minutes 5.75]

Prints short tables, with card, driver, torch and date; `--write` puts them into docs/gpu.md, `--out` into a file, line
by line as they come, so that what is there stays when the run is ended. Burgers' equation, tanh, 4 hidden layers of 50;
JAX, if it is installed for this GPU, computes the same loss by nested `jvp` in the same run. Recipes run beside
themselves on the CPU with two threads. Each part has its share of the time, and what those before have left; what it
does not suffice for is left out, and said. What computes here does so in a process of its own, which is ended where its
time is over: an error that a GPU does not recover from, or a wait without end, costs that part only. `--small` runs a
part of each on a CPU, with a card that is not there in place of the GPU: numbers of it mean nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import io
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # else JAX takes three quarters of the card
TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "device"), str(Path(__file__).parent)]

from gpu_processes import THREADS, Clock, Recipe, apart, kill  # noqa: E402

from pinnlab.networks import MLP  # noqa: E402
from pinnlab.numerics.compiled_loss import CompiledLoss, leave_gradient  # noqa: E402
from pinnlab.numerics.compiled_value import CompiledValue  # noqa: E402
from pinnlab.numerics.compiler import Compiler  # noqa: E402
from pinnlab.numerics.graph_replay import PLAIN_CALLS, evaluator, recordings_for, share_of  # noqa: E402
from pinnlab.objective.blocked_loss import blocked  # noqa: E402
from pinnlab.objective.residuals import ResidualSystem  # noqa: E402
from pinnlab.objective.trial_function import Trial  # noqa: E402
from pinnlab.problems import Burgers  # noqa: E402

PAGE = TESTS.parent / "docs" / "gpu.md"
RECIPES = ("burgers", "burgers_broyden", "allen_cahn", "poisson2d_lm", "burgers_ng")
WAYS = ("eager", "compiled", "replayed", "JAX")
CHECKED_COMPILED = ("burgers_soft", "allen_cahn_periodic", "poisson2d_neumann", "wave", "biharmonic1d")
NU = 0.01 / 3.141592653589793
SHARES = {"times": 0.3, "recipes": 0.25, "first step": 0.12, "updates": 0.12, "right": 0.21}
"""Of the time, in the order in which it is spent: what may come to nothing in a hurry is last."""
ACCELERATORS = {"cuda": "gpu", "cpu": "cpu"}


def first_line(error: BaseException) -> str:
    """What is said of an error."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:90].replace("|", "/")


# ------------------------------------------------------------------------------------- right


def right(device: torch.device, small: bool, clock: Clock) -> Iterator[str]:
    """One line for each kind: how many give on the device what they give on the CPU, and which do not."""
    yield "| right on the device | | not |"
    yield "|---|---|---|"
    import test_device_fits as fits
    import test_device_objective as objectives
    from cases import NETWORKS, PROBLEMS

    place, network = "cuda" if device.type == "cuda" else "card", MLP(2, 1, hidden=[6, 5])
    kinds: dict[str, dict[str, Callable[[], Any]]] = {
        "problems": {
            name: lambda build=build: objectives.agree(p := build(), objectives.small_network(p), place)
            for name, build in PROBLEMS.items()
        },
        "networks": {
            name: lambda build=build: objectives.agree(PROBLEMS["burgers_soft"](), build(2, 1), place)
            for name, build in NETWORKS.items()
        },
        "runs of 20 steps": {name: lambda name=name: fits.agrees(name, place) for name in ["plain", *fits.PHASES]},
    }
    if place == "cuda":
        kinds["compiled problems"] = {
            name: lambda name=name: objectives.agree(PROBLEMS[name](), network, place, True)
            for name in CHECKED_COMPILED
        }
    for kind, checks in kinds.items():
        wrong, reached, begin = [], 0, time.monotonic()
        for name, check in list(checks.items())[:: 6 if small else 1]:
            if time.monotonic() - begin > 15 or clock.left < 0:
                break
            reached += 1
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    check()
            except Exception as error:
                wrong.append(f"{name} ({first_line(error)})")
        yield f"| {kind} | {reached - len(wrong)} of {reached} tried, of {len(checks)} | {'; '.join(wrong) or '-'} |"


# ------------------------------------------------------------------------------------- times


def loss_and_gradient(way: str, dtype: torch.dtype, device: torch.device) -> Callable[[torch.Tensor], Any]:
    """Evaluates loss and gradient on points `(n, 2)`, in one of `WAYS`."""
    if way == "JAX":
        import jax_burgers

        return jax_burgers.loss_and_gradient(dtype, NU, device.type == "cuda")
    problem = Burgers(viscosity=NU, exact_conditions=False)
    torch.manual_seed(0)
    trial = Trial(problem, MLP(2, 1, hidden=[50] * 4)).to(device, dtype)
    system = ResidualSystem(problem, trial, "taylor")
    recordings = recordings_for(device) if way == "replayed" else None
    makes: dict[str, Callable[..., Any]] = {
        "eager": lambda function: function,
        "compiled": CompiledValue,
        "replayed": lambda function: evaluator(function, Compiler(), recordings=recordings),
    }
    evaluate = CompiledLoss(system.squared_sums, makes[way])
    # The card's blocks also where the small run has none: this is what is to be timed.
    loss = blocked(evaluate, system.floats_per_row(), system.layers(), device, share=share_of(recordings))
    tensors = trial.tensors()

    def run(points: torch.Tensor) -> None:
        for p in trial.parameters():
            p.grad = None
        value, _ = loss(tensors, {"pde": points}, points.new_full((1,), 1 / len(points)))
        assert leave_gradient(value)

    return run


def milliseconds(run: Callable[[torch.Tensor], Any], points: torch.Tensor, clock: Clock) -> float:
    """The median of up to 50 evaluations."""
    device = points.device
    for _ in range(PLAIN_CALLS + 3):
        run(points)
    seen: list[float] = []
    begin = time.monotonic()
    while len(seen) < 50 and (len(seen) < 3 or time.monotonic() - begin < min(2.0, clock.left / 50)):
        synchronise(device)
        before = time.perf_counter()
        run(points)
        synchronise(device)
        seen.append(time.perf_counter() - before)
    return 1e3 * statistics.median(seen)


def synchronise(device: torch.device) -> None:
    """Waits for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def times(device: torch.device, small: bool, clock: Clock) -> Iterator[str]:
    """Milliseconds, and GiB at most, for each way, precision and number of points."""
    numbers = (1_000, 3_000) if small else (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
    yield "| loss + gradient, ms (GiB) | " + " | ".join(f"{n:,} points" for n in numbers) + " |"
    yield "|---" * (1 + len(numbers)) + "|"
    for dtype in (torch.float32, torch.float64):
        for way in WAYS:
            name = f"{way}, {str(dtype).removeprefix('torch.')}"
            try:
                run = loss_and_gradient(way, dtype, device)
            except Exception as error:  # the other rows are to come
                yield f"| {name} | {first_line(error)} |" + " |" * (len(numbers) - 1)
                continue
            cells = [one_time(way, run, count, dtype, device, clock) for count in numbers]
            yield f"| {name} | {' | '.join(cells)} |"


def one_time(
    way: str, run: Callable[[torch.Tensor], Any], count: int, dtype: torch.dtype, device: torch.device, clock: Clock
) -> str:
    """One cell of the table."""
    if clock.left < 5:
        return "no time"
    points = torch.rand(count, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    points = (2 * points - 1).to(device, dtype)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    try:
        found = f"{milliseconds(run, points, clock):.2f}"
    except Exception as error:  # out of memory is a result
        return type(error).__name__
    if device.type == "cuda" and way != "JAX":  # which has an allocator of its own
        found += f" ({torch.cuda.max_memory_reserved(device) / 2**30:.2g})"
    return found


# ----------------------------------------------------------------------------------- recipes


def recipes(
    device: torch.device, small: bool, names: Sequence[str], clock: Clock, found: dict[str, str]
) -> Iterator[str]:
    """What each comes to on the card, one after the other; kept for the table, too."""
    for place, name in enumerate(names):
        own = Recipe(name, ACCELERATORS[device.type], small, THREADS)
        own.wait(clock.left / (len(names) - place))
        found[name] = own.end()
        yield f"- {name} on the device: {found[name]}"


def first_step(device: torch.device, small: bool, clock: Clock) -> Iterator[str]:
    """Seconds of the whole command with one step, compiled with an empty cache and not."""
    yield "| first step, with the start of Python | |"
    yield "|---|---|"
    with tempfile.TemporaryDirectory() as cache:
        environment = {"TORCHINDUCTOR_CACHE_DIR": cache, "TRITON_CACHE_DIR": str(Path(cache) / "triton")}
        for compiled in (False,) if small else (False, True):
            options = ("--trainer.max_steps=1", f"--model.compile={str(compiled).lower()}", "--trainer.logger=false")
            run = Recipe("burgers", ACCELERATORS[device.type], small, environment, *options)
            run.wait(clock.left)
            word = "compiled, empty cache" if compiled else "not compiled"
            yield f"| `pinnlab fit -c burgers`, one step, {word} | {run.end()} |"


def updates(device: torch.device, small: bool) -> Iterator[str]:
    """Milliseconds of whole updates, in a loop of one's own and by the trainer."""
    import bench_overhead

    rows: Iterator[str] = bench_overhead.rows((1000,), (False,) if small else (False, True), 1, device)
    while True:
        with contextlib.redirect_stdout(io.StringIO()):
            row = next(rows, None)
        if row is None:
            return
        yield row


# -------------------------------------------------------------------------------------- main


def chosen(small: bool) -> torch.device:
    """The GPU; the CPU in a small run."""
    return torch.device("cuda", 0) if torch.cuda.is_available() and not small else torch.device("cpu")


def machine(device: torch.device) -> str:
    """Card, driver, torch and date."""
    where = "no card (a small run on a CPU: the numbers mean nothing)"
    if device.type == "cuda":
        driver = ["unknown"]
        with contextlib.suppress(OSError):
            query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
            driver = subprocess.run(query, capture_output=True, text=True).stdout.strip().splitlines() or driver
        where = f"{torch.cuda.get_device_name(device)}, driver {driver[0]}"
    return f"{where}, torch {torch.__version__}, {datetime.date.today()}"


class Page:
    """The tables as they come: printed, and written after every line, into the documentation, a file, or nowhere."""

    def __init__(self, write: bool, out: Path | None) -> None:
        self._write, self._out = write, out
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        """A line more."""
        print(line, flush=True)
        self._lines.append(line)
        text = "\n".join(self._lines)
        if self._out is not None:
            self._out.write_text(text + "\n")
        if self._write:
            begin, end = "<!-- bench_gpu: begin -->", "<!-- bench_gpu: end -->"
            PAGE.write_text(re.sub(f"(?s){begin}.*{end}", lambda _: f"{begin}\n{text}\n{end}", PAGE.read_text()))


def compute(part: str, small: bool, seconds: float) -> Iterator[str]:
    """A part that computes in this process."""
    device, clock = chosen(small), Clock(seconds)
    if part == "times":
        return times(device, small, clock)
    return updates(device, small) if part == "updates" else right(device, small, clock)


def report(page: Page, small: bool, minutes: float) -> None:
    """All tables; recipes on the CPU have the whole time, and are the last of them."""
    device, names = chosen(small), ("poisson2d_lm",) if small else RECIPES
    begin, spent, on_card = time.monotonic(), 0.0, dict[str, str]()
    beside = {name: Recipe(name, "cpu", small, THREADS) for name in names}
    starting: dict[str, Callable[[Clock], Iterator[str]]] = {
        "recipes": lambda clock: recipes(device, small, names, clock, on_card),
        "first step": lambda clock: first_step(device, small, clock),
    }
    page.add(f"Measured on: {machine(device)}.")
    try:
        for part, share in SHARES.items():
            spent += 60 * minutes * share
            page.add("")
            clock = Clock(spent - (time.monotonic() - begin))
            try:
                for line in starting[part](clock) if part in starting else apart(Path(__file__), part, small, clock):
                    page.add(line)
            except Exception as error:  # the other parts are to come
                page.add(f"{part}: {first_line(error)}")
        page.add("")
        page.add("| recipe: relative L2 error, seconds with start | GPU | CPU, two threads |")
        page.add("|---|---|---|")
        for name, other in beside.items():
            page.add(f"| {name} | {on_card.get(name, '-')} | {other.end()} |")
    finally:
        for other in beside.values():
            kill(other.process)


def main() -> None:
    """Prints the tables, and writes them where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--minutes", type=float, default=5.75)
    parser.add_argument("--part", choices=SHARES, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.part:
        for line in compute(options.part, options.small, options.seconds):
            print(line, flush=True)
        return
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(1))  # so that recipes that run beside it end, too
    report(Page(options.write, options.out), options.small, options.minutes)


if __name__ == "__main__":
    main()
