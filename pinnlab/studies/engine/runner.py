"""A study: the same problems under different settings and seeds, one line of a CSV file per training run."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from pinnlab.cli.catalog import find_recipe
from pinnlab.errors import ConfigurationError, unknown
from pinnlab.reporting.files import append_whole

Config = Mapping[str, Any]
Row = dict[str, Any]
Measure = Callable[[Mapping[str, Any]], Row]
Probe = Callable[[Any], Row]
Make = Callable[[Config], tuple[dict[str, Any], Any]]

KEY = ("problem", "setting", "seed")
DONE = "done"

# What a study does not need: folders, figures, and validations before the end.
QUIET: Config = {
    "trainer": {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "limit_val_batches": 0}
}


@dataclass(frozen=True)
class Study:
    """Which runs to make and what to keep of each.

    Attributes:
        name: of the study and of its files.
        problems: by name, a shipped recipe and what differs from it.
        settings: by name, what differs from the problem's recipe: keys as in a recipe; mappings are merged, lists
            and values replaced. Only callbacks of the trainer are added to the problem's; the two together replace
            those of the recipe.
        columns: what is kept of each run.
        measure: takes a run's summary (as in `summary.json`) to these columns.
        seeds: of points and weights; each makes a run.
        probe: takes the trained command (its `model`, `datamodule` and `trainer`) to more columns: what no summary
            has, such as the spectrum of the kernel.
        own: by problem and setting, what differs further: a size that means something else in two dimensions.
        make: makes a run of a recipe, as `train` does, which is the default.
    """

    name: str
    problems: Mapping[str, tuple[str, Config]]
    settings: Mapping[str, Config]
    columns: Sequence[str]
    measure: Measure
    seeds: Sequence[int] = field(default=(0, 1, 2))
    probe: Probe | None = None
    own: Mapping[tuple[str, str], Config] = field(default_factory=dict)
    make: Make | None = None

    def cases(self) -> Iterator[tuple[str, str, int]]:
        """All runs, seed by seed, so that a study that is cut off has whole comparisons."""
        for seed, problem, setting in itertools.product(self.seeds, self.problems, self.settings):
            yield problem, setting, seed

    def config(self, problem: str, setting: str, seed: int) -> dict[str, Any]:
        """The recipe of one run."""
        recipe, changes = self.problems[problem]
        base = yaml.safe_load(find_recipe(recipe).read_text())
        chosen = merged(self.settings[setting], self.own.get((problem, setting), {}))
        given = (part.get("trainer", {}).get("callbacks", []) for part in (changes, chosen))
        callbacks = list(itertools.chain.from_iterable(given))
        own = {"trainer": {"callbacks": callbacks}} if callbacks else {}
        return merged(base, changes, chosen, own, QUIET, {"seed_everything": seed, "name": problem})

    def restricted(self, problems: Sequence[str], settings: Sequence[str], seeds: Sequence[int]) -> Study:
        """The same study on fewer problems, settings or seeds; an empty list keeps all.

        Raises:
            ConfigurationError: a name is not of this study.
        """
        chosen: dict[str, Any] = {}
        for key, names in (("problems", problems), ("settings", settings)):
            known = getattr(self, key)
            for name in names:
                if name not in known:
                    raise unknown(f"name in --{key}", name, known)
            chosen[key] = {name: known[name] for name in names or known}
        return replace(self, seeds=tuple(seeds) or self.seeds, **chosen)


def merged(*configs: Config) -> dict[str, Any]:
    """One configuration from several: mappings are merged; of all else, and of two classes, the last one wins."""
    result: dict[str, Any] = {}
    for config in configs:
        for key, value in config.items():
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            if both and _same_class(result[key], value):
                result[key] = merged(result[key], value)
            else:
                result[key] = deepcopy(value)
    return result


def _same_class(before: Config, after: Config) -> bool:
    """Whether arguments of the first may stay: the second does not name another class."""
    return "class_path" not in after or before.get("class_path", after["class_path"]) == after["class_path"]


def train(config: Config) -> tuple[dict[str, Any], Any]:
    """Makes one run with the command line's own means.

    Args:
        config: a recipe.

    Returns:
        The run's summary, as in `summary.json`, and the command that made it: module, data, trainer.
    """
    from pinnlab.callbacks import RunSummary
    from pinnlab.cli import commands  # this imports Lightning; a report does not need it
    from pinnlab.training.trainer_parts import callbacks_of

    commands.quieten()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.yaml"
        path.write_text(yaml.safe_dump(dict(config)))
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            trained = commands.command(["fit", "-c", str(path)])
    return callbacks_of(trained.trainer, RunSummary)[0].result, trained


def outcome(summary: Mapping[str, Any]) -> Row:
    """What nearly every study keeps of a run's summary: the error of the worst unknown, and what it cost."""
    return {
        "relative_l2": max(summary["relative_l2"].values()),
        "loss": summary["loss"],
        "evaluations": summary["evaluations"],
        "seconds": round(summary["seconds"], 1),
    }


