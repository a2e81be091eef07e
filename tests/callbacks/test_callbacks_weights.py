"""Weights that change between steps: what they do to a run, and that it goes on bitwise after a resume."""

import functools
import math

import lightning as L
import pytest
import torch
from training import ADAM, DECAY, QUASI_NEWTON, WEIGHT_CALLBACKS, full_run, quiet_trainer, small_data, small_module

from pinnlab.callbacks import (
    CausalWeights,
    FailureSignatures,
    FreshPoints,
    LossBalancing,
    ResidualAttention,
    SelfAdaptive,
)
from pinnlab.errors import ConfigurationError
from pinnlab.objective.balancing import (
    LRA,
    AbstractLossTerms,
    GradientNorm,
    NTKTrace,
    ReLoBRaLo,
    SoftAdapt,
    WeightRule,
    ascended,
    attention,
    causal,
    time_chunks,
)
from pinnlab.problems import Poisson2D, Regression1D
from pinnlab.training.phases import Phase

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning and torch about each other

STEPS = [Phase(ADAM, steps=4)]


def fit(*callbacks, phases=STEPS, problem=None, weights=None, batch_size=None, **options):
    module = small_module(problem, phases, weights=weights)
    data = small_data(module.problem, batch_size=batch_size)
    trainer = quiet_trainer(callbacks=list(callbacks), **options)
    trainer.fit(module, data)
    return module, data, trainer


class Look(WeightRule):
    """Looks at the terms and doubles the weights."""

    def __init__(self):
        self.seen = []

    def update(self, terms: AbstractLossTerms):
        self.seen.append((terms.values(), terms.gradients(), terms.traces(1000), terms.traces(4)))
        return 2 * terms.weights


def test_a_rule_knows_nothing_of_what_another_one_has_seen():
    one, same, other = LossBalancing(SoftAdapt()), LossBalancing(SoftAdapt()), LossBalancing(ReLoBRaLo())
    one.rule.load_state_dict({"last": [1.0, 2.0]})
    for callback in (same, other):
        callback.load_state_dict(one.state_dict())
    assert same.rule.state_dict() == {"last": [1.0, 2.0]}
    assert other.rule.state_dict() == {"first": [], "last": []}


def went_on(before, after, made, folder):
    """A run of so many steps by nothing, and the same run one step longer with another callback."""
    phases = [Phase(functools.partial(torch.optim.SGD, lr=0.0), steps=made + 1)]
    _, _, trainer = fit(before, phases=phases, max_steps=made)
    trainer.save_checkpoint(folder / "before.ckpt")
    module = small_module(phases=phases)
    data = small_data(module.problem)
    quiet_trainer(callbacks=[after]).fit(module, data, ckpt_path=folder / "before.ckpt", weights_only=True)
    return module, data


@pytest.mark.parametrize("rule", [ReLoBRaLo, SoftAdapt])
def test_a_rule_for_other_conditions_begins_anew(rule, tmp_path):
    rules = rule(), rule()
    before = LossBalancing(rules[0], every=1, conditions=["pde", "wall", "start"])
    went_on(before, LossBalancing(rules[1], every=1, conditions=["start", "pde"]), 3, tmp_path)
    last = [state.state_dict()["last"] for state in rules]
    assert last[1] == [last[0][2], last[0][0]]


@pytest.mark.parametrize("chunks", [2, 3, 8])
def test_other_chunks_and_fewer_tolerances_go_on_from_what_there_was(chunks, tmp_path):
    before = CausalWeights(every=1, tolerances=[1e-9, 1e-3, 2e-3], chunks=4, threshold=0.1)
    after = CausalWeights(every=9, tolerances=[1e-9, 0.1], chunks=chunks)
    went_on(before, after, 3, tmp_path)
    assert before.state_dict()["stages"] == {"pde": 2}
    assert after.state_dict()["stages"] == {"pde": 1}
    old, new = (callback.state_dict()["of_chunks"]["pde"] for callback in (before, after))
    assert new.tolist() == old[{2: [0, 2], 3: [0, 1, 2], 8: [0, 0, 1, 1, 2, 2, 3, 3]}[chunks]].tolist()


@pytest.mark.parametrize("callback", [LossBalancing(NTKTrace(), every=2), SelfAdaptive(every=1, rate=0.1)])
def test_what_joins_a_run_counts_from_there_on(callback, tmp_path):
    module, data = went_on(FreshPoints(every=None, at_switch=True), callback, 30, tmp_path)
    assert (module.weights.factors == 1).all()  # one evaluation has passed, not 31
    if isinstance(callback, SelfAdaptive):
        residual = module.system.score("pde", data.store.rows["pde"]).detach()
        expected = ascended(torch.ones(21).double(), residual, 0.1, 1, True)
        assert torch.allclose(data.store.point_weights("pde"), expected)


