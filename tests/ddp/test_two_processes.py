"""Two gloo processes do what one does, to 1e-10 on a short float64 run."""

import pytest
import torch
from board import read_board
from forked import on_ranks
from run_training import train_all
from training import (
    BOARD_CALLBACKS,
    CONDITION_PROBLEMS,
    FEATURES,
    GROWTH_CALLBACKS,
    PARTS,
    PHASES,
    PROBLEM_CALLBACKS,
    TOLERANCES,
    WATCHING_CALLBACKS,
    WEIGHT_CALLBACKS,
    assert_alike,
    full_run,
)

AT_ONCE = ["gauss_newton", "last_layer", "newton_cg", "multi_batch"]
"""Of the phases one of each kind: by Jacobians, their rows alone, products, mini-batches."""
FEW = [f"few_{name}" for name in (*AT_ONCE, "plain", "several", "lra", "spectrum")]
"""Runs on one point of each condition."""
FEW_ON_DEMAND = [f"few_{name}" for name in (*PHASES, "rar_g", "gradient_norm", "ntk") if name not in AT_ONCE]
"""More of them."""
NAMES = [
    "plain",
    *PHASES,
    "several",
    *PROBLEM_CALLBACKS,
    *WEIGHT_CALLBACKS,
    *GROWTH_CALLBACKS,
    *WATCHING_CALLBACKS,
    *BOARD_CALLBACKS,
    *CONDITION_PROBLEMS,
    *FEATURES,
    *PARTS,
    *FEW,
]
THERE_AND_BACK = ["plain", "several", "gradient_norm", "lra"]
"""Runs with new points and weights, of which some go on with another number of processes."""


def train(folder, processes, names=NAMES):
    """Makes all runs in one launch."""
    folder.mkdir(exist_ok=True)
    on_ranks(processes, folder, train_all, processes, folder, names, seconds=600)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return [train(tmp_path_factory.mktemp(f"processes{processes}"), processes) for processes in (1, 2)]


@pytest.fixture
def results(folders):
    """The results of a run on one process and on two, by its name."""
    return lambda name: [torch.load(folder / name / "result.pt", weights_only=True) for folder in folders]


def assert_same_path(one, two, tolerance=1e-10):
    assert one["parameters"].keys() == two["parameters"].keys()
    for step, expected in one["parameters"].items():
        assert two["parameters"][step].dtype == expected.dtype
        assert (two["parameters"][step] - expected).abs().max() < tolerance, f"step {step}"


def test_parameters_agree(results):
    assert_same_path(*results("plain"))


def test_evaluations_agree(results):
    one, two = results("plain")
    assert one["evaluations"] == two["evaluations"]


def test_points_agree(results):
    one, two = results("plain")
    for name, rows in one["points"].items():
        assert torch.equal(rows, two["points"][name]), name
    assert len(one["points"]["pde"]) % 2 == 1  # the shares are uneven


def test_metrics_agree(results):
    one, two = results("plain")
    assert one["errors"]["u"] == pytest.approx(two["errors"]["u"], rel=1e-9)
    assert one["validation"].keys() == two["validation"].keys()
    assert "relative_l2/u" in one["validation"]
    for name, value in one["validation"].items():
        assert value == pytest.approx(two["validation"][name], rel=1e-8), name


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_of_two_processes_resumes_in_one(results, folders, tmp_path):
    two = results("plain")[1]
    path = sorted((folders[1] / "plain" / "checkpoints").glob("*.ckpt"))[0]
    again, _, _, _ = full_run(tmp_path, ckpt_path=path)
    for step, parameters in again.parameters.items():
        assert (parameters - two["parameters"][step]).abs().max() < 1e-10, f"step {step}"


@pytest.mark.parametrize("name", CONDITION_PROBLEMS)
def test_every_kind_of_term_agrees(name, results):
    one, two = results(name)
    assert one["evaluations"] == two["evaluations"]
    assert_same_path(one, two)
    assert_alike(two["validation"], one["validation"], rtol=1e-8)


@pytest.mark.filterwarnings("ignore")
def test_a_run_goes_on_with_one_process_and_again_with_two(results, folders, tmp_path):
    """Two processes up to step 7, one up to step 14, two from there on: the path of one process."""
    one = train(tmp_path / "one", 1, [f"7@{folders[1]}/{name}" for name in THERE_AND_BACK])
    two = train(tmp_path / "two", 2, [f"14@{one}/{name}" for name in THERE_AND_BACK])
    for name in THERE_AND_BACK:
        expected = results(name)[0]
        for folder, first in ((one, 8), (two, 15)):
            found = torch.load(folder / name / "result.pt", weights_only=True)
            assert min(found["parameters"]) == first
            later = {step: p for step, p in expected["parameters"].items() if step >= first}
            assert_same_path({"parameters": later}, found)
            for condition, rows in expected["points"].items():
                assert torch.allclose(rows, found["points"][condition], rtol=1e-8, atol=0), condition


