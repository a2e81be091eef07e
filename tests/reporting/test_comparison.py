"""Tables of runs side by side."""

import numpy as np
from rich.console import Console

from pinnlab.reporting.comparison import MOST, options_table, results_table
from pinnlab.reporting.histories import Curve, Run

NONE = Curve(*(np.zeros(0) for _ in range(3)))


def run(name, errors, recipe=None, loss=1e-3):
    summary = {
        "problem": "Heat1D", "parameters": 501, "points": {"pde": 30, "wall": 4}, "evaluations": 80, "seconds": 7.96,
        "loss": loss, "relative_l2": errors,
        "phases": [{"optimizer": "Adam", "steps": 40}, {"optimizer": "LBFGS", "steps": 2}],
    }  # fmt: skip
    return Run(name, summary, recipe or {}, NONE, None)


def rows(table):
    """What is printed, words by line; bold as ANSI codes."""
    console = Console(width=400, force_terminal=True, color_system="standard", highlight=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get().splitlines()


def test_results():
    shown = rows(results_table([run("a/version_0", {"u": 2e-3}), run("b", {"u": 1e-3, "v": None}, loss=None)]))
    assert [line.replace("\x1b[1m", "").replace("\x1b[0m", "").split() for line in shown] == [
        ["run", "problem", "parameters", "points", "evaluations", "seconds", "loss", "error", "u", "error", "v"],
        ["1", "a/version_0", "Heat1D", "501", "34", "80", "8.0", "1.00e-03", "2.00e-03", "-"],
        ["2", "b", "Heat1D", "501", "34", "80", "8.0", "-", "1.00e-03", "-"],
    ]
    assert "\x1b[1m1.00e-03" in shown[2]
    assert "\x1b[1m2.00e-03" not in shown[1]


def test_options():
    runs = [run("a", {}, {"seed_everything": 0}), run("b", {}), run("c", {}, {"seed_everything": 3})]
    shown = [line.split() for line in rows(options_table(runs))[1:]]
    made = ["Adam", "40", ">", "LBFGS", "2"]
    assert shown == [["phases", "made", *made * 3], ["seed_everything", "0", "?", "3"]]


def test_runs_that_have_little_in_common():
    recipes = [{"data": {f"key{k}": k + add for k in range(MOST + 5)}} for add in (0, 1)]
    shown = rows(options_table([run("a", {}, recipes[0]), run("b", {}, recipes[1])]))
    assert len(shown) == 2 + MOST + 1
    assert shown[-1].split() == ["and", "5", "more"]


def windows(*phases):
    """A run in as many windows of time as phases are given, each a list of steps."""
    names = ("Adam", "LBFGS")
    made = [{"optimizer": n, "steps": s} for own in phases for n, s in zip(names, own, strict=False)]
    found = run("a", {})
    return found.__class__("a", {**found.summary, "phases": made, "windows": [{} for _ in phases]}, {}, NONE, None)


def test_phases_of_many_windows_are_told_once():
    runs = [windows(*[[30, 5]] * 40), windows([30, 5], [20, 5]), windows([30], [20, 5])]
    made = " ".join(rows(options_table(runs))[1].split())
    assert made == (
        "phases made 40 windows of Adam 30 > LBFGS 5 2 windows of Adam 20 to 30 > LBFGS 5 "
        "2 windows, in all Adam 50, LBFGS 5"
    )
