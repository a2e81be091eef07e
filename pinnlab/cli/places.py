"""What may stand where in a recipe, by the types of the constructors that it fills.

Recipes come by mail and from the web. So a class path may only name what its place takes: a subclass, or a function
that is annotated to return one. Nothing else is ever called, and no module is imported but those that a recipe
names in such a place. A message names the whole key, as `model.phases[0].steps`.
"""

from __future__ import annotations

import collections.abc
import contextlib
import importlib
import inspect
import math
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from pinnlab.cli.catalog import class_paths
from pinnlab.cli.yaml_file import read_yaml
from pinnlab.errors import ConfigurationError, suggest, unknown

SPEC = ("class_path", "init_args", "dict_kwargs")
"""The keys with which a class is written."""


class Place(NamedTuple):
    """A place for an object.

    Attributes:
        kinds: the classes that it takes.
        given: how many arguments its owner fills in, as the parameters of an optimizer.
    """

    kinds: tuple[type, ...]
    given: int = 0

    @property
    def words(self) -> str:
        """What it takes, for a message."""
        return " or ".join(dict.fromkeys(kind.__name__ for kind in self.kinds)) or "function with annotated types"

    def takes(self, target: Any) -> bool:
        """Whether something imported may be called for this place."""
        if not inspect.isclass(target):
            target = hints_of(target).get("return")
        if not self.kinds:
            return target is not None
        return any(inspect.isclass(part) and issubclass(part, self.kinds) for part in _alternatives(target))


class _OtherKind(ConfigurationError):
    """A class is none of those that its place takes."""


def check(value: Any, hint: Any, key: str) -> None:
    """Looks at what a recipe gives for a key, and at all that is inside.

    Args:
        value: as read from YAML, with classes by name or path.
        hint: the type of the argument that it is for.
        key: where it stands.

    Raises:
        ConfigurationError: it does not fit.
    """
    options = _alternatives(hint)
    if value is None and (type(None) in options or Any in options):
        return
    errors = []
    for option in sorted(options, key=lambda o: not _is_alike(value, o)):
        try:
            _check_one(value, option, key)
        except ConfigurationError as error:
            errors.append((option, error))
        else:
            return
    real = [option for option in options if option is not type(None)]
    close = [error for option, error in errors if _is_alike(value, option) or real == [option]]
    if close:  # of the alternatives that a class is one of, what is wrong inside of it
        inner = [error for error in close if not isinstance(error, _OtherKind)]
        raise inner[0] if inner else max(close, key=lambda error: len(str(error).partition(":")[0]))
    raise _wrong(key, hint, value)


def check_arguments(target: Any, arguments: Any, key: str, given: int = 0) -> None:
    """Looks at the arguments that a recipe has for a class or function.

    Args:
        target: the class or function.
        arguments: by name.
        key: where they stand.
        given: how many of the first parameters are filled in by others.
    """
    if not isinstance(arguments, Mapping):
        raise ConfigurationError(f"{key}: must be a mapping of options, got {_shown(arguments)}")
    try:
        parameters = list(inspect.signature(target).parameters.values())[given:]
    except (TypeError, ValueError):  # a built-in does not tell
        parameters = []
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    is_open = not parameters or any(p.kind is p.VAR_KEYWORD for p in parameters)
    hints = hints_of(target)
    for name, value in arguments.items():
        if name not in named and not is_open:
            raise unknown(f"option of {target.__name__} in {key}", str(name), named)
        check(value, hints.get(str(name), Any) if name in named else Any, f"{key}.{name}")
    missing = [name for name, p in named.items() if p.default is p.empty and name not in arguments]
    if missing:
        raise ConfigurationError(f"{key}: {target.__name__} needs {missing[0]!r}; give it")


