"""What the study of derivative orders found: slopes, what the ends of the interval do, spectra, a figure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pinnlab.studies.derivative_order.runs import ORDERS, STUDY, WAVE_NUMBERS
from pinnlab.studies.engine.figures import panels
from pinnlab.studies.engine.recording import numbers
from pinnlab.studies.engine.report import Page, if_made, markdown_table
from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.engine.summaries import mean_interval, median_curve, slope

FIRST, LAST = 4, 16
"""The wave numbers between which slopes are taken: more than a window blurs, and less than Fourier features know."""

ASKED = (1, 2)
"""The orders of most equations; the law is judged by them."""

DERIVED = ORDERS[1:]
"""The orders that are compared with order 0."""


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `derivative_order.md` and its figure into a folder; returns the files."""
    runs, page = Runs(rows).done, Page(STUDY.name)
    networks = runs.by("setting")
    page.add(HEAD.format(seeds=len(runs.seeds)))
    page.section("Slopes", SLOPES.format(first=FIRST, last=LAST), if_made(_slopes, networks), VERDICT)
    page.figure("Quotients by frequency", if_made(_figure, networks))
    page.section("Why plain networks have no slope", WHY, if_made(_ends, networks))
    page.section("What it does to the spectrum", SPECTRUM, if_made(_spectra, networks))
    page.section("What follows", if_made(_reading, networks))
    return page.write(folder)


HEAD = """# Does a derivative of order p make the kernel grow as omega^2p?

The residual of an equation of order p contains p derivatives, each of which multiplies a wave of frequency omega by
omega. So, it is said, the kernel (and the Gauss-Newton matrix, which has the same eigenvalues) grows as omega^2p:
high frequencies become stiff, and the condition number grows with the order. Is that so?

This study measures it on untrained networks, {seeds} draws of the weights each: K_p is the neural tangent kernel of the
p-th derivative of u on [-1, 1], on 256 equally spaced points, and q'K_p q is its Rayleigh quotient for a wave q of
norm 1. K_uu is p = 0, K_rr the others. No training is involved. `pinnlab study derivative_order` makes the CSV file
and writes this page.

The networks: `plain` is an `MLP` with two hidden layers of 64, `plain_256` of 256; `siren` has its default frequency 5;
`fourier_10` and `fourier_30` are the plain one behind 64 Fourier features of these scales; `periodic` is the plain one
behind a `PeriodicEmbedding` with 8 harmonics. All start as they always do (Glorot, `SIREN`'s own).
"""

SLOPES = """The slope of log(K_rr / K_uu) against log(omega) from k = {first} to k = {last}, omega = pi k: mean and 95 %
confidence interval over the draws. Three kinds of waves: `sine` is sin(omega x) as it stands; `phases` averages the
quotients of sine and cosine; `packet` is the same with both multiplied by the Hann window cos^2(pi x / 2), which takes
them smoothly to zero at the ends of the interval. *Within 10 %*: whether the whole intervals of p = 1 and of p = 2 lie
within 10 % of 2p.
"""

VERDICT = """- **The law is exact where the ends play no part.** For the periodic network integration by parts leaves
  nothing behind, and an even p gives omega^2p for every single draw; an odd p turns sine into cosine, and gives it for
  the average of the two.
- **On an interval it holds for p = 1 and p = 2 if the network knows these frequencies** and the wave is kept away from
  the ends: with Fourier features the slopes of packets are within 2 % of 2p. For the sine as it stands the ends take up
  to a fifth off.
- **A plain tanh network does not follow it at all**: the slope is zero for every order instead of 2 and 4 (0.01 in size
  for sines, 0.08 at most with the phase averaged), also with another width; with a window it is zero or below. The next
  section shows why. Nor does `siren` here: its kernel ends near k = 6, below which it follows the law, too (see the
  figure).
- p = 4 needs more care: what the window lets through from frequencies far above, where omega^8 is largest, covers the
  band for `fourier_30`.
"""

WHY = """J'q for q = sin(omega x) is, up to a factor, the integral of sin(omega x) g(x), where g is the gradient of the
p-th derivative with respect to the parameters. By parts that is cos(omega) (g(-1) - g(1)) / omega, and an integral of
g' that is smaller by another omega. If g has no such frequency, only the ends are left: the quotient falls as omega^-2
for every p, and K_rr / K_uu is a constant that does not depend on omega,
|g_p(1) - g_p(-1)|^2 / |g_0(1) - g_0(-1)|^2.

The table divides the measured ratio at the highest frequency by that constant (median over the draws): 1 means that
the ends explain all of it. They do for the plain networks, and nearly so for `siren`. So no Rayleigh quotient of a sine
on an interval says anything about the derivatives of a plain network. A window does not help: it shows the tail of its
own transform instead of the ends, because the kernel of such a network, that of low-order polynomials, has nothing at
these frequencies that could be seen.
"""

SPECTRUM = """K_rr is omega^2p K_uu, and K_uu falls. What the spectrum does is the product of the two. *Rank* is the
effective rank of K_p on the 256 points (exp of the entropy of its eigenvalues), *peak* the wave number with the largest
quotient (phases), medians over the draws.
"""

