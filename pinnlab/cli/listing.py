"""What `pinnlab list` shows, read from the package's sources: importing the classes would take seconds.

`catalog.classes` finds the same classes by importing them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pinnlab.cli.catalog import KINDS, recipe_names, recipes_folder

_ROOT = Path(__file__).parents[2]

_SAME_BASE = MappingProxyType(
    {
        "lightning.Callback": "lightning.pytorch.Callback",
        "lightning.pytorch.callbacks.Checkpoint": "lightning.pytorch.Callback",
        "lightning.pytorch.callbacks.ProgressBar": "lightning.pytorch.Callback",
    }
)
"""Lightning's own classes that ours derive from, and what they are."""


def show(kinds: Iterable[str]) -> None:
    """Prints what can be named, one line each, a table for each kind.

    Args:
        kinds: keys of `KINDS`, and `"recipes"`.
    """
    console, sources = Console(), Sources()
    for kind in kinds:
        table = Table("name", "what it is", title=kind, title_justify="left", box=None)
        for name, line in (_recipes() if kind == "recipes" else sources.sentences(*KINDS[kind])).items():
            table.add_row(name, escape(line))  # brackets are mathematics here, not markup
        console.print(table)


def _recipes() -> dict[str, str]:
    """The first line of each shipped recipe, a comment."""
    folder = recipes_folder()
    return {
        name: (folder / f"{name}.yaml").read_text("utf-8").partition("\n")[0].lstrip("# ") for name in recipe_names()
    }


@dataclass(frozen=True)
class _File:
    """What a file of the package defines and imports at its top level.

    Attributes:
        classes: by name.
        imported: full dotted paths by the names they have here.
    """

    classes: Mapping[str, ast.ClassDef]
    imported: Mapping[str, str]


class Sources:
    """The package's classes as its files describe them; a file is read once.

    Classes go by their dotted path: `pinnlab.problems.burgers.Burgers`, or `torch.nn.Module` for one of another
    package, of which nothing else is known.
    """

    def __init__(self) -> None:
        self._files: dict[str, _File | None] = {}

    def sentences(self, package: str, base: str) -> dict[str, str]:
        """The concrete public classes of a package that derive from a base, sorted by name, with their first line.

        Args:
            package: dotted path; its names are those that its file defines or imports.
            base: dotted path of a class.
        """
        file, base = self._file(package), self._home(base)
        assert file is not None, f"{package} has no file"
        public = sorted(name for name in {*file.classes, *file.imported} if name[0] != "_")
        paths = {name: self._home(f"{package}.{name}") for name in public}
        return {
            name: self._sentence(path)
            for name, path in paths.items()
            if path != base and base in self._lineage(path) and not self._is_abstract(path)
        }

    def _file(self, module: str) -> _File | None:
        """What is in a module's file; None for a module of another package."""
        if module not in self._files:
            stem = _ROOT.joinpath(*module.split("."))
            found = [path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()]
            ours = module.partition(".")[0] == "pinnlab" and found
            self._files[module] = _read(found[0]) if ours else None
        return self._files[module]

    def _home(self, path: str) -> str:
        """Where a class is defined, whatever it is imported through."""
        module, _, name = path.rpartition(".")
        file = self._file(module)
        if file is None or name in file.classes or name not in file.imported:
            return _SAME_BASE.get(path, path)
        return self._home(file.imported[name])

    def _definition(self, path: str) -> ast.ClassDef | None:
        module, _, name = path.rpartition(".")
        file = self._file(module)
        return file.classes.get(name) if file else None

    def _lineage(self, path: str) -> list[str]:
        """A class and all that it derives from, the nearest first."""
        lineage = [path]
        definition = self._definition(path)
        for base in definition.bases if definition else ():
            lineage += self._lineage(self._named(path.rpartition(".")[0], ast.unparse(base).partition("[")[0]))
        return list(dict.fromkeys(reversed(lineage)))[::-1]  # one that two derive from comes behind both

    def _named(self, module: str, name: str) -> str:
        """The class that a name, dotted or not, stands for in a module."""
        first, dot, rest = name.partition(".")
        return self._home(f"{self._home(f'{module}.{first}')}{dot}{rest}")

    def _is_abstract(self, path: str) -> bool:
        """Whether an abstract method is left, in a class that refuses to be built then."""
        lineage = self._lineage(path)
        if "abc.ABC" not in lineage:
            return False
        abstract: dict[str, bool] = {}
        for ancestor in lineage:
            for name, is_abstract in _members(self._definition(ancestor)):
                abstract.setdefault(name, is_abstract)
        return any(abstract.values())

    def _sentence(self, path: str) -> str:
        """The first line of a class's docstring, or of the nearest one that it derives from."""
        definitions = (self._definition(ancestor) for ancestor in self._lineage(path))
        texts = (ast.get_docstring(definition) for definition in definitions if definition)
        return next((text for text in texts if text), "").partition("\n")[0]


def _read(path: Path) -> _File:
    classes: dict[str, ast.ClassDef] = {}
    imported: dict[str, str] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            classes[node.name] = node
        elif isinstance(node, ast.ImportFrom):
            imported.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
        elif isinstance(node, ast.Import):
            roots = (alias.name.partition(".")[0] for alias in node.names)
            imported.update(
                {a.asname or root: a.name if a.asname else root for a, root in zip(node.names, roots, strict=True)}
            )
    return _File(classes, imported)


def _members(definition: ast.ClassDef | None) -> Iterator[tuple[str, bool]]:
    """What a class defines by name, and whether it leaves that to its subclasses."""
    for node in definition.body if definition else ():
        if isinstance(node, ast.FunctionDef):
            yield node.name, any(ast.unparse(mark) == "abstractmethod" for mark in node.decorator_list)
        elif isinstance(node, ast.Assign):
            yield from ((target.id, False) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
            yield node.target.id, False
