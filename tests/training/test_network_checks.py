"""A network that does not fit its problem is told so, in one line, before the first step."""

import functools
import re
import warnings

import pytest
import torch
from cases import NETWORKS, PROBLEMS, AttentionNetwork
from torch import nn
from training import NEWTON_CG, QUASI_NEWTON, quiet_trainer, small_data

from pinnlab.derivatives import Wanted
from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, PirateNet
from pinnlab.optimizers import BFGS, LBFGS, LevenbergMarquardt, NystromNewtonCG
from pinnlab.problems import (
    AllenCahn,
    Burgers,
    Coefficient,
    Dirichlet,
    Observations,
    Poisson1D,
    Problem,
    Residual,
    Tiled,
)
from pinnlab.training.condition_checks import warn_of_conditions, warn_of_flat_derivatives
from pinnlab.training.module import PINN
from pinnlab.training.phases import Phase

ADAM = functools.partial(torch.optim.Adam, lr=1e-3)


def mlp(inputs=2, outputs=1, activation=nn.Tanh):
    return nn.Sequential(nn.Linear(inputs, 6), activation(), nn.Linear(6, outputs))


class After(nn.Module):
    """A network whose output is changed."""

    def __init__(self, change, inputs=2):
        super().__init__()
        self.network, self.change = mlp(inputs), change

    def forward(self, x):
        return self.change(self.network(x))


class Before(After):
    """A network whose input is changed."""

    def forward(self, x):
        return self.network(self.change(x))


def in_place(h):
    e = torch.exp(h)
    e[:, 0] = e[:, 0] ** 2
    return e


MISFITS = {
    "too many columns": (lambda: mlp(outputs=3), r"gives 3 columns, problem Burgers has 1 unknown \(u\)$"),
    "too few inputs": (
        lambda: mlp(1),
        r"fails on points of shape \(5, 2\), a column for each coordinate \(x, t\): mat1",
    ),
    "flat": (lambda: After(lambda y: y[:, 0]), r"gives shape \(5,\) for 5 points, not \(5, 1\); problem Burgers"),
    "a dimension more": (lambda: After(lambda y: y[..., None]), r"gives shape \(5, 1, 1\) for 5 points"),
    "one row": (lambda: After(lambda y: y.sum(0, keepdim=True)), r"gives shape \(1, 1\) for 5 points"),
    "tuple": (lambda: After(lambda y: (y, y)), "gives a tuple, not a tensor; problem Burgers has 1 unknown"),
    "single": (lambda: After(lambda y: y.float()), r"gives torch.float32 for points of torch.float64; leave casts"),
    "mean of rows": (lambda: Before(lambda x: x - x.mean(0)), "depends on the other points .*row i only.*LayerNorm"),
    "weak mean": (lambda: After(lambda y: y + 1e-5 * y.mean(0)), "depends on the other points"),
    "order of rows": (lambda: After(lambda y: y.cumsum(0)), "depends on the other points"),
    "batch norm": (
        lambda: nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 1)),
        "depends on the other points .BatchNorm",
    ),
    "attention between points": (
        lambda: nn.Sequential(nn.Linear(2, 4), nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0), nn.Linear(4, 1)),
        "depends on the other points",
    ),
    "writes into its points": (lambda: Before(lambda x: x.mul_(2)), r"changes the points .* clone\(\)"),
    "no gradient": (lambda: After(in_place), "has no gradient with respect to its parameters: one of the variables"),
    "nothing to train": (lambda: mlp().requires_grad_(False), "has no parameters to train"),
    "no parameters": (lambda: After(lambda y: y).network[1], "has no parameters to train|gives 2 columns"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_misfits_are_refused_in_one_line(name):
    make, message = MISFITS[name]
    scale = name != "writes into its points"
    with pytest.raises(ConfigurationError, match=f"^model.network: .*{message}") as caught:
        PINN(Burgers(), make(), scale_inputs=scale)
    assert "\n" not in str(caught.value)


def test_one_column_for_two_unknowns():
    x = Interval("x", 0, 1)
    two = Problem(x, ("u", "v"), {"pde": Residual(x, lambda u, v: u.x - v)})
    with pytest.raises(ConfigurationError, match=r"gives 1 column, problem Problem has 2 unknowns \(u, v\)"):
        PINN(two, mlp(1, 1))


def test_an_ansatz_that_couples_points():
    class Centred(Poisson1D):
        def ansatz(self, u, x):
            return u - u.mean()

    with pytest.raises(
        ConfigurationError, match=r"^problem Centred: its ansatz at a point depends on the other points"
    ):
        PINN(Centred(), mlp(1))


def test_a_residual_that_couples_points():
    x = Interval("x", 0, 1)
    coupled = Problem(x, ("u",), {"mean": Residual(x, lambda u: u.value - u.value.mean())})
    with pytest.raises(ConfigurationError, match=r"^condition 'mean': .*use the condition Integral"):
        PINN(coupled, mlp(1))


LINE = Interval("x", 0, 1)


def trained_on(residual, wall=0.0, weights=None):
    conditions = {"pde": Residual(LINE, residual), "wall": Dirichlet(LINE.boundary(), u=wall)}
    phases = [Phase(ADAM, steps=2)]
    module = PINN(Problem(LINE, ("u",), conditions), mlp(1), phases=phases, weights=weights, compile=False)
    quiet_trainer().fit(module, small_data(module.problem))


@pytest.mark.parametrize("cut", [torch.Tensor.detach, lambda r: r.data, lambda r: torch.full_like(r, 2.0)])
def test_a_condition_that_teaches_nothing_is_said(cut):
    with pytest.warns(UserWarning, match="^condition 'pde': its residual depends on nothing that is trained"):
        trained_on(lambda u: cut(u.xx + 1))


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"pde": 0, "wall": 0.0}, r"^model\.weights: all are 0, so that nothing is learned; give one above 0$"),
        ({"wall": 0}, r"^model\.network: no residual whose weight is above 0 depends on its parameters"),
    ],
)
def test_a_loss_of_which_nothing_is_left_is_refused(weights, words):
    with pytest.raises(ConfigurationError, match=words):
        trained_on(lambda u: (u.xx + 1).detach(), weights=weights)


