"""What a problem's functions read and somebody changes acts alike on eager and on compiled evaluations."""

import contextlib
import copy
import functools
import math
import types

import lightning as L
import numpy as np
import pytest
import torch
from compiling import needs_compiler
from training import ADAM, quiet_trainer

from pinnlab import PINN, CollocationDataModule, Phase, Problem
from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP
from pinnlab.numerics.compiler import Compiler
from pinnlab.objective.readings import Readings
from pinnlab.problems import Burgers, Dirichlet, Exact, Residual
from pinnlab.samplers import Sobol

pytestmark = pytest.mark.filterwarnings("ignore")

X = Interval("x", 0, 1)
SPEED = 2.0  # read by `twice`, as all of these, and changed by tests
NUMBERS = {"drag": 0.3}
NAMESPACE = types.SimpleNamespace(gain=1.1)
CONFIG = types.ModuleType("config")
CONFIG.rate = 0.6
CONFIG.inner = types.SimpleNamespace(loss=0.2)
LIFT, PAIR = 0.1, (0.4, 0.2)


class Settings:
    friction = 0.05


class Slotted:
    __slots__ = ("mass",)

    def __init__(self):
        self.mass = 1.2


class Source:
    def __init__(self):
        self.strength = 0.6

    def __call__(self, x):
        return self.strength * x


SLOTTED, SOURCE = Slotted(), Source()


def twice(speed):
    places = SPEED * speed + NUMBERS["drag"] + NAMESPACE.gain + CONFIG.rate + CONFIG.inner.loss
    return places + PAIR[0] + Settings.friction + SLOTTED.mass + SOURCE(speed)


class Material:
    def __init__(self):
        self.conductivity = 1.5


class Levelled(Problem):
    level = 0.25  # an attribute of a class

    @staticmethod
    def lifted(x):
        return LIFT * x


class Many(Levelled):
    """A residual that reads numbers from everywhere."""

    def __init__(self):
        self.long = [0.1 * i for i in range(5000)]  # more numbers than are looked at
        self.viscosity, self.switched, self.power = 0.1, True, 2
        self.material, self.table, self.list = Material(), torch.tensor([1.0, 2.0], dtype=torch.float64), [3.0]
        self.array = np.array([0.5])
        hidden = 0.7

        def source(x):
            return hidden * x

        self.source = source
        wall = Dirichlet(X.boundary(), u=lambda x: self.viscosity * x)
        super().__init__(X, ("u",), {"pde": Residual(X, self.equation), "wall": wall})

    def equation(self, u, x):
        value = self.viscosity * u.xx + self.material.conductivity * u**self.power + self.source(x)
        value = value + self.table.sum() * sum(self.list) + self.level + float(self.array[0]) + twice(x)
        value = value + self.lifted(x)
        return value + 1.0 if self.switched else value

    def reference(self):
        return Exact(lambda x: self.viscosity * x)


def change_cell(problem):
    problem.source.__closure__[0].cell_contents = 0.9


def change_global(problem):
    globals()["SPEED"] = 2.5