READING = """- "Stiffness grows as omega^2p" is right about the operator and says little about the network. The kernel
  of a plain network on an interval has an effective rank of {plain_low:.1f} to {plain_high:.1f} whatever the order: it
  is badly conditioned because it has no high frequencies, not because they are stiff.
- Where there are high frequencies, derivatives first flatten the spectrum and then turn it around. With Fourier
  features of scale 10 the effective rank is {rank_0:.0f} for the function, {rank_2:.0f} for its second derivative, with
  much the same quotient from k = 4 to k = 20: for an equation of order two such features are close to ideal. The
  fourth derivative favours k = {peak_4}, and the low frequencies, which carry most solutions, come last.
- So the higher the order of the equation, the lower the scale of the features should be.
- An error of frequency omega in u is a residual of size omega^p, and shrinks at the rate K_rr. By this kernel, spectral
  bias is weaker for second-order equations than in regression, not stronger, if the network has the frequency at all.
- Quote such slopes for periodic problems or windowed waves only.
"""


def growth(row: Row, name: str, order: int, wave_numbers: Sequence[int]) -> float:
    """The slope of log K_rr(omega) / K_uu(omega) against log omega from `FIRST` to `LAST` in one run."""
    ratios = _ratios(row, name, order)
    used = [(math.log(k), math.log(r)) for k, r in zip(wave_numbers, ratios, strict=True) if FIRST <= k <= LAST]
    return slope([x for x, _ in used], [y for _, y in used])


def _ratios(row: Row, name: str, order: int) -> list[float]:
    above, below = numbers(row[f"{name}_{order}"]), numbers(row[f"{name}_0"])
    return [a / b for a, b in zip(above, below, strict=True)]


def _slopes(networks: Mapping[str, Runs]) -> str:
    lines = []
    for network, own in networks.items():
        for name in ("sine", "phases", "packet"):
            found = {p: mean_interval([growth(row, name, p, WAVE_NUMBERS) for row in own]) for p in DERIVED}
            cells = [f"{mean:.2f} ± {half:.2f}" for mean, half in found.values()]
            good = all(abs(found[p][0] - 2 * p) + found[p][1] <= 0.1 * 2 * p for p in ASKED)
            lines.append([network, name, *cells, "yes" if good else "no"])
    laws = (f"p = {p} (law: {2 * p})" for p in DERIVED)
    return markdown_table(["network", "test function", *laws, "within 10 %"], lines)


def _ends(networks: Mapping[str, Runs]) -> str:
    """Measured ratio at the last frequency over the ratio that the ends of the interval alone predict."""
    lines = []
    for network, own in networks.items():
        measured = ([_ratios(row, "sine", p)[-1] / _end_ratio(row, p) for row in own] for p in DERIVED)
        quotients = median_curve(own.curves("sine_0"))
        cells = [f"{quotients[-1] / quotients[0]:.1e}", *(f"{statistics.median(ratios):.3g}" for ratios in measured)]
        lines.append([network, *cells])
    heading = ["network", f"K_uu at k = {WAVE_NUMBERS[-1]} / at {WAVE_NUMBERS[0]}", *(f"p = {p}" for p in DERIVED)]
    return markdown_table(heading, lines)


def _end_ratio(row: Row, order: int) -> float:
    return float(row[f"ends_{order}"]) / float(row["ends_0"])


def _spectra(networks: Mapping[str, Runs]) -> str:
    lines = []
    for network, own in networks.items():
        ranks = [f"{_rank(own, p):.1f}" for p in ORDERS]
        lines.append([network, *ranks, *(str(_peak(own, p)) for p in ORDERS)])
    names = [f"p = {p}" for p in ORDERS]
    return markdown_table(["network", *(f"rank, {n}" for n in names), *(f"peak, {n}" for n in names)], lines)


def _rank(runs: Runs, order: int) -> float:
    return runs.median(f"effective_rank_{order}")


def _peak(runs: Runs, order: int) -> int:
    curve = median_curve(runs.curves(f"phases_{order}"))
    return WAVE_NUMBERS[curve.index(max(curve))]


def _reading(networks: Mapping[str, Runs]) -> str:
    plain = [_rank(networks["plain"], p) for p in ORDERS]
    fourier = networks["fourier_10"]
    return READING.format(
        plain_low=min(plain), plain_high=max(plain), rank_0=_rank(fourier, 0), rank_2=_rank(fourier, 2),
        peak_4=_peak(fourier, 4),
    )  # fmt: skip


def _figure(networks: Mapping[str, Runs]) -> Any:
    """Ratios of quotients by frequency for sines and for packets, and the quotients themselves by order."""
    figure, (left, middle, right) = panels(1, 3, 12, 4.2)
    for axes, name, title in (
        (left, "sine", "sin(ωx): the ends leak in"),
        (middle, "packet", "windowed: the ends are hidden"),
    ):
        for network, own in networks.items():
            ratios = median_curve(_ratios(row, name, 2) for row in own)
            axes.loglog(WAVE_NUMBERS, ratios, marker=".", ms=4, lw=1.2, label=network)
        law = [(math.pi * k) ** 4 for k in WAVE_NUMBERS]
        axes.loglog(WAVE_NUMBERS, law, color="black", ls="--", lw=1.2, label="ω⁴")
        axes.axvspan(FIRST, LAST, color="0.93", zorder=0)
        axes.set(title=title, xlabel="wave number k, ω = πk", ylabel="K_rr / K_uu for p = 2")
    middle.set_ylim(left.get_ylim())
    left.legend(fontsize=8)
    for network, style, shown in (("fourier_10", "-", ORDERS), ("plain", ":", (0, 2))):
        for p in shown:
            curve = median_curve(networks[network].curves(f"packet_{p}"))
            scaled = [value / curve[0] for value in curve]
            right.loglog(WAVE_NUMBERS, scaled, color=f"C{p}", ls=style, label=f"{network}, p = {p}")
    right.set(title="quotient by frequency (windowed)", xlabel="wave number k", ylabel="quotient / that at k = 1")
    right.legend(fontsize=8, loc="lower left")
    return figure
