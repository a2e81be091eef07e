"""Windows of time: one run, one checkpoint, one solution."""

import functools
import logging

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import TensorBoardLogger

import pinnlab
from pinnlab import CollocationDataModule, Phase
from pinnlab.callbacks import RunSummary, SolutionFigures, figures
from pinnlab.domains import Interval
from pinnlab.errors import ConfigurationError
from pinnlab.networks import MLP, SpectralFeatures
from pinnlab.optimizers import LBFGS, LeastSquares, LevenbergMarquardt
from pinnlab.problems import Dirichlet, Exact, Problem, Residual, Unknown, Wave1D
from pinnlab.problems.window import Window
from pinnlab.reporting.figures import solution as drawing
from pinnlab.samplers import Sobol
from pinnlab.training.march import March
from pinnlab.training.marching import march, train_windows
from pinnlab.training.module import PINN
from pinnlab.training.quiet import LOGGER
from pinnlab.training.windows import module_in, pieced

pytestmark = pytest.mark.filterwarnings("ignore")

SLOW = pytest.mark.slow

ADAM = functools.partial(torch.optim.Adam, lr=1e-2)


class Decay(Problem):
    """u' = -u on [0, 2] from u(0) = 1, with the start in the loss or in an ansatz, which may hold something else."""

    def __init__(self, hard=True):
        t = Interval("t", 0, 2)
        start = {} if hard else {"start": Dirichlet(t.face(t=0.0), u=1.0)}
        self.ansatz = (lambda u, t: 1 + t * u) if hard else None
        super().__init__(t, ("u",), {"ode": Residual(t, lambda u: u.t + u), **start})

    def reference(self):
        """The exponential."""
        return Exact(lambda t: torch.exp(-t))


class Heat(Problem):
    """u_t = u_xx / 10 with an ansatz for the start and for walls that move: u = t at both ends."""

    def __init__(self):
        xt = Interval("x", 0, 1) * Interval("t", 0, 1)
        self.ansatz = lambda u, x, t: torch.sin(torch.pi * x) + t + t * x * (1 - x) * u
        super().__init__(xt, ("u",), {"pde": Residual(xt, lambda u: u.t - 0.1 * u.xx)})


def module(problem, phases=None, network=None, **options):
    phases = phases or [Phase(ADAM, steps=4), Phase(functools.partial(LBFGS, iterations=3), steps=4)]
    return PINN(problem, network or functools.partial(MLP, hidden=(6,)), phases, compile=False, **options)


def trainer(*callbacks, **options):
    options = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False, **options}
    return L.Trainer(enable_progress_bar=False, callbacks=list(callbacks), accelerator="cpu", **options)


class Delayed(Problem):
    """u' = -u(t - 0.7), u = 1 up to 0, on [0, 2], with the start in the loss or in an ansatz."""

    def __init__(self, hard=True):
        t = Interval("t", 0, 2)
        start = {} if hard else {"start": Dirichlet(t.face(t=0.0), u=1.0)}
        self.ansatz = (lambda u, t: 1 + t * u) if hard else None
        delayed = Residual(t, lambda u, t: u.t + torch.where(t < 0.7, 1.0, u.at(t=t - 0.7)))
        super().__init__(t, ("u",), {"ode": delayed, **start})

    def reference(self):
        """By the method of steps."""
        return Exact(lambda t: 1 - t + (t - 0.7).clamp_min(0) ** 2 / 2 - (t - 1.4).clamp_min(0) ** 3 / 6)


class Recorder(Checkpoint):
    """The parameters after every step, and a checkpoint of it where a folder is given; Lightning calls it last."""

    def __init__(self, folder=None):
        self.folder, self.parameters, self.evaluations = folder, {}, {}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        step = trainer.global_step
        self.parameters[step] = torch.nn.utils.parameters_to_vector(pl_module.trial.parameters()).clone()
        self.evaluations[step] = pl_module.evaluations
        if self.folder is not None:
            trainer.save_checkpoint(self.folder / f"{step:02}.ckpt")


def run(problem, plan, folder=None, ckpt_path=None, points=None, **options):
    recorder, summary = Recorder(folder), RunSummary()
    own = trainer(recorder, summary, enable_checkpointing=True)
    data = CollocationDataModule(problem, points or 20, held_out=20, evaluation_points=50)
    whole = train_windows(module(problem, **options), data, own, plan, ckpt_path)
    return recorder, whole, summary.result


