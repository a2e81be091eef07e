"""What Taylor-mode derivatives cost: three ratios, each measured in one process by alternating runs.

    python tests/benchmarks/bench_derivatives.py --threads 2

Ratios rather than times, and medians over alternating runs, because the machine is usually shared.

What bounds them: Burgers' equation takes four channels of jets and, nested, as many matrix products; compiling
removes the time of everything else. In float64 the products are nine tenths of the compiled time (3 x 4 x 3 products
of 50 columns), so the second ratio follows the speed of the machine's matrix products and of its memory. The
Laplacian's work grows by 101 / 41 = 2.46.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pinnlab.derivatives import Field, Wanted, partials
from pinnlab.networks import MLP
from pinnlab.numerics.compiled_loss import CompiledLoss
from pinnlab.objective.blocked_loss import BlockedLoss

VISCOSITY = 0.01 / math.pi

Step = Callable[[], object]


def alternate(first: Step, second: Step, seconds: float) -> tuple[float, float]:
    """Median milliseconds of two functions that take turns for some time."""
    for _ in range(5):
        first(), second()
    times: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for function, record in zip((first, second), times, strict=True):
            start = time.perf_counter()
            function()
            record.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[0]), statistics.median(times[1])


def compiled_step(
    function: Callable[[nn.Module, Tensor], Tensor], network: nn.Module, points: Tensor, channels: int
) -> Step:
    """Loss and gradient of a residual `(network, points) -> (n,)`, compiled and in blocks as the module does it."""

    def sums(parameters: dict[str, Tensor], inputs: dict[str, Tensor]) -> Tensor:
        def call(x: Tensor) -> Tensor:
            return functional_call(network, parameters, (x,))

        return function(call, inputs["pde"]).square().sum()[None]  # type: ignore[arg-type]

    loss_of = BlockedLoss(CompiledLoss(sums), {"pde": channels * max(p.shape[0] for p in network.parameters())})
    parameters = dict(network.named_parameters())

    def step() -> object:
        loss, _ = loss_of(parameters, {"pde": points}, points.new_tensor([1 / len(points)]))
        return torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)

    start = time.perf_counter()
    step()
    print(f"    compiled in {time.perf_counter() - start:.1f} s")
    return step


def burgers(network: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """The residual of Burgers' equation by jets."""
    wanted = Wanted(frozenset({(0,), (1,), (0, 0)}))
    u = Field("u", ("x", "t"), partials(network, points, wanted), 0)
    return u.t + u * u.x - VISCOSITY * u.xx


def burgers_nested(network: nn.Module, points: Tensor) -> Step:
    """Loss and gradient of the same residual as everybody writes it: nested calls of autograd.grad."""

    def step() -> object:
        x = points.clone().requires_grad_(True)
        u = network(x)
        (first,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first[:, 0].sum(), x, create_graph=True)
        residual = first[:, 1] + u[:, 0] * first[:, 0] - VISCOSITY * second[:, 0]
        return torch.autograd.grad(residual.square().mean(), list(network.parameters()))

    return step


def compare_burgers(count: int, dtype: torch.dtype, seconds: float) -> tuple[float, float]:
    """Milliseconds of nested autograd and of compiled jets."""
    torch.manual_seed(0)
    network = MLP(2, 1, hidden=[50] * 4).to(dtype)
    points = torch.rand(count, 2, dtype=dtype)
    return alternate(burgers_nested(network, points), compiled_step(burgers, network, points, 4), seconds)


def compare_laplacian(dimensions: tuple[int, int], count: int, seconds: float) -> tuple[float, float]:
    """Milliseconds of the Laplacian in two dimensions, both by compiled jets."""

    def laplacian(network: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
        axes = tuple(range(points.shape[-1]))
        return partials(network, points, Wanted(laplacians=frozenset({axes}))).laplacian(axes)[:, 0]

    def build(d: int) -> Step:
        network = MLP(d, 1, hidden=[64, 64]).double()
        return compiled_step(laplacian, network, torch.rand(count, d, dtype=torch.float64), d + 1)

    torch.manual_seed(0)
    return alternate(build(dimensions[1]), build(dimensions[0]), seconds)


def main() -> None:
    """Prints one line for each ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each pair takes turns")
    parser.add_argument("--only", type=int, default=-1, help="the number of the one line to measure")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    seconds = arguments.seconds
    cases: list[tuple[str, str, Callable[[], tuple[float, float]]]] = [
        ("Burgers 4x50, 10,000 points, float32: nested / compiled jets", ">= 1.4",
         lambda: compare_burgers(10_000, torch.float32, seconds)),
        ("Burgers 4x50, 1,000 points, float64: nested / compiled jets", ">= 1.7",
         lambda: compare_burgers(1_000, torch.float64, seconds)),
        ("Laplacian 2x64, 1,000 points, float64: d = 100 / d = 40", "<= 2.5",
         lambda: compare_laplacian((40, 100), 1_000, seconds)),
    ]  # fmt: skip
    for number, (title, target, measure) in enumerate(cases):
        if arguments.only in (-1, number):
            above, below = measure()
            print(f"{title:62} {above:8.2f} ms / {below:7.2f} ms = {above / below:5.2f}  (target {target})")


if __name__ == "__main__":
    main()
