"""The charts of a run's dashboard in TensorBoard: which there are, and what is shown in powers of ten."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

LOGARITHMS = "log10/"
OVER = "over/"
"""Before the name of an axis that is none of steps, in tags."""

_OVER_OTHERS = ("loss/total", "relative_l2/")
_ON_LOG_SCALE = re.compile(
    r"(over/\w+/)?(loss|held_out|relative_l2|max_error|frequency_error|weight)/|training/(gradient_norm|held_out_ratio)"
    r"|spectrum/.*/(top|trace|condition_number)$|signature/"
)


class Chart(NamedTuple):
    """A chart of the layout.

    Attributes:
        category: the heading it stands under.
        title: its own.
        tags: a regular expression; what matches is drawn.
        needs: the beginning of a tag without which the chart would be empty.
        stepped: whether it is one tag of whole numbers, which TensorBoard must not smooth.
    """

    category: str
    title: str
    tags: str
    needs: str
    stepped: bool = False


CHARTS = (
    Chart("Loss and error", "relative L2 error", "relative_l2/", "relative_l2/"),
    Chart("Loss and error", "loss", "loss/total", "loss/"),
    *(
        Chart("Loss and error", f"{what} over {axis}", f"over/{axis}/{tag}", f"over/{axis}/{tag}")
        for axis in ("evaluations", "milliseconds")
        for what, tag in (("error", "relative_l2/"), ("loss", "loss/"))
    ),
    Chart("Losses", "mean square of each condition", "loss/(?!total)", "loss/"),
    Chart("Losses", "the same on held-out points", "held_out/", "held_out/"),
    Chart("Errors", "relative error by frequency", "frequency_error/", "frequency_error/"),
    Chart("Errors", "largest error", "max_error/", "max_error/"),
    Chart("Phases", "phase", "training/phase", "training/phase", stepped=True),
    Chart("Phases", "norm of the gradient", "training/gradient_norm", "training/gradient_norm"),
    Chart("Phases", "evaluations of the loss", "training/evaluations", "training/evaluations", stepped=True),
    Chart("Phases", "what the switch waits for", "training/criterion", "training/criterion"),
    Chart("Points", "held-out over training residual", "training/held_out_ratio/", "training/held_out_ratio/"),
    Chart("Points", "points seen", "training/points_seen", "training/points_seen", stepped=True),
    Chart("Points", "points a step", "training/batch_size", "training/batch_size", stepped=True),
    *(
        Chart("Failure", title, f"signature/{tag}", f"signature/{tag}")
        for title, tag in (
            ("gradient of each term", "gradient_norm/"),
            ("violation over solution", "violation/"),
            ("decrease that the gradient promises", "promised_decrease"),
            ("rounding error over residual", "rounding_error"),
            ("what bounds leave of a coefficient's gradient", "coefficient_room/"),
            ("influence of coefficients", "coefficient_influence/"),
        )
    ),
    Chart("Weights", "weights of conditions", "weight/", "weight/"),
    Chart("Coefficients", "coefficients", "coefficient/", "coefficient/"),
    Chart("Spectra", "largest eigenvalue", "spectrum/.*/top", "spectrum/"),
    Chart("Spectra", "trace", "spectrum/.*/trace", "spectrum/"),
    Chart("Spectra", "condition number", "spectrum/.*/condition_number", "spectrum/"),
    Chart("Spectra", "effective rank", "spectrum/.*/effective_rank", "spectrum/"),
)


def powers_of_ten(metrics: Mapping[str, float]) -> dict[str, float]:
    """The decimal logarithms of those metrics that are seen best on such a scale, under `log10/<tag>`."""
    return {
        LOGARITHMS + tag: math.log10(value)
        for tag, value in ((tag, float(value)) for tag, value in metrics.items() if _ON_LOG_SCALE.match(tag))
        if 0 < value < math.inf
    }


def axis_of(tag: str) -> str | None:
    """The axis that a tag is logged over; None for steps."""
    plain = tag.removeprefix(LOGARITHMS)
    return plain.split("/")[1] if plain.startswith(OVER) else None


def over_others(metrics: Mapping[str, float], axes: Mapping[str, int]) -> Iterator[tuple[dict[str, float], int]]:
    """Total loss and errors once more for each axis that is none of steps, under `over/<axis>/<tag>`.

    Args:
        metrics: what is logged, by tag.
        axes: where the run is on each axis, by name.

    Yields:
        Metrics, and what stands for the step.
    """
    chosen = {tag: value for tag, value in metrics.items() if tag.startswith(_OVER_OTHERS)}
    for axis, place in axes.items() if chosen else ():
        yield {f"{OVER}{axis}/{tag}": value for tag, value in chosen.items()}, place


def layout(tags: Collection[str], logarithmic: bool) -> dict[str, dict[str, list[Any]]]:
    """A layout of TensorBoard's custom scalars, as `SummaryWriter.add_custom_scalars` takes it.

    It depends on the kinds of tags only, so that runs of different problems share its charts.

    Args:
        tags: the beginnings of the tags that will be there; a chart of others is left out.
        logarithmic: whether the logarithms are logged too, see `powers_of_ten`.
    """
    found: dict[str, dict[str, list[Any]]] = {}
    for chart in CHARTS:
        if not any(tag.startswith(chart.needs) for tag in tags):
            continue
        scaled = logarithmic and _ON_LOG_SCALE.match(chart.tags) is not None
        pattern = LOGARITHMS + chart.tags if scaled else chart.tags
        # A margin chart is never smoothed; here it has no margin.
        content = ["Margin", [pattern] * 3] if chart.stepped else ["Multiline", [pattern]]
        found.setdefault(chart.category, {})[f"log10 {chart.title}" if scaled else chart.title] = content
    return found
