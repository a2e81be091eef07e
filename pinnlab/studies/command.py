"""The command `pinnlab study`: makes the runs of a study that are missing, then writes its report."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import ModuleType

from pinnlab.cli.bad_input import unwritable
from pinnlab.errors import ConfigurationError, unknown

STUDIES = tuple(sorted(path.parent.name for path in Path(__file__).parent.glob("*/runs.py")))
"""The names of the studies: their folders, each with a `STUDY` and a `write_report`."""


def run_study_command(arguments: Sequence[str]) -> int:
    """Runs `pinnlab study NAME` and answers for its errors.

    Args:
        arguments: what follows `pinnlab study`.

    Returns:
        The exit code: 0 done, 1 a disk that is full or read-only, or a run whose process was killed, 2 bad input, 130
        interrupted. A study that was cut off continues with the same command.
    """
    try:
        options = _parser().parse_args(arguments)
        _study(options)
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenProcessPool:
        print(
            "error: the process of a run was killed, by the system where memory ran out; the same command goes on, "
            "with fewer --workers in less memory",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        if unwritable(error) is None:
            raise
        print(f"error: --folder: {options.folder} cannot be written ({error.strerror}); make room", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("pinnlab study", description="Compare methods on several problems and seeds.")
    parser.add_argument("name", help=f"one of: {', '.join(STUDIES)}")
    parser.add_argument("--folder", type=Path, default=Path("docs/studies"), help="of the CSV file and the report")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="runs side by side; default: cores")
    parser.add_argument("--problems", nargs="+", default=[], help="only these")
    parser.add_argument("--settings", nargs="+", default=[], help="only these")
    parser.add_argument("--seeds", nargs="+", type=int, default=[], help="these instead of the study's")
    parser.add_argument("--report", action="store_true", help="write the report from the runs there are; make none")
    return parser


def study_module(name: str) -> ModuleType:
    """The study's package, imported: its `STUDY` and `write_report`."""
    return importlib.import_module(f"pinnlab.studies.{name}")


def _study(options: argparse.Namespace) -> None:
    if options.name not in STUDIES:
        raise unknown("study", options.name, STUDIES)
    if options.workers < 1:
        raise ConfigurationError(f"--workers: must be at least 1, got {options.workers}")
    # Imported here, so that a wrong name is told at once: torch takes seconds.
    from pinnlab.studies.engine.runner import read_rows, run_study

    module = study_module(options.name)
    path = options.folder / f"{options.name}.csv"
    if not options.report:
        run_study(module.STUDY.restricted(options.problems, options.settings, options.seeds), path, options.workers)
    if not (rows := read_rows(path)):
        raise ConfigurationError(f"--report: there are no runs in {path}; leave it out to make them")
    for written in module.write_report(rows, options.folder):
        print(f"wrote {written}")