@pytest.mark.parametrize(
    "problem", [Decay(), Decay(hard=False), pytest.param(Delayed(), marks=SLOW)], ids=["hard", "soft", "delayed"]
)
def test_resume_is_bitwise_at_every_step_of_every_window(tmp_path, problem):
    plan = March(windows=3)
    whole, solved, summary = run(problem, plan, tmp_path)
    checkpoints = sorted(tmp_path.glob("*.ckpt"))
    assert [path.stem for path in checkpoints] == [f"{step:02}" for step in range(1, 25)]
    assert list(whole.evaluations.values()) == sorted(set(whole.evaluations.values()))  # they go on counting
    assert summary["steps"] == 24
    assert [window["steps"] for window in summary["windows"]] == [8, 8, 8]
    for path in checkpoints[3::4]:
        again, resolved, summary_again = run(problem, plan, ckpt_path=path)
        assert again.evaluations.items() <= whole.evaluations.items()
        assert max(again.evaluations, default=24) == 24
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step]), f"{path.name}: step {step} differs"
        assert [w["relative_l2"] for w in summary_again["windows"]] == [w["relative_l2"] for w in summary["windows"]]
        for name, tensor in solved.state_dict().items():
            assert torch.equal(tensor, resolved.state_dict()[name]), f"{path.name}: {name}"


def test_solution_is_that_of_each_window_and_continuous_where_the_ansatz_is():
    solution = march(
        Decay(),
        edges=[0.0, 0.5, 2.0],
        model={"network": functools.partial(MLP, hidden=(8,)), "phases": [Phase(LevenbergMarquardt, steps=25)]},
        data={"points": 30, "held_out": 20},
        trainer=trainer(),
    )
    t = torch.linspace(0, 2, 201, dtype=torch.float64)
    assert abs(solution.u(t=t) - torch.exp(-t)).max() < 1e-4
    below, above = (solution.u(t=0.5 + shift) for shift in (-1e-13, 0.0))
    assert abs(below - above) < 1e-12
    # On the edge derivatives are those of the later window.
    slopes = [float(solution.derivative("u", "t", t=0.5 + shift)) for shift in (-1e-9, 0.0, 1e-9)]
    assert slopes[1] == pytest.approx(slopes[2], abs=1e-8)
    assert slopes[1] != pytest.approx(slopes[0], abs=1e-8)
    assert solution.errors()["u"] < 1e-4
    assert abs(solution.residual("ode", t=t)).max() < 1e-3


@pytest.mark.parametrize(
    ("hard", "compiled", "windows"),
    [(False, False, 5), pytest.param(True, False, 3, marks=SLOW), pytest.param(False, True, 3, marks=SLOW)],
    ids=["soft", "hard", "compiled"],
)
def test_a_delay_reaches_into_windows_before(hard, compiled, windows):
    """Whose solutions between two kinks are polynomials: one linear solve in each finds all digits."""
    edges = [0, 0.7, 1.4, 2] if windows == 3 else [0, 0.35, 0.7, 1.05, 1.4, 2]
    network = functools.partial(SpectralFeatures, columns=[], degree=4)
    model = {"network": network, "phases": [Phase(LeastSquares, steps=2)], "compile": compiled}
    solution = march(
        Delayed(hard), edges, model=model, data={"points": 20, "evaluation_points": 100}, trainer=trainer()
    )
    assert solution.errors()["u"] < 1e-14
    assert abs(solution.residual("ode", t=torch.linspace(0, 2, 50, dtype=torch.float64))).max() < 1e-13


