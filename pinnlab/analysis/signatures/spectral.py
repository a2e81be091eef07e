"""Spectral bias: networks learn low frequencies first (Rahaman et al., arXiv 1806.08734), and some never the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pinnlab.analysis.signatures.record import OCTAVES, Bands, Finding, Record
from pinnlab.analysis.signatures.series import recent

SPECTRAL_BIAS = "spectral bias"


def spectral_bias(
    record: Record,
    learned: float = 0.2,
    left: float = 0.5,
    stays: float = 0.8,
    share: float = 0.01,
    times: float = 3.0,
    patience: int = 3,
) -> list[Finding]:
    """Low frequencies of the solution have long been learned; what is left are high ones, and they stay.

    Of a problem without a reference, the residual is looked at: each band relative to its largest value so far. Looks
    at a run that holds late times back are left out: what those times have is not learned because it is not trained.

    Args:
        record: of the run.
        learned: the relative error, in size, at which a band of frequencies counts as learned; the square of it for a
            residual, of which the largest value is a rougher scale.
        left: that of a higher band from which on it counts as not learned; 1 is where training begins. Such bands hold
            more than half of the mean-square error.
        stays: and it is more than this share of what it was when the low band was learned.
        share: of the solution's norm that a band must have to be looked at.
        times: how many times longer than the low band the high ones have had, in evaluations.
        patience: looks in a row.
    """
    looks, found = [look for look in record.looks if not look.held_back], []
    for name in looks[-1].bands if looks else ():
        seen = [(look.evaluations, look.bands[name]) for look in looks if name in look.bands]
        errors, now = relative_errors([bands for _, bands in seen], share), seen[-1][1]
        limit = learned if now.reference else learned**2
        low = next((band for band, size in errors[-1].items() if size <= limit), None)
        if low is None:
            continue
        first = next(k for k, sizes in enumerate(errors) if sizes[low] <= limit)
        least = {band: max(left, stays * size) for band, size in errors[first].items() if band > low}
        pairs = zip(errors, (bands.error for _, bands in seen), strict=True)
        high = recent(
            patience, (_left(sizes, energies, least) if sizes[low] <= limit else [] for sizes, energies in pairs)
        )
        since = seen[first][0]
        if high and all(high) and seen[-1][0] >= times * since:
            band, what = high[-1][0], "error" if now.reference else "residual"
            evidence = (
                f"the {what} of {name} is {errors[-1][band]:.2g} of what there is to "
                f"learn {waves(band)}, and {errors[-1][low]:.2g} {waves(low)}, which were learned at evaluation {since}"
            )
            advice = (
                "give the network FourierFeatures (embedding), or add a phase with a quasi-Newton or Gauss-Newton "
                "method such as SSBroyden"
            )
            found.append(Finding(SPECTRAL_BIAS, name, looks[-1].step, evidence, advice))
    return found


def waves(band: int) -> str:
    """The frequencies of a band in words."""
    if band == 0:
        return "in 1 half wave or less"
    low, high = OCTAVES[band - 1] + 1, OCTAVES[band]
    if not math.isfinite(high):
        return f"in {low:.0f} half waves and more"
    return f"in {low:.0f} half waves" if low == high else f"in {low:.0f} to {high:.0f} half waves"


def relative_errors(series: Sequence[Bands], share: float = 0.01) -> list[dict[int, float]]:
    """The relative error in each band that matters, in size; of a residual, relative to its largest value.

    Args:
        series: at several times.
        share: of the solution's norm that a band must have.
    """
    largest = [max(values) for values in zip(*(bands.error for bands in series), strict=True)]
    scales = series[-1].reference or largest
    matters = [band for band, scale in enumerate(scales) if scale > share**2 * sum(scales)]
    return [{band: math.sqrt(bands.error[band] / scales[band]) for band in matters} for bands in series]


def _left(sizes: Mapping[int, float], energies: Sequence[float], least: Mapping[int, float]) -> list[int]:
    """The bands whose relative error is at least so large, if they hold more than half of the error; else none."""
    bands = [band for band, size in least.items() if sizes[band] >= size]
    return bands if sum(energies[band] for band in bands) > sum(energies) / 2 else []
