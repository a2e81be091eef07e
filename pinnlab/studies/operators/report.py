"""What the study of operators found: errors by processor time, the kernel at both ends, a figure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pinnlab.studies.engine.figures import draw_progress
from pinnlab.studies.engine.recording import numbers
from pinnlab.studies.engine.report import Page, if_made, markdown_table, wrapped
from pinnlab.studies.engine.runner import Row
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.engine.summaries import median_curve
from pinnlab.studies.operators.runs import ADAM_STEPS, AT, PLACES, ROWS, STUDY


def write_report(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Writes `operators.md` and its figure into a folder; returns the files."""
    runs, page = Runs(rows), Page(STUDY.name)
    failed = len(runs) - len(runs.done)
    seeds = f"{len(runs.seeds)} seeds" if len(runs.seeds) > 1 else "one seed"
    page.add(HEAD.format(runs=len(runs), seeds=seeds, budget=AT[-1], adam=ADAM_STEPS, failed=failed or "none"))
    for problem, own in runs.by("problem").items():
        page.section(problem, _errors(own.done))
    page.figure("Error by processor time", if_made(_figure, runs.done))
    page.section("The kernel", KERNEL.format(rows=ROWS), if_made(_kernel, runs.done))
    page.section("What follows", if_made(_reading, runs.done))
    return page.write(folder)


HEAD = """# Which optimizer for an operator?

Networks for operators are mostly trained by Adam, for hundreds of thousands of steps. For single problems a
quasi-Newton or Gauss-Newton method after Adam gains digits. Does it for operators, where a point is a place and a
function?

The problems are the recipes `antiderivative` (ten coefficients, 1,000 points), `diffusion_reaction_operator` (eight
coefficients, 20 functions at 400 places), each with a DeepONet that is linear in the function, both physics-informed,
with no solutions in training; and `burgers_operator`, with a wider network (rank 24, six harmonics), trained on 200
solutions at 400 places. The error is the mean relative L2 error of 100 functions that were never seen. {runs} runs,
{seeds}, {budget} seconds of one processor core each, uncompiled, without the time for measuring; what other programs do
on the machine is not counted, but slows the core's memory. Runs that failed: {failed}.

- `adam`: learning rate 5e-3, times 0.999 after every step;
- `adam_lbfgs`, `adam_ssbroyden`, `adam_ng`: {adam} steps of Adam at 5e-3, then L-BFGS, self-scaled Broyden with its
  dense matrix, or the energy natural gradient, as shipped.

`pinnlab study operators` makes the runs and writes this page. The tables have the median error after so many seconds,
and the evaluations of the loss that were made.
"""
KERNEL = """The neural tangent kernel on {rows} of the training points, at the initial weights, and at the end of `adam`
and of the best run: its largest eigenvalue, the effective rank (the trace over the largest), and the largest over
others.
"""
READING = """\
- **The second optimizer decides here, too.** After the same seconds the best of them, {a_name}, has an error
  {a_gain:.0f} times below that of Adam alone on the antiderivative, {b_name} one {b_gain:.1f} times below on
  diffusion with reaction, and {c_name} one {c_gain:.1f} times below on Burgers' equation.

- **The kernel of an operator is that of a problem in many dimensions**: its effective rank at the start is {a_rank:.0f}
  and {b_rank:.0f}. What is slow is the long tail behind: the hundredth eigenvalue of the second problem
  is {b_tail:.0e} times smaller than the first one.
"""


def _errors(runs: Runs) -> str:
    """Medians over the seeds at every time."""
    lines = []
    for setting, own in runs.ranked():
        if curves := own.complete_curves("errors", len(AT)):
            medians = [f"{error:.1e}" for error in median_curve(curves)]
            lines.append([setting, *medians, f"{own.median('evaluations'):.0f}"])
    return markdown_table(["setting", *(f"{s} s" for s in AT), "evaluations"], lines)


def _kernel(runs: Runs) -> str:
    """The numbers of the first seed's kernels."""
    lines = []
    for problem, own in runs.by("problem").items():
        chosen = dict.fromkeys(("adam", own.ranked()[0][0]))
        for number, setting in enumerate(chosen):
            row = own.of(setting=setting).rows[0]
            for place, when in enumerate(("start", f"end of {setting}")):
                if place == 1 or number == 0:
                    lines.append([f"{problem}, {when}", *_shown(row, place)])
    ratios = [f"1 : {k}" for k in PLACES]
    return markdown_table(["kernel", "largest", "effective rank", *ratios], lines)


def _shown(row: Row, place: int) -> list[str]:
    ratios = [f"{numbers(row[f'ratio_{k}'])[place]:.1e}" for k in PLACES]
    return [f"{numbers(row['top'])[place]:.2g}", f"{numbers(row['effective_rank'])[place]:.1f}", *ratios]


def _reading(runs: Runs) -> str:
    """The conclusions; of a part of the runs there are none."""
    facts: dict[str, Any] = {}
    for letter, problem in (("a", "antiderivative"), ("b", "diffusion_reaction"), ("c", "burgers")):
        own = runs.of(problem=problem)
        adam, (best, ours) = own.of(setting="adam"), own.ranked()[0]
        if set(own.settings) != set(STUDY.settings):
            raise LookupError(problem)
        facts |= {f"{letter}_name": f"`{best}`", f"{letter}_gain": adam.median() / ours.median()}
        facts[f"{letter}_rank"] = numbers(adam.rows[0]["effective_rank"])[0]
        facts[f"{letter}_tail"] = numbers(adam.rows[0][f"ratio_{PLACES[-1]}"])[0]
    return wrapped(READING.format(**facts))


def _figure(runs: Runs) -> Any:
    return draw_progress(runs, AT, "processor time in seconds", "mean relative L2 error, 100 functions")
