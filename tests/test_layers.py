"""The house: rooms, one above the other, each of which imports only rooms below it; docs/architecture.md shows them."""

import ast
import re
from pathlib import Path

import pytest

import pinnlab

PACKAGE = Path(pinnlab.__file__).parent
ARCHITECTURE = Path(__file__).parents[1] / "docs" / "architecture.md"

ROOMS = (
    ("__main__",),
    ("__init__",),
    ("studies",),
    ("cli",),
    ("callbacks",),
    ("diagnosis",),
    ("training",),
    ("solution",),
    ("reporting",),
    ("analysis",),
    ("optimizers",),
    ("objective",),
    ("problems",),
    ("samplers",),
    ("domains", "derivatives", "networks", "criteria"),
    ("numerics",),
    ("errors",),
)
"""From the top down; rooms in one line know nothing of each other."""

FLOOR = {room: -height for height, rooms in enumerate(ROOMS) for room in rooms}
WITHOUT_LIGHTNING = FLOOR["optimizers"]
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def module_of(path):
    parts = ["pinnlab", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imports(path):
    """The modules that a file imports, anywhere in it: in functions and for types, too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            members = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in members if name in MODULES]
            yield from modules
            if len(modules) < len(members):
                yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_to_rooms_below(path):
    own = room_of(path)
    for name in imports(path):
        if name == "pinnlab" or name.startswith("pinnlab."):
            target = name.partition(".")[2].partition(".")[0] or "__init__"
            assert target == own or FLOOR[target] < FLOOR[own], f"{path} (in {own}) imports {name}"
        if name.split(".")[0] in ("lightning", "pytorch_lightning"):
            assert FLOOR[own] > WITHOUT_LIGHTNING, f"{path} (in {own}) imports Lightning"
        if name.startswith("torch.distributed"):
            assert module_of(path) == "pinnlab.numerics.distributed", f"{path} calls torch.distributed itself"


def test_no_circles_between_files():
    """A folder's `__init__.py` is its face: whoever imports a file of it does not depend on the others."""
    graph = {module_of(path): {n for n in imports(path) if n in MODULES} for path in FILES}
    done = set()
    while remaining := {module: targets - done for module, targets in graph.items() if module not in done}:
        free = {module for module, targets in remaining.items() if not targets}
        assert free, f"import circle among {sorted(remaining)}"
        done |= free


def test_the_architecture_page_shows_these_rooms():
    rows = re.findall(r"^\| (`.+?) \| .+ \|$", ARCHITECTURE.read_text(), re.M)
    shown = [tuple(re.findall(r"`(\w+)[/.`]", row)) for row in rows[: len(ROOMS)]]
    assert shown == list(ROOMS)


@pytest.mark.parametrize("room", ["optimizers", "training"])
def test_the_architecture_page_has_all_files_of_a_room(room):
    rows = ARCHITECTURE.read_text().partition(f"\n## {room.capitalize()}\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(\w+\.py)`", rows)) == {path.name for path in (PACKAGE / room).glob("[a-z]*.py")}


def test_the_package_has_few_entries():
    entries = {path.name for path in PACKAGE.iterdir()} - {"__pycache__", "py.typed"}
    assert len(entries) <= 20, sorted(entries)
    assert {name.removesuffix(".py") for name in entries} == set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_classes_stay_small(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            assert node.end_lineno - node.lineno + 1 <= 250, node.name
