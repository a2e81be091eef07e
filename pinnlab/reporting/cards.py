"""What a run is, in words: cards for problem, recipe and machine, and the settings that runs are compared by."""

from __future__ import annotations

import importlib
import inspect
import os
import platform
from collections.abc import Mapping
from typing import Any

import torch
import yaml

from pinnlab.problems.base import Exact, Problem


def problem_card(problem: Problem, points: Mapping[str, int], weights: Mapping[str, float]) -> str:
    """A problem as Markdown: its docstring, where it lives, and a table of its conditions.

    Args:
        problem: what is solved.
        points: how many each condition has.
        weights: the factor of each condition in the loss.
    """
    text = (inspect.getdoc(problem) or "").partition("\nArgs:")[0].strip()
    reference = problem.reference()
    known = "none" if reference is None else "exact" if isinstance(reference, Exact) else "numerical"
    facts = {
        "unknowns": ", ".join(problem.unknowns),
        "domain": f"`{problem.domain!r}`",
        "coefficients to find": ", ".join(problem.coefficients) or "none",
        "reference": known,
        "conditions by construction": "yes (an ansatz)" if problem.ansatz else "no",
    }
    rows = []
    for name, condition in problem.conditions.items():
        function = getattr(condition, "function", None)
        what = (inspect.getdoc(function) or "").partition("\n")[0] if inspect.ismethod(function) else ""
        count, weight = points.get(name, 0), weights.get(name, 1.0)
        rows.append([name, type(condition).__name__, what, condition.where, f"{count:,}", f"{weight:g}"])
    heads = ["condition", "kind", "what", "where", "points", "weight"]
    return f"## {problem.name}\n\n{text}\n\n{_facts(facts)}\n\n{_table(heads, rows)}"


def recipe_card(name: str, recipe: str | None, settings: Mapping[str, Any]) -> str:
    """A run's settings as Markdown, and its recipe, if it has one.

    Args:
        name: the run's.
        recipe: YAML.
        settings: see `settings_of`.
    """
    text = f"## {name}\n\n{_facts(settings)}"
    return text if recipe is None else f"{text}\n\n```yaml\n{recipe.strip()}\n```"


def machine_card(device: torch.device, dtype: str, processes: int, compiled: bool) -> str:
    """Where and how a run computes, as Markdown."""
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else "none"
    return "## Machine\n\n" + _facts(
        {
            "device": device,
            "accelerator": accelerator,
            "processes": processes,
            "threads of each": torch.get_num_threads(),
            "cores": os.cpu_count(),
            "dtype": dtype,
            "compiled": "yes" if compiled else "no",
            "torch": torch.__version__,
            "Python": platform.python_version(),
            "system": platform.platform(terse=True),
        }
    )


def settings_of(recipe: str | None, built: Mapping[str, str]) -> dict[str, str]:
    """What runs are compared by, the same keys for every run: TensorBoard takes the columns of the first it finds.

    Args:
        recipe: YAML. What it says is spelled with all arguments that are not the defaults.
        built: problem, network, phases and callbacks in words, for what no recipe describes.
    """
    found = {"problem": "", "network": "", "phases": "", "callbacks": ""} | dict(built)
    content = {} if recipe is None else yaml.safe_load(recipe)
    model, trainer = content.get("model") or {}, content.get("trainer") or {}
    for key, value, join in (
        ("problem", content.get("problem"), ""),
        ("network", model.get("network"), ""),
        ("phases", model.get("phases"), " > "),
        ("callbacks", trainer.get("callbacks"), ", "),
    ):
        if value:
            found[key] = join.join(map(spelled, value)) if isinstance(value, list) else spelled(value)
    return found


def spelled(value: Any) -> str:
    """A part of a recipe in one line: a class as a call with those arguments that are not its defaults.

    Examples:
        >>> spelled({"class_path": "torch.optim.Adam", "init_args": {"lr": 0.005, "eps": 1e-8}})
        'Adam(lr=0.005)'
        >>> spelled({"optimizer": {"class_path": "torch.optim.Adam"}, "steps": 300})
        'Adam, steps=300'
    """
    if isinstance(value, list):
        return f"[{', '.join(map(spelled, value))}]"
    if not isinstance(value, Mapping):
        return str(value)
    if "class_path" in value:
        path = str(value["class_path"])
        arguments = _without_defaults(path, {**value.get("init_args", {}), **value.get("dict_kwargs", {})})
        return path.rpartition(".")[2] + (f"({_arguments(arguments)})" if arguments else "")
    if "optimizer" in value:
        given = _without_defaults("pinnlab.Phase", value)  # recipes leave the class of phases out
        rest = {key: item for key, item in given.items() if key != "optimizer"}
        return ", ".join([spelled(value["optimizer"]), *([_arguments(rest)] if rest else [])])
    return f"{{{_arguments(value)}}}"


def _arguments(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={spelled(value)}" for key, value in values.items())


def _without_defaults(path: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a class, by its path, that are not those it has by default."""
    module, _, name = path.rpartition(".")
    try:
        parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    except (ImportError, AttributeError, ValueError):  # a class without a signature: all arguments are told
        return dict(arguments)
    defaults = {key: parameter.default for key, parameter in parameters.items()}
    # YAML knows lists only, so (0.9, 0.999) comes back as one.
    return {
        key: value for key, value in arguments.items() if _plain(defaults.get(key, inspect._empty)) != _plain(value)
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _facts(facts: Mapping[str, Any]) -> str:
    return "\n".join(f"- **{key}**: {value}" for key, value in facts.items())


def _table(heads: list[str], rows: list[list[Any]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