def test_a_window_looks_no_further_than_to_the_first():
    problem = Delayed()
    first = module_in(module(problem), "t", [0, 1, 2], 0, None).trial.frozen()
    window = Window(problem, "t", 1, 2, first)
    assert window.past.conditions == {"ode"}
    assert window.before is first
    assert Window(Decay(hard=False), "t", 1, 2, first).before is None
    whole = Interval("x", 0, 1) * Interval("t", 0, 2)
    left = whole.face(x=0.0)
    slow = Residual(left, lambda u, s, t: s.t - u + torch.where(t < 0.7, 1.0, s.at(t=t - 0.7)))
    own = {"u": Unknown(), "s": Unknown(on=left)}
    begins = Dirichlet(whole.face(t=0.0), u=1.0)
    late = Problem(whole, own, {"s": slow, "start": begins})
    assert Window(late, "t", 1, 2, module(late).trial.frozen()).past.conditions == {"s"}
    t = Interval("t", 0, 2)
    bare = {"ode": Residual(t, lambda u, t: u.t + u.at(t=t - 1)), "start": Dirichlet(t.face(t=0.0), u=1.0)}
    with pytest.raises(ConfigurationError, match="condition 'ode': looks at t = -"):
        Problem(t, ("u",), bare)


def test_what_else_an_ansatz_holds_still_holds_in_later_windows():
    problem = Heat()
    _, whole, _ = run(problem, March(windows=3))
    walls, _ = problem.domain.boundary("x").quadrature(30)
    assert torch.allclose(whole(walls)[:, 0], walls[:, 1], atol=1e-13)
    x = torch.linspace(0, 1, 9, dtype=torch.float64)
    for edge in (1 / 3, 2 / 3):
        pairs = [whole(torch.stack([x, torch.full_like(x, t)], -1)) for t in (edge - 1e-14, edge)]
        assert torch.allclose(*pairs, atol=1e-12)
    solution = whole.solution()  # in jets: against differences
    at, step = {"x": 0.3, "t": 0.55}, 1e-4
    right, left, here = (solution.u(x=0.3 + shift, t=0.55) for shift in (step, -step, 0.0))
    assert solution.derivative("u", "x", "x", **at) == pytest.approx((right - 2 * here + left) / step**2, rel=1e-5)


def test_velocities_are_handed_over_where_the_equation_is_of_second_order():
    phases = [Phase(LevenbergMarquardt, steps=60)]
    problem = Wave1D(speed=1.0, frequency=2)
    _, whole, _ = run(
        problem, March(windows=2), phases=phases, network=functools.partial(MLP, hidden=(24,)), points=150
    )
    solution = whole.solution()
    x = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    exact = -torch.pi * torch.sin(torch.pi * x)  # at t = 1/2; the other wave's is zero there
    below, above = (solution.derivative("u", "t", x=x, t=torch.full_like(x, t)) for t in (0.5 - 1e-9, 0.5))
    assert abs(below - above).max() < 0.05 * abs(exact).max()
    assert abs(above - exact).max() < 0.1 * abs(exact).max()


def test_a_window_that_misses_its_tolerance_is_halved_and_one_that_meets_it_ends():
    phases = [Phase(LevenbergMarquardt, steps=12)]
    plan = March(windows=1, tolerance=1e-12, every=3, halvings=1)
    with pytest.warns(UserWarning, match=r"window 0 to 1: the held-out residual is .*, above the tolerance"):
        _, whole, summary = run(Decay(), plan, phases=phases, network=functools.partial(MLP, hidden=(4,)))
    tried = [(w["low"], w["high"], w["kept"]) for w in summary["windows"]]
    assert tried == [(0.0, 2.0, False), (0.0, 1.0, True), (1.0, 2.0, True)]
    assert whole.trial.network.edges == (0.0, 1.0, 2.0)
    assert summary["steps"] == 36
    loose = March(windows=2, tolerance=1e-1, every=3)
    recorder, _, summary = run(Decay(), loose, phases=phases, network=functools.partial(MLP, hidden=(4,)))
    assert [w["kept"] for w in summary["windows"]] == [True, True]
    assert len(recorder.parameters) < 24
    assert all(w["residual"] <= 1e-1 for w in summary["windows"])


