"""Problems in a Python file of the user's own: the file imported, and found again when a run goes on."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from sysconfig import get_paths
from types import ModuleType
from typing import Any

from pinnlab.errors import ConfigurationError, unknown
from pinnlab.numerics.user_functions import explaining
from pinnlab.problems.base import Problem

_DIGEST = "__pinnlab_code__"
"""Where a module keeps what `code_of` says, and the spec that it was imported by."""


def import_file(path: Path) -> ModuleType:
    """Imports a file as the module of its name, whatever else of that name lies on the path.

    Its folder goes to the end of the path, so that it can import files beside it and they hide no package. A file that
    was imported before is not carried out again; another file of the same name takes the place of the one before.

    Raises:
        ConfigurationError: it cannot be imported, ends Python, or gets another file than the one beside it.
    """
    path, name = path.resolve(), path.stem
    before = sys.modules.get(name)
    if before is not None and _file(before) == path:
        return before
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        _check_beside(path)
    except (Exception, SystemExit) as error:  # whatever the user's file raises
        sys.modules.pop(name)
        if _is_signal(error):
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if isinstance(error, SystemExit):
            reason = 'it ends Python; put what is no problem below `if __name__ == "__main__":`'
        line = _line(error, path)
        where = "" if line is None else f"; see line {line} of {path}"
        raise ConfigurationError(f"problem: {name} cannot be imported: {reason}{where}") from error
    _code(module, path)
    return module


def _is_signal(error: BaseException) -> bool:
    """Whether a signal ended the command while the file was carried out: with 128 and its number."""
    return isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > 128


def _check_beside(path: Path) -> None:
    """Looks at what a file got for the files beside it that it imports.

    Raises:
        ImportError: other code of that name, imported before or from the folder of an earlier problem.
    """
    installed = [Path(get_paths()[key]).resolve() for key in ("stdlib", "purelib", "platlib")]
    for file, text in _texts(path, path.parent, {}).items():
        part = file.relative_to(path.parent)
        top = part.parts[0].removesuffix(".py")
        got = _file(sys.modules[top]) if top in sys.modules and top != "pinnlab" else None
        if got is None or got.is_relative_to(path.parent) or any(map(got.is_relative_to, installed)):
            continue
        taken = (got.parent.parent if got.name == "__init__.py" else got.parent) / part
        if _texts(taken, taken.parent, {}).get(taken) != text:
            raise ImportError(f"{top} is {taken} in this process, not {file}; start anew, or rename one of them")


def _line(error: BaseException, path: Path) -> int | None:
    """The line of a file that an error comes from; None where it says so itself, or comes from elsewhere."""
    if isinstance(error, SyntaxError):
        return None
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == str(path)), None)


def problems_in(module: ModuleType) -> dict[str, type[Problem]]:
    """The problems that a module defines itself, by name, in their order; not those that it imports."""
    return {
        name: kind
        for name, kind in vars(module).items()
        if inspect.isclass(kind)
        and issubclass(kind, Problem)
        and kind.__module__ == module.__name__
        and not inspect.isabstract(kind)
    }


def problem_in(path: Path, name: str | None = None) -> type[Problem]:
    """The problem of a file.

    Args:
        path: of the file.
        name: of the class; default: the only one.

    Raises:
        ConfigurationError: the file cannot be imported, has no such class, or has none or several to choose from.
    """
    found = problems_in(import_file(path))
    if name is not None:
        if name not in found:
            raise unknown(f"problem of {path.name}:", name, found)
        return found[name]
    if not found:
        raise ConfigurationError(
            f"{path.name}: defines no problem; write a class that derives from pinnlab.problems.Problem, "
            "as `pinnlab new` does"
        )
    if len(found) > 1:
        names = list(found)
        raise ConfigurationError(
            f"{path.name}: defines {len(names)} problems, {', '.join(names[:-1])} and {names[-1]}; "
            f"name one of them, as {path.name}:{names[-1]}"
        )
    return next(iter(found.values()))


def file_of(problem: type[Problem]) -> Path | None:
    """The user's file that defines a problem; None for one of a package, which its import path is enough for."""
    module = sys.modules.get(problem.__module__)
    is_file = module is not None and "." not in module.__name__ and module.__name__ != "__main__"
    return _file(module) if module is not None and is_file else None


