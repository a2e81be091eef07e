"""Going on from a checkpoint with something else is told, line by line."""

import functools
import re
import warnings
from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader
from training import ADAM, QUASI_NEWTON, full_run, quiet_trainer, small_data, small_module

import pinnlab
from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.callbacks import Continuation, DiagnosisWriter
from pinnlab.criteria import LossPlateau
from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, ScaledInput
from pinnlab.optimizers import LBFGS, SSBroyden
from pinnlab.problems import Burgers, Coefficient, Given, Poisson1D, Problem, Residual
from pinnlab.training.made_with import differences, in_words, made_with

pytestmark = pytest.mark.filterwarnings("ignore")

BROYDEN = functools.partial(SSBroyden, iterations=2)


def phases(first=5, second=9, rate=5e-3, optimizer=BROYDEN):
    return [Phase(functools.partial(torch.optim.Adam, lr=rate), steps=first), Phase(optimizer, steps=second)]


def burgers(viscosity=0.1):
    return Burgers(viscosity=viscosity, exact_conditions=False)


@pytest.fixture
def checkpoint(tmp_path):
    """Of a run that was stopped in its second phase, after seven steps."""
    full_run(tmp_path, every=7, problem=burgers(), phases=phases())
    return tmp_path / "step=7.ckpt"


def go_on(checkpoint, problem=None, steps=None, **options):
    options = {"phases": phases(), **options}
    module = small_module(problem or burgers(), **options)
    trainer = quiet_trainer()
    trainer.fit(module, small_data(module.problem), ckpt_path=checkpoint, weights_only=True)
    return trainer


REFUSED = {
    "problem.viscosity: 0.1 in the checkpoint, 0.2 in this run": {"problem": lambda: burgers(0.2)},
    "problem.conditions": {"problem": Burgers},
    "model.network.network: MLP(activation=_VariableFunctionsClass.tanh) in the checkpoint": {"activation": "sin"},
    "model.weights.wall: 1.0 in the checkpoint, 3.0 in this run": {"weights": {"wall": 3.0}},
    "model.enhance.pde: {} in the checkpoint, {x: 0.5} in this run": {"enhance": {"pde": {"x": 0.5}}},
    "model.dtype: float64 in the checkpoint, float32 in this run": {"dtype": "float32"},
    "model.phases.1.optimizer: SSBroyden(": {
        "phases": lambda: phases(optimizer=functools.partial(LBFGS, iterations=2))
    },
    "iterations=2, line_search": {"phases": lambda: phases(optimizer=functools.partial(SSBroyden, iterations=4))},
}


@pytest.mark.parametrize("line", REFUSED)
def test_another_run_is_refused(checkpoint, line):
    options = {key: value() if callable(value) else value for key, value in REFUSED[line].items()}
    activation = options.pop("activation", "tanh")
    problem = options.pop("problem", None) or burgers()
    module = PINN(
        problem, functools.partial(MLP, hidden=[6, 6], activation=activation), compile=False,
        **{"phases": phases(), **options},
    )  # fmt: skip
    with pytest.raises(ConfigurationError) as caught:
        quiet_trainer().fit(module, small_data(problem), ckpt_path=checkpoint, weights_only=True)
    assert str(caught.value).startswith(f"ckpt_path: {checkpoint} was made with something else")
    assert line in str(caught.value)


def with_source(value):
    x, places = Interval("x", 0, 1), torch.linspace(0, 1, 5, dtype=torch.float64)
    source = Given("f", {"x": places, "f": value * torch.ones(5, dtype=torch.float64)})
    return Problem(x, ["u"], {"pde": Residual(x, lambda u, f: u.x - f)}, given=[source, Given("g", lambda x: x)])


def test_other_numbers_of_given_data_are_told(tmp_path):
    """As where their file was written anew: they are not in the checkpoint."""

    def fit(value, steps, **options):
        problem = with_source(value)
        module = PINN(problem, functools.partial(MLP, hidden=[3]), [Phase(torch.optim.Adam, steps=steps)])
        trainer = quiet_trainer()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trainer.fit(module, CollocationDataModule(problem, points=9), **options)
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        return [str(warning.message) for warning in caught if "numbers" in str(warning.message)]

    assert fit(1.0, 2) == []
    again = {"ckpt_path": tmp_path / "last.ckpt", "weights_only": True}
    assert fit(1.0, 3, **again) == []
    expected = "given f: other numbers than in the checkpoint; training goes on with them, from the old state"
    assert fit(2.0, 4, **again) == [expected]
    with pytest.warns(UserWarning, match=r"given f: .* trained with the old numbers, errors and .* of the new"):
        pinnlab.load(tmp_path / "last.ckpt", problem=with_source(3.0))


