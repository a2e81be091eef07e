"""What a GPU gives: right or not, the time of a loss with its gradient, memory, whole recipes, the first step.

    python tests/benchmarks/bench_gpu.py [--small] [--write] [--minutes 6]

Prints short tables; `--write` puts them into docs/gpu.md, with card, driver, torch and date. Burgers' equation, tanh,
4 hidden layers of 50; JAX, if it is installed, computes the same loss by nested `jvp` in the same run. Recipes run
beside themselves on the CPU with two threads. What the time does not suffice for is left out, and said. `--small` runs
a part of each on a CPU, with a card that is not there in place of the GPU: numbers of it mean nothing.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # else JAX takes three quarters of the card
TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "device")]

import test_device_fits as fits  # noqa: E402
import test_device_objective as objectives  # noqa: E402
from cases import NETWORKS, PROBLEMS  # noqa: E402

from pinnlab.networks import MLP  # noqa: E402
from pinnlab.numerics.compiled_loss import CompiledLoss, leave_gradient  # noqa: E402
from pinnlab.numerics.compiled_value import CompiledValue  # noqa: E402
from pinnlab.numerics.compiler import Compiler  # noqa: E402
from pinnlab.numerics.graph_replay import PLAIN_CALLS, evaluator  # noqa: E402
from pinnlab.objective.blocked_loss import blocked  # noqa: E402
from pinnlab.objective.residuals import ResidualSystem  # noqa: E402
from pinnlab.objective.trial_function import Trial  # noqa: E402
from pinnlab.problems import Burgers  # noqa: E402

PAGE = TESTS.parent / "docs" / "gpu.md"
RECIPES = ("burgers", "burgers_broyden", "allen_cahn", "poisson2d_lm", "burgers_ng")
WAYS = ("eager", "compiled", "replayed", "JAX")
CHECKED_COMPILED = ("burgers_soft", "allen_cahn_periodic", "poisson2d_neumann", "wave", "biharmonic1d")
NU = 0.01 / 3.141592653589793


class Clock:
    """How much time is left."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - time.monotonic()


# ------------------------------------------------------------------------------------- right