CHANGES = {
    "viscosity": lambda p: setattr(p, "viscosity", 0.2),
    "switched": lambda p: setattr(p, "switched", False),
    "power": lambda p: setattr(p, "power", 3),
    "material.conductivity": lambda p: setattr(p.material, "conductivity", 0.4),
    "table": lambda p: p.table.mul_(2.0),
    "list.0": lambda p: p.list.__setitem__(0, 1.0),
    "array": lambda p: p.array.__setitem__(0, 0.75),
    "level": lambda p: setattr(p, "level", 0.5),
    "level of the class": lambda p: setattr(Levelled, "level", 0.5),
    "list that grows": lambda p: p.list.append(1.0),
    "hidden": change_cell,
    "SPEED": change_global,
    "NUMBERS.drag": lambda p: NUMBERS.__setitem__("drag", 0.4),
    "NAMESPACE.gain": lambda p: setattr(NAMESPACE, "gain", 1.2),
    "CONFIG.rate": lambda p: setattr(CONFIG, "rate", 0.7),
    "CONFIG.inner.loss": lambda p: setattr(CONFIG.inner, "loss", 0.3),
    "LIFT": lambda p: globals().update(LIFT=0.2),
    "PAIR": lambda p: globals().update(PAIR=(0.5, 0.2)),
    "Settings.friction": lambda p: setattr(Settings, "friction", 0.07),
    "SLOTTED.mass": lambda p: setattr(SLOTTED, "mass", 1.3),
    "SOURCE.strength": lambda p: setattr(SOURCE, "strength", 0.9),
    "another table": lambda p: setattr(p, "table", torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)),
}
PLACES = {"another table": "table", "level of the class": "level", "list that grows": "list"}
"""Where a change is not called by the name of its place."""
FREE = {
    "viscosity",
    "material.conductivity",
    "table",
    "list.0",
    "level",
    "hidden",
    "SPEED",
    "NUMBERS.drag",
    "NAMESPACE.gain",
    "CONFIG.rate",
}
"""What is an argument of compiled functions once it has changed."""
ONE_OF_EACH = {"viscosity", "switched"}
"""A number, which becomes an argument, and a flag, which does not: the others take as long to compile, on demand."""
AGAIN = {"viscosity"}
"""A number: likewise."""


