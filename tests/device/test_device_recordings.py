"""Numbers that change in a recorded run, what is asked of a model after its run, and points that are elsewhere."""

import contextlib
import functools
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from card import card
from compiling import needs_compiler
from devices import PLACES, at, fetched
from training import ADAM, POINT_CALLBACKS, quiet_trainer, small_data, small_module

from pinnlab import PINN, Phase
from pinnlab.analysis.curvature import curvature
from pinnlab.analysis.ntk import kernel_spectra
from pinnlab.networks import MLP
from pinnlab.numerics import compiler
from pinnlab.numerics.compiler import Compiler
from pinnlab.numerics.compiling_process import can_fork
from pinnlab.numerics.graph_replay import PLAIN_CALLS, Recordings, by_calling
from pinnlab.objective import global_loss
from pinnlab.objective.scores import SCORES
from pinnlab.optimizers import solve_last_layer
from pinnlab.problems import Burgers
from pinnlab.training import compiling
from pinnlab.training.exact_linearization import linearization
from pinnlab.training.point_store import probe_rows

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning

NUMBERS = (0.1, 0.2, 0.3, 0.4)


def burgers():
    problem = Burgers(viscosity=0.05)
    module = PINN(problem, functools.partial(MLP, hidden=[6]), [Phase(ADAM, steps=8)])
    module.system.resolve_engine()
    return module, probe_rows(problem, 40, 0)


def frozen(monkeypatch, problem):
    """As a GPU: a number that is no argument is that of the recording. Lists the numbers of recordings."""
    made = []

    def record(compute):
        own = problem.viscosity
        made.append(own)
        run, results = by_calling(compute)

        def again():
            now, problem.viscosity = problem.viscosity, own
            try:
                run()
            finally:
                problem.viscosity = now

        return again, results

    monkeypatch.setattr(global_loss, "recordings_for", lambda device: Recordings(device, record))
    return made


class Refusing(Compiler):
    """A compiler whose functions cannot be compiled."""

    def take(self, job):
        raise RuntimeError("no compiler")


HOW = {
    "never compiled": lambda: None,
    "cannot be compiled": Refusing,
    "compiled": Compiler,
}


@pytest.mark.usefixtures("traced")
def test_what_is_recorded_uncompiled_makes_room_for_code_made_beside_the_run(recorded, monkeypatch):
    """The recordings before and after go on without a look at the function itself; only those before call it."""
    monkeypatch.setattr(compiler, "start", lambda job: SimpleNamespace(is_alive=lambda: False, join=lambda: None))
    module, batch = burgers()
    calls, sums, objective = [], module.system.squared_sums, module.objective
    monkeypatch.setattr(module.system, "squared_sums", lambda *given: calls.append(0) or sums(*given))
    objective.compiler = Compiler(beside=True)
    objective.build(torch.device("cpu"))

    def steps(number):
        calls.clear()
        losses = [float(objective(batch, module.loss_weights)) for _ in range(number)]
        assert losses == pytest.approx(losses[:1] * number, rel=1e-12)
        return losses[0], len(calls)

    first, _ = steps(PLAIN_CALLS + 1)
    assert len(recorded) == 1
    assert steps(3) == (first, 3)  # the recorder calls again what it has recorded
    assert [made.title for made in objective.adopt()] == ["loss and gradient"]
    assert objective.adopt() == []
    assert steps(PLAIN_CALLS + 1)[0] == pytest.approx(first, rel=1e-12)
    assert len(recorded) == 2
    assert steps(3)[1] == 0


@pytest.mark.parametrize("announced", [False, True])
@pytest.mark.parametrize("how", [*list(HOW)[:2], pytest.param("compiled", marks=[needs_compiler, pytest.mark.slow])])
def test_a_number_that_changes_acts_on_what_is_recorded(how, announced, monkeypatch):
    module, batch = burgers()
    made = frozen(monkeypatch, module.problem)
    module.objective.compiler = HOW[how]()
    with contextlib.nullcontext() if how == "compiled" else card() as there:
        module.to(there)
        if announced:
            module.system.readings.vary("viscosity")
        module.objective.build(module.device)
        for number in NUMBERS:
            module.problem.viscosity = number
            module.objective.follow(module.device)
            expected = module.mean_squares(batch)["pde"]
            sizes = module.system.score("pde", batch["pde"], compiled=False)
            for _ in range(PLAIN_CALLS + 2):
                assert float(module.objective(batch, module.loss_weights)) == pytest.approx(float(expected), rel=1e-12)
                assert torch.allclose(*map(fetched, (module.system.score("pde", batch["pde"]), sizes)), rtol=1e-12)
    numbers = NUMBERS[:1] if how == "compiled" else NUMBERS  # an argument is not recorded again
    assert made == [number for number in numbers for _ in ("loss", "score")]
    assert how != "cannot be compiled" or not module.objective.compiler.complete


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("announced", [False, True])
def test_a_number_that_becomes_an_argument_is_where_the_parameters_are(place, announced):
    module, _ = burgers()
    with at(place) as there:
        module.to(there.device)
        if announced:
            module.system.readings.vary("viscosity")
        module.problem.viscosity = 0.3
        module.system.readings.make_arguments(module.system.readings.look())
        found = {name: buffer.device for name, buffer in module.trial.varying.named_buffers()}
        assert found == {"0": there.device}
        assert float(fetched(module.trial.varying.get_buffer("0"))) == 0.3