@pytest.mark.parametrize("name", FEW)
def test_fewer_points_than_ranks(name, results):
    """The second process has no point of any condition."""
    one, two = results(name)
    assert_same_path(one, two, TOLERANCES.get(name.removeprefix("few_"), 1e-10))
    if name == "few_plain":
        assert [len(rows) for rows in two["points"].values()] == [1, 1, 1]


@pytest.mark.slow
def test_fewer_points_than_ranks_for_other_optimizers(tmp_path):
    one, two = (train(tmp_path / str(processes), processes, FEW_ON_DEMAND) for processes in (1, 2))
    for name in FEW_ON_DEMAND:
        results = [torch.load(folder / name / "result.pt", weights_only=True) for folder in (one, two)]
        assert_same_path(*results, TOLERANCES.get(name.removeprefix("few_"), 1e-10))
        other = torch.load(two / name / "1.pt", weights_only=True)
        assert all(torch.equal(other[step], flat) for step, flat in results[1]["parameters"].items()), name


@pytest.mark.parametrize("phases", PHASES)
def test_other_optimizers_agree(phases, results):
    one, two = results(phases)
    assert one["evaluations"] == two["evaluations"]
    assert_same_path(one, two, TOLERANCES.get(phases, 1e-10))


@pytest.mark.parametrize("name", NAMES)
def test_both_processes_have_the_same_bits(name, results, folders):
    """Otherwise their line searches branch differently sooner or later, and each waits for the other."""
    first, second = results(name)[1]["parameters"], torch.load(folders[1] / name / "1.pt", weights_only=True)
    assert first.keys() == second.keys()
    for step, parameters in first.items():
        assert torch.equal(parameters, second[step]), f"step {step}"


def test_changing_points_agree(results):
    one, two = results("several")
    assert len(one["points"]["pde"]) > 21
    for name, rows in one["points"].items():
        assert torch.equal(rows, two["points"][name]), name
    assert_same_path(one, two)


@pytest.mark.parametrize("name", PROBLEM_CALLBACKS)
def test_changing_problems_agree(name, results):
    one, two = results(name)
    assert one["evaluations"] == two["evaluations"]
    assert_same_path(one, two)


@pytest.mark.parametrize("name", WEIGHT_CALLBACKS)
def test_changing_weights_agree(name, results):
    one, two = results(name)
    assert one["evaluations"] == two["evaluations"]
    assert not torch.equal(one["factors"], torch.ones_like(one["factors"]))
    assert torch.allclose(one["factors"], two["factors"], rtol=1e-8)
    for condition, rows in one["points"].items():
        assert torch.allclose(rows, two["points"][condition], rtol=1e-8, atol=0), condition
    assert_same_path(one, two)


@pytest.mark.parametrize("name", GROWTH_CALLBACKS)
def test_growing_batches_agree(name, results):
    one, two = results(name)
    assert one["batch_size"] != 4
    for key in ("evaluations", "points_seen", "batch_size"):
        assert one[key] == two[key], key
    assert_same_path(one, two)


def test_dashboards_agree_and_only_the_first_process_writes(results, folders):
    one, two = results("board")
    assert_same_path(one, two)
    assert one["history"]["steps"] == two["history"]["steps"] != []
    torch.testing.assert_close(two["history"]["errors"]["u"], one["history"]["errors"]["u"], rtol=1e-8, atol=1e-20)
    boards = [read_board(folder / "board" / "board") for folder in folders]
    assert boards[0].layouts == boards[1].layouts != []
    assert boards[0].steps.keys() == boards[1].steps.keys()
    for tag, steps in boards[0].steps.items():
        times = "milliseconds" in tag  # differ from run to run
        assert (len(steps) if times else steps) == (len(boards[1].steps[tag]) if times else boards[1].steps[tag]), tag


@pytest.mark.parametrize("name", WATCHING_CALLBACKS)
def test_who_only_looks_on_sees_the_same(name, results):
    one, two = results(name)
    assert one["evaluations"] == two["evaluations"] == results("plain")[0]["evaluations"]
    assert_same_path(one, results("plain")[0], 1e-300)
    assert_same_path(one, two)
    # Of spectra 1e-10 of the largest eigenvalue, which is about 10.
    assert_alike(two["seen"], one["seen"], atol=1e-9)


@pytest.mark.parametrize("name", PARTS)
def test_windows_as_blocks_agree(results, name):
    one, two = results(name)
    assert_same_path(one, two)
    assert one["evaluations"] == two["evaluations"]


@pytest.mark.parametrize("name", FEATURES)
def test_scales_of_features_agree(results, name):
    one, two = results(name)
    assert_same_path(one, two)
    assert one["evaluations"] == two["evaluations"]
    assert one["scale"] == two["scale"] == 2.0
