"""Writes docs/gallery.md: what recipes reach, each with a figure.

    python docs/make_gallery.py runs/poisson1d_tr/version_0 runs/burgers/version_0
    python docs/make_gallery.py 'runs/*/version_0'

A run's numbers come from its `summary.json`, its figure from its checkpoint. They go into gallery.json and
images/gallery, and replace those of the same recipe; recipes that are not named stay as they are. The page is made
from these alone, so that a recipe is added by one run.
"""

from __future__ import annotations

import glob
import inspect
import io
import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from PIL import Image

import pinnlab
import pinnlab.problems
from pinnlab.errors import StopReason

DOCS = Path(__file__).parent
RECIPES = DOCS.parent / "recipes"
LARGEST = 60_000
"""Bytes of a figure."""

TOP = """\
# Gallery

What the shipped recipes reach, one run each. Errors are relative L2 errors in float64, on held-out points, against an
[independent reference](references.md). Times are those of training on one core, which was busy with other work: take
them as upper bounds, and compare evaluations.

Any of them is yours: `pinnlab fit -c poisson1d_tr`, for example.
"""


def main(arguments: Sequence[str]) -> None:
    """Adds the runs that are named, by folder or pattern, and writes the page."""
    records = recorded()
    for folder in sorted({Path(name) for word in arguments for name in glob.glob(word)}):
        record = record_of(folder)
        if record is None:
            print(f"{folder}: was interrupted, and is left out")
            continue
        draw(folder, DOCS / "images" / "gallery" / f"{record['recipe']}.png")
        records[record["recipe"]] = record
        print(f"{record['recipe']}: {record['error']:.1e}")
    (DOCS / "gallery.json").write_text(json.dumps(dict(sorted(records.items())), indent=1) + "\n")
    (DOCS / "gallery.md").write_text(page(records))


def recorded() -> dict[str, dict[str, Any]]:
    """What gallery.json has, by recipe."""
    path = DOCS / "gallery.json"
    return json.loads(path.read_text()) if path.exists() else {}


def record_of(folder: Path) -> dict[str, Any] | None:
    """The numbers of a run that the page shows; None for one that was cut off, which is not what its recipe reaches."""
    summary = json.loads((folder / "summary.json").read_text())
    if any(phase["stopped"] == StopReason.INTERRUPTED for phase in summary["phases"]):
        return None
    return {
        "recipe": summary["recipe"],
        "problem": summary["problem"],
        "error": max(summary["relative_l2"].values()),
        "seconds": round(summary["seconds"], 1),
        "evaluations": summary["evaluations"],
        "parameters": summary["parameters"],
        "optimizers": [phase["optimizer"] for phase in summary["phases"]],
        "windows": len(summary.get("windows", [])),
        "torch": summary["torch"],
        "date": date.fromtimestamp((folder / "summary.json").stat().st_mtime).isoformat(),
    }


def draw(folder: Path, target: Path) -> None:
    """Draws a run's solution as a small picture: fewer dots and colours until it is below `LARGEST`."""
    figure = pinnlab.load(folder).plot()
    target.parent.mkdir(parents=True, exist_ok=True)
    for dpi, colours in ((90, 128), (80, 64), (70, 48), (60, 32), (50, 16)):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi)
        small = io.BytesIO()
        Image.open(buffer).convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
        if small.tell() < LARGEST:
            break
    target.write_bytes(small.getvalue())
    plt.close(figure)


def page(records: dict[str, dict[str, Any]]) -> str:
    """The page that these records give: a table of all, then the problems one after the other."""
    names = sorted(records, key=lambda name: (records[name]["problem"], records[name]["error"]))
    lines = [TOP, "| recipe | method | relative L2 error | evaluations | time |", "|---|---|---|---|---|"]
    for name in names:
        record = records[name]
        numbers = f"{record['error']:.1e} | {record['evaluations']:,} | {seconds(record)}"
        lines.append(f"| [`{name}`](#{name}) | {method(record)} | {numbers} |")
    for number, name in enumerate(names):
        problem = records[name]["problem"]
        if number == 0 or problem != records[names[number - 1]]["problem"]:
            lines += ["", f"## {problem}", "", in_words(problem)]
        lines += ["", *entry(records[name])]
    missing = sorted(path.stem for path in RECIPES.glob("*.yaml") if path.stem not in records)
    if missing:
        lines += [
            "",
            "## Not here yet",
            "",
            "Most of them take minutes: " + ", ".join(f"`{name}`" for name in missing) + ".",
        ]
    return "\n".join(lines) + "\n"


def entry(record: dict[str, Any]) -> list[str]:
    """One recipe: heading, what it does, figure, numbers."""
    name = record["recipe"]
    comment = (RECIPES / f"{name}.yaml").read_text().partition("\n")[0].removeprefix("# ")
    numbers = (
        f"Relative L2 error **{record['error']:.1e}** after {seconds(record)} and {record['evaluations']:,} "
        f"evaluations; {record['parameters']:,} parameters; torch {record['torch']}, {record['date']}."
    )
    picture = f"![{name}: solution, reference, error](images/gallery/{name}.png)"
    return [f"### {name}", "", comment, "", picture, "", numbers]


def method(record: dict[str, Any]) -> str:
    """The optimizers of a run, in their order; those of a run in windows of time once, not for each window."""
    windows = record["windows"]
    optimizers = dict.fromkeys(record["optimizers"]) if windows else record["optimizers"]
    return ", then ".join(f"`{name}`" for name in optimizers) + (f", in {windows} windows" if windows else "")


def in_words(problem: str) -> str:
    """How a problem describes itself, up to its arguments; stars and bars are no Markdown there."""
    text = inspect.cleandoc(getattr(pinnlab.problems, problem).__doc__).partition("\nArgs:")[0].strip()
    return text.replace("*", r"\*").replace("|", r"\|")


def seconds(record: dict[str, Any]) -> str:
    """Two digits are enough for a time that depends on the machine."""
    return f"{float(format(record['seconds'], '.2g')):g} s"


if __name__ == "__main__":
    main(sys.argv[1:])