@pytest.mark.parametrize("hard", [True, False])
def test_errors_are_those_of_all_windows_though_each_is_measured_once(hard):
    """Against all windows at the points of each, added up by length; and at the end against the solution as a whole."""
    _, whole, summary = run(Decay(hard), March(edges=[0.0, 0.3, 1.2, 2.0]))
    error = size = 0.0
    for window in summary["windows"]:
        t = torch.linspace(window["low"], window["high"], 50, dtype=torch.float64)
        exact, length = torch.exp(-t), window["high"] - window["low"]
        left = whole.trial.network.trials[len(summary["windows"][: summary["windows"].index(window)])]
        start = whole(torch.full((1, 1), window["low"], dtype=torch.float64))  # asked for where an ansatz wants it
        values = left(t[:, None], lambda edge, start=start: start.expand(len(edge), 1))[:, 0]
        error += length * float((values - exact).square().mean())
        size += length * float(exact.square().mean())
        assert window["relative_l2"]["u"] == pytest.approx((error / size) ** 0.5, rel=1e-12)
    assert summary["relative_l2"]["u"] == whole.solution().errors(50)["u"]
    t = torch.linspace(0, 2, 50, dtype=torch.float64)
    expected = (whole(t[:, None])[:, 0] - torch.exp(-t)).norm() / torch.exp(-t).norm()
    assert summary["relative_l2"]["u"] == pytest.approx(float(expected), rel=1e-12)


def test_many_windows_are_copied_without_those_before_each():
    """150 of them: where each held the ones before, copies went too deep for Python."""
    problem = Decay(hard=False)
    made, before, trials = module(problem), None, []
    edges = [2 * k / 150 for k in range(151)]
    for k in range(150):
        trials.append(module_in(made, "t", edges, k, before).trial)
        before = trials[-1].frozen()
    solution = pieced(made, trials, "t", edges).solution()
    t = torch.tensor([0.001, 1.0, 1.999], dtype=torch.float64)
    expected = [float(trials[k](t[i : i + 1, None])) for i, k in enumerate((0, 75, 149))]
    assert solution.u(t=t).tolist() == pytest.approx(expected, abs=1e-14)


def test_weights_go_on_from_the_window_before_unless_they_are_to_be_fresh():
    seen = {}

    class Beginnings(L.Callback):
        def on_train_start(self, trainer, pl_module):
            seen[pl_module.problem.edges[0]] = torch.nn.utils.parameters_to_vector(pl_module.trial.parameters()).clone()

        def on_train_end(self, trainer, pl_module):
            seen["end"] = torch.nn.utils.parameters_to_vector(pl_module.trial.parameters()).clone()

    problem = Decay()
    for options in ({"noise": 0.0}, {"noise": 0.01}, {"start": "fresh"}):
        own, data = trainer(Beginnings()), CollocationDataModule(problem, 20, held_out=20)
        ends = []
        train_windows(module(problem), data, own, March(windows=2, **options))
        ends.append(seen[1.0])
        if options == {"noise": 0.0}:
            previous = seen[1.0]
        else:
            change = (seen[1.0] - previous).abs().max()
            assert (0 < change < 0.05) if options == {"noise": 0.01} else change > 0.05


def test_a_limit_at_the_end_of_a_window_is_no_window_more():
    problem = Decay()
    own, data = trainer(max_steps=8), CollocationDataModule(problem, 20, held_out=20)
    whole = train_windows(module(problem), data, own, March(windows=2))
    assert own.global_step == 8
    assert whole.trial.network.edges == (0.0, 1.0)
    assert whole.problem.domain.high == (1.0,)


def test_a_run_that_was_cut_short_says_how_far_its_errors_reach(capsys):
    def summary(**options):
        found, data = RunSummary(), CollocationDataModule(Decay(), 20, held_out=20)
        train_windows(module(data.problem), data, trainer(found, **options), March(windows=2))
        return found.result, capsys.readouterr().out

    cut, said = summary(max_steps=8)
    assert cut["up_to"] == {"t": 1.0}
    assert " up to t = 1" in said
    assert "problem  Decay: u(t) on Interval('t', 0, 2)" in said  # the whole, not its first window
    assert "up_to" not in summary()[0]


def test_the_table_says_which_windows_were_halved(capsys):
    phases = [Phase(LevenbergMarquardt, steps=3)]
    run(Decay(), March(windows=1, tolerance=1e-12, halvings=1), phases=phases)
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith("│")]
    assert sum("halved" in line for line in rows) == 1
    assert "0 to 2" in next(line for line in rows if "halved" in line)