def right(place: str, small: bool, clock: Clock) -> Iterator[str]:
    """One line for each kind: how many give on the device what they give on the CPU, and which do not."""
    network = MLP(2, 1, hidden=[6, 5])
    kinds: dict[str, dict[str, Callable[[], Any]]] = {
        "problems": {
            name: lambda build=build: objectives.agree(p := build(), objectives.small_network(p), place)
            for name, build in PROBLEMS.items()
        },
        "networks": {
            name: lambda build=build: objectives.agree(PROBLEMS["burgers_soft"](), build(2, 1), place)
            for name, build in NETWORKS.items()
        },
        "runs of 20 steps": {name: lambda name=name: run_agrees(name, place) for name in ["plain", *fits.PHASES]},
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
                check()
            except Exception as error:
                wrong.append(f"{name} ({str(error).splitlines()[0][:90] if str(error) else type(error).__name__})")
        yield f"| {kind} | {reached - len(wrong)} of {reached} tried, of {len(checks)} | {'; '.join(wrong) or '-'} |"


def run_agrees(name: str, place: str) -> None:
    """A whole run on the device against the CPU."""
    fits.test_a_run_on_a_device_is_the_run_on_the_cpu(name, place, False)


# ------------------------------------------------------------------------------------- times


def loss_and_gradient(way: str, dtype: torch.dtype, device: torch.device) -> Callable[[torch.Tensor], Any]:
    """Evaluates loss and gradient on points `(n, 2)`, in one of `WAYS`."""
    if way == "JAX":
        return jax_loss_and_gradient(dtype)
    problem = Burgers(viscosity=NU, exact_conditions=False)
    torch.manual_seed(0)
    trial = Trial(problem, MLP(2, 1, hidden=[50] * 4)).to(device, dtype)
    system = ResidualSystem(problem, trial, "taylor")
    makes: dict[str, Callable[..., Any]] = {
        "eager": lambda function: function,
        "compiled": CompiledValue,
        "replayed": lambda function: evaluator(function, device, Compiler()),
    }
    evaluate = CompiledLoss(system.squared_sums, makes[way])
    # The card's blocks also where the small run has none: this is what is to be timed.
    loss = blocked(evaluate, system.floats_per_point(), system.layers(), device)
    tensors = trial.tensors()

    def run(points: torch.Tensor) -> None:
        for p in trial.parameters():
            p.grad = None
        value, _ = loss(tensors, {"pde": points}, points.new_full((1,), 1 / len(points)))
        assert leave_gradient(value)

    return run


def jax_loss_and_gradient(dtype: torch.dtype) -> Callable[[torch.Tensor], Any]:
    """The same loss and gradient in JAX: nested jvp, jit."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    kind = jnp.float64 if dtype == torch.float64 else jnp.float32
    sizes = [2, 50, 50, 50, 50, 1]
    keys = jax.random.split(jax.random.PRNGKey(0), len(sizes))
    layers = [
        (jax.random.normal(key, (a, b), kind) / a**0.5, jnp.zeros(b, kind))
        for key, a, b in zip(keys, sizes, sizes[1:], strict=False)
    ]

    def network(parameters: Any, x: Any, t: Any) -> Any:
        h = jnp.stack([x, t], -1)
        for w, b in parameters[:-1]:
            h = jnp.tanh(h @ w + b)
        w, b = parameters[-1]
        return (h @ w + b)[:, 0]

    def loss(parameters: Any, points: Any) -> Any:
        x, t = points[:, 0], points[:, 1]
        ones = jnp.ones_like(x)
        slope = lambda x: jax.jvp(lambda x: network(parameters, x, t), (x,), (ones,))  # noqa: E731
        (u, u_x), (_, u_xx) = jax.jvp(slope, (x,), (ones,))
        u_t = jax.jvp(lambda t: network(parameters, x, t), (t,), (ones,))[1]
        return jnp.mean((u_t + u * u_x - NU * u_xx) ** 2)

    compiled = jax.jit(jax.value_and_grad(loss))
    kept: dict[int, Any] = {}

    def run(points: torch.Tensor) -> None:
        if id(points) not in kept:
            kept.clear()
            kept[id(points)] = jnp.asarray(points.cpu().numpy(), kind)
        jax.block_until_ready(compiled(layers, kept[id(points)]))

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
            except ImportError:
                yield f"| {name} | not installed" + " | " * len(numbers) + "|"
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


class Recipe:
    """A recipe that runs by the command in a process of its own."""

    def __init__(self, name: str, accelerator: str, small: bool, environment: dict[str, str], *options: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        short = ["--trainer.max_steps=2", "--model.compile=false", "--data.evaluation_points=300"] if small else []
        command = [sys.executable, "-m", "pinnlab", "fit", "-c", name, f"--trainer.accelerator={accelerator}"]
        self.begin = time.monotonic()
        self.seconds: float | None = None
        self.process = subprocess.Popen(
            [*command, "--trainer.devices=1", *short, *options], cwd=self.folder.name,
            env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def look(self) -> bool:
        """Whether it is over; notes when."""
        if self.seconds is None and self.process.poll() is not None:
            self.seconds = time.monotonic() - self.begin
        return self.seconds is not None

    def end(self) -> str:
        """Error and seconds; ends it where it is not over."""
        if not self.look():
            self.process.kill()
            self.process.wait()
            return f"not over after {time.monotonic() - self.begin:.0f} s"
        stderr = self.process.stderr.read() if self.process.stderr else ""
        if self.process.returncode:
            return f"exit code {self.process.returncode}: {(stderr.strip().splitlines() or ['?'])[-1][:90]}"
        summary = json.loads(next(Path(self.folder.name).rglob("summary.json")).read_text())
        return f"{max(summary['relative_l2'].values()):.1e}, {self.seconds:.0f} s"


def recipes(gpu: bool, small: bool, beside: dict[str, Recipe], clock: Clock) -> Iterator[str]:
    """One after the other on the card; on the CPU they have been running all the while."""
    yield "| recipe: relative L2 error, seconds with start | GPU | CPU, two threads |"
    yield "|---|---|---|"
    found = {}
    for name in beside:
        own = Recipe(name, "gpu" if gpu else "cpu", small, {"OMP_NUM_THREADS": "2"})
        while not own.look() and clock.left > 0:
            time.sleep(0.2)
            _ = [other.look() for other in beside.values()]
        found[name] = own.end()
    for name, result in found.items():
        yield f"| {name} | {result} | {beside[name].end()} |"


def first_step(gpu: bool, small: bool) -> Iterator[str]:
    """Seconds of the whole command with one step, compiled with an empty cache and not."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {"TORCHINDUCTOR_CACHE_DIR": cache, "TRITON_CACHE_DIR": str(Path(cache) / "triton")}
        for compiled in (False,) if small else (True, False):
            options = ("--trainer.max_steps=1", f"--model.compile={str(compiled).lower()}", "--trainer.logger=false")
            run = Recipe("burgers", "gpu" if gpu else "cpu", small, environment, *options)
            error = run.process.communicate(timeout=120)[1]
            seconds, code = time.monotonic() - run.begin, run.process.returncode
            word = "compiled, empty cache" if compiled else "not compiled"
            failed = f", exit code {code}: {error.strip().splitlines()[-1][:80]}" if code else ""
            yield f"| `pinnlab fit -c burgers`, one step, {word} | {seconds:.1f} s{failed} |"


# -------------------------------------------------------------------------------------- main


def machine(device: torch.device) -> str:
    """Card, driver, torch and date."""
    where = "no card (a small run on a CPU: the numbers mean nothing)"
    if device.type == "cuda":
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        driver = subprocess.run(query, capture_output=True, text=True).stdout.strip().splitlines()
        where = f"{torch.cuda.get_device_name(device)}, driver {(driver or ['unknown'])[0]}"
    return f"{where}, torch {torch.__version__}, {datetime.date.today()}"


def report(small: bool, minutes: float) -> Iterator[str]:
    """All tables, line by line."""
    gpu = torch.cuda.is_available() and not small
    device, clock = torch.device("cuda", 0) if gpu else torch.device("cpu"), Clock(60 * minutes)
    beside = {} if small else {name: Recipe(name, "cpu", small, {"OMP_NUM_THREADS": "2"}) for name in RECIPES}
    yield f"Measured on: {machine(device)}."
    yield ""
    yield from times(device, small, clock)
    yield ""
    yield "| right on the device | | not |"
    yield "|---|---|---|"
    yield from right("cuda" if gpu else "card", small, clock)
    yield ""
    yield "| first step, with the start of Python | |"
    yield "|---|---|"
    yield from first_step(gpu, small)
    yield ""
    if small:
        beside = {"poisson2d_lm": Recipe("poisson2d_lm", "cpu", small, {"OMP_NUM_THREADS": "2"})}
    yield from recipes(gpu, small, beside, clock)


def main() -> None:
    """Prints the tables, and writes the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--minutes", type=float, default=6.0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    lines = []
    for line in report(options.small, options.minutes):
        print(line, flush=True)
        lines.append(line)
    if options.write:
        begin, end = "<!-- bench_gpu: begin -->", "<!-- bench_gpu: end -->"
        text = "\n".join(lines)
        PAGE.write_text(re.sub(f"(?s){begin}.*{end}", lambda _: f"{begin}\n{text}\n{end}", PAGE.read_text()))


if __name__ == "__main__":
    main()