def on_demand(names, at_once):
    return [name if name in at_once else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture(autouse=True)
def speed():
    yield
    globals().update(SPEED=2.0, LIFT=0.1, PAIR=(0.4, 0.2))
    NUMBERS["drag"], NAMESPACE.gain, CONFIG.rate, CONFIG.inner.loss = 0.3, 1.1, 0.6, 0.2
    Levelled.level, Settings.friction, SLOTTED.mass, SOURCE.strength = 0.25, 0.05, 1.2, 0.6


def built(compile=False, problem=None, **options):
    problem = problem or Many()
    module = PINN(problem, functools.partial(MLP, hidden=[5]), [Phase(ADAM, steps=4)], compile=compile, **options)
    module.objective.compiler = Compiler() if compile else None
    module.objective.build(torch.device("cpu"))
    return module


def rows(problem):
    return {name: Sobol().sample(c.region, 40, seed=1) for name, c in problem.conditions.items()}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_seen_once_and_by_its_name(name):
    module = built()
    readings = module.system.readings
    assert readings.look() == []
    CHANGES[name](module.problem)
    assert PLACES.get(name, name) in readings.look()
    assert readings.version == 1
    assert readings.look() == []


def test_every_place_is_found_once_and_nothing_else_is_followed():
    problem = Many()
    module = built(problem=problem)
    names = [place.name for place in module.system.readings._places]
    assert len(names) == len(set(names))
    assert {"viscosity", "material.conductivity", "list.0", "level", "hidden", "SPEED", "conditions.pde.weight"} <= {
        *names
    }
    assert not [name for name in names if "region." in name or name.startswith(("domain", "wanted"))]


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("name", on_demand(CHANGES, ONE_OF_EACH))
def test_compiled_and_eager_go_with_a_change(name):
    one, two = built(compile=True), built()
    two.trial.load_state_dict(one.trial.state_dict())
    batch, weights = rows(one.problem), one.loss_weights

    def losses():
        found = [module.objective(batch, weights) for module in (one, two)]
        for module in (one, two):
            module.zero_grad()
        for loss in found:
            loss.backward()
        for p, q in zip(one.trial.parameters(), two.trial.parameters(), strict=True):
            assert torch.allclose(p.grad, q.grad, rtol=1e-10, atol=1e-12)
        assert float(found[0]) == pytest.approx(float(found[1]), rel=1e-12)
        r, jacobian = (getattr(one.linearization(batch), k)() for k in ("residual", "gram"))
        expected, other = (getattr(two.linearization(batch), k)() for k in ("residual", "gram"))
        assert torch.allclose(r, expected, rtol=1e-10)
        assert torch.allclose(jacobian[0], other[0], rtol=1e-9)
        return float(found[1])

    before = losses()
    CHANGES[name](one.problem)
    if name not in ("SPEED",):
        CHANGES[name](two.problem)
    for module in (one, two):
        assert module.objective.follow(module.device)
    after = losses()
    assert after != pytest.approx(before, rel=1e-6)
    assert one.objective.compiler is not None


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("name", on_demand(sorted(FREE), AGAIN))
def test_a_number_that_changes_again_costs_no_compilation(name):
    module = built(compile=True)
    batch = rows(module.problem)
    CHANGES[name](module.problem)
    module.objective.follow(module.device)
    module.objective(batch, module.loss_weights)
    kept = module.objective.evaluate
    again = {
        "table": lambda: module.problem.table.mul_(1.5), "list.0": lambda: module.problem.list.__setitem__(0, 7.0),
        "hidden": lambda: setattr(module.problem.source.__closure__[0], "cell_contents", 0.1),
        "SPEED": lambda: globals().update(SPEED=3.0), "material.conductivity": lambda: setattr(
            module.problem.material, "conductivity", 9.0),
        "NUMBERS.drag": lambda: NUMBERS.update(drag=5.0), "NAMESPACE.gain": lambda: vars(NAMESPACE).update(gain=5.0),
        "CONFIG.rate": lambda: vars(CONFIG).update(rate=5.0),
    }.get(name, lambda: setattr(module.problem, name, 0.05))  # fmt: skip
    again()
    assert name in module.objective.follow(module.device)
    assert module.objective.evaluate is kept
    plain = sum(map(float, module.mean_squares(batch).values()))
    assert float(module.objective(batch, module.loss_weights)) == pytest.approx(plain, rel=1e-12)


@pytest.mark.usefixtures("traced")
def test_an_argument_may_become_a_table_of_another_length():
    module = built(compile=True)
    batch = rows(module.problem)
    for table in ([1.0, 3.0], [1.0, 3.0, 5.0]):
        module.problem.table = torch.tensor(table, dtype=torch.float64)
        module.objective.follow(module.device)
        plain = sum(map(float, module.mean_squares(batch).values()))
        assert float(module.objective(batch, module.loss_weights)) == pytest.approx(plain, rel=1e-12)


class Shelf(Problem):
    """Reads a number of its class, and what may be a number, a function or nothing."""

    level = 0.25

    def __init__(self):
        self.source = 0.1
        super().__init__(X, ("u",), {"pde": Residual(X, self.equation)})

    def equation(self, u, x):
        source = self.source(x) if callable(self.source) else 0.0 if self.source is None else self.source
        return Shelf.level * u.xx + source


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("owner", "key", "values"),
    [
        (lambda p: Shelf, "level", (0.5, 0.75, 0.25)),
        (lambda p: p, "source", (0.2, torch.sin, 0.3, None)),
    ],
)
def test_a_number_of_a_class_and_one_that_is_none_for_a_while(owner, key, values):
    module = built(compile=True, problem=Shelf())
    batch = rows(module.problem)
    for value in values:
        setattr(owner(module.problem), key, value)
        assert key in module.objective.follow(module.device)
        plain = sum(map(float, module.mean_squares(batch).values()))
        assert float(module.objective(batch, module.loss_weights)) == pytest.approx(plain, rel=1e-12)
    assert "level" not in vars(module.problem)


@pytest.mark.usefixtures("traced")
def test_what_keeps_changing_and_cannot_be_an_argument_ends_compilation_in_one_line():
    module = built(compile=True)
    batch = rows(module.problem)
    for power in range(3, 7):
        module.problem.power = power
        module.objective.follow(module.device)
    module.problem.power = 7
    with pytest.warns(UserWarning, match=r"uncompiled: the problem's power changes too often"):
        module.objective.follow(module.device)
    assert module.objective.compiler is None
    plain = sum(map(float, module.mean_squares(batch).values()))
    assert float(module.objective(batch, module.loss_weights)) == pytest.approx(plain, rel=1e-14)