def outcome_and_points(summary: Mapping[str, Any]) -> Row:
    """`outcome`, and how many points were seen."""
    return {**outcome(summary), "points_seen": summary["points_seen"]}


def outcome_and_size(summary: Mapping[str, Any]) -> Row:
    """The size of the network that was trained last, and where training ended; for runs that end by the clock."""
    ended = outcome(summary)
    return {"parameters": summary["parameters"], **{key: ended[key] for key in ("relative_l2", "loss", "evaluations")}}


def read_rows(path: Path) -> list[Row]:
    """The lines of a study so far; none when there is no file. Values are text."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run_study(study: Study, path: Path, workers: int = 1, report: Callable[[str], None] = print) -> None:
    """Makes the runs that the file does not have yet; each one's line is written as soon as it ends.

    Args:
        study: what to run.
        path: the CSV file. A run that failed is kept with its error as status and not tried again; delete its
            line to do so.
        workers: processes side by side; each takes its share of the processor's cores.
        report: is given one line per run.

    Raises:
        ConfigurationError: the file belongs to another kind of study, or cannot be written; before any run.
    """
    known = {tuple(row.get(key, "") for key in KEY) for row in read_rows(path)}
    waiting = [case for case in study.cases() if tuple(map(str, case)) not in known]
    report(f"{study.name}: {len(waiting)} of {len(list(study.cases()))} runs to make")
    columns = (*KEY, "status", *study.columns)
    if waiting:
        _check_file(path, columns)
    for number, row in enumerate(_rows(study, waiting, workers), 1):
        append_row(path, columns, row)
        values = ", ".join(f"{k} {_short(v)}" for k, v in row.items() if k not in KEY)
        report(f"{number}/{len(waiting)} {row['problem']} {row['setting']} seed {row['seed']}: {values}")


def append_row(path: Path, columns: Sequence[str], row: Row) -> None:
    """Adds a line, or none of it on a full disk; with a heading to a new file.

    Raises:
        ConfigurationError: the file has other columns.
        OSError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    if _is_new(path, columns):
        writer.writeheader()
    writer.writerow(row)
    append_whole(path, text.getvalue().encode())


def _is_new(path: Path, columns: Sequence[str]) -> bool:
    """Whether a file has no heading yet; refuses one of other columns."""
    if not path.exists() or path.stat().st_size == 0:
        return True
    with path.open(newline="", encoding="utf-8") as file:
        if next(csv.reader(file), None) != list(columns):
            raise ConfigurationError(f"{path}: has other columns than {', '.join(columns)}; move the file away")
    return False


def _check_file(path: Path, columns: Sequence[str]) -> None:
    """Refuses a file that the lines of runs cannot go to, before the first run is made."""
    try:
        _is_new(path, columns)
        append_whole(path, b"")
    except OSError as error:
        raise ConfigurationError(f"--folder: {path} cannot be written ({error.strerror}); name another one") from error


def _rows(study: Study, cases: Iterable[tuple[str, str, int]], workers: int) -> Iterator[Row]:
    tasks = [(case, study.config(*case), study.measure, study.probe, study.make or train) for case in cases]
    threads = max((os.cpu_count() or 1) // workers, 1)
    # Spawned, so that every process starts its threads afresh.
    context = multiprocessing.get_context("spawn")
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(workers, context, initializer=_begin_worker, initargs=(threads,)) as pool:
        try:
            for future in as_completed([pool.submit(_run, *task) for task in tasks]):
                yield future.result()
        except BaseException:  # Ctrl-C, or a line that cannot be written: the pool would make all runs that are left
            for worker in set(multiprocessing.active_children()).difference(others):
                worker.kill()
            raise


def _begin_worker(threads: int) -> None:
    """Sets the threads of a process that makes runs, and has it end with the study, which a signal may have ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the study ends this process
    import torch

    torch.set_num_threads(min(threads, torch.get_num_threads()))  # the environment may allow fewer
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process, in whatever run it is, when the one that started it has ended: nobody reads its result."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # it is that of a pool
    parent.join()
    os._exit(1)


def _run(case: tuple[str, str, int], config: Config, measure: Measure, probe: Probe | None, make: Make) -> Row:
    """One run; a failure is a result, too."""
    row: Row = dict(zip(KEY, case, strict=True))
    try:
        summary, trained = make(config)
        return {**row, "status": DONE, **measure(summary), **({} if probe is None else probe(trained))}
    except Exception as error:
        return {**row, "status": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def _short(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