def test_what_is_switched_off_need_not_teach_anything():
    trained_on(lambda u: (u.xx + 1).detach(), weights={"pde": 0})


@pytest.mark.filterwarnings("ignore:derivatives by nested reverse mode")
def test_a_network_that_is_detached_is_refused():
    module = PINN(Poisson1D(), After(torch.Tensor.detach, 1), phases=[Phase(ADAM, steps=2)], compile=False)
    with pytest.raises(ConfigurationError, match=r"^model\.network: no residual depends on its parameters; leave out"):
        quiet_trainer().fit(module, small_data(module.problem))


class Counting(After):
    """It notes in a buffer how often it was called."""

    def __init__(self, inputs):
        super().__init__(lambda y: y, inputs)
        self.register_buffer("calls", torch.zeros((), dtype=torch.float64))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


def test_looking_at_conditions_leaves_buffers_alone():
    module = PINN(Poisson1D(), Counting(1), phases=[Phase(ADAM, steps=2)], compile=False)
    before = module.trial.network.network.calls.clone()
    warn_of_conditions(module.system, module.weights.own)
    assert module.trial.network.network.calls == before


def test_coefficients_are_sought_with_a_network_that_is_there():
    conditions = {
        "pde": Residual(LINE, lambda u, k: k * u.xx + 1),
        "wall": Dirichlet(LINE.boundary(), u=0.0),
    }
    problem = Problem(LINE, ("u",), conditions, coefficients={"k": Coefficient(1.0)})
    module = PINN(problem, mlp(1).requires_grad_(False), phases=[Phase(ADAM, steps=2)], compile=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet_trainer().fit(module, small_data(problem))


class HeatedRod(Problem):
    """k T'' + q = 0 between 300 and 400 kelvin, one millimetre thick, in SI units or with all of order one."""

    def __init__(self, scaled=False, weight=1.0):
        x, length, k, q = Interval("x", 0, 1e-3), 1e-3, 200.0, 1e11
        self.ansatz = (lambda T: 300 + 100 * T) if scaled else None
        divisor = 100 * k / length**2 if scaled else 1.0
        conditions = {
            "pde": Residual(x, lambda T: (k * T.xx + q) / divisor, weight=weight),
            "cold": Dirichlet(x.face(x=0.0), T=300.0),
            "warm": Dirichlet(x.face(x=length), T=400.0),
        }
        super().__init__(x, ["T"], conditions)


def size_warnings(problem, **options):
    module = PINN(problem, functools.partial(MLP, hidden=[6]), phases=[Phase(ADAM, steps=2)], seed=0, **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_conditions(module.system, module.weights.own)
    return [str(warning.message) for warning in caught]


def test_conditions_that_the_units_of_others_drown_are_told():
    (told,) = size_warnings(HeatedRod())
    assert re.match(r"conditions 'pde' and '(cold|warm)' begin with 1\.\de\+22 and \d\.\de\+0\d in the loss, so", told)
    assert "\n" not in told
    assert size_warnings(HeatedRod(), dtype="float32") == [told]


def test_units_that_fit_are_not_told():
    assert size_warnings(HeatedRod(scaled=True)) == []
    assert size_warnings(HeatedRod(weight=1e-17)) == []  # the weights of the problem count
    assert size_warnings(HeatedRod(), weights={"pde": 1e-17}) == []  # and those of the loss


def test_a_condition_that_holds_already_is_not_told_to_be_drowned():
    conditions = {"pde": Residual(LINE, lambda u: 1e6 * (u.xx + 1)), "wall": Dirichlet(LINE.boundary(), u=0.0)}
    problem = Problem(LINE, ("u",), conditions)
    problem.ansatz = lambda u, x: 1e-15 + x * (1 - x) * u
    assert size_warnings(problem) == []


@pytest.mark.parametrize(
    ("initial", "bounds", "told"),
    [(1e8, None, "1e+08"), ([2.0, -5000.0], None, "5000"), (999.0, None, ""), (0.0, None, ""), (1e8, (0, 3e8), "")],
)
def test_a_coefficient_without_bounds_that_begins_far_above_one_is_told(initial, bounds, told):
    conditions = {"ode": Residual(LINE, lambda u, k: u.x + u * (k / k.detach()).sum())}
    problem = Problem(LINE, ("u",), conditions, coefficients={"k": Coefficient(initial, bounds)})
    found = size_warnings(problem)
    assert [told in warning and f": Coefficient(1.0), and {told} * k" in warning for warning in found] == [True] * bool(
        told
    )


def test_a_coefficient_that_training_has_found_to_be_large_is_not_told():
    conditions = {"ode": Residual(LINE, lambda u, k: u.x - k)}
    module = PINN(Problem(LINE, ("u",), conditions, coefficients={"k": Coefficient(5.0)}), compile=False)
    with torch.no_grad():
        module.trial.coefficients["k"].fill_(1300.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_conditions(module.system, module.weights.own)
    assert not any("begins at" in str(warning.message) for warning in caught)


@pytest.mark.parametrize("weight", [1e-12, 1e-300])
def test_a_loss_that_optimizers_take_for_zero_is_told(weight):
    """Adam, and Gauss-Newton methods with their damping, stood still; the run ended as any other."""
    (told,) = size_warnings(decay(1.0), weights={"ode": weight, "start": weight})
    assert re.match(r"the loss begins with about \de-\d+, which most optimizers take for zero", told)
    assert size_warnings(decay(1.0), weights={"ode": 1e-6, "start": 1e-6}) == []


def test_the_small_loss_of_a_network_that_was_trained_is_not_told():
    problem = decay(1.0)
    network = functools.partial(MLP, hidden=[12, 12])
    module = PINN(problem, network, phases=[Phase(LevenbergMarquardt, steps=30)], seed=0, compile=False)
    quiet_trainer().fit(module, small_data(problem))
    assert module.current_loss() < 1e-10
    again = PINN(problem, module.trial.network, phases=[Phase(ADAM, steps=1)], compile=False)
    quiet_trainer().fit(again, small_data(problem))  # warnings are errors here


def decay(size, source=0.0, **conditions):
    """u' = -u + source from u(0) = size."""
    conditions["ode"] = Residual(LINE, lambda u: u.x + u - source)
    return Problem(LINE, ("u",), {**conditions, "start": Dirichlet(LINE.face(x=0.0), u=size)})


@pytest.mark.parametrize("size", [1e-6, -1e-9])
def test_a_solution_that_is_nothing_beside_the_network_is_told(size):
    (told,) = size_warnings(decay(size))
    assert re.match(
        r"u = 0 would leave .* so that a solution, or a load .*, of about \de-\d\d is hardly learned; write", told
    )
    places = torch.linspace(0, 1, 9, dtype=torch.float64)
    data = Observations(places[:, None], u=size * torch.exp(-places))
    assert len(size_warnings(Problem(LINE, ("u",), {"data": data}))) == 1


@pytest.mark.parametrize("own", [False, True])
def test_a_thin_beam_is_told_unless_its_shear_force_is_an_unknown(own):
    """Timoshenko's, of which w is of 3e-3 for any eps: it is the load that is small beside w' - theta."""
    eps, ends = 1e-6, Dirichlet(LINE.boundary(), w=0.0, theta=0.0)
    locked = Residual(LINE, lambda w, theta: (eps * theta.xx + w.x - theta, w.xx - theta.x + eps))
    apart = Residual(LINE, lambda w, theta, shear: (theta.xx + shear, shear.x + 1, w.x - theta - eps * shear))
    unknowns = ("w", "theta", "shear") if own else ("w", "theta")
    told = size_warnings(Problem(LINE, unknowns, {"balance": apart if own else locked, "ends": ends}))
    assert ["as a shear force, as an unknown" in words for words in told] == ([] if own else [True])


def test_small_values_beside_others_and_zero_itself_are_not_told():
    assert size_warnings(decay(1e-3)) == size_warnings(decay(0.0)) == size_warnings(decay(1e-9, source=1.0)) == []
    scaled = decay(1e-9)
    scaled.ansatz = lambda u: 1e-9 * u
    assert size_warnings(scaled, weights={"ode": 1e18, "start": 1e18}) == []
    (told,) = size_warnings(scaled)  # its residuals are as small as it is
    assert told.startswith("the loss begins with about")


def test_conditions_that_teach_something_are_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained_on(lambda u: u.xx + u.value.detach())


@pytest.mark.parametrize("cast", [torch.Tensor.float, torch.Tensor.half, lambda r: r.to(torch.bfloat16)])
def test_a_residual_that_loses_digits_is_refused(cast):
    with pytest.raises(
        ConfigurationError, match=r"^condition 'pde' returns torch\..*float.* for float64 points, which"
    ):
        trained_on(lambda u: cast(u.xx + 1))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NETWORKS)
def test_no_network_of_ours_is_refused_or_warned_of(name, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if name == "deeponet-linear":  # these problems differentiate twice by y, which is a function's number to it
            warnings.filterwarnings("ignore", "condition .* derivative of this network by y.* is zero")
        for problem in (PROBLEMS["burgers_soft"](), PROBLEMS["poisson2d_exact"](), PROBLEMS["biharmonic2d"]()):
            fitting = Tiled(problem, NETWORKS[name].keywords["grid"]) if name.startswith("tiles") else problem
            warn_of_flat_derivatives(PINN(fitting, NETWORKS[name], dtype=dtype, engine="taylor").system)


def test_the_check_leaves_no_trace():
    norm = nn.BatchNorm1d(6)
    network = nn.Sequential(nn.Linear(2, 6), norm, nn.Dropout(0.5), nn.Tanh(), nn.Linear(6, 1))
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    PINN(Burgers(), network, phases=[Phase(ADAM, steps=1)])  # random, so that nothing is said about its rows
    assert torch.equal(torch.rand(3), expected)
    assert norm.num_batches_tracked == 0
    assert torch.equal(norm.running_mean, torch.zeros(6))


def test_batch_norm_in_use_is_a_fixed_function():
    network = nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6).eval(), nn.Tanh(), nn.Linear(6, 1))
    PINN(Burgers(), network)


# ----------------------------------------------------------------------------------------- random

RANDOM = {
    "dropout": lambda: nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Dropout(0.3), nn.Linear(6, 1)),
    "noise": lambda: After(lambda y: y + 0.01 * torch.randn_like(y)),
}