def test_what_compiles_code_that_nobody_will_use_is_ended(monkeypatch):
    ended, module = [], built(compile=False)
    monkeypatch.setattr(Compiler, "close", lambda own: ended.append(own))
    module.objective.compiler = compiler = Compiler()
    for power in range(3, 8):
        module.problem.power = power
        with pytest.warns(UserWarning, match="too often") if power == 7 else contextlib.nullcontext():
            module.objective.follow(module.device)
    assert ended == [compiler] * 5  # four times for a new one, and for good


class Anneal(L.Callback):
    """The user's own curriculum."""

    def on_train_batch_start(self, trainer, model, *unused):
        if trainer.global_step == 5:
            model.problem.viscosity = 1.0


@pytest.mark.parametrize("compile", [False, pytest.param(True, marks=[needs_compiler, pytest.mark.slow])])
def test_a_number_changed_in_mid_run_acts_on_training_and_evaluation(compile):
    problem = Burgers(viscosity=0.1)
    module = PINN(problem, functools.partial(MLP, hidden=[6]), [Phase(ADAM, steps=8)], compile=compile)
    data = CollocationDataModule(problem, points=50, evaluation_points=100, held_out=10)
    quiet_trainer(callbacks=[Anneal()]).fit(module, data)
    batch = data.store.batch()
    assert float(module.training_step(batch, 0)) == pytest.approx(float(module.mean_squares(batch)["pde"]), rel=1e-12)
    assert module.objective_version() == 1
    points, reference = data.evaluation_set()
    assert torch.equal(reference, Burgers(viscosity=1.0).reference_values(points))


def test_weights_of_conditions_changed_in_mid_run_are_told():
    module = built()
    module.problem.conditions["pde"].weight = 3.0
    with pytest.raises(ConfigurationError, match=r"conditions\.pde\.weight"):
        module.follow_problem()


def test_a_number_is_announced_by_its_name():
    readings = built().system.readings
    readings.vary("viscosity")
    with pytest.raises(ConfigurationError, match="viscosity"):
        readings.vary("viscositi")
    with pytest.raises(ConfigurationError, match="power"):
        readings.vary("power")


def test_a_copy_reads_its_own_problem():
    module = built()
    module.system.readings.vary("viscosity")
    twin = copy.deepcopy(module)
    twin.problem.viscosity = 0.5
    assert twin.system.readings.look() == ["viscosity"]
    assert module.system.readings.look() == []
    assert [float(m.trial.varying.get_buffer("0")) for m in (twin, module)] == [0.5, 0.1]


def test_numbers_stay_exact_through_a_phase_in_float32():
    module = built()
    module.system.readings.vary("viscosity")
    module.problem.viscosity = 0.1
    module.float()
    module.double()
    module.objective.build(module.device)
    assert float(module.trial.varying.get_buffer("0")) == 0.1
    assert not any("varying" in name for name in module.state_dict())


def test_nan_is_no_change_nor_is_a_table_that_counts_none():
    problem = Many()
    problem.viscosity = math.nan
    with torch.inference_mode():
        problem.table = torch.ones(2, dtype=torch.float64)
    readings = Readings(problem, built(problem=Many()).trial)
    assert readings.look() == []


def test_a_function_that_code_made_is_followed():
    """One of `sympy.lambdify`, say, is of no module."""
    place = {"rate": 2.0}
    decay = eval("lambda u: u.x + rate * u", place)
    readings = built(problem=Problem(X, ["u"], {"pde": Residual(X, decay)})).system.readings
    assert decay.__module__ is None
    place["rate"] = 3.0
    assert readings.look() == ["rate"]