def test_other_points_are_refused(checkpoint):
    module = small_module(burgers(), phases())
    data = small_data(module.problem, points={"pde": 22, "wall": 21, "start": 21}, seed=4)
    with pytest.raises(ConfigurationError) as caught:
        quiet_trainer().fit(module, data, ckpt_path=checkpoint, weights_only=True)
    lines = str(caught.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == ["data.points.pde", "data.seed"]


def test_more_steps_and_other_phases_to_come_go_on_and_are_told(checkpoint, capsys):
    adam, broyden = phases(first=50, second=11)
    trainer = go_on(checkpoint, phases=[replace(adam, updates=3), broyden, Phase(ADAM, steps=2)])
    assert trainer.global_step == 5 + 11 + 2
    told = capsys.readouterr().out
    assert "goes on with model.phases.1.steps: 9 in the checkpoint, 11 in this run" in told
    assert "goes on with model.phases.0.updates: 1 in the checkpoint, 3 in this run" in told
    assert "model.phases.2.optimizer: nothing in the checkpoint, Adam(" in told


def test_a_finished_run_goes_on_when_it_is_asked_for_more(tmp_path):
    full_run(tmp_path, every=14, problem=burgers(), phases=phases())
    end = tmp_path / "step=14.ckpt"
    assert go_on(end).global_step == 14
    assert go_on(end, phases=phases(second=12)).global_step == 17
    assert go_on(end, phases=[*phases(), Phase(QUASI_NEWTON, steps=2)]).global_step == 16


def test_going_on_with_more_steps_is_the_longer_run(tmp_path):
    whole, *_ = full_run(tmp_path / "whole", every=100, problem=burgers(), phases=phases(second=12))
    full_run(tmp_path / "short", every=14, problem=burgers(), phases=phases())
    again, *_ = full_run(
        tmp_path / "again", ckpt_path=tmp_path / "short" / "step=14.ckpt", problem=burgers(), phases=phases(second=12)
    )
    assert sorted(again.parameters) == [15, 16, 17]
    for step, parameters in again.parameters.items():
        assert torch.equal(parameters, whole.parameters[step]), step


def test_a_trainer_saves_what_it_was_given_whoever_met_the_module_since(checkpoint):
    module = small_module(burgers(), phases=phases())
    trainer = quiet_trainer(max_steps=7)
    trainer.fit(module, small_data(module.problem))
    quiet_trainer().predict(module, DataLoader([{"points": torch.zeros(3, 2, dtype=torch.float64)}], batch_size=None))
    path = checkpoint.with_name("later.ckpt")
    trainer.save_checkpoint(path)
    saved, expected = (torch.load(file, weights_only=True)["pinnlab"] for file in (path, checkpoint))
    assert {key: saved[key] for key in ("made_with", "loss")} == {key: expected[key] for key in ("made_with", "loss")}
    assert go_on(path).global_step == 14


def test_a_solution_is_looked_at_whatever_it_was_trained_with(checkpoint):
    module = small_module(burgers(), [Phase(ADAM, steps=1)], weights={"wall": 9.0})
    quiet_trainer().validate(module, small_data(module.problem), ckpt_path=checkpoint, verbose=False, weights_only=True)
    other = small_module(burgers(0.3), [Phase(ADAM, steps=1)])
    with pytest.raises(ConfigurationError, match=r"problem\.viscosity: 0\.1 in the checkpoint, 0\.3"):
        quiet_trainer().validate(
            other, small_data(other.problem), ckpt_path=checkpoint, verbose=False, weights_only=True
        )


def test_a_number_that_changes_by_itself_is_no_difference(tmp_path):
    callbacks = [Continuation("viscosity", 1.0, steps=8)]
    full_run(tmp_path, every=7, problem=burgers(), phases=phases(), callbacks=callbacks)
    full_run(
        tmp_path / "again", ckpt_path=tmp_path / "step=7.ckpt", problem=burgers(), phases=phases(), callbacks=callbacks
    )


def test_a_look_at_a_checkpoint_needs_no_callback_that_changed_a_number(tmp_path):
    full_run(tmp_path, problem=burgers(), callbacks=[Continuation("viscosity", 1.0, steps=14, stages=8)], every=7)
    module = small_module(burgers())
    found = quiet_trainer().validate(
        module, small_data(module.problem), ckpt_path=tmp_path / "step=7.ckpt", verbose=False, weights_only=True
    )
    assert found[0]["relative_l2/u"] > 0
    saved = {"problem": "Burgers", "problem.conditions.pde": "Residual"}
    own = {**saved, "problem.viscosity": "0.1", "problem.conditions.more": "Dirichlet"}
    assert differences(saved, own, ("problem",)) == [
        "problem.conditions.more: nothing in the checkpoint, Dirichlet in this run"
    ]


def test_checkpoints_of_later_versions_are_refused(checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    content["pinnlab"]["format"] = 99
    torch.save(content, checkpoint)
    with pytest.raises(ConfigurationError, match=f"ckpt_path: {checkpoint} was written by a later version of pinnlab"):
        go_on(checkpoint)


@pytest.mark.parametrize("kept", [None, ("state_dict", "pinnlab")])
def test_weights_alone_are_measured_and_neither_trained_nor_diagnosed(tmp_path, kept):
    """Also those of a file that was stripped, which says no more what version of Lightning wrote it."""
    trainer, module = quiet_trainer(max_steps=2), small_module(burgers(), phases=phases())
    trainer.fit(module, small_data(module.problem))
    trainer.save_checkpoint(tmp_path / "weights.ckpt", weights_only=True)
    saved = torch.load(tmp_path / "weights.ckpt", weights_only=True)
    torch.save({key: saved[key] for key in kept or saved}, tmp_path / "weights.ckpt")
    with pytest.raises(ConfigurationError, match=r"ckpt_path: .*weights.ckpt holds weights only"):
        go_on(tmp_path / "weights.ckpt")
    trainer.test(module, small_data(module.problem), ckpt_path=tmp_path / "weights.ckpt", verbose=False)
    trainer = quiet_trainer(callbacks=[DiagnosisWriter(str(tmp_path))])
    with pytest.raises(ConfigurationError, match=r"ckpt_path: .*weights.ckpt holds weights only"):
        trainer.validate(module, small_data(module.problem), ckpt_path=tmp_path / "weights.ckpt", verbose=False)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("trial.network.network.last.bias", "step=7.ckpt lacks trial.network.network.last.bias of this run's network"),
        ("weights.own", 'state_dict: is not of this module (Missing key(s) in state_dict: "weights.own")'),
    ],
)
def test_a_tensor_that_is_not_there_is_named_in_one_line(checkpoint, name, said):
    content = torch.load(checkpoint, weights_only=True)
    del content["state_dict"][name]
    torch.save(content, checkpoint)
    with pytest.raises(ConfigurationError, match=re.escape(said)) as caught:
        go_on(checkpoint)
    assert "\n" not in str(caught.value)