class Once(L.Callback):
    """Computes the terms by autograd after the last step."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        system, self.gradients, self.traces = pl_module.system, [], []
        parameters = [p for p in system.trial.parameters() if p.requires_grad]
        self.values = torch.stack([r.square().sum(1).mean() for r in system.residuals(batch).values()]).detach()
        for residual in system.residuals(batch).values():
            term = residual.square().sum(1).mean()
            self.gradients.append(_flat(term, parameters))
            points = torch.stack([_flat(r, parameters).square().sum() for r in residual.reshape(-1)])
            self.traces.append((points.sum() / len(residual), points))


def _flat(value, parameters):
    found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
    return torch.cat([g.reshape(-1) for g in found])


def test_rules_see_values_gradients_and_traces_with_the_own_weights():
    rule, once = Look(), Once()
    module, _, _ = fit(LossBalancing(rule, every=1), once, phases=[Phase(ADAM, steps=1)], weights={"wall": 5.0})
    own = torch.tensor([1.0, 5.0, module.problem.conditions["start"].weight], dtype=torch.float64)
    _, gradients, traces, few = rule.seen[0]
    assert torch.allclose(gradients, own[:, None] * torch.stack(once.gradients), rtol=1e-9, atol=1e-12)
    assert torch.allclose(traces, own * torch.stack([t for t, _ in once.traces]), rtol=1e-9)
    some = torch.stack([points[:: -(-len(points) // 4)].mean() for _, points in once.traces])
    assert torch.allclose(few, own * some, rtol=1e-9)
    assert torch.equal(module.loss_weights, 2 * own)
    assert module.evaluations == 1 + 3 + 1 + 1


def test_values_are_those_of_the_last_evaluation():
    rule = Look()
    phases = [Phase(functools.partial(torch.optim.SGD, lr=0.0), steps=1)]
    once = Once()
    module, _, _ = fit(LossBalancing(rule, every=1), once, phases=phases)
    assert torch.allclose(rule.seen[0][0], module.weights.own * once.values, rtol=1e-12)


class Versions(L.Callback):
    """Keeps the objective's version and the loss's weights at the begin of each step."""

    def __init__(self):
        self.versions, self.weights, self.logged = [], [], {}

    def on_train_batch_start(self, trainer, pl_module, *unused):
        self.versions.append(pl_module.objective_version())
        self.weights.append(pl_module.loss_weights.tolist())

    def on_train_end(self, trainer, pl_module):
        self.logged = {k: float(v) for k, v in trainer.logged_metrics.items()}


def test_weights_are_constant_in_between_and_counted_and_logged():
    versions = Versions()
    every = LossBalancing(SoftAdapt(beta=5.0), every=2)
    module, _, _ = fit(every, versions, phases=[Phase(ADAM, steps=7)], log_every_n_steps=1)
    assert versions.versions == [0, 0, 0, 0, 1, 1, 2]  # the first time the rule has nothing to compare with
    assert versions.weights[0] == versions.weights[2] != versions.weights[4] != versions.weights[6]
    assert versions.weights[4] == versions.weights[5]
    assert module.evaluations == 7  # this rule costs nothing
    for name, factor in zip(module.problem.conditions, module.weights.factors.tolist(), strict=True):
        assert versions.logged[f"weight/{name}"] == pytest.approx(factor)
    assert sum(module.weights.factors.tolist()) == pytest.approx(3)


@pytest.mark.parametrize("weigh", [functools.partial(LossBalancing, SoftAdapt()), SelfAdaptive])
def test_closure_optimizers_have_an_interval_of_their_own(weigh):
    versions = Versions()
    phases = [Phase(ADAM, steps=6), Phase(QUASI_NEWTON, steps=6)]
    fit(weigh(every=2, closure_every=12), versions, phases=phases)
    assert versions.versions[4] > versions.versions[3]  # Adam's
    changes = len(set(versions.versions[6:])) - 1
    assert 0 < changes < 4  # 6 steps make about 24 evaluations


def test_a_weight_that_is_far_off_is_corrected():
    ratios = []
    for own in (1.0, 1000.0):
        module, _, _ = fit(
            LossBalancing(GradientNorm(decay=0.0), every=1),
            phases=[Phase(functools.partial(torch.optim.SGD, lr=0.0), steps=1)],
            problem=Poisson2D(exact_conditions=False), weights={"boundary": own},
        )  # fmt: skip
        ratios.append(float(module.loss_weights[0] / module.loss_weights[1]))
    assert ratios[1] == pytest.approx(ratios[0], rel=1e-9)


def test_conditions_that_are_switched_off_or_not_named_keep_their_weights():
    module, _, _ = fit(LossBalancing(NTKTrace(), every=1), weights={"wall": 0.0})
    assert module.weights.factors[1] == 1
    assert (module.weights.factors[[0, 2]] != 1).all()
    module, _, _ = fit(LossBalancing(NTKTrace(), every=1, conditions=["pde", "start"]))
    assert module.weights.factors[1] == 1
    assert (module.weights.factors[[0, 2]] != 1).all()


def test_a_phase_in_float32_rounds_what_is_used_only():
    phases = [Phase(ADAM, steps=3, dtype="float32"), Phase(ADAM, steps=1)]
    module, _, _ = fit(LossBalancing(NTKTrace(), every=3), phases=phases, weights={"wall": 0.1})
    weights = module.weights
    assert weights.own.tolist()[1] == 0.1
    assert weights.factors.dtype == weights.used.dtype == torch.float64
    assert torch.equal(weights.used, weights.own * weights.factors)
    module.float()
    assert weights.used.dtype == torch.float32
    assert weights.own.tolist()[1] == 0.1


def test_a_return_to_earlier_weights_is_another_change():
    module = small_module()
    start = {name: tensor.clone() for name, tensor in module.weights.state_dict().items()}
    module.weights.set_factors(torch.tensor([2.0, 3.0, 4.0]))
    later = {name: tensor.clone() for name, tensor in module.weights.state_dict().items()}
    module.weights.load_state_dict(start)
    assert module.weights.version == 2
    assert torch.equal(module.loss_weights, module.weights.own)
    other = small_module()
    other.weights.load_state_dict(later)
    assert other.weights.version == 1
    assert torch.equal(other.loss_weights, other.weights.own * torch.tensor([2.0, 3.0, 4.0]))


# ----------------------------------------------------------------------------- weights of points


@pytest.mark.parametrize("batch_size", [None, 8])
def test_point_weights_follow_their_formula(batch_size):
    """On the residuals of the network as it is: plain gradient descent by nothing leaves it alone."""
    phases = [Phase(functools.partial(torch.optim.SGD, lr=0.0), steps=4)]
    callback = ResidualAttention(every=4, gamma=0.9, eta=0.1)
    module, data, _ = fit(callback, phases=phases, batch_size=batch_size)
    store = data.store
    with torch.no_grad():
        residual = module.system.residuals({"pde": store.as_rows("pde", store.points("pde"))})["pde"][:, 0].abs()
    assert torch.allclose(store.point_weights("pde"), attention(torch.ones(21).double(), residual, 0.9, 0.1, 4))
    assert store.weighed == {"pde"}
    assert module.evaluations == 4 + 1
    assert module.objective_version() == 1
    assert store.version == 0


@pytest.mark.parametrize(("batch_size", "steps", "cost"), [(None, 4, 1), (3, 12, 2)])
def test_an_update_counts_as_the_evaluations_that_have_as_many_points(batch_size, steps, cost):
    """21 points are scored: one evaluation of all 63, and two of batches of nine; so those last twice as long."""
    phases = [Phase(functools.partial(torch.optim.SGD, lr=0.0), steps=steps)]
    module, data, _ = fit(ResidualAttention(every=4), phases=phases, batch_size=batch_size)
    assert sum(data.store.batch_sizes().values()) == {None: 63, 3: 9}[batch_size]
    assert data.store.reweighed == 1
    assert module.evaluations == steps + cost
    assert module.points_seen == (steps + cost) * sum(data.store.batch_sizes().values())


def initial_loss(module, store):
    """The weighted mean square of the initial value, over the weight of the equation."""
    with torch.no_grad():
        values = module.system.residuals({"start": store.rows["start"]})["start"]
    own = dict(zip(module.problem.conditions, module.loss_weights.tolist(), strict=True))
    return float(values.square().sum(1).mean()) * own["start"] / own["pde"]


@pytest.mark.parametrize("initial", [True, False])
def test_all_times_wait_for_the_initial_values(initial):
    phases = [Phase(functools.partial(torch.optim.SGD, lr=0.0), steps=2)]
    callback = CausalWeights(every=1, tolerances=[0.01, 0.1], chunks=4, initial=initial)
    module, data, _ = fit(callback, phases=phases, weights={"pde": 0.5, "start": 3.0})
    times = data.store.points("start")[:, 1]
    assert (times == 0).all()
    first = data.store.point_weights("pde")[data.store.points("pde")[:, 1].argmin()]
    expected = math.exp(-0.01 * initial_loss(module, data.store)) if initial else 1.0
    assert float(first) == pytest.approx(expected, rel=1e-9)
    assert float(first) < 1 or not initial


def test_causal_weights_move_on_when_all_times_are_solved():
    phases = [Phase(functools.partial(torch.optim.SGD, lr=0.0), steps=4)]
    callback = CausalWeights(every=1, tolerances=[1e-9, 0.1, 0.2], chunks=4)
    module, data, _ = fit(callback, phases=phases)
    assert callback.state_dict()["stages"] == {"pde": 1}  # at 0.1 the last time does not have its whole weight
    store = data.store
    with torch.no_grad():
        residual = module.system.score("pde", store.rows["pde"])
    times = store.points("pde")[:, module.problem.coordinates.index("t")]
    chunk = time_chunks(times, 0.0, 1.0, 4)
    weights = causal(residual, chunk, 4, 0.1, initial=initial_loss(module, store))
    assert torch.allclose(store.point_weights("pde"), weights[chunk])

    points = torch.tensor([[0.5, 0.9], [0.5, 0.1], [0.5, 0.6]]).double()  # new ones wait for their time from the first
    store.replace({"pde": points}, {"pde": torch.arange(2)})
    assert module.problem.coordinates == ("x", "t")
    assert torch.allclose(store.point_weights("pde"), torch.cat([weights[chunk][:2], weights[[3, 0, 2]]]))


@pytest.mark.parametrize("tolerance", [1e-12, 1e-3, 1e3])
def test_the_last_time_weighs_no_more_than_it_may(tolerance):
    phases = [Phase(functools.partial(torch.optim.SGD, lr=0.0), steps=3)]
    callback = CausalWeights(every=1, tolerances=[1e-13, tolerance], threshold=1e-3, chunks=4, last_weight=0.01)
    module, data, _ = fit(callback, phases=phases)
    store = data.store
    with torch.no_grad():
        residual = module.system.score("pde", store.rows["pde"])
    chunk = time_chunks(store.points("pde")[:, 1], 0.0, 1.0, 4)
    means = torch.stack([residual[chunk == k].square().mean() for k in range(4)])
    before = initial_loss(module, store) + means.cumsum(0) - means
    expected = torch.exp(-max(tolerance, math.log(100) / float(before[-1])) * before)
    assert torch.allclose(store.point_weights("pde"), expected[chunk])
    assert callback.held_back == 0


def test_where_nothing_is_left_all_times_weigh_alike():
    assert torch.equal(causal(torch.zeros(6), torch.arange(6) % 3, 3, 1.0, last=0.01), torch.ones(3))


def test_signatures_know_which_times_causal_weights_hold_back():
    phases = [Phase(functools.partial(torch.optim.SGD, lr=0.0), steps=4)]
    causal_weights = CausalWeights(every=1, tolerances=[100.0], chunks=4, initial=False)
    signatures = FailureSignatures(every=1)
    fit(causal_weights, signatures, phases=phases)
    assert causal_weights.held_back == 0.75  # only the first quarter of the times counts
    assert signatures.record.looks[-1].held_back == 0.75
    fit(CausalWeights(every=1, tolerances=[1e-9], chunks=4), signatures, phases=phases)
    assert signatures.record.looks[-1].held_back == 0


def test_held_out_residuals_have_no_weights():
    found = []
    for callbacks in ([], [SelfAdaptive(every=1, rate=1.0, normalized=False)]):
        phases = [Phase(functools.partial(torch.optim.SGD, lr=0.0), steps=4)]
        module, data, trainer = fit(*callbacks, phases=phases)
        trainer.validate(module, data, verbose=False)
        found.append({k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("held_out")})
    assert found[0] == found[1]


# ----------------------------------------------------------------------------- all of them

PHASES = [Phase(ADAM, steps=5, scheduler=DECAY), Phase(QUASI_NEWTON, steps=3), Phase(ADAM, steps=2, dtype="float32")]


@pytest.mark.parametrize("batch_size", [None, 8], ids=["full batch", "mini-batch"])
@pytest.mark.parametrize("name", WEIGHT_CALLBACKS)
def test_resume_is_bitwise(name, batch_size, tmp_path):
    options = {"phases": PHASES, "batch_size": batch_size}
    whole, _, module, data = full_run(tmp_path / "whole", every=1, callbacks=WEIGHT_CALLBACKS[name](), **options)
    assert module.weights.version > 1
    assert not torch.equal(module.weights.factors, torch.ones_like(module.weights.factors))
    for path in sorted((tmp_path / "whole").glob("*.ckpt"))[1::3]:
        again, _, resumed, data_again = full_run(
            tmp_path / "again", ckpt_path=path, every=100, callbacks=WEIGHT_CALLBACKS[name](), **options
        )
        assert resumed.evaluations == module.evaluations
        assert resumed.objective_version() == module.objective_version()
        assert torch.equal(resumed.weights.factors, module.weights.factors)
        for condition, rows in data.store.rows.items():
            assert torch.equal(data_again.store.rows[condition], rows), condition
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step]), f"{path.name}: step {step} differs"


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        (lambda: [LossBalancing(GradientNorm(), every=0)], r"^LossBalancing\.every"),
        (lambda: [LossBalancing(GradientNorm(), conditions=["strat"])], r"LossBalancing\.conditions.*'strat'.*start"),
        (lambda: [ResidualAttention(every=0)], r"^ResidualAttention\.every"),
        (lambda: [ResidualAttention(closure_every=0)], r"^ResidualAttention\.closure_every"),
        (lambda: [LossBalancing(GradientNorm(), closure_every=0)], r"^LossBalancing\.closure_every"),
        (lambda: [ResidualAttention(gamma=1.5)], r"^ResidualAttention\.gamma"),
        (lambda: [ResidualAttention(eta=0.0)], r"^ResidualAttention\.eta"),
        (lambda: [ResidualAttention(conditions=["strat"])], r"ResidualAttention\.conditions.*'strat'.*start"),
        (lambda: [SelfAdaptive(rate=0.0)], r"^SelfAdaptive\.rate"),
        (lambda: [SelfAdaptive(mask="cube")], r"SelfAdaptive\.mask.*'cube'"),
        (lambda: [CausalWeights(tolerances=[1.0, 0.1])], r"^CausalWeights\.tolerances"),
        (lambda: [CausalWeights(tolerances=[])], r"^CausalWeights\.tolerances"),
        (lambda: [CausalWeights(chunks=1)], r"^CausalWeights\.chunks"),
        (lambda: [CausalWeights(last_weight=0.0)], r"^CausalWeights\.last_weight"),
        (lambda: [CausalWeights(threshold=1.0)], r"^CausalWeights\.threshold"),
        (lambda: [ResidualAttention(), CausalWeights()], r"CausalWeights weighs the points of 'pde', too"),
    ],
)
def test_bad_input_is_refused(callbacks, message):
    with pytest.raises(ConfigurationError, match=message):
        fit(*callbacks())


@pytest.mark.parametrize(
    ("callback", "problem", "message"),
    [
        (LossBalancing(LRA()), Regression1D, r"^LossBalancing\.rule: LRA needs a differential equation"),
        (ResidualAttention(), Regression1D, r"^ResidualAttention\.conditions: there is no differential equation"),
        (CausalWeights(), Poisson2D, r"^CausalWeights: problem Poisson2D has no coordinate t"),
    ],
)
def test_a_problem_that_does_not_fit_is_refused(callback, problem, message):
    with pytest.raises(ConfigurationError, match=message):
        fit(callback, problem=problem())


def test_two_of_a_kind_for_different_conditions_resume(tmp_path):
    def callbacks():
        own = functools.partial(SelfAdaptive, every=2, rate=0.1)
        return [own(conditions=["pde"]), own(conditions=["wall"], normalized=False), FreshPoints(3, ["wall"])]

    _, _, _, data = full_run(tmp_path / "whole", every=1, callbacks=callbacks())
    path = tmp_path / "whole" / "step=5.ckpt"
    _, _, _, again = full_run(tmp_path / "again", ckpt_path=path, every=100, callbacks=callbacks())
    for name in ("pde", "wall"):
        assert torch.equal(data.store.point_weights(name), again.store.point_weights(name))


def test_a_second_fit_starts_without_the_weights_of_the_first():
    phases = [Phase(ADAM, steps=4)]
    module, data, _ = fit(LossBalancing(NTKTrace(), every=2), SelfAdaptive(every=2, rate=1.0), phases=phases)
    assert module.evaluations > 4
    assert module.weights.factors.tolist() != [1.0] * 3
    versions = Versions()
    quiet_trainer(callbacks=[versions]).fit(module, data)
    assert module.evaluations == 4
    assert versions.weights == [module.weights.own.tolist()] * 4
    assert not data.store.weighed


def test_balancing_says_when_there_is_one_term_only():
    with pytest.warns(UserWarning, match="^LossBalancing: balances pde with nothing else"):
        fit(LossBalancing(GradientNorm()), max_steps=1, weights={"wall": 0.0, "start": 0.0})
