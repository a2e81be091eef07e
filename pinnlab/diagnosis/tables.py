"""A diagnosis as tables for the screen."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.table import Table

from pinnlab.analysis.ntk import WHOLE
from pinnlab.analysis.signatures import Bands, relative_errors, waves
from pinnlab.diagnosis.picture import Diagnosis
from pinnlab.reporting.histories import errors_in_words


def tables(result: Diagnosis) -> list[Table]:
    """The terms of the loss, the cosines of their gradients, the kernel, and the error by frequency."""
    found = [_terms(result), _kernel(result)]
    found += [_cosines(result)] if len(result.terms) > 1 else []
    return found + ([_frequencies(result)] if result.look.bands else [])


def _terms(result: Diagnosis) -> Table:
    look = result.look
    table = _table(
        f"{result.problem}, {result.where}: relative L2 error {errors_in_words(result.relative_l2)}",
        ("condition", "points", "weight", "part of the loss", "gradient", "held out / trained"),
    )
    for name, term in result.terms.items():
        ratio = "" if term.held_out_ratio is None else f"{term.held_out_ratio:.2g}"
        part = term.weight * term.mean_square
        table.add_row(name, str(term.points), f"{term.weight:g}", f"{part:.2e}", f"{term.gradient:.2e}", ratio)
    caption = f"loss {look.loss:.3e}, gradient {look.gradient:.2e}, {result.parameters} parameters"
    known = "".join(
        f"; {name} = {c.value:.6g} (bounds leave {c.room:.2g} of its gradient, influence {c.influence:.2g})"
        for name, c in look.coefficients.items()
    )
    promised = "" if look.promise is None else f"; a step along the gradient promises {look.promise:.2g} of it"
    rounding = "" if look.round_off is None else f"; rounding errors are {look.round_off:.2g} of the residual"
    table.caption = caption + known + promised + rounding
    return table


def _kernel(result: Diagnosis) -> Table:
    table = _table("neural tangent kernel", ("block", "size", "largest", "condition number", "effective rank"))
    blocks = {name: spectrum for name, spectrum in result.kernel.items() if name != WHOLE}
    shown = blocks if len(blocks) == 1 else result.kernel
    for name, spectrum in shown.items():
        numbers = (f"{spectrum.top:.2e}", f"{spectrum.condition_number:.1e}", f"{spectrum.effective_rank:.1f}")
        table.add_row(name, str(spectrum.size), *numbers)
    whole, values = result.kernel[WHOLE], result.hessian
    step = f"gradient descent is stable up to lr {1 / whole.top:.1e}; " if whole.top > 0 else ""
    table.caption = f"{step}Hessian: largest eigenvalue {max(values):.2e}" + (
        f", smallest {min(values):.2e}" if min(values) < 0 else ""
    )
    return table


def _cosines(result: Diagnosis) -> Table:
    table = _table("cosines of the gradients", ("", *result.terms))
    for name, row in zip(result.terms, result.cosines, strict=True):
        table.add_row(name, *(f"{value:.2f}" for value in row))
    return table


def _frequencies(result: Diagnosis) -> Table:
    bands = result.look.bands
    known = all(band.reference for band in bands.values())
    what = "relative error by frequency" if known else "residual by frequency, relative to the whole residual"
    errors = {name: relative_errors([band])[0] if known else _shares(band) for name, band in bands.items()}
    table = _table(what, ("", *bands))
    for band in sorted(set().union(*errors.values())):
        cells = (f"{found[band]:.2e}" if band in found else "" for found in errors.values())
        table.add_row(waves(band).removeprefix("in "), *cells)
    return table


def _shares(residual: Bands) -> dict[int, float]:
    """What each band has of a residual, in size; bands with less than a hundredth are left out."""
    whole = sum(residual.error)
    return {band: math.sqrt(part / whole) for band, part in enumerate(residual.error) if part > 1e-4 * whole}


def _table(title: str, headings: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="right" if k else "left", overflow="fold")
    return table