def test_checkpoints_of_earlier_versions_load(checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    for key in ("format", "made_with", "readings"):
        del content["pinnlab"][key]
    torch.save(content, checkpoint)
    assert go_on(checkpoint).global_step == 14


def test_words_tell_apart_and_do_not_depend_on_the_order():
    assert in_words(0.1 + 0.2) != in_words(0.3)
    assert in_words(LossPlateau(window=40)) != in_words(LossPlateau(window=41))
    assert in_words({"b": [1, (2.0, None)]}) == "{b: [1, [2.0, None]]}"
    assert in_words(functools.partial(torch.optim.SGD, lr=0.1)) == "SGD(lr=0.1)"
    one, two = ({"a": "1", "b": "2"}, {"b": "3", "c": "4"})
    assert differences(one, two, ("",)) == [
        "a: 1 in the checkpoint, nothing in this run",
        "b: 2 in the checkpoint, 3 in this run",
        "c: nothing in the checkpoint, 4 in this run",
    ]
    assert differences(one, two, ("b",)) == ["b: 2 in the checkpoint, 3 in this run"]


@pytest.mark.parametrize(
    ("saved", "own", "alike"),
    [
        ("Adam(lr=0.1)", "Adam(lr=0.1, new=True)", True),
        ("Adam(lr=0.1, old=(1, 2))", "Adam(lr=0.1)", True),
        ("Adam(lr=0.1)", "Adam(lr=0.2, new=True)", False),
        ("Adam(lr=0.1)", "SGD(lr=0.1)", False),
        ("LM(rule=Gain(start='a, b'), c=1)", "LM(rule=Gain(new=3, start='a, b'), c=1)", True),
        ("LM(rule=Gain(start='a, b'), c=1)", "LM(rule=Gain(start='a, c'), c=1)", False),
        ("LM(rule=Gain())", "LM(rule=Fixed())", False),
        ("Interval('x', -1, 1)", "Interval('x', -1, 2)", False),
        ("Interval('x', -1, 1) * Interval('t', 0, 1)", "Interval('x', -1, 1) * Interval('t', 0, 2)", False),
        ("{b: [1, Gain(a=1)]}", "{b: [1, Gain(a=2)]}", False),
        ("None", "3", False),
    ],
)
def test_an_option_that_came_with_a_later_version_is_no_difference(saved, own, alike):
    key = "model.phases.0.optimizer"
    assert (differences({key: saved}, {key: own}, ("model",)) == []) == alike
    assert (differences({key: own}, {key: saved}, ("model",)) == []) == alike
    scheduler = "model.phases.0.scheduler"
    assert (differences({scheduler: saved}, {scheduler: own}, ("model",)) == []) == (saved == own)


def test_a_checkpoint_from_before_an_option_loads(checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    words = content["pinnlab"]["made_with"]
    words["model.phases.1.optimizer"] = words["model.phases.1.optimizer"].replace("max_memory=4.0", "gone=1")
    for key in ("model.dtype", "model.enhance.pde", "model.phases.1.updates"):
        del words[key]
    torch.save(content, checkpoint)
    assert go_on(checkpoint).global_step == 14


def test_equal_modules_are_made_with_the_same_and_training_changes_nothing():
    def built():
        problem = Poisson1D(frequency=3)
        return PINN(problem, functools.partial(MLP, hidden=[5]), phases()), CollocationDataModule(problem, points=9)

    (one, data), (two, _) = built(), built()
    before = made_with(one, data)
    assert before["problem.frequency"] == "3"
    quiet_trainer(max_steps=7).fit(one, data)
    assert made_with(one, data) == before == made_with(two, data)


# ------------------------------------------------------------------------------------ transfer


def test_a_network_from_an_earlier_run_is_not_scaled_again():
    first = small_module(Burgers())
    second = PINN(Burgers(viscosity=0.08), first.trial.network, compile=False)
    points = torch.rand(5, 2, dtype=torch.float64)
    assert isinstance(second.trial.network, ScaledInput)
    assert torch.equal(second.trial.network(points), first.trial.network(points))


def test_loading_parameters_brings_no_weights_of_the_loss():
    first, second = (small_module(burgers(), weights={"wall": weight}) for weight in (0.5, 7.0))
    first.weights.set_factors(torch.full((3,), 2.0))
    second.load_state_dict(first.state_dict())
    assert second.loss_weights.tolist() == [1.0, 7.0, 1.0]
    for p, q in zip(first.trial.parameters(), second.trial.parameters(), strict=True):
        assert torch.equal(p, q)


def test_module_and_data_have_one_problem():
    module = small_module(burgers())
    said = r"data\.problem: is another object .* write CollocationDataModule\(module\.problem, \.\.\.\)"
    with pytest.raises(ConfigurationError, match=said):
        quiet_trainer().fit(module, small_data(burgers()))


def test_errors_are_not_measured_against_another_problem():
    """Nor against one of the same numbers whose class was defined anew, as in a cell that was run again."""
    module, again = small_module(burgers()), type("Burgers", (Burgers,), {})
    other = [small_data(burgers(0.2)), small_data(again(viscosity=0.1, exact_conditions=False))]
    for data in other:
        with pytest.raises(ConfigurationError, match=r"data\.problem: is another object"):
            quiet_trainer().validate(module, data, verbose=False)
        with pytest.raises(ConfigurationError, match=r"data\.problem: is another object"):
            module.measure_errors(data)
    own, equal = (
        quiet_trainer().validate(module, small_data(problem), verbose=False) for problem in (module.problem, burgers())
    )
    assert own == equal


@pytest.mark.parametrize(
    ("before", "now"), [(None, "[0.0, 5.0]"), ("[0.0, 5.0]", None), ("[0.0, 5.0]", "[0.0, 6.0]"), (None, None)]
)
def test_other_bounds_of_a_coefficient_are_told(before, now):
    """The saved parameter would stand for another number: 3.9 in place of 1.3."""

    def module(bounds):
        t, ends = Interval("t", 0, 1), bounds and tuple(map(float, bounds.strip("[]").split(",")))
        conditions = {"ode": Residual(t, lambda u, k: u.t + k * u)}
        problem = Problem(t, ("u",), conditions, coefficients={"k": Coefficient(0.5, ends)})
        return PINN(problem, functools.partial(MLP, hidden=[3]))

    found = differences(made_with(module(before), None), made_with(module(now), None), ("problem",))
    line = f"problem.coefficients.k.bounds: {before} in the checkpoint, {now} in this run"
    assert found == ([line] if before != now else [])
