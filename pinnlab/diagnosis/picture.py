"""The whole picture of a set-up or a run: what each term of the loss does, what the kernel allows, what is wrong."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from pinnlab.analysis.ntk import KernelSpectrum, kernel_spectra
from pinnlab.analysis.signatures import (
    SIGNATURES,
    Finding,
    Look,
    Record,
    imbalance,
    under_resolution,
    vanishing_coefficient_gradient,
)
from pinnlab.diagnosis.advice import set_up_of
from pinnlab.diagnosis.observation import Observer
from pinnlab.errors import ConfigurationError
from pinnlab.numerics import distributed
from pinnlab.numerics.lanczos import lanczos
from pinnlab.objective.linearization import Linearization
from pinnlab.training.evaluation import measure_errors
from pinnlab.training.exact_linearization import linearization
from pinnlab.training.point_store import PointStore, probe_rows
from pinnlab.training.trainer_parts import needed_store

PROBES = 200
"""Points of each condition at which spectra are taken, as `NTKSpectrum` does by default."""
CURVATURES = 6
"""Eigenvalues of the Hessian that are computed: those of the largest size."""


@dataclass(frozen=True)
class Term:
    """One condition in the loss, on its training points.

    Attributes:
        points: how many.
        weight: its factor in the loss.
        mean_square: of its residuals.
        gradient: norm of the gradient of weight times mean square.
        held_out_ratio: mean square on held-out points over that here; None where no points are held out.
    """

    points: int
    weight: float
    mean_square: float
    gradient: float
    held_out_ratio: float | None


@dataclass(frozen=True)
class Diagnosis:
    """What was found; the same on all ranks.

    Attributes:
        problem: its name.
        parameters: how many are trained.
        look: what signatures rest on.
        relative_l2: the error of each unknown, if there is a reference.
        terms: the conditions.
        cosines: between the gradients of the terms, in their order, `(terms, terms)`; NaN for one that is zero.
        kernel: spectra of the neural tangent kernel: of each condition's block, and of all as `total`.
        hessian: the eigenvalues of the loss's Hessian that are largest in size, in descending order.
        findings: what is wrong, and what was said of the run before.
        advice: which optimizer suits such a set-up, a line for each row of docs/how-to-choose.md that it is in.
    """

    problem: str
    parameters: int
    look: Look
    relative_l2: Mapping[str, float]
    terms: Mapping[str, Term]
    cosines: Sequence[Sequence[float]]
    kernel: Mapping[str, KernelSpectrum]
    hessian: Sequence[float]
    findings: Sequence[Finding]
    advice: Sequence[str]

    @property
    def where(self) -> str:
        """Where in the run it is, in words."""
        look = self.look
        return f"step {look.step}, phase {look.phase} ({look.optimizer})" if look.step else "before the first step"

    def summary(self) -> dict[str, Any]:
        """All of it in primitives."""
        return {
            "problem": self.problem,
            "parameters": self.parameters,
            **asdict(self.look),
            "relative_l2": dict(self.relative_l2),
            "terms": {name: asdict(term) for name, term in self.terms.items()},
            "cosines": [list(row) for row in self.cosines],
            "kernel": {name: _numbers(spectrum) for name, spectrum in self.kernel.items()},
            "hessian": list(self.hessian),
            "findings": [asdict(finding) for finding in self.findings],
            "advice": list(self.advice),
        }


@torch.no_grad()
def diagnose(module: Any, step: int = 0, record: Record | None = None, said: Sequence[Finding] = ()) -> Diagnosis:
    """Looks at a `PINN` as it stands, on all of its training points; a collective.

    It costs some hundred evaluations on 200 points of each condition, for the spectra.

    Args:
        module: the `PINN`, in its phase, with a trainer and a data module that has points.
        step: optimizer steps made so far.
        record: what `FailureSignatures` has seen of the run so far.
        said: what it has said.

    Raises:
        ConfigurationError: there are no points, or the loss is not finite.
    """
    store = needed_store(module, "diagnose")
    _evaluate(module, store)
    look = Observer(module).look(step)
    if look is None:
        raise ConfigurationError(f"diagnose: the loss is {module.current_loss()}; take an earlier checkpoint")
    around, gradients = _probed(module), module.loss_gradients().by_condition().double()
    columns = zip(module.problem.conditions, module.loss_weights.tolist(), gradients.norm(dim=1).tolist(), strict=True)
    squares = module.loss_terms()
    directions = gradients / gradients.norm(dim=1, keepdim=True)
    return Diagnosis(
        problem=module.problem.name,
        parameters=len(around.point),
        look=look,
        relative_l2=measure_errors(module, module.trainer.datamodule),
        terms={
            name: Term(len(store.rows[name]), weight, squares[name], norm, look.ratios.get(name))
            for name, weight, norm in columns
        },
        cosines=(directions @ directions.T).tolist(),
        kernel=kernel_spectra(around),
        hessian=_largest_curvatures(around),
        findings=findings_of(look, record or Record(), said),
        advice=set_up_of(module).advice(),
    )


def findings_of(look: Look, record: Record, said: Sequence[Finding] = ()) -> list[Finding]:
    """What a last look says of a run, and what was said before; each once.

    A look at a run that nobody has watched stands alone: then signatures that wait for several looks do not wait.

    Args:
        look: the last one.
        record: of the run so far, which it is added to.
        said: the findings so far.
    """
    rules = list(SIGNATURES.values())
    if not record.looks:
        rules += [functools.partial(rule, patience=1) for rule in (under_resolution, vanishing_coefficient_gradient)]
    if not look.step:
        rules.append(functools.partial(imbalance, patience=1))
    record.add(look)
    found = [*said, *(finding for rule in rules for finding in rule(record))]
    return list({(finding.signature, finding.subject): finding for finding in reversed(found)}.values())[::-1]


def _evaluate(module: Any, store: PointStore) -> None:
    """Has the loss evaluated on all points, as in a training step, but not counted."""
    module.system.resolve_engine()
    module.objective.build(module.device)
    evaluations, store.batches.full = module.evaluations, True
    batch = store.batch()
    module.on_train_batch_start(batch, 0)
    module.training_step(batch, 0)
    module.evaluations = evaluations


def _probed(module: Any) -> Linearization:
    """The loss on a fixed set of points beside the trained ones; see `NTKSpectrum`."""
    rows = probe_rows(module.problem, PROBES, seed=0)
    return linearization(module, {name: distributed.shard(part).to(module.device) for name, part in rows.items()})


def _largest_curvatures(around: Linearization) -> list[float]:
    generator, device = torch.Generator().manual_seed(0), around.point.device
    found = lanczos(around.hessian_times, len(around.point), CURVATURES, generator, by_size=True, device=device)
    values: list[float] = found.values.tolist()
    return values


def _numbers(spectrum: KernelSpectrum) -> dict[str, Any]:
    names = ("size", "trace", "top", "rank", "condition_number", "effective_rank")
    return {**{name: getattr(spectrum, name) for name in names}, "eigenvalues": spectrum.eigenvalues.tolist()}
