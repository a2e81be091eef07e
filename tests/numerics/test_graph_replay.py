"""Replayed computations: the tensors around a recording, with a recorder that calls the function again."""

import warnings
from contextlib import nullcontext

import pytest
import torch
from compiling import example, squares

from pinnlab.numerics import graph_replay
from pinnlab.numerics.compiled_loss import CompiledLoss, add_losses, leave_gradient
from pinnlab.numerics.compiled_value import CompiledValue
from pinnlab.numerics.compiler import Compiler
from pinnlab.numerics.cuda_recorder import CudaRecorder
from pinnlab.numerics.graph_replay import (
    PLAIN_CALLS,
    Recordings,
    Replayed,
    by_calling,
    evaluator,
    recordings_for,
    share_of,
)


class Recorder:
    """Records by calling, and counts recordings and replays."""

    def __init__(self):
        self.recorded, self.replayed = 0, 0

    def __call__(self, compute):
        self.recorded += 1
        run, results = by_calling(compute)

        def counted():
            self.replayed += 1
            run()

        return counted, results


CPU = torch.device("cpu")


def replaying(function, record):
    return Replayed(function, Recordings(CPU, record))


def results(parameters, inputs):
    return {"sums": squares(parameters, inputs), "twice": [2 * parameters["w"], None]}


def agree(replayed, parameters, inputs):
    found, expected = replayed(parameters, inputs), results(parameters, inputs)
    assert torch.equal(found["sums"], expected["sums"])
    assert torch.equal(found["twice"][0], expected["twice"][0])
    assert found["twice"][1] is None
    assert not found["sums"].requires_grad
    return found


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def warm(recorder):
    """A replayed function that has been recorded, and what with."""
    replayed, given = replaying(results, recorder), example(40, 50)
    for _ in range(PLAIN_CALLS + 1):
        agree(replayed, *given)
    assert (recorder.recorded, recorder.replayed) == (1, 1)
    return replayed, *given


def test_contents_may_change_in_place_or_be_other_tensors(warm, recorder):
    replayed, parameters, inputs = warm
    with torch.no_grad():
        parameters["w"].mul_(1.5)
    inputs["c0"].add_(0.25)
    agree(replayed, parameters, inputs)
    inputs["c1"] = inputs["c1"].flip(0)  # other points, as many
    parameters["w"] = (parameters["w"].detach() - 0.5).requires_grad_()
    agree(replayed, parameters, inputs)
    inputs["c1"] = torch.cat([inputs["c1"], inputs["c1"]])[::2]  # and not next to each other in memory
    agree(replayed, parameters, inputs)
    assert (recorder.recorded, recorder.replayed) == (1, 4)


@pytest.mark.parametrize("first", [True, False])
def test_it_may_be_recorded_in_inference_mode_and_replayed_outside_and_the_other_way_round(first, recorder):
    replayed, (parameters, inputs) = replaying(results, recorder), example(40, 50)
    with torch.inference_mode(first):
        for _ in range(PLAIN_CALLS + 1):
            agree(replayed, parameters, {name: rows.clone() for name, rows in inputs.items()})
    with torch.inference_mode(not first):
        agree(replayed, parameters, {name: rows.clone() for name, rows in inputs.items()})
    assert (recorder.recorded, recorder.replayed) == (1, 2)


def test_plain_calls_and_recordings_see_points_that_lie_alike_in_memory(recorder):
    """Kernels choose their way by strides and alignment: a resumed run would round differently."""
    seen = []

    def function(parameters, inputs):
        seen.append([(rows.stride(), rows.data_ptr() % 64, rows.storage_offset()) for rows in inputs.values()])
        return results(parameters, inputs)

    replayed, (parameters, inputs) = replaying(function, recorder), example(80, 50)
    for _ in range(PLAIN_CALLS + 1):
        replayed(parameters, {"c0": inputs["c0"][1::2], "c1": inputs["c1"][3:20]})
    assert len(seen) > PLAIN_CALLS
    assert seen == [[((3, 1), 0, 0)] * 2] * len(seen)


