"""Runs as their folders hold them: the summary, the recipe, and loss and error over evaluations and time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from pinnlab.errors import ConfigurationError

Array = NDArray[np.float64]

_COUNTER = "training/evaluations"
_CLOCK = "training/seconds"
"""Seconds of training, without what comes between: figures, the start of the next window of time, nights."""


@dataclass(frozen=True)
class Curve:
    """A number of a run as it trained, with its end.

    Attributes:
        evaluations: `(n,)`, of the loss, made by then.
        seconds: `(n,)` of training by then, those of the sessions before a resumed run included.
        values: `(n,)`.
    """

    evaluations: Array
    seconds: Array
    values: Array


@dataclass(frozen=True)
class Run:
    """A run that came to an end.

    Attributes:
        name: how it is told from others, as `burgers/version_0`.
        summary: its `summary.json`.
        recipe: its `config.yaml`; empty for a run that the command did not make.
        loss: the total loss.
        error: the largest relative L2 error of an unknown; None without a reference.
    """

    name: str
    summary: Mapping[str, Any]
    recipe: Mapping[str, Any]
    loss: Curve
    error: Curve | None


def newest_summary(folder: Path) -> dict[str, Any] | None:
    """What a run reached at last, by the newest `summary.json` in its folder; None if it never came to an end."""
    files = sorted(folder.glob("summary*.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(files[-1].read_text("utf-8")) if files else None


def how_far(summary: Mapping[str, Any]) -> str:
    """Up to where the solution of a run in windows of time reaches that did not come to the end; empty of others."""
    return "".join(f" up to {name} = {value:g}" for name, value in summary.get("up_to", {}).items())


def errors_in_words(errors: Mapping[str, float]) -> str:
    """The errors of a run by unknown."""
    return ", ".join(f"{name} {value:.3e}" for name, value in errors.items()) or "no reference"


def read_run(folder: Path, name: str) -> Run:
    """A run from its folder.

    Args:
        folder: such as `runs/burgers/version_0`.
        name: to call it.

    Raises:
        ConfigurationError: it has no summary, or one that cannot be read.
    """
    try:
        summary = newest_summary(folder)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{folder}: its summary cannot be read ({error})") from error
    if summary is None:
        raise ConfigurationError(f"{folder}: has no summary.json; it was cut off, or still runs")
    recipe = folder / "config.yaml"
    scalars = _scalars(folder)
    errors = summary["relative_l2"]
    tags = [f"relative_l2/{unknown}" for unknown in errors]
    return Run(
        name,
        summary,
        yaml.safe_load(recipe.read_text("utf-8")) or {} if recipe.is_file() else {},
        _curve(scalars, ["loss/total"], summary, summary["loss"]),
        _curve(scalars, tags, summary, largest(errors.values())) if errors else None,
    )


Scalars = dict[str, dict[int, tuple[float, float]]]
"""Value and wall time by tag and step."""


def _scalars(folder: Path) -> Scalars:
    """What training logged for TensorBoard; nothing where another logger was used."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: Scalars = {}
    for path in sorted(folder.glob("events.*")):
        events = EventAccumulator(str(path), size_guidance={"scalars": 0, "images": 1, "tensors": 1})
        events.Reload()
        tags = events.Tags()["scalars"]
        if _COUNTER not in tags:
            continue  # of a look at the run after it
        for tag in tags:
            if tag in (_COUNTER, _CLOCK, "loss/total") or tag.startswith("relative_l2/"):
                found.setdefault(tag, {}).update({e.step: (e.value, e.wall_time) for e in events.Scalars(tag)})
    return found


def _curve(scalars: Scalars, tags: Sequence[str], summary: Mapping[str, Any], last: float | None) -> Curve:
    """The largest of some scalars at each step.

    Where seconds of training were not logged the wall clock's stand for them, so that they end as the summary's do.
    """
    counted = sorted(scalars.get(_COUNTER, {}).items())
    timed = sorted(scalars.get(_CLOCK, {}).items())
    logged = [scalars.get(tag, {}) for tag in tags]
    steps = sorted(set.intersection(*(set(one) for one in logged))) if counted else []
    end = max((wall for one in scalars.values() for _, wall in one.values()), default=0.0)
    total = float(summary["seconds"])
    evaluations = _at(steps, counted)
    walls = [max(total - (end - logged[0][step][1]), 0.0) for step in steps]
    rows = [
        (made, second, max(one[step][0] for one in logged))
        for step, made, second in zip(steps, evaluations, _at(steps, timed) if timed else walls, strict=True)
        if step + 1 < summary["steps"]
    ]
    if last is not None:
        rows.append((summary["evaluations"], total, last))
    columns = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return Curve(columns[:, 0], columns[:, 1], columns[:, 2])


def _at(steps: Sequence[int], logged: Sequence[tuple[int, tuple[float, float]]]) -> Array:
    """What was logged at some steps, in their order, at others."""
    return np.interp(steps, [step for step, _ in logged] or [0], [value for _, (value, _) in logged] or [0])


def largest(values: Iterable[float | None]) -> float | None:
    """The largest number; None where one of them is not finite, which JSON has no number for."""
    given = list(values)
    finite = [value for value in given if value is not None]
    return max(finite) if len(finite) == len(given) else None


def differences(recipes: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The options in which recipes differ, by the names that they have on the command line.

    Where classes differ their options are left out; where lists differ in length they are one option.

    Examples:
        >>> one = {"model": {"phases": [{"optimizer": {"class_path": "torch.optim.Adam"}, "steps": 5}]}}
        >>> two = {"model": {"phases": [{"optimizer": {"class_path": "torch.optim.SGD"}, "steps": 5}]}}
        >>> differences([one, two])
        {'model.phases.0.optimizer': ['Adam', 'SGD']}
    """
    return {
        key: values
        for key, values in _differing("", list(recipes))
        if key not in _OF_ONE_RUN and not key.startswith("trainer.logger")
    }


_OF_ONE_RUN = ("name", "ckpt_path", "problem_file", "problem_folder", "weights_only", "trainer.default_root_dir")
"""Keys that say where a run is, not how it is made."""


def _differing(key: str, values: list[Any]) -> Iterator[tuple[str, list[str]]]:
    if all(value == values[0] for value in values):
        return
    if all(isinstance(value, Mapping) for value in values) and _same_class(values):
        for name in dict.fromkeys(name for value in values for name in value):
            inner = key if name == "init_args" else f"{key}.{name}".lstrip(".")
            yield from _differing(inner, [value.get(name) for value in values])
    elif all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1:
        if any(isinstance(item, Mapping) for value in values for item in value):
            for number, items in enumerate(zip(*values, strict=True)):
                yield from _differing(f"{key}.{number}", list(items))
        else:
            yield key, [in_short(value) for value in values]
    else:
        yield key, [in_short(value) for value in values]


def _same_class(values: Sequence[Mapping[str, Any]]) -> bool:
    return len({value.get("class_path") for value in values}) == 1


def in_short(value: Any) -> str:
    """A value of a recipe in a few letters: a class by its name, a phase by its optimizer and steps."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(in_short, value)) or "-"
    if isinstance(value, Mapping):
        if "class_path" in value:
            return str(value["class_path"]).rpartition(".")[2]
        if "optimizer" in value:
            steps = value.get("steps")
            return in_short(value["optimizer"]) + (f" {steps}" if steps else "")
        return ", ".join(f"{name} {in_short(item)}" for name, item in value.items())
    text = str(value)
    return text.rpartition(".")[2] if text.replace(".", "").isidentifier() and "." in text else text