@pytest.mark.parametrize("optimizer", [LBFGS, BFGS, torch.optim.LBFGS, LevenbergMarquardt, NystromNewtonCG])
@pytest.mark.parametrize("name", RANDOM)
def test_a_random_network_is_refused_where_values_are_compared(name, optimizer):
    module = PINN(Burgers(), RANDOM[name](), phases=[Phase(ADAM, steps=1), Phase(optimizer, steps=1)])
    with pytest.raises(
        ConfigurationError, match=rf"^model.network: its value is random .*{optimizer.__name__} compares"
    ):
        quiet_trainer().fit(module, small_data(module.problem))


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.filterwarnings("ignore")
def test_a_random_network_trains_with_first_order_optimizers(name):
    module = PINN(Burgers(), RANDOM[name](), phases=[Phase(ADAM, steps=3)])
    quiet_trainer().fit(module, small_data(module.problem))
    assert module.evaluations == 3


@pytest.mark.filterwarnings("ignore")
def test_dropout_that_is_switched_off_is_not_random():
    network = RANDOM["dropout"]()
    network[2].eval()
    module = PINN(Burgers(), network, phases=[Phase(LBFGS, steps=1)])
    quiet_trainer().fit(module, small_data(module.problem))


def test_a_random_residual_is_refused_where_values_are_compared():
    x = Interval("x", 0, 1)
    noisy = Problem(x, ("u",), {"pde": Residual(x, lambda u: u.x + torch.rand(len(u)))})
    module = PINN(noisy, mlp(1), phases=[Phase(LBFGS, steps=1)])
    with pytest.raises(ConfigurationError, match=r"^condition 'pde': its residual is random"):
        quiet_trainer().fit(module, small_data(noisy))