def test_results_outlive_the_next_replay(warm):
    replayed, parameters, inputs = warm
    first = agree(replayed, parameters, inputs)
    kept = first["sums"].clone()
    with torch.no_grad():
        parameters["w"].zero_()
    assert float(agree(replayed, parameters, inputs)["sums"].sum()) == 0
    assert torch.equal(first["sums"], kept)
    first["twice"][0].zero_()  # nor does it matter to the recording what is done to them
    agree(replayed, parameters, inputs)


def test_arguments_are_left_alone(warm):
    replayed, parameters, inputs = warm
    before = {name: rows.clone() for name, rows in inputs.items()}
    other = {name: rows + 1 for name, rows in inputs.items()}
    agree(replayed, parameters, other)
    assert all(torch.equal(inputs[name], rows) for name, rows in before.items())


def test_another_number_of_points_or_data_type_is_recorded_anew(warm, recorder):
    replayed, parameters, inputs = warm
    more = {"c0": inputs["c0"], "c1": torch.cat([inputs["c1"], inputs["c0"]])}
    for _ in range(PLAIN_CALLS):
        agree(replayed, parameters, more)
    assert recorder.recorded == 1
    for _ in range(3):
        agree(replayed, parameters, more)
        agree(replayed, parameters, inputs)  # the first recording is still there
    assert (recorder.recorded, recorder.replayed) == (2, 7)
    single = {"w": parameters["w"].detach().float()}, {name: rows.float() for name, rows in inputs.items()}
    for _ in range(PLAIN_CALLS + 1):
        assert agree(replayed, *single)["sums"].dtype == torch.float32
    assert recorder.recorded == 3


def test_points_that_change_in_number_at_every_call_are_not_recorded(recorder):
    replayed, (parameters, _) = replaying(results, recorder), example(4)
    for count in range(4, 100):
        agree(replayed, parameters, example(count)[1])
    assert recorder.recorded == 0
    assert len(replayed._recordings._calls) <= 4 * graph_replay.MOST_RECORDINGS


def test_old_recordings_make_room(recorder, monkeypatch):
    monkeypatch.setattr(graph_replay, "MOST_RECORDINGS", 2)
    replayed, (parameters, _) = replaying(results, recorder), example(4)
    for count in (5, 6, 7):
        for _ in range(PLAIN_CALLS + 1):
            agree(replayed, parameters, example(count)[1])
    assert (recorder.recorded, len(replayed._recordings)) == (3, 2)


def test_the_recording_that_was_used_longest_ago_makes_room_and_is_not_made_again_at_once(recorder, monkeypatch):
    monkeypatch.setattr(graph_replay, "MOST_RECORDINGS", 2)
    replayed, (parameters, _) = replaying(results, recorder), example(4)

    def call(count, times):
        for _ in range(times):
            agree(replayed, parameters, example(count)[1])

    for count in (5, 6):
        call(count, PLAIN_CALLS + 1)
    call(5, 1)
    call(7, PLAIN_CALLS + 1)  # takes the place of 6
    for _ in range(10):
        call(5, 1)
        call(7, 1)
        call(6, 1)
    assert recorder.recorded == 3
    call(6, graph_replay.AGAIN)
    assert recorder.recorded == 4


def test_recordings_of_several_functions_make_room_for_each_other(recorder, monkeypatch):
    monkeypatch.setattr(graph_replay, "MOST_RECORDINGS", 2)
    recordings, given = Recordings(CPU, recorder), example(40, 50)
    for function in (results, squares, results):
        replayed = Replayed(function, recordings)
        for _ in range(PLAIN_CALLS + 1):
            replayed(*given)
    assert (recorder.recorded, len(recordings)) == (3, 2)


@pytest.mark.parametrize("first", [True, False])
def test_what_is_elsewhere_is_neither_recorded_nor_replayed(first, recorder):
    """After a run the model is on the CPU again: copied to the GPU, tensors would give results there."""
    recordings, (parameters, inputs) = Recordings(torch.device("meta"), recorder), example(40, 50)
    replayed, there = Replayed(results, recordings), {"w": parameters["w"].detach().to("meta")}
    moved = {name: rows.to("meta") for name, rows in inputs.items()}
    for _ in range(PLAIN_CALLS + 1 if first else 0):
        assert replayed(there, moved)["sums"].device.type == "meta"
    for _ in range(PLAIN_CALLS + 2):
        assert agree(replayed, parameters, inputs)["sums"].device == CPU
        replayed(parameters, moved)  # some here, some there: as the function takes it
    assert recorder.recorded == int(first)