def code_of(problem: type[Problem]) -> dict[str, str]:
    """Short words for the code of a problem as it was imported, whatever its comments and its layout.

    Returns:
        One for the problem's file, and one for each beside it that it imports, by their names; none for a problem of a
        package, and for what cannot be read.
    """
    path = file_of(problem)
    return {} if path is None else _code(sys.modules[problem.__module__], path)


def found_again(path: Path, folders: Iterable[Path]) -> Path:
    """Where the file of a run's problem is today.

    Args:
        path: where it was when the run was made, or as the user names it.
        folders: where a file of that name is looked for if it is gone.

    Raises:
        ConfigurationError: it is nowhere.
    """
    folders = list(folders)
    for place in (path, *(folder / path for folder in folders), *(folder / path.name for folder in folders)):
        if place.is_file():
            return place.resolve()
    raise ConfigurationError(
        f"problem_file: there is no file {path}; if it has moved, say where it is: --problem_file FOLDER/{path.name}"
    )


def folder_again(folder: Path, before: Path, now: Path) -> Path:
    """In which folder the problem of a run is built today, so that relative paths in it lead where they did.

    Args:
        folder: the current one when the run began.
        before: where the problem's file was then.
        now: where it is today.

    Returns:
        The same folder; where it is gone, the one that lies to the file as it did; the current one without either.
    """
    moved = now.parent / os.path.relpath(folder, before.parent)
    return next((place.resolve() for place in (folder, moved) if place.is_dir()), Path.cwd())


@contextmanager
def working_in(folder: Path | None) -> Iterator[None]:
    """What is within is carried out in another folder; None for the current one.

    Raises:
        ConfigurationError: there is no such folder.
    """
    before = Path.cwd()
    if folder is not None and not folder.is_dir():
        raise ConfigurationError(f"problem_folder: there is no folder {folder}; name the one where the run began")
    os.chdir(folder or before)
    try:
        yield
    finally:
        os.chdir(before)


def builder(folder: Path | None) -> Callable[..., Any]:
    """A function that builds a problem, or what it is given; what a user's constructor raises is told in one line.

    Args:
        folder: in which they are built: relative paths begin there; None for the current one.
    """

    def build(kind: type[Any], *arguments: Any, **named: Any) -> Any:
        with working_in(folder):
            if kind.__module__.startswith("pinnlab."):
                return kind(*arguments, **named)
            with explaining(f"problem: {kind.__name__}"):
                return kind(*arguments, **named)

    return build


def _code(module: ModuleType, path: Path) -> dict[str, str]:
    """See `code_of`; read at the first look: what the files become later is not carried out, but by a reload."""
    known, spec = vars(module), module.__spec__  # a reload leaves what a module holds, and gives it another spec
    if known.get(_DIGEST, (None,))[0] is not spec or spec is None:
        texts = _texts(path, path.parent, {}).items()
        words = {file: hashlib.sha256(text.encode()).hexdigest() for file, text in texts}
        known[_DIGEST] = spec, {os.path.relpath(file, path.parent): word for file, word in words.items()}
    digests: dict[str, str] = known[_DIGEST][1]
    return digests


def _texts(path: Path, root: Path, found: dict[Path, str]) -> dict[Path, str]:
    """The code of a file and, one after the other, of all in a folder that it imports; added to what was found."""
    with suppress(OSError, SyntaxError, ValueError):
        tree = ast.parse(path.read_bytes())
        found[path] = ast.unparse(tree)
        for place in _imported(tree, path, root):
            for file in (place.with_suffix(".py"), place / "__init__.py"):
                if file not in found and file.is_file():
                    _texts(file, root, found)
    return found


def _imported(tree: ast.AST, path: Path, root: Path) -> Iterator[Path]:
    """Where the modules that a file imports would be if they were in a folder, without endings."""
    for node in ast.walk(tree):
        folder = root
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            folder = path.parents[node.level - 1] if node.level else root
            names = [".".join(filter(None, (node.module, alias.name))) for alias in node.names]
        else:
            continue
        for parts in (name.split(".") for name in names):
            yield from (folder.joinpath(*parts[:k]) for k in range(1, len(parts) + 1))


def _file(module: ModuleType) -> Path | None:
    name = getattr(module, "__file__", None)
    return Path(name).resolve() if name else None
