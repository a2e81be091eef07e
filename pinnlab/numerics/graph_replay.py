"""Replays a computation on a GPU from a recording: one launch in place of hundreds.

A PINN's loss at a thousand points is many short kernels, and starting each of them takes the host longer than the GPU
needs for it. A CUDA graph is recorded once on tensors that stay where they are, and replayed after the arguments were
copied into these. `Replayed` looks after the tensors; a recorder knows how to record, and is the only part that needs a
GPU: with `by_calling`, which calls the function again, all the rest runs anywhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from pinnlab.numerics.compilation import TensorFunction, first_line
from pinnlab.numerics.compiled_value import CompiledValue
from pinnlab.numerics.compiler import Compiler
from pinnlab.numerics.outlines import name_of

MOST_ROWS = 1 << 18
"""Rows up to which a computation is replayed: with more of them a kernel takes longer than its start."""

MOST_RECORDINGS = 8
"""Recordings that are kept of one function; each holds the memory of its intermediate results."""

PLAIN_CALLS = 2
"""Calls without a recording, for each kind of arguments: a kind that is met once or twice is not worth one.

They also do what must not be recorded: compile, load libraries, choose algorithms.
"""

Recording = tuple[Callable[[], Any], Any]
"""What runs the computation again, and the tensors that it leaves its results in."""

Recorder = Callable[[Callable[[], Any]], Recording]


def evaluator(
    function: TensorFunction,
    device: torch.device,
    compiler: Compiler | None,
    title: str = "",
    replay: bool = True,
    **how: Any,
) -> TensorFunction:
    """How a pure function is evaluated, without a tape, on a device: the one place that chooses.

    Args:
        function: see `CompiledValue`.
        device: where its arguments are; on a CUDA device the computation is replayed.
        compiler: of the run; None: it is not compiled.
        title: what it computes, for people.
        replay: whether it is replayed where it can be.
        **how: it is compiled, see `CompiledValue`.
    """
    pure: TensorFunction = function if compiler is None else CompiledValue(function, compiler, title, **how)
    if device.type != "cuda" or not replay:
        return pure
    return Replayed(pure, CudaRecorder(device), name_of(function))


class Replayed:
    """A pure function `(parameters, inputs) -> tensors`, recorded for each kind of its arguments. Not differentiable.

    A kind is the names, shapes and data types of all arguments. Their contents may change: they are copied to where the
    recording expects them. What the function reads beside them is recorded as it is at that time. Results are copies.

    Should a recording fail, as it does where something in the function waits for the GPU, the function is called as it
    is from then on, with one line of warning.

    Args:
        function: as `CompiledValue` takes it, or one.
        record: records a computation on tensors that stay where they are.
        name: of the function, for the warning.
    """

    def __init__(self, function: TensorFunction, record: Recorder, name: str = "") -> None:
        self._function, self._record, self._name = function, record, name or name_of(function)
        self._recorded: dict[tuple[Any, ...], _Recorded] = {}
        self._calls: dict[tuple[Any, ...], int] = {}
        self._failed = False

    def __call__(self, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> Any:
        """Evaluates the function; the result does not know what it was computed from."""
        with torch.no_grad():
            if self._failed or sum(map(len, inputs.values())) > MOST_ROWS:
                return self._function(parameters, inputs)
            kind = (_shapes(parameters), _shapes(inputs))
            if kind not in self._recorded and not self._is_worth_it(kind):
                # As they lie in a recording: kernels for another alignment or stride may round differently, and a run
                # that is resumed begins with plain calls where the other one replays.
                return self._function(parameters, {name: _own(rows) for name, rows in inputs.items()})
            try:
                return self._replay(kind, parameters, inputs)
            except RuntimeError as error:
                self._failed = True
                self._recorded.clear()
                warnings.warn(
                    f"{self._name}: cannot be replayed, it runs kernel by kernel: {first_line(error)}", stacklevel=2
                )
                return self._function(parameters, inputs)

    def _is_worth_it(self, kind: tuple[Any, ...]) -> bool:
        """Counts calls of a kind; true when it has been called often enough."""
        count = self._calls.pop(kind, 0) + 1
        self._calls[kind] = count
        while len(self._calls) > 4 * MOST_RECORDINGS:
            self._calls.pop(next(iter(self._calls)))
        return count > PLAIN_CALLS

    def _replay(self, kind: tuple[Any, ...], parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> Any:
        given = [*parameters.values(), *inputs.values()]
        if kind not in self._recorded:
            while len(self._recorded) >= MOST_RECORDINGS:
                self._recorded.pop(next(iter(self._recorded)))
            self._recorded[kind] = self._make(list(parameters), list(inputs), given)
        recorded = self._recorded[kind]
        # What is made in inference mode could not be written to outside of it.
        with torch.inference_mode(False), torch.no_grad():
            torch._foreach_copy_(recorded.static, given)
            recorded.run()
        return recorded.copies()

    def _make(self, parameter_names: list[str], input_names: list[str], given: Sequence[Tensor]) -> _Recorded:
        """Records the function on tensors of its own, like those that are given."""
        with torch.inference_mode(False), torch.no_grad():
            static = [_own(t) for t in given]
            parameters = {
                name: own.requires_grad_(t.requires_grad)
                for name, own, t in zip(parameter_names, static, given, strict=False)
            }
            inputs = dict(zip(input_names, static[len(parameter_names) :], strict=True))
            run, results = self._record(lambda: self._function(parameters, inputs))
            return _Recorded(static, run, *pytree.tree_flatten(results))


class _Recorded(NamedTuple):
    """A recording with its tensors.

    Attributes:
        static: what the arguments are copied to.
        run: runs the computation again.
        leaves: of the nest of results; its tensors stay where they are.
        structure: of that nest.
    """

    static: list[Tensor]
    run: Callable[[], Any]
    leaves: list[Any]
    structure: pytree.TreeSpec

    def copies(self) -> Any:
        """The results with copies of the tensors, which one launch makes where all are of one type."""
        present = [leaf for leaf in self.leaves if isinstance(leaf, Tensor)]
        copied = iter(cast("Sequence[Tensor]", torch._foreach_mul(present, 1.0)) if present else ())
        copies = [next(copied) if isinstance(leaf, Tensor) else leaf for leaf in self.leaves]
        return pytree.tree_unflatten(copies, self.structure)


class CudaRecorder:
    """Records CUDA graphs on a stream of its own; the recordings share their memory, as they never run at once.

    Results must be copied before another recording runs.

    Args:
        device: the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: Any = None
        self._pool: Any = None

    def __call__(self, compute: Callable[[], Any]) -> Recording:
        """Runs the computation twice, then records it.

        Raises:
            RuntimeError: something in it waits for the GPU, or cannot be recorded for another reason.
        """
        with torch.cuda.device(self._device):
            if self._stream is None:
                self._stream, self._pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()
            self._stream.wait_stream(torch.cuda.current_stream())
            graph = torch.cuda.CUDAGraph()
            # The outer context brings the caller's stream back also where a recording ends in an error.
            with torch.cuda.stream(self._stream):
                compute()
                self._without_waiting(compute)
                # Other threads, such as those that watch ranks, may go on meanwhile.
                with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
                    results = compute()
            torch.cuda.current_stream().wait_stream(self._stream)
        return graph.replay, results

    @staticmethod
    def _without_waiting(compute: Callable[[], Any]) -> None:
        """Runs it so that waiting for the GPU is an error: while recording it would leave the stream unusable."""
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            compute()
        finally:
            torch.cuda.set_sync_debug_mode(before)


def by_calling(compute: Callable[[], Any]) -> Recording:
    """A recorder for any device, which computes again, and leaves the results where they were at first."""
    results = compute()
    kept = [leaf for leaf in pytree.tree_leaves(results) if isinstance(leaf, Tensor)]

    def run() -> None:
        again = [leaf for leaf in pytree.tree_leaves(compute()) if isinstance(leaf, Tensor)]
        for own, new in zip(kept, again, strict=True):
            own.copy_(new)

    return run, results


def _own(tensor: Tensor) -> Tensor:
    """A copy that begins where memory is aligned, and has no gaps."""
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _shapes(tensors: Mapping[str, Tensor]) -> tuple[Any, ...]:
    return tuple((name, t.shape, t.dtype, t.requires_grad) for name, t in tensors.items())