def fitting(target: Any, arguments: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Those of some arguments that a class or function takes, by name and type."""
    hints, kept = hints_of(target), {}
    for name in inspect.signature(target).parameters.keys() & arguments.keys():
        with contextlib.suppress(ConfigurationError):
            check(arguments[name], hints.get(name, Any), f"{key}.{name}")
            kept[name] = arguments[name]
    return kept


def hints_of(target: Any) -> dict[str, Any]:
    """The types of the arguments of a class or function, and its `return`; nothing where they cannot be read."""
    try:
        return get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (AttributeError, NameError, TypeError):
        return {}


def import_path(path: str, key: str) -> Any:
    """What a dotted path leads to; None when there is nothing.

    Raises:
        ConfigurationError: the module is there, and cannot be imported.
    """
    module, _, name = path.rpartition(".")
    if not module:
        return None
    try:
        owner = importlib.import_module(module)
    except ModuleNotFoundError:
        owner = import_path(module, key)  # a name inside a class
    except Exception as error:  # whatever the user's file raises
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"{key}: {module} cannot be imported: {type(error).__name__}: {reason}") from error
    return getattr(owner, name, None)


def _check_one(value: Any, hint: Any, key: str) -> None:
    """`check` for one of the alternatives of a type."""
    origin, inner = get_origin(hint), get_args(hint)
    place = _place(hint)
    if hint is Any:
        _check_unknown(value, key)
    elif place is not None:
        _check_object(value, place, key)
    elif origin is Literal:
        if value not in inner and str(value) not in map(str, inner):
            raise unknown(f"value of {key}:", str(value), map(str, inner))
    elif _is_list(hint):
        _check_list(value, hint, key)
    elif _is_mapping(hint):
        if not isinstance(value, Mapping):
            raise _wrong(key, hint, value)
        for name, item in value.items():
            check(item, inner[1] if inner else Any, f"{key}.{name}")
    elif hint in _SIMPLE and not _SIMPLE[hint](value):
        raise _wrong(key, hint, value)
    elif hint not in _SIMPLE:
        _check_unknown(value, key)


def _check_list(value: Any, hint: Any, key: str) -> None:
    if not isinstance(value, (list, tuple)):
        raise _wrong(key, hint, value)
    inner = [kind for kind in get_args(hint) if kind is not Ellipsis] or [Any]
    for k, item in enumerate(value):
        check(item, inner[min(k, len(inner) - 1)], f"{key}[{k}]")


def _check_unknown(value: Any, key: str) -> None:
    """For an argument without a type: a class in it must be one that `pinnlab list` could show."""
    if isinstance(value, Mapping):
        path = value.get("class_path")
        known = class_paths() if path is not None else {}
        if path is not None and path not in known and path not in known.values():
            raise ConfigurationError(f"{key}: {_shown(path)} may not be built here; it takes no class of your own")
        for name, item in value.items():
            _check_unknown(item, key if name in SPEC else f"{key}.{name}")
    elif isinstance(value, (list, tuple)):
        for k, item in enumerate(value):
            _check_unknown(item, f"{key}[{k}]")


def _check_object(value: Any, place: Place, key: str) -> None:
    """For an object: a class's name, or a mapping with name and arguments, or, of a dataclass, its arguments."""
    if isinstance(value, str) and value.endswith((".yaml", ".yml", ".json")) and Path(value).is_file():
        value = read_yaml(Path(value))
    plain = next((kind for kind in place.kinds if hasattr(kind, "__dataclass_fields__")), None)
    if isinstance(value, Mapping) and "class_path" not in value and plain is not None:
        check_arguments(plain, value.get("init_args", value), key)
        return
    if isinstance(value, Mapping):
        if "class_path" not in value:
            raise ConfigurationError(
                f"{key}: name the class before its options (class_path); `pinnlab list` shows what there is"
            )
        odd = next((name for name in value if name not in SPEC), None)
        if odd is not None:
            raise unknown(f"key beside class_path in {key}", str(odd), SPEC)
        path, arguments = value["class_path"], value.get("init_args") or {}
        _check_unknown(value.get("dict_kwargs"), key)
    else:
        path, arguments = value, {}
    if not isinstance(path, str) or path.lower() in ("nan", ".nan", "true", "false"):
        raise _wrong(key, place.kinds[0] if place.kinds else Any, path)
    target = _named(path, place, key)
    is_reference = isinstance(value, str) and not inspect.isclass(target)  # a function, handed over as it is
    if place.given and inspect.isfunction(target) and isinstance(value, Mapping):
        raise ConfigurationError(
            f"{key}: {path} is a function, which takes no options here; write its name alone, or a class with options"
        )
    if target is not None and not is_reference:
        check_arguments(target, arguments, key, place.given)


def _named(path: str, place: Place, key: str) -> Any:
    """The class or function of a name; None where there is none and the parser says why."""
    known = class_paths()
    if "." not in path:
        if path not in known:
            taken = [name for name, full in known.items() if place.takes(import_path(full, key))]
            hint = suggest(path, taken) or "; `pinnlab list` shows what there is"
            own = f"; a class of your own needs its file's name, as in my_file.{path}"
            raise ConfigurationError(f"{key}: there is no class {path!r}{hint}{own}")
        path = known[path]
    target = import_path(path, key)
    if target is not None and not place.takes(target):
        raise _OtherKind(f"{key}: {path} is no {place.words}, nor a function annotated to return one")
    return target


def _place(hint: Any) -> Place | None:
    """The place that a type describes: an object of a class, or a function that makes one; None for other types."""
    if get_origin(hint) is collections.abc.Callable:
        arguments, result = get_args(hint) or ([], Any)
        given = len(arguments) if isinstance(arguments, list) else 0
        return Place(tuple(kind for kind in _alternatives(result) if _is_object(kind)), given)
    return Place((hint,)) if _is_object(hint) else None


def _is_object(hint: Any) -> bool:
    return inspect.isclass(hint) and get_origin(hint) is None and hint not in _SIMPLE and hint.__module__ not in (
        "builtins", "pathlib", "datetime", "collections.abc", "typing",
    )  # fmt: skip


def _is_list(hint: Any) -> bool:
    origin = get_origin(hint) or hint
    return inspect.isclass(origin) and issubclass(origin, (Sequence, collections.abc.Iterable, set)) and (
        not issubclass(origin, (str, bytes, Mapping)) and get_origin(hint) is not None
    )  # fmt: skip


def _is_mapping(hint: Any) -> bool:
    origin = get_origin(hint) or hint
    return inspect.isclass(origin) and issubclass(origin, Mapping)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union; a type alone is its only alternative."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _is_alike(value: Any, hint: Any) -> bool:
    """Whether a value is meant for an alternative, judged by its form."""
    place = _place(hint)
    if place is not None:
        if isinstance(value, str):
            return value.replace(".", "").isidentifier() and (value[0].isupper() or "." in value)
        return isinstance(value, Mapping) and not set(value).isdisjoint(SPEC)
    if isinstance(value, Mapping):
        return _is_mapping(hint)
    return isinstance(value, (list, tuple)) and _is_list(hint)


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and not math.isnan(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _is_whole(value: Any) -> bool:
    """Whether the parser takes it for an int: a whole number, or its digits, but not `10.0` or `1e3`."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return False
    try:
        int(value)
    except ValueError:
        return False
    return True


_SIMPLE: Mapping[Any, Callable[[Any], bool]] = types.MappingProxyType(
    {
        int: _is_whole,
        float: _is_number,
        bool: lambda value: value in (0, 1) or str(value).lower() in ("true", "false", "yes", "no", "on", "off"),
        str: lambda value: value is not None and not isinstance(value, (list, Mapping)),
        type(None): lambda value: value is None,
    }
)
"""Types of single values, and whether one fits."""


def _wrong(key: str, hint: Any, value: Any) -> ConfigurationError:
    options = [option for option in _alternatives(hint) if option is not type(None)]
    choices = [str(choice) for option in options if get_origin(option) is Literal for choice in get_args(option)]
    wanted = [_words(option) for option in options if get_origin(option) is not Literal]
    wanted += [f"one of {', '.join(dict.fromkeys(choices))}"] if choices else []
    wanted = list(dict.fromkeys(wanted))
    return ConfigurationError(f"{key}: must be {' or '.join(wanted) or 'left out'}, got {_shown(value)}")


def _words(hint: Any) -> str:
    """A type for a message: `float`, `a list of int`, `a Sampler`."""
    inner = [kind for kind in get_args(hint) if kind is not Ellipsis]
    place = _place(hint)
    if place is not None:
        return f"a {place.words}"
    if _is_mapping(hint):
        return "a mapping" + (f" to {_words(inner[1])}" if len(inner) > 1 else "")
    if _is_list(hint):
        return f"a list of {_words(_alternatives(inner[0])[0]).removeprefix('a ')}" if inner else "a list"
    return str(getattr(hint, "__name__", hint))


def _shown(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
