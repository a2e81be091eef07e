"""Which places are found, what they are called, and what is not touched on the way."""

import collections
import sys
import types

import pytest

from pinnlab import PINN, Problem
from pinnlab.domains import Interval
from pinnlab.objective.places import places_of
from pinnlab.problems import Dirichlet, Residual

X = Interval("x", 0, 1)
LOSSES, SOURCES = [], [2.0]  # written by `Recording`, and read by it


class Raising:
    """An accessor that objects of some kinds have, as in pandas."""

    def __get__(self, owner, kind=None):
        raise AttributeError("only for sparse data")

    def __set__(self, owner, value):
        raise AttributeError("only for sparse data")


class Anew:
    """Something else at every look, such as a method of an object."""

    def __get__(self, owner, kind=None):
        return [1.0]


class Table:
    sparse, plot, size = Raising(), Anew(), 3.0

    @property
    def mean(self):
        raise RuntimeError("empty")


class Lazy:
    __slots__ = ("never",)

    def __getattr__(self, name):
        raise RuntimeError(name)


class Meta(type):
    @property
    def weird(cls):
        raise RuntimeError("weird")


class Made(metaclass=Meta):
    rate = 1.0


def installed(**members):
    """A class of a package that somebody installed."""
    return type("Frame", (), {**members, "__module__": "installed"})


@pytest.fixture(autouse=True)
def package(monkeypatch):
    module = types.ModuleType("installed")
    module.__file__ = "/usr/lib/python3/site-packages/installed.py"
    monkeypatch.setitem(sys.modules, "installed", module)


def holding(value):
    problem = Problem(X, ("u",), {"pde": Residual(X, lambda u, x: u.xx + Made.rate)})
    problem.table = value
    return problem


def readings_of(problem):
    return PINN(problem, compile=False).system.readings


@pytest.mark.parametrize(
    "make",
    [Table, Lazy, lambda: Table, lambda: installed(accessor=Raising(), plot=Anew(), size=3.0)()],
    ids=["object", "without attributes", "class", "installed"],
)
def test_no_descriptor_is_called(make):
    readings = readings_of(holding(make()))
    assert readings.look() == []


@pytest.mark.parametrize("make", [Table, lambda: Table], ids=["object", "class"])
def test_numbers_beside_descriptors_are_found(make, monkeypatch):
    readings = readings_of(holding(make()))
    monkeypatch.setattr(Table, "size", 4.0)
    assert readings.look() == ["table.size"]


def test_what_an_installed_class_has_is_its_own_but_not_what_an_object_was_given():
    config = installed(version=1.0)()
    config.viscosity = 0.1
    readings = readings_of(holding(config))
    type(config).version = 2.0
    assert readings.look() == []
    config.viscosity = 0.2
    assert readings.look() == ["table.viscosity"]


def test_a_problem_of_a_package_that_was_installed_is_followed():
    kind = type("Own", (Problem,), {"__module__": "installed", "level": 0.25})
    readings = readings_of(kind(X, ("u",), {"pde": Residual(X, lambda u, x: u.xx)}))
    kind.level = 0.5
    assert readings.look() == ["level"]


def test_a_slot_and_a_variable_that_are_empty_by_now_are_changes():
    class Slotted:
        __slots__ = ("mass",)

    problem = holding(Slotted())
    problem.table.mass = 1.0
    problem.source = shifted(2.0, 3.0)
    readings = readings_of(problem)
    del problem.table.mass
    del problem.source.__closure__[0].cell_contents
    assert sorted(readings.look()) == ["level", "table.mass"]
    assert readings.look() == []


class Recording(Problem):
    """Writes down what nobody reads, and reads lists by way of methods and functions."""

    def __init__(self):
        self.history, self.cache, self.names, self.last = [], {}, set(), collections.deque([0.0, 1.0], maxlen=2)
        self.sources, self.tables, self.queue = [1.0], {"a": [1.0]}, collections.deque([1.0, 2.0], maxlen=2)
        super().__init__(X, ("u",), {"pde": Residual(X, self.equation), "wall": Dirichlet(X.boundary(), u=0.0)})

    def note(self, loss):
        LOSSES.append(loss)
        self.history.append(loss)
        self.cache[len(self.cache)] = loss
        self.names.add(str(loss))
        self.last.append(loss)

    def equation(self, u, x):
        return u.xx + self.total() + sum(SOURCES)

    def total(self):
        return sum(self.sources) + sum(self.tables["a"]) + self.recent

    @property
    def recent(self):
        return sum(self.queue)


@pytest.fixture
def recording():
    yield Recording()
    LOSSES.clear()
    SOURCES[:] = [2.0]


def test_a_record_of_the_run_is_no_change(recording):
    readings = readings_of(recording)
    for step in range(10):
        recording.note(0.5 * step)
        assert readings.look() == []
    assert readings.version == 0


@pytest.mark.parametrize(
    ("name", "grow"),
    [
        ("sources", lambda p: p.sources.append(1.0)),
        ("SOURCES", lambda p: SOURCES.append(1.0)),
        ("tables.a", lambda p: p.tables["a"].append(1.0)),
        ("queue.0", lambda p: p.queue.append(3.0)),
    ],
)
def test_a_list_that_functions_of_conditions_read_is_counted(recording, name, grow):
    readings = readings_of(recording)
    recording.note(1.0)
    grow(recording)
    assert name in readings.look()
    assert readings.version == 1


class Base(Problem):
    nu = 0.3

    def __init__(self, *functions):
        self.mode = 1
        super().__init__(X, ("u",), {f"c{i}": Residual(X, function) for i, function in enumerate(functions)})


class Derived(Base):
    rate = 0.2

    def __init__(self, *functions):
        super().__init__(*functions)


def scaled(mode):
    def residual(u, x):
        return mode * u.xx

    return residual


def shifted(mode, level):
    return lambda u, x: u.x + mode + level


def values(problem):
    return {place.name: place.get() for place in places_of(problem) if not place.name.startswith("conditions.")}


def test_numbers_of_a_class_have_one_place():
    names = values(Derived(scaled(2.0)))
    assert [name for name in names if "nu" in name.split(".") or "rate" in name] == ["rate", "nu"]


def test_a_function_that_is_added_renames_nothing():
    one = values(Derived(scaled(2.0)))
    two = values(Derived(shifted(4.0, 5.0), scaled(2.0)))
    expected = {"mode": 1, "scaled.mode": 2.0, "nu": 0.3}
    assert {name: one[name] for name in expected} == expected
    expected.update({"shifted.mode": 4.0, "level": 5.0})
    assert {name: two[name] for name in expected} == expected
    assert not [name for name in two if "(" in name]


def test_an_argument_whose_place_is_gone_is_no_argument():
    problem = Derived(scaled(2.0))
    problem.source = shifted(3.0, 5.0)
    readings = readings_of(problem)
    readings.vary("level")
    problem.source = None
    assert readings.look() == ["source"]
    assert not readings.make_arguments(["source"])
    assert not [*readings._trial.varying.buffers()]