def test_a_forgotten_recording_is_earned_again(recorder):
    recordings, given = Recordings(CPU, recorder), example(40)
    replayed = Replayed(results, recordings)
    for _ in range(PLAIN_CALLS + 1):
        agree(replayed, *given)
    for _ in range(5):  # a number changes at every call
        recordings.forget()
        agree(replayed, *given)
    assert (recorder.recorded, len(recordings)) == (1, 0)
    for _ in range(PLAIN_CALLS):
        agree(replayed, *given)
    assert recorder.recorded == 2


def test_a_failure_of_one_function_leaves_the_recordings_of_others():
    def record(compute):
        if "sums" not in compute():
            raise RuntimeError("cannot be recorded")
        return by_calling(compute)

    recordings, given = Recordings(CPU, record), example(40)
    fine, fails = Replayed(results, recordings), Replayed(lambda p, i: {"other": squares(p, i)}, recordings, "fails")
    for _ in range(PLAIN_CALLS):
        fine(*given), fails(*given)
    fine(*given)
    with pytest.warns(UserWarning, match="fails: cannot be replayed"):
        fails(*given)
    assert len(recordings) == 1


def test_what_failed_uncompiled_is_tried_again_when_functions_have_become_others():
    """And not when a number has changed that it reads."""
    recorded = []

    def record(compute):
        recorded.append(compute)
        if len(recorded) == 1:
            raise RuntimeError("cannot be recorded")
        return by_calling(compute)

    recordings, given = Recordings(CPU, record), example(40)
    replayed = Replayed(results, recordings)
    for change, tried in ((recordings.forget, 1), (recordings.begin_anew, 1), (recordings.begin_anew, 2)):
        with pytest.warns(UserWarning, match="cannot be replayed") if not recorded else nullcontext():
            for _ in range(PLAIN_CALLS + 2):
                agree(replayed, *given)
        assert len(recorded) == tried
        assert replayed.close() == (tried > 1)
        change()


def test_a_function_inside_another_one_is_part_of_its_recording(recorder):
    """Its blocks begin where memory is aligned, as they do in calls of its own: kernels may round differently."""
    recordings, (parameters, inputs) = Recordings(CPU, recorder), example(40)
    (name,) = inputs
    starts = []

    def noted(parameters, inputs):
        starts.append((inputs[name].storage_offset(), inputs[name].is_contiguous()))
        return squares(parameters, inputs)

    inner = Replayed(noted, recordings)

    def halves(parameters, inputs):
        return sum(inner(parameters, {name: block}) for block in inputs[name].tensor_split(2))

    outer = Replayed(halves, recordings)
    expected = squares(parameters, inputs)
    for _ in range(PLAIN_CALLS + 2):
        torch.testing.assert_close(outer(parameters, inputs), expected, rtol=1e-14, atol=0)
    assert not recordings.recording
    assert recorder.recorded == 2  # the inner one by itself, in the plain calls, and the outer one with it inside
    assert set(starts) == {(0, True)}


def test_recordings_go_with_their_function():
    recordings, given = Recordings(CPU, by_calling), example(40)
    one, other = Replayed(results, recordings), Replayed(squares, recordings)
    for _ in range(PLAIN_CALLS + 1):
        one(*given), other(*given)
    assert len(recordings) == 2
    assert one.close()
    assert len(recordings) == 1
    agree(one, *given)


def test_many_rows_are_not_replayed(recorder, monkeypatch):
    monkeypatch.setattr(graph_replay, "MOST_ROWS", 89)
    replayed, given = replaying(results, recorder), example(40, 50)
    for _ in range(PLAIN_CALLS + 2):
        agree(replayed, *given)
    assert recorder.recorded == 0