@pytest.mark.parametrize(
    "edges",
    [{"windows": [0.0, 0.3, 2.0]}, {"edges": torch.tensor([0.0, 0.3, 2.0])}, {"edges": np.array([0.0, 0.3, 2.0])}],
    ids=["in place of a number", "torch", "numpy"],
)
def test_edges_are_a_list_or_an_array(edges):
    options = {"model": {"network": functools.partial(MLP, hidden=(4,)), "phases": [Phase(ADAM, steps=1)]}}
    solution = march(Decay(), **edges, **options, data={"points": 5}, trainer=trainer())
    assert solution.trial.network.edges == pytest.approx((0.0, 0.3, 2.0))
    assert "network  2 windows of MLP, 13 parameters each, float64" in str(solution)


def test_the_public_name_is_this_one():
    assert pinnlab.march is march


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"windows": 0}, "march.windows: must be at least 1"),
        ({"edges": 2.0}, "march.edges: must be a list"),
        ({"windows": "six"}, "march.windows: must be a whole number"),
        ({"windows": [0.0, 2.0], "edges": [0.0, 2.0]}, "either windows or edges"),
        ({"edges": [0.0, 1.5, 1.0, 2.0]}, "march.edges: must be increasing"),
        ({"edges": [0.0, 1.0, 3.0]}, "march.edges: must go from 0 to 2"),
        ({"coordinate": "s"}, "unknown march.coordinate 's'"),
        ({"tolerance": 0.0}, "march.tolerance: must be positive"),
        ({"start": "older"}, "unknown march.start 'older'"),
        ({"noise": -1.0}, "march.noise"),
        ({"every": 0}, "march.every"),
        ({"halvings": -1}, "march.halvings"),
        ({"toleranz": 1.0}, "unknown option of march 'toleranz'.*tolerance"),
        ({"tolerance": 1.0, "data": {"held_out": 0}}, "march.tolerance: needs points"),
        ({"start": "fresh", "model": {"network": MLP(1, 1)}}, "march.start: a network given as an object"),
        ({"data": {"points": {"ode": 5, "wall": 5}}}, r"unknown condition in data\.points 'wall'"),
        ({"data": {"samplers": {"od": Sobol()}}}, r"unknown condition in data\.samplers 'od' \(did you mean 'ode'"),
    ],
)
def test_bad_input_is_refused(options, match):
    with pytest.raises(ConfigurationError, match=match):
        march(Decay(), **options, trainer=trainer())


def test_problems_that_cannot_be_cut_are_refused():
    class Without(Problem):
        def __init__(self):
            t = Interval("t", 0, 1)
            super().__init__(t, ("u",), {"ode": Residual(t, lambda u: u.t + u)})

    with pytest.raises(ConfigurationError, match="has no initial condition"):
        march(Without(), trainer=trainer())
    with pytest.raises(ConfigurationError, match=r"holds values and velocities.*exact_conditions: false"):
        march(Wave1D(exact_conditions=True), windows=2, model={"phases": [Phase(ADAM, steps=1)]}, trainer=trainer())


def test_what_only_later_windows_refuse_is_refused_before_the_first_step(capsys):
    t = Interval("t", 0, 1)
    own = Residual(t.face(t=0.0), lambda u: u - 1)
    problem = Problem(t, ("u",), {"ode": Residual(t, lambda u: u.t + u), "v": own})
    with pytest.raises(ConfigurationError, match="initial condition 'v' is a Residual; write it as Dirichlet"):
        march(problem, windows=3, model={"phases": [Phase(ADAM, steps=1)]}, trainer=trainer())
    assert "window 1" not in capsys.readouterr().out
    march(problem, windows=1, model={"phases": [Phase(ADAM, steps=1)], "compile": False}, trainer=trainer())


def test_a_checkpoint_of_one_training_or_of_other_windows_is_refused(tmp_path):
    problem = Decay()
    plain = trainer()
    plain.fit(module(problem), CollocationDataModule(problem, 20))
    plain.save_checkpoint(tmp_path / "plain.ckpt")
    with pytest.raises(ConfigurationError, match=r"plain.ckpt is not of a run in windows"):
        run(problem, March(windows=2), ckpt_path=tmp_path / "plain.ckpt")
    run(problem, March(windows=2), tmp_path)
    for windows in (3, 1):  # of a part of the edges, too: windows that were halved have more than were planned
        with pytest.raises(ConfigurationError, match=r"10.ckpt has windows of t at .*, this run has them at"):
            run(problem, March(windows=windows), ckpt_path=tmp_path / "10.ckpt")
    saved = torch.load(tmp_path / "10.ckpt", weights_only=True)
    del saved["pinnlab_march"]["before"]
    torch.save(saved, tmp_path / "old.ckpt")
    with pytest.raises(ConfigurationError, match=r"old.ckpt holds windows in the form of an earlier version"):
        run(problem, March(windows=2), ckpt_path=tmp_path / "old.ckpt")