def looked_at(module, data):
    """What people ask of a model after its run."""
    batch = data.store.batch()
    around = module.linearization(batch)
    columns, solution = solve_last_layer(around)
    found = {
        "columns": columns,
        "solution": torch.tensor(solution.left_over),
        "J v": around.times(torch.ones_like(around.point)),
    }
    found |= {f"kernel {name}": s.eigenvalues for name, s in kernel_spectra(around).items()}
    found |= {
        "curvature": curvature(around, top=3, probes=1, steps=5).eigenvalues,
        "exact": linearization(module, batch).residual(),
    }
    found |= {f"mean {name}": value for name, value in module.mean_squares(batch).items()}
    for name, rows in batch.items():
        found |= {f"score {kind} {name}": SCORES[kind](module.system, name, rows) for kind in SCORES}
    found |= {f"residual {name}": r for name, r in module.system.residuals(batch).items()}
    found |= {"loss": module.objective(batch, module.loss_weights), "gradients": module.loss_gradients().by_condition()}
    return {name: value.detach() for name, value in found.items()}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("compile", [False, pytest.param(True, marks=pytest.mark.cuda)])
def test_what_is_asked_after_a_run(place, compile, recorded):
    def run(**trainer):
        module = small_module(phases=[Phase(ADAM, steps=6)], compile=compile)
        data = small_data(module.problem)
        quiet_trainer(**trainer).fit(module, data)
        assert module.device.type == "cpu"  # where Lightning leaves it
        return module, data

    expected = looked_at(*run())
    with at(place) as there:
        module, data = run(**there.trainer)
        assert all(rows.device == there.device for rows in data.store.rows.values())
        before = len(recorded)
        for _ in range(PLAIN_CALLS + 2):
            found = looked_at(module, data)
        assert len(recorded) > before  # on the CPU, anew
        assert {value.device.type for value in found.values()} == {"cpu"}
        quiet_trainer(**there.trainer).fit(module, data)  # and it trains on
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-7, atol=1e-9 * float(value.abs().max())), name


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("first", ["by itself", "for a run on the CPU"])
def test_points_that_are_there_go_where_a_run_is(place, first):
    module = small_module(phases=[Phase(ADAM, steps=5)])
    data = small_data(module.problem)
    if first == "by itself":
        data.setup()
    else:
        quiet_trainer(inference_mode=False).validate(module, data, verbose=False)
    kept = {name: rows.clone() for name, rows in data.store.rows.items()}
    with at(place) as there:
        seen = Places()
        trainer = quiet_trainer(callbacks=[*POINT_CALLBACKS["rad_by_slope"](), seen], **there.trainer)
        trainer.fit(module, data)
    assert seen.places == {there.device}
    assert all(torch.equal(fetched(seen.first[name]).cpu(), rows) for name, rows in kept.items())


class Places(L.Callback):
    """Notes where points are in a run, and which it begins with."""

    def on_train_start(self, trainer, pl_module):
        self.first = dict(trainer.datamodule.store.rows)

    def on_train_batch_end(self, trainer, *unused):
        self.places = {rows.device for rows in trainer.datamodule.store.rows.values()}


@pytest.mark.parametrize("place", PLACES)
def test_a_resumed_run_on_a_gpu_compiles_beside_itself_in_new_processes(place):
    """A process that has used a GPU must not be forked."""
    module, _ = burgers()
    module.trainer = L.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    with at(place) as there:
        module.to(there.device)
        chosen = compiling.compiler_for(module, "auto", ["a"])
    assert (chosen.beside, chosen.used) == (True, {"a"})
    assert place == "card" or not can_fork()
