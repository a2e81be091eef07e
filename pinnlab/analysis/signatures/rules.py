"""The signatures: each looks at a run so far and says what is wrong. Pure functions of the record.

All thresholds are ratios: no scale of the equation, of the solution or of the loss is in them. A signature speaks when
it has held for some looks in a row, because points that were drawn a moment ago, or a phase that has just begun, look
like many failures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from pinnlab.analysis.signatures.record import Finding, Look, Record
from pinnlab.analysis.signatures.series import recent, shares_of_largest
from pinnlab.analysis.signatures.spectral import SPECTRAL_BIAS, spectral_bias

Rule = Callable[[Record], list[Finding]]

BOUNDARY_VIOLATION = "boundary violation"
DIVERGENCE_ON_SWITCH = "divergence on switch"
UNDER_RESOLUTION = "under-resolution"
STAGNATION = "stagnation with a large gradient"
COEFFICIENT = "vanishing coefficient gradient"
IMBALANCE = "loss terms out of balance"
FLOAT32_FLOOR = "float32 floor"
HELD_BACK = "late times held back"


def under_resolution(record: Record, factor: float = 100.0, patience: int = 2, growth: float = 100.0) -> list[Finding]:
    """The residual is much larger between the training points than at them.

    The network then fits the points and not the equation, and the training loss says nothing of the error. Where the
    residual of an equation between them has grown by far meanwhile, the network has put a jump there, as the solution
    of a conservation law with a shock has one: the residual grows with the square of its steepness, and more points
    make it steeper.

    Args:
        record: of the run.
        factor: what the held-out mean square may be times that of the training points. 100, ten times in size: up to
            there, an uneven residual and a small held-out set explain it as well.
        patience: looks in a row: points that were drawn a moment ago are not yet fitted evenly. One is enough when the
            optimizer has stalled, or the run has ended: they will not be fitted better.
        growth: of an equation's held-out mean square, against the largest one while the points were enough, from which
            on a jump is named: ten times in size. It was up to 23 for the front of Burgers' equation with too few
            points, and 880 or more for three scalar shocks and Sod's tube.
    """
    looks, found = record.looks, []
    for name, ratio in looks[-1].ratios.items() if looks else ():
        last = looks[-1].stalled or looks[-1].final
        ratios = recent(1 if last else patience, (look.ratios.get(name, 0.0) for look in looks))
        if ratios and min(ratios) > factor:
            evidence = (
                f"the held-out mean-square residual of condition {name!r} is {ratio:.2g} times that of its "
                f"{looks[-1].points[name]} training points, whose loss says nothing then"
            )
            advice = f"raise data.points.{name}, or add the callback ResidualResampling or FreshPoints"
            before = [
                look.equations[name]
                for look in looks
                if name in look.equations and not look.ratios.get(name, math.inf) > factor
            ]
            if looks[-1].equations.get(name, 0.0) > growth * max(before, default=math.inf):
                advice += "; if the solution jumps, as at a shock, no number is enough: take Weak, or add a viscosity"
            found.append(Finding(UNDER_RESOLUTION, name, looks[-1].step, evidence, advice))
    return found


def boundary_violation(
    record: Record, fall: float = 1e-3, kept: float = 0.1, size: float = 0.1, patience: int = 3
) -> list[Finding]:
    """The residual falls, and an initial or boundary condition does not: the network solves another problem.

    Mean squares on held-out points, without weights, relative to the largest ones seen so far.

    Args:
        record: of the run.
        fall: to what share the residual of every equation has fallen. 1e-3, thirty times in size: it is being solved.
        kept: the share of the condition that is still there.
        size: of a prescribed value: the violation over the solution, in size. Below a tenth it is a matter of accuracy.
        patience: looks in a row. The first steps of a run often fit the equation first.
    """
    looks, found = record.looks, []
    equations = shares_of_largest([look.equations for look in looks])
    sides = shares_of_largest([look.sides for look in looks])
    for name in sides[-1] if looks else ():
        solved = recent(patience, (max(shares.values(), default=1.0) for shares in equations))
        left = recent(patience, (shares.get(name, 0.0) for shares in sides))
        sizes = recent(patience, (look.sizes.get(name, math.inf) for look in looks))
        if solved and max(solved) <= fall and min(left) >= kept and min(sizes) >= size:
            big = f", {sizes[-1]:.2g} times the solution in size" if math.isfinite(sizes[-1]) else ""
            evidence = (
                f"the mean-square residual has fallen to {solved[-1]:.2g} of its largest value, that of condition "
                f"{name!r} is still {left[-1]:.2g} of its own{big}"
            )
            advice = (
                f"raise model.weights.{name}, add the callback LossBalancing, or let it hold exactly (ansatz of the "
                "problem)"
            )
            found.append(Finding(BOUNDARY_VIOLATION, name, looks[-1].step, evidence, advice))
    return found


def divergence_on_switch(record: Record, factor: float = 1e3) -> list[Finding]:
    """The loss blows up in the first steps of a new phase: its optimizer came too early, or steps too far.

    Args:
        record: of the run.
        factor: of the loss, against the smallest one before. 1,000, as `Rollback` has it, is far beyond Adam's spikes.
    """
    found = []
    for switch in record.switches:
        if switch.growth > factor:
            evidence = (
                f"the loss was {switch.worst:.2g} after {switch.after} steps of phase {switch.phase} "
                f"({switch.optimizer}), and {switch.before:.2g} before"
            )
            advice = (
                f"lower the lr of phase {switch.phase}, or let phase {switch.phase - 1} go on for longer; "
                "the callback Rollback goes back meanwhile"
            )
            found.append(Finding(DIVERGENCE_ON_SWITCH, f"phase {switch.phase}", switch.step, evidence, advice))
    return found


def stagnation(record: Record, least: float = 1e-6) -> list[Finding]:
    """The line search found no decrease, but the gradient promises one that rounding cannot hide.

    Args:
        record: of the run.
        least: the relative decrease that is promised, see `promise`, at least; and more than `lost_decrease`. At a
            minimum it would promise nothing.
    """
    look = record.looks[-1] if record.looks else None
    if look is None or not look.stalled or look.promise is None:
        return []
    if look.promise <= max(least, lost_decrease(record)):
        return []
    evidence = (
        f"the line search of {look.optimizer} found no further decrease of the loss {look.loss:.2g}, of which one step "
        f"along the gradient promises {look.promise:.2g}"
    )
    advice = (
        "give the search more room (max_evaluations, line_search: hager_zhang, lr: 1), or smooth what has kinks: an "
        "activation, a residual"
    )
    return [Finding(STAGNATION, f"phase {look.phase}", look.step, evidence, advice)]


def vanishing_coefficient_gradient(
    record: Record, room: float = 0.01, influence: float = 1e-3, patience: int = 2
) -> list[Finding]:
    """An unknown coefficient cannot move: it sits at a bound, or the residuals hardly depend on it.

    Args:
        record: of the run.
        room: the factor that the bounds put on the gradient, 1 in their middle. It is 0.01 at a four-hundredth of the
            interval from its end.
        influence: of the coefficient on the residuals, relative to that of the trained parameters on average.
        patience: looks in a row.
    """
    looks, found = record.looks, []
    for name, now in looks[-1].coefficients.items() if looks else ():
        series = recent(patience, (look.coefficients.get(name) for look in looks))
        if series and all(c is not None and c.room < room for c in series):
            evidence = (
                f"coefficient {name} = {now.value:.6g} is at its bound, which leaves {now.room:.1g} of its gradient"
            )
            advice = f"widen the bounds of {name}, or start it elsewhere (initial)"
        elif series and all(c is not None and c.influence < influence for c in series):
            evidence = (
                f"the residuals depend on coefficient {name} = {now.value:.6g} only {now.influence:.1g} times as much "
                "as on a parameter of the network"
            )
            advice = (
                f"raise model.weights of the conditions that contain {name}, or measure where it matters; of an "
                "eigenfunction that has vanished prescribe an Integral that is linear in it"
            )
            if now.influence * abs(now.value) >= influence:  # it does matter, by as much as it is large
                advice = (
                    f"give {name} bounds, or write it as a multiple: a coefficient of about 1, times {now.value:.1g}"
                )
        else:
            continue
        found.append(Finding(COEFFICIENT, name, looks[-1].step, evidence, advice))
    return found


def imbalance(
    record: Record, factor: float = 1e3, kept: float = 0.1, patience: int = 3, least: float = 1e-6, noise: float = 1e3
) -> list[Finding]:
    """The gradient of one term of the loss is drowned by that of another, and the term does not fall.

    An equation that causal weights hold back at all times waits for the initial conditions, as it should.

    Args:
        record: of the run.
        factor: between the norms of the largest gradient and of this one.
        kept: the share of its largest mean square that the weak term still has: as long as it falls, all is well.
        patience: looks in a row.
        least: a term that is smaller, in size, holds. Of prescribed values that is their violation over the solution,
            whatever the units of the equation are; of others the square would be, without a weight, a millionth of a
            millionth of the loss. So small are terms with few points after a linear solve: they have no gradient, and
            need none.
        noise: the same in rounding units, where the numbers have few digits: sums of many functions that vanish on a
            wall are not quite zero there.
    """
    looks, found = record.looks, []
    squares = [{**look.equations, **look.sides, **look.given} for look in looks]
    terms = shares_of_largest(squares)
    # Weights may be anything: against the loss, and against the largest term without its weight.
    largest = min(looks[-1].loss, max(squares[-1].values(), default=math.inf)) if looks else math.inf
    for name, norm in looks[-1].gradients.items() if looks else ():
        drowned = recent(patience, (_drowned(look, name) for look in looks))
        left = recent(patience, (shares.get(name, 1.0) for shares in terms))
        small, square = max(least, noise * looks[-1].epsilon), squares[-1].get(name, math.inf)
        holds = looks[-1].sizes[name] <= small if name in looks[-1].sizes else square <= small**2 * largest
        waits = name in looks[-1].equations and looks[-1].held_back >= 1
        if drowned and min(drowned) >= factor and min(left) >= kept and not (holds or waits):
            strongest = max(looks[-1].gradients, key=looks[-1].gradients.__getitem__)
            evidence = (
                f"the gradient of condition {strongest!r} is {drowned[-1]:.2g} times that of {name!r} ({norm:.2g}), "
                f"whose mean square is still {left[-1]:.2g} of its largest"
            )
            advice = f"add the callback LossBalancing, or raise model.weights.{name}"
            found.append(Finding(IMBALANCE, name, looks[-1].step, evidence, advice))
    return found


def float32_floor(record: Record, share: float = 0.1) -> list[Finding]:
    """Rounding errors in float32 keep the loss from falling: they are a good part of it, or end a line search.

    Args:
        record: of the run.
        share: of the rounding error in the residual, in size, at which the loss cannot fall much further. A line search
            has to tell losses apart, and fails before that: when what the gradient promises is lost in rounding.
    """
    look = record.looks[-1] if record.looks else None
    if look is None or look.round_off is None:
        return []
    stopped = look.stalled and look.promise is not None and look.promise <= lost_decrease(record)
    if look.round_off <= share and not stopped:
        return []
    end = f", which has ended the line search of {look.optimizer}" if stopped else ""
    evidence = f"rounding errors are {look.round_off:.2g} of the residual in float32, at a loss of {look.loss:.2g}{end}"
    return [Finding(FLOAT32_FLOOR, "", look.step, evidence, "use float64 (model.dtype, or dtype of this phase)")]


def late_times_held_back(record: Record, patience: int = 3) -> list[Finding]:
    """A run has ended, and its causal weights have not let all times count: the last ones were never trained.

    Their residual says nothing of it: it is small wherever the network is near a steady state.

    Args:
        record: of the run.
        patience: looks in a row; all of a shorter run. A step that raises the loss takes weights away for a moment.
    """
    looks = record.looks[-patience:]
    if not looks or not looks[-1].final or not (share := min(look.held_back for look in looks)):
        return []
    evidence = f"at the end causal weights still hold back {share:.0%} of the time interval"
    advice = "train longer, or give CausalWeights a smaller first tolerance"
    return [Finding(HELD_BACK, "", looks[-1].step, evidence, advice)]


SIGNATURES: Mapping[str, Rule] = MappingProxyType(
    {
        SPECTRAL_BIAS: spectral_bias,
        BOUNDARY_VIOLATION: boundary_violation,
        DIVERGENCE_ON_SWITCH: divergence_on_switch,
        UNDER_RESOLUTION: under_resolution,
        STAGNATION: stagnation,
        COEFFICIENT: vanishing_coefficient_gradient,
        IMBALANCE: imbalance,
        FLOAT32_FLOOR: float32_floor,
        HELD_BACK: late_times_held_back,
    }
)
"""All signatures by name."""


def lost_decrease(record: Record, noise: float = 1e3) -> float:
    """The relative decrease of the loss that rounding errors may hide at the last look: twice those of the residuals.

    Args:
        record: of the run, with a look.
        noise: where the rounding errors of residuals were not measured: what they are in rounding units of the largest
            residuals so far. They come from terms that nearly cancel, and from derivatives.
    """
    look = record.looks[-1]
    if look.round_off is not None:
        return 2 * look.round_off
    largest = max(other.loss for other in record.looks)
    return 2 * noise * look.epsilon * math.sqrt(largest / look.loss) if look.loss > 0 else math.inf


def _drowned(look: Look, name: str) -> float:
    """How many times larger the largest gradient is than one of them."""
    own, largest = look.gradients.get(name, math.nan), max(look.gradients.values(), default=0.0)
    if not own:
        return math.inf if largest else 1.0  # where all are zero none drowns another
    return largest / own