def test_what_cannot_be_recorded_is_one_line_and_goes_on():
    def refuse(compute):
        raise RuntimeError("called a synchronizing CUDA operation\nmore of it")

    replayed, given = replaying(results, refuse), example(40, 50)
    for _ in range(PLAIN_CALLS):
        agree(replayed, *given)
    with pytest.warns(UserWarning, match="results: cannot be replayed.*synchronizing") as caught:
        agree(replayed, *given)
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agree(replayed, *given)


def test_gradients_are_those_of_the_function_and_accumulate(recorder):
    def replays(function):
        return replaying(function, recorder)

    loss, (parameters, inputs) = CompiledLoss(squares, replays), example(40, 50)
    factors = torch.tensor([0.5, 2.0], dtype=torch.float64)
    for step in range(PLAIN_CALLS + 3):
        factors = factors * 1.5  # weights change
        parameters["w"].grad = None
        for _ in range(2):
            value, sums = loss(parameters, inputs, factors)
            assert leave_gradient(value)
        expected = torch.autograd.grad(factors @ squares(parameters, inputs), parameters["w"])[0]
        assert torch.allclose(parameters["w"].grad, 2 * expected, rtol=1e-13), step
        assert torch.equal(sums, squares(parameters, inputs).detach())
        with torch.no_grad():
            parameters["w"].sub_(0.01 * expected)  # parameters move
    assert recorder.recorded == 1


def test_known_gradients_add_up():
    loss, (parameters, inputs) = CompiledLoss(squares, lambda function: function), example(40, 50)
    factors, w = torch.tensor([0.5, 2.0], dtype=torch.float64), parameters["w"]
    one, other = (loss(parameters, {name: inputs[name]}, factors[i : i + 1])[0] for i, name in enumerate(inputs))
    both, whole = add_losses(one, other), factors @ squares(parameters, inputs)
    assert leave_gradient(both)
    assert torch.allclose(both, whole)
    assert torch.allclose(w.grad, torch.autograd.grad(whole, w)[0])


def test_a_loss_whose_gradient_is_not_known_adds_up_too():
    loss, (parameters, inputs) = CompiledLoss(squares, lambda function: function), example(40)
    known, w = loss(parameters, inputs, torch.ones(1, dtype=torch.float64))[0], parameters["w"]
    found = torch.autograd.grad(add_losses(known, w.square().sum()), w)[0]
    assert torch.allclose(found, torch.autograd.grad(squares(parameters, inputs).sum(), w)[0] + 2 * w)


def test_only_a_cuda_device_replays():
    assert recordings_for(CPU) is None
    assert evaluator(squares, None) is squares
    assert isinstance(evaluator(squares, Compiler()), CompiledValue)
    recordings = recordings_for(torch.device("cuda", 0))
    assert isinstance(recordings._record, CudaRecorder)
    assert share_of(None) == 1
    assert 2 * share_of(recordings) <= 1  # what it takes twice is within a budget
    for compiler, inner in ((None, type(squares)), (Compiler(), CompiledValue)):
        replayed = evaluator(squares, compiler, "", recordings)
        assert isinstance(replayed, Replayed)
        assert isinstance(replayed._function, inner)
        assert replayed._recordings is recordings


@pytest.mark.cuda
def test_a_cuda_graph_gives_the_same_and_what_waits_is_refused():
    device = torch.device("cuda", 0)
    parameters, inputs = example(40, 50)
    parameters = {"w": parameters["w"].detach().to(device).requires_grad_()}
    inputs = {name: rows.to(device) for name, rows in inputs.items()}
    recordings = recordings_for(device)
    replayed = evaluator(results, None, "", recordings)
    for _ in range(PLAIN_CALLS + 3):
        with torch.no_grad():
            parameters["w"].mul_(1.1)
        agree(replayed, parameters, inputs)
    assert len(replayed._recordings) == 1

    def waits(parameters, inputs):
        return squares(parameters, inputs) * float(parameters["w"].sum())

    refused = evaluator(waits, None, "", recordings)
    for _ in range(PLAIN_CALLS):
        refused(parameters, inputs)
    with pytest.warns(UserWarning, match="cannot be replayed"):
        found = refused(parameters, inputs)
    assert torch.equal(found, waits(parameters, inputs))
    agree(replayed, parameters, inputs)  # recordings before it still run
