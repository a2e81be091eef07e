"""What the command says when the user's input was wrong: one line that names the key and says what to do.

jsonargparse reports every alternative of a type that a value does not fit, at length. The functions here look for the
one reason in it that a user can act on.
"""

from __future__ import annotations

import errno
import importlib
import inspect
import os
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from yaml.representer import RepresenterError

from pinnlab.cli.catalog import class_paths
from pinnlab.cli.dispatch import COMMANDS
from pinnlab.errors import ConfigurationError, PinnlabError, suggest, unknown

_DISK = {errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM}
"""Why a system refuses to write."""


def bad_input(error: BaseException) -> str | None:
    """The one line to show for an error that the user's input caused; None for a fault of the program."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, PinnlabError):
            return str(cause)
    if type(error).__name__ not in ("ArgumentError", "MisconfigurationException") and not _is_refusal(error):
        return None
    message = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    found = (explain(message) for explain in _EXPLANATIONS)
    return next((line for line in found if line is not None), message)


def refused(error: Exception) -> ConfigurationError | None:
    """The one-line error for what a constructor refused; None where the error says so itself, or is a fault.

    Args:
        error: a `ValueError` is how torch, Lightning and loggers refuse options; so is a package that is not there. Of
            other kinds only those of Lightning's own code are about options.
    """
    causes = list(_causes(error))
    if any(isinstance(cause, PinnlabError) for cause in causes):
        return None
    texts = [" ".join(str(cause).split()) for cause in causes]
    path = re.search(r"class_path[ =]'([\w.]+)'", " ".join(texts))
    owner = path[1].rpartition(".")[2] if path else "trainer"
    missing = re.search(r"No module named '(\w+)|Requirement '([\w-]+)", " ".join(texts))
    if missing is not None:
        package = missing[1] or missing[2]
        return ConfigurationError(f"{owner}: needs the package {package}; install it (pip install {package})")
    for cause in causes:
        if isinstance(cause, RepresenterError):
            value = cause.args[-1]
            return ConfigurationError(f"{owner}: cannot save its default {value!r}; give that option, as text")
    last = traceback.extract_tb(causes[-1].__traceback__)
    is_theirs = bool(last) and "lightning" in last[-1].filename
    if isinstance(causes[-1], ValueError) or is_theirs:
        return ConfigurationError(f"{owner}: {texts[-1]}")
    return None


def _is_refusal(error: BaseException) -> bool:
    """Whether a callback of Lightning's raised it on purpose, as for a metric or a package that is not there."""
    frames = traceback.extract_tb(error.__traceback__)
    files = [frame.filename.replace(os.sep, "/") for frame in frames]
    in_callback = any("lightning/pytorch/callbacks/" in file for file in files)
    return in_callback and "/lightning/" in files[-1] and (frames[-1].line or "").startswith("raise ")


def unwritable(error: BaseException) -> str | None:
    """The one line for a file that a full or read-only disk refused; None for an error that is no such one."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in _DISK:
            file = os.fsdecode(cause.filename) if isinstance(cause.filename, (str, bytes)) else "a file of the run"
            return f"{file}: cannot be written ({cause.strerror}); make room, or use another trainer.default_root_dir"
    return None


def _missing_package(message: str) -> str | None:
    """A class path leads into a module that is not there."""
    found = re.search(r"No module named '([\w.]+)'", message)
    if found is None:
        return None
    module = found[1].partition(".")[0]
    return (
        f"{_key(message)}: there is no module {found[1]}; install the package that brings it "
        f"(such as pip install {module}), or start where your {module}.py is"
    )


def _missing_name(message: str) -> str | None:
    """A class path leads into a module that has no such name, or, of ours, no longer has it."""
    found = re.search(r"module '([\w.]+)' has no attribute '(\w+)'", message)
    if found is None:
        return None
    hint = suggest(found[2], [name for name in dir(importlib.import_module(found[1])) if not name.startswith("_")])
    hint = hint or "; a class that `pinnlab list` shows needs no path, only its name"
    return f"{_key(message)}: there is no {found[2]} in {found[1]}{hint}"


def _unknown_class(message: str) -> str | None:
    """A class name without dots that nobody knows."""
    found = re.search(r"Expected a dot import path string: (\w+)", message)
    if found is None:
        return None
    names = class_paths()
    hint = suggest(found[1], names) or "; `pinnlab list` shows what there is"
    return f"{_key(message)}: there is no class {found[1]!r}{hint}"


def _unknown_option(message: str) -> str | None:
    """A class has no such argument."""
    found = re.search(r"Option '([\w.]+)' is not accepted", message)
    if found is None:
        return None
    named = r"class_path[ =]'([\w.]+)'"
    # What has the option, or what is around it.
    path = re.search(named, message[found.end() :]) or re.search(named, message)
    if path is None:
        return None
    module, _, name = path[1].rpartition(".")
    options = _options(getattr(importlib.import_module(module), name))
    return str(unknown(f"option of {name} in {_key(message)}", found[1], options))


def _options(target: Any) -> list[str]:
    """The arguments of a class, with those that it hands on to its bases as `**options`."""
    options: dict[str, inspect.Parameter] = {}
    for kind in getattr(target, "__mro__", [target]):
        own = dict(inspect.signature(kind).parameters)
        options = {**own, **options}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values()):
            break
    return [
        name for name, p in options.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and name != "params"
    ]


def _wrong_type(message: str) -> str | None:
    """A class's argument has a value of another type."""
    found = re.search(r'Parser key "([\w.]+)": Expected an? (.+?)\. Got value: (\S+?)(?=[.,]? |$)', message)
    if found is None or found[1] == _key(message):
        return None
    wanted = re.sub(r"<class '(?:[\w.]*\.)?(\w+)'>", r"\1", found[2])
    return f"{_key(message)}.{found[1]}: must be {wanted}, got {found[3]}"


def _no_class(message: str) -> str | None:
    """An option of a class that was not named."""
    found = re.search(r"Expected an instantiatable class, but ([\w.]+) is abstract", message)
    if found is None:
        return None
    return f"{_key(message)}: name the class before its options (class_path); `pinnlab list` shows what there is"


def _unknown_command(message: str) -> str | None:
    found = re.search(r"subcommand: invalid choice: '([\w-]+)'", message)
    return None if found is None else str(unknown("command", found[1], COMMANDS))


def _no_problem(message: str) -> str | None:
    if not re.search(r"arguments are required: \w+\.problem$", message):
        return None
    return "problem: there is none; name a recipe (-c poisson1d) or a problem (--problem Burgers), see `pinnlab list`"


_EXPLANATIONS: tuple[Callable[[str], str | None], ...] = (
    _missing_package,
    _missing_name,
    _unknown_option,
    _wrong_type,
    _unknown_class,
    _no_class,
    _unknown_command,
    _no_problem,
)


def _key(message: str) -> str:
    """The key that jsonargparse names first: the outermost one."""
    found = re.search(r'[Kk]ey "([\w.]+)"', message)
    return found[1] if found else "class_path"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        yield current
        seen.append(current)
        current = current.__cause__ or current.__context__