def masked(y):
    y = y * 1.0
    y[y > 0.1] = 0.1
    return y


NOT_POINT_BY_POINT = {
    "mask": lambda: After(masked),
    "numbers": lambda: After(lambda y: torch.stack([row * row[0].item() for row in y])),
}


@pytest.mark.parametrize("name", NOT_POINT_BY_POINT)
@pytest.mark.filterwarnings("ignore")
def test_what_has_no_jacobian_by_points_is_refused_where_one_is_needed(name):
    for optimizer, refused in ((LevenbergMarquardt, True), (QUASI_NEWTON, False)):
        module = PINN(Burgers(), NOT_POINT_BY_POINT[name](), phases=[Phase(optimizer, steps=1)])
        if refused:
            with pytest.raises(ConfigurationError, match=r"^model.network: LevenbergMarquardt needs .*vmap cannot"):
                quiet_trainer().fit(module, small_data(module.problem))
        else:
            quiet_trainer().fit(module, small_data(module.problem))
            assert module.evaluations > 0


# --------------------------------------------------------------------------------- flat derivatives

PIECEWISE = [nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Hardtanh, nn.ReLU6, nn.Identity]


def flat_warnings(problem, network, engine="taylor", **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_flat_derivatives(PINN(problem, network, engine=engine, **options).system)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("engine", ["taylor", "reverse"])
@pytest.mark.parametrize("activation", PIECEWISE)
def test_piecewise_linear_networks_are_warned_of(activation, engine):
    (message,) = flat_warnings(Burgers(exact_conditions=False), mlp(activation=activation), engine)
    assert message.startswith("condition 'pde': the second derivative of this network by x is zero almost everywhere")
    assert "piecewise linear" in message
    assert "tanh" in message
    assert flat_warnings(Burgers(), mlp(activation=activation), engine) == [message]  # whatever the ansatz adds


def test_laplacians_and_fourth_orders():
    (message,) = flat_warnings(PROBLEMS["poisson5d"](), partial_mlp("relu"))
    assert "the second derivatives of this network by x1, x2, x3, ... are zero" in message
    plate = flat_warnings(PROBLEMS["biharmonic2d"](), partial_mlp("relu"))
    assert [m.split(":")[0] for m in plate] == ["condition 'moments'"]  # of fourth order third ones are zero, too


def partial_mlp(activation):
    return functools.partial(MLP, hidden=[6], activation=activation)


def test_a_piecewise_quadratic_network_has_no_third_derivative():
    x = Interval("x", 0, 1)
    third = Problem(x, ("u",), {"pde": Residual(x, lambda u: u.xxx - u)})
    squared = nn.Sequential(nn.Linear(1, 6), nn.ReLU(), Square(), nn.Linear(6, 1))
    (message,) = flat_warnings(third, squared)
    assert "the third derivative of this network by x is zero almost everywhere (it is piecewise polynomial)" in message


class Square(nn.Module):
    def forward(self, x):
        return x * x


NOT_FLAT = {
    "smooth": lambda: mlp(),
    "begins as a linear map": lambda: PirateNet(2, 1, width=6, blocks=1),
    "one kink among smooth ones": lambda: nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.ReLU(), nn.Linear(6, 1)),
    "does not depend on x": lambda: Before(lambda x: x * torch.tensor([0.0, 1.0], dtype=x.dtype)),
    "zero at the start": lambda: nn.Sequential(nn.Linear(2, 6), nn.Tanh(), zeroed(nn.Linear(6, 1))),
}


