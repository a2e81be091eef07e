"""`pinnlab compare RUN RUN ...`: runs side by side, in a table and a figure."""

from __future__ import annotations

import argparse
import glob
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from pinnlab.cli.catalog import RUNS
from pinnlab.errors import ConfigurationError, suggest


def run_compare(arguments: Sequence[str]) -> int:
    """Carries out `pinnlab compare` and answers for its errors.

    Args:
        arguments: what follows `compare`.

    Returns:
        The exit code: 0 done, 2 bad input.
    """
    options = _parser().parse_args(arguments)
    try:
        _compare(options.runs, options.out)
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "pinnlab compare", description="Shows runs side by side: what they reached, how they differ, and how they went."
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="a run's folder, a pattern such as 'runs/*/version_0', or a recipe: all its runs",
    )
    parser.add_argument("--out", type=Path, default=Path("compare.png"), help="the figure; default: compare.png")
    return parser


def _compare(words: Sequence[str], out: Path) -> None:
    if out.suffix != ".png":
        raise ConfigurationError(f"--out: {out} must end in .png")
    folders = list(dict.fromkeys(folder.resolve() for word in words for folder in folders_of(word)))
    # Here, so that a wrong name is told at once.
    from pinnlab.reporting.comparison import options_table, results_table
    from pinnlab.reporting.figures.comparison import comparison_figure
    from pinnlab.reporting.figures.style import save
    from pinnlab.reporting.histories import read_run

    runs = [read_run(folder, name) for folder, name in zip(folders, _names(folders), strict=True)]
    # On a screen tables fold; in a file they are as wide as they are.
    console = Console() if sys.stdout.isatty() else Console(width=40 * len(runs) + 120)
    for table in (results_table(runs), options_table(runs)):
        console.print(table)
        console.print()
    try:
        print(f"wrote {save(comparison_figure(runs), out)}")
    except OSError as error:
        raise ConfigurationError(f"--out: {out} cannot be written ({error.strerror}); name another file") from error


def folders_of(word: str) -> list[Path]:
    """The folders of the runs that a word of the command line stands for.

    Args:
        word: a run's folder or checkpoint, a folder of runs, a pattern, or the name of a recipe that was trained.

    Raises:
        ConfigurationError: there are none.
    """
    places = sorted(map(Path, glob.glob(word)), key=_in_order) if glob.has_magic(word) else [Path(word)]
    found = [folder for place in places for folder in _runs_at(place)]
    if not found and len(Path(word).parts) == 1:
        found = list(_runs_at(Path(RUNS) / word))
    if found:
        return found
    if _is_begun(Path(word)):
        raise ConfigurationError(f"{word}: has no summary.json; it was cut off, or still runs")
    known = sorted(path.name for path in Path(RUNS).glob("*") if path.is_dir() and path.name != word)
    hint = suggest(word, known) or "; name folders such as runs/burgers/version_0, or a recipe that was trained"
    raise ConfigurationError(f"there is no finished run in {word!r}{hint}")


def _runs_at(place: Path) -> Iterator[Path]:
    """The run in a place, or the finished ones in the folders of it."""
    if place.suffix == ".ckpt" and place.is_file():
        place = place.parents[1] if place.parent.name == "checkpoints" else place.parent
    if _is_run(place):
        yield place
    elif place.is_dir():
        yield from sorted(filter(_is_run, place.iterdir()), key=_in_order)


def _is_run(folder: Path) -> bool:
    return folder.is_dir() and any(folder.glob("summary*.json"))


def _is_begun(folder: Path) -> bool:
    return folder.is_dir() and any(folder.glob("events.*"))


def _in_order(path: Path) -> list[tuple[int, str]]:
    """Sorts `version_10` behind `version_9`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def _names(folders: Sequence[Path]) -> list[str]:
    """The ends of paths, as short as tells them apart, and the recipe with the version at least."""
    for parts in range(2, max(len(folder.parts) for folder in folders) + 1):
        names = ["/".join(folder.parts[-parts:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]
