"""What `pinnlab fit --help` shows, and the same for validate, test, predict and diagnose: the options people use.

`--help all` is left to the parser, which knows all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

HELP = ("-h", "--help")

Options = Mapping[str, Sequence[tuple[str, str]]]
"""Options as one would write them, with what they do in a line, by group."""


class Page(NamedTuple):
    """The help of a command.

    Attributes:
        usage: what follows its name.
        purpose: what it does, in one or two lines.
        options: see `Options`.
    """

    usage: str
    purpose: str
    options: Options


_RUN: Options = {
    "which run": (
        ("RUN", "its folder, as runs/burgers/version_0, or a checkpoint"),
        ("-c RECIPE --ckpt_path last", "the newest run of a recipe; best: the most accurate"),
        ("--problem_file FILE.py", "where the file of your problem is, if it has moved"),
    ),
}

_MEASURE: Options = {
    **_RUN,
    "how": (
        ("--data.evaluation_points 100000", "points on which errors are measured"),
        ("--data.held_out 5000", "points of a condition for held-out residuals"),
        ("--trainer.accelerator cpu", "where to compute"),
    ),
}

PAGES: Mapping[str, Page] = MappingProxyType(
    {
        "fit": Page(
            "(-c RECIPE | FILE.py | RUN) [options]",
            "trains the problem of a recipe or of your own file, or goes on with a run.",
            {
                "recipe": (
                    ("-c burgers", "a shipped recipe, or a file; a second one goes on top"),
                    ("--print_config", "show all settings as a recipe, and train nothing"),
                ),
                "problem": (
                    ("--problem Burgers", "another problem: see `pinnlab list problems`"),
                    ("--problem.viscosity 0.01", "one of its numbers"),
                ),
                "network": (
                    ("--model.network SIREN", "another network: see `pinnlab list networks`"),
                    ("--model.network.hidden '[30, 30]'", "its hidden layers, or another of its options"),
                    ("--model.dtype float32", "its precision; float64 if not given"),
                ),
                "phases, one optimizer after the other, counted from 0": (
                    ("--model.phases.0.steps 500", "how long the first one is"),
                    ("--model.phases.1.optimizer LBFGS", "another optimizer for the second one"),
                    ("--model.weights '{pde: 10}'", "factors of conditions in the loss"),
                ),
                "points": (
                    ("--data.points '{pde: 2000}'", "how many for each condition; a number: for all"),
                    ("--data.sampler Lattice", "where they lie: see `pinnlab list samplers`"),
                    ("--data.batch_size 500", "so many a step; all if not given"),
                    ("--trainer.callbacks+ ResidualResampling", "draw them where the residual is large"),
                ),
                "run": (
                    ("--name mine", "its folder is runs/mine/version_0, version_1, ..."),
                    ("--seed_everything 3", "other weights and points; 0 if not given"),
                    ("--model.compile false", "no compilation; auto: where it pays"),
                    ("--trainer.max_time 00:00:10:00", "stop after days:hours:minutes:seconds"),
                    ("--trainer.accelerator cpu", "where to compute: auto, cpu, gpu"),
                ),
                "going on": (("--ckpt_path last", "with the newest run; best, or a file, too"),),
            },
        ),
        "validate": Page(
            "RUN [options]", "measures errors and held-out residuals of a run, and writes validate.json.", _MEASURE
        ),
        "test": Page(
            "RUN [options]", "measures errors and held-out residuals of a run, and writes test.json.", _MEASURE
        ),
        "predict": Page(
            "RUN [options]",
            "writes the solution of a run into its folder: solution.npz and a figure.",
            {
                **_RUN,
                "where and how": (
                    ("--grid 200,100", "on a grid, with so many values of each coordinate"),
                    ("--points FILE.csv", "at the points of a file, a column for each coordinate"),
                    ("--format netcdf", "npz, netcdf, vtk (for ParaView), csv; pt2, onnx: the function"),
                    ("--data.evaluation_points 100000", "otherwise: as many points of the domain"),
                ),
            },
        ),
        "diagnose": Page(
            "(RUN | -c RECIPE | FILE.py) [options]",
            "shows what helps or hinders training; diagnosis.json and diagnosis.png.\n"
            "With a recipe or a file: the set-up before the first step.",
            {**_RUN, "how": (("--folder DIR", "where the files go; the run's folder if not given"),)},
        ),
    }
)
"""The commands that the parser carries out."""


def command_help(command: str) -> str:
    """The page of a command, for a screen of 100 columns."""
    page = PAGES[command]
    lines = [f"usage: pinnlab {command} {page.usage}", "", page.purpose]
    width = 2 + max(len(option) for group in page.options.values() for option, _ in group)
    for group, options in page.options.items():
        lines += ["", f"{group}:", *(f"  {option:{width}}{meaning}" for option, meaning in options)]
    return "\n".join([*lines, "", f"`pinnlab {command} --help all` shows all options."])


def wants_page(command: str, rest: Sequence[str]) -> bool:
    """Whether a command line asks for the page, and not for all options."""
    return command in PAGES and not _wants_all(rest) and any(word in HELP for word in rest)


def without_all(arguments: Sequence[str]) -> list[str]:
    """A command line that asks for all options, as the parser takes it: without the word `all`."""
    return [*arguments[:1], "--help"] if _wants_all(arguments) else list(arguments)


def _wants_all(arguments: Sequence[str]) -> bool:
    return any(pair in ((word, "all") for word in HELP) for pair in itertools.pairwise(arguments))