def zeroed(layer):
    nn.init.zeros_(layer.weight)
    return layer


@pytest.mark.parametrize("name", NOT_FLAT)
def test_no_false_alarms(name):
    assert flat_warnings(Burgers(), NOT_FLAT[name]()) == []


def test_first_order_equations_may_have_kinks():
    assert flat_warnings(PROBLEMS["layer_first_order"](), partial_mlp("relu")) == []


@pytest.mark.filterwarnings("ignore::FutureWarning")  # Lightning's own
def test_fit_warns_once():
    module = PINN(Burgers(), partial_mlp("relu"), phases=[Phase(ADAM, steps=3)])
    with pytest.warns(UserWarning, match="zero almost everywhere") as caught:
        quiet_trainer().fit(module, small_data(module.problem))
    assert len([w for w in caught if "almost everywhere" in str(w.message)]) == 1


# --------------------------------------------------------------------------------------- attention


# Engines agree for this network, too: one optimizer shows that it trains by the other one.
@pytest.mark.parametrize(
    ("optimizer", "engine"),
    [
        *((optimizer, "auto") for optimizer in (ADAM, QUASI_NEWTON, LevenbergMarquardt, NEWTON_CG)),
        (QUASI_NEWTON, "reverse"),
        *(pytest.param(o, "reverse", marks=pytest.mark.slow) for o in (ADAM, LevenbergMarquardt, NEWTON_CG)),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_attention_trains_with_every_kind_of_optimizer(optimizer, engine):
    problem = AllenCahn(periodic="loss")
    module = PINN(problem, AttentionNetwork, phases=[Phase(optimizer, steps=2)], engine=engine)
    before = module.trial.network(torch.zeros(1, 2, dtype=torch.float64)).item()
    quiet_trainer().fit(module, small_data(problem))
    assert module.system.engine == ("taylor" if engine == "auto" else "reverse")
    assert module.trial.network(torch.zeros(1, 2, dtype=torch.float64)).item() != before
    assert module.system.wanted["pde"] == Wanted(frozenset({(1,), (0, 0)}))


class OwnTanh(torch.autograd.Function):
    """As torch's tutorial has it: Taylor mode goes through `forward`, where torch records nothing."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.tanh(x)

    @staticmethod
    def backward(ctx, slope):
        (x,) = ctx.saved_tensors
        return slope * (1 - torch.tanh(x) ** 2)


class OwnSine(torch.autograd.Function):
    """One that reverse mode can nest."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return torch.sin(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, slope):
        (x,) = ctx.saved_tensors
        return slope * torch.cos(x)


class By(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def network_by(function):
    return nn.Sequential(nn.Linear(1, 6), By(function), nn.Linear(6, 6), By(function), nn.Linear(6, 1)).double()


@pytest.mark.parametrize("engine", ["auto", "taylor", "reverse"])
def test_a_function_whose_gradient_is_cut_is_refused(engine):
    module = PINN(Poisson1D(), network_by(OwnTanh.apply), [Phase(ADAM, steps=1)], engine=engine, compile=False)
    message = "no gradient reaches some parameters" if engine == "taylor" else "must override the setup_context"
    with pytest.raises(ConfigurationError, match=message) as caught:
        quiet_trainer().fit(module, small_data(module.problem))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_a_function_that_reverse_mode_can_nest_is_trained_by_it():
    torch.manual_seed(0)
    own = network_by(OwnSine.apply)
    plain = network_by(torch.sin)
    plain.load_state_dict(own.state_dict())
    for network in (own, plain):
        module = PINN(Poisson1D(), network, [Phase(ADAM, steps=5)], compile=False)
        quiet_trainer().fit(module, small_data(module.problem))
    for one, other in zip(own.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


class Reentrant(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Sequential(nn.Linear(2, 6), nn.Tanh()), nn.Linear(6, 1)

    def forward(self, x):
        return self.last(torch.utils.checkpoint.checkpoint(self.first, x, use_reentrant=True))


@pytest.mark.filterwarnings("ignore:None of the inputs")
def test_parameters_that_no_gradient_reaches_are_told():
    with pytest.warns(UserWarning, match=r"no gradient reaches .*first.0.weight and 1 more, on which its values dep"):
        PINN(Burgers(), Reentrant())
    with pytest.warns(UserWarning, match=r"no gradient reaches network\.0\.0\.weight and 1 more"):
        PINN(Burgers(), nn.Sequential(mlp()[:2], By(torch.detach), nn.Linear(6, 1)))


@pytest.mark.parametrize("name", [name for name in NETWORKS if not name.startswith("tiles")])
def test_shipped_networks_are_not_told_of_gradients(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PINN(Burgers(), NETWORKS[name])


def held_by_its_problem(use):
    """A problem with a network and a number of its own, used in one place."""
    net, nu = nn.Linear(1, 1, dtype=torch.float64), nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
    k = (lambda x: net(x[:, None])[:, 0].detach()) if use == "detached" else (lambda x: net(x[:, None])[:, 0])
    uses = {
        "residual": lambda u, x: k(x) * u.xx + 1,
        "detached": lambda u, x: k(x) * u.xx + 1,
        "number": lambda u, x: nu * u.xx + 1,
    }

    class Own(Problem):
        if use == "ansatz":

            def ansatz(self, u, x):
                return x * u + k(x)

    x = Interval("x", 0, 1)
    pde = Residual(x, uses.get(use, lambda u, x: u.xx + 1))
    wall = Dirichlet(x.boundary(), u=k if use == "target" else 0.0)
    return Own(x, ["u"], {"pde": pde, "wall": wall})


@pytest.mark.parametrize(
    ("use", "where"),
    [
        ("residual", "condition 'pde'"),
        ("number", "condition 'pde'"),
        ("target", "condition 'wall'"),
        ("ansatz", "the ansatz"),
    ],
)
def test_parameters_that_a_problem_holds_itself_are_told(use, where):
    problem = held_by_its_problem(use)
    with pytest.warns(
        UserWarning, match=f"^problem Own: {where}: depends on parameters that are not trained"
    ) as caught:
        PINN(problem)
    assert len(caught) == 1


def test_what_a_problem_keeps_as_it_is_is_not_told():
    PINN(held_by_its_problem("detached"))  # a warning is an error here


CHANGES = {
    "gone": lambda problem: problem.conditions.pop("boundary"),
    "new": lambda problem: problem.conditions.update(wall=Dirichlet(problem.domain.boundary(), u=0.0)),
    "replaced": lambda problem: problem.conditions.update(boundary=Dirichlet(problem.domain.boundary(), u=1.0)),
}


@pytest.mark.parametrize("case", CHANGES)
def test_conditions_that_changed_since_the_problem_was_built_are_refused(case):
    problem = Poisson1D()
    CHANGES[case](problem)
    changed = "wall" if case == "new" else "boundary"
    with pytest.raises(ConfigurationError, match=f"^problem Poisson1D: condition '{changed}' was changed after"):
        PINN(problem)