def test_a_problem_of_ones_own_may_be_called_window(tmp_path):
    kind = type("Window", (Decay,), {})
    made = module(kind(), [Phase(ADAM, steps=1)])
    own = trainer()
    own.fit(made, CollocationDataModule(made.problem, points=5))
    own.save_checkpoint(tmp_path / "own.ckpt")
    assert pinnlab.load(tmp_path / "own.ckpt", problem=kind()).problem.name == "Window"


def test_weights_of_one_window_and_another_problem_are_refused(tmp_path):
    run(Decay(), March(windows=2), tmp_path)
    path = tmp_path / "10.ckpt"
    with pytest.raises(
        ConfigurationError, match=r"10.ckpt is of problem Decay, this run's is Other; .* the old one again$"
    ):
        pinnlab.load(path, problem=type("Other", (Decay,), {})())
    saved = torch.load(path, weights_only=True)
    for key in ("pinnlab_march", "optimizer_states", "callbacks"):  # as save_weights_only leaves them out
        saved.pop(key)
    torch.save(saved, path)
    for look in (functools.partial(pinnlab.load, path, problem=given) for given in (None, Decay())):
        with pytest.raises(ConfigurationError, match=r"10.ckpt holds the weights of one window only"):
            look()
    with pytest.raises(ConfigurationError, match=r"10.ckpt holds the weights of one window only"):
        run(Decay(), March(windows=2), ckpt_path=path)


def test_points_and_the_full_drawing_are_those_of_the_last_window(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "_add", lambda trainer, tag, figure: drawn.append((trainer.global_step, tag)))
    problem = Decay()
    made = module(problem, [Phase(ADAM, steps=3)])
    board = TensorBoardLogger(tmp_path)
    train_windows(
        made, CollocationDataModule(problem, points=5), trainer(SolutionFigures(), logger=board), March(windows=6)
    )
    shown = {step for step, tag in drawn if tag == "solution/u"}
    assert shown >= {3, 6, 12, 18}  # at the ends of windows 1, 2, 4 and of the last
    assert not shown & {7, 8, 9, 13, 14, 15}  # nothing of windows 3 and 5
    assert {step for step, tag in drawn if tag == "solution/u/in_full"} == {18}
    assert [step for step, tag in drawn if tag == "solution/u/all_windows"] == [18]
    assert min(step for step, tag in drawn if tag == "training/points") > 15


@pytest.mark.usefixtures("rendered")
def test_all_windows_are_in_one_figure(tmp_path, monkeypatch):
    shown = []

    def kept(points, values, reference, *others, **more):
        shown.append((points, values, reference))
        return made(points, values, reference, *others, **more)

    made = drawing.solution_figure
    monkeypatch.setattr(drawing, "solution_figure", kept)
    problem, own = Decay(hard=False), trainer(SolutionFigures(), logger=TensorBoardLogger(tmp_path))
    data = CollocationDataModule(problem, points=5, evaluation_points=30)
    whole = train_windows(module(problem, [Phase(ADAM, steps=2)]), data, own, March(windows=3))
    points, values, reference = shown[-1]
    assert (float(points.min()), float(points.max()), len(points)) == (0.0, 2.0, 30)
    torch.testing.assert_close(values, whole(points)[:, 0].detach(), rtol=0, atol=1e-15)
    torch.testing.assert_close(reference, torch.exp(-points[:, 0]), rtol=0, atol=1e-15)
    assert next(tmp_path.rglob("solution_u.png")).stat().st_size > 5_000


def test_a_march_without_a_trainer_shows_no_advertisement(caplog):
    options = {"network": functools.partial(MLP, hidden=[4]), "phases": [Phase(ADAM, steps=1)], "compile": False}
    with caplog.at_level(logging.INFO, logger=LOGGER):
        march(Decay(), windows=1, model=options, data={"points": 5})
    assert [line for line in caplog.messages if "Tip" in line or "available" in line] == []
