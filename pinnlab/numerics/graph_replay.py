"""Replays a computation on a GPU from a recording: one launch in place of hundreds.

A PINN's loss at a thousand points is many short kernels, and starting each of them takes the host longer than the GPU
needs for it. A CUDA graph is recorded once on tensors that stay where they are, and replayed after the arguments were
copied into these. `Replayed` is a function, `Recordings` has what was recorded of all functions of a run and looks
after the tensors; a recorder knows how to record, and is the only part that needs a GPU: with `by_calling`, which calls
the function again, all the rest runs anywhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from pinnlab.errors import first_line
from pinnlab.numerics.compilation import TensorFunction
from pinnlab.numerics.compiled_value import CompiledValue
from pinnlab.numerics.compiler import Compiler
from pinnlab.numerics.cuda_recorder import CudaRecorder
from pinnlab.numerics.outlines import name_of
from pinnlab.numerics.tensor_lists import copies, copy_all

MOST_ROWS = 1 << 18
"""Rows up to which a computation is replayed: with more of them a kernel takes longer than its start."""

MOST_RECORDINGS = 32
"""Recordings of a run that are kept, those used last; each holds its arguments and results."""

PLAIN_CALLS = 2
"""Calls without a recording, for each kind of arguments: a kind that is met once or twice is not worth one.

They also do what must not be recorded: compile, load libraries, choose algorithms.
"""

AGAIN = 100
"""The same for a kind whose recording made room for another: else more kinds than are kept are recorded in turns."""

SHARE = 1 / 2
"""Of a budget of memory, what the rows may take at a time that a recorded function is given.

Torch keeps what a computation took for the stream that it ran on. There are up to two such parts at a time: that of the
recordings, which they share, and either that of calls without a recording, on the usual stream, or, after
`CudaRecorder` has given that back, that of the calls that prepare a recording, which goes back before the recording.
"""

Recording = tuple[Callable[[], Any], Any]
"""What runs the computation again, and the tensors that it leaves its results in."""

Recorder = Callable[[Callable[[], Any]], Recording]


def recordings_for(device: torch.device) -> Recordings | None:
    """What keeps the recordings of a run on a CUDA device; None for any other, where nothing is replayed."""
    if device.type != "cuda":
        return None
    if device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    return Recordings(device, CudaRecorder(device))


def share_of(recordings: Recordings | None) -> float:
    """Of a budget of memory, what rows may take at a time: `SHARE` where they are recorded, else all of it."""
    return 1.0 if recordings is None else SHARE


def evaluator(
    function: TensorFunction,
    compiler: Compiler | None,
    title: str = "",
    recordings: Recordings | None = None,
    **how: Any,
) -> TensorFunction:
    """How a pure function is evaluated, without a tape: the one place that chooses.

    Args:
        function: see `CompiledValue`.
        compiler: of the run; None: it is not compiled.
        title: what it computes, for people.
        recordings: of the run, see `recordings_for`; None: it is not replayed.
        **how: it is compiled, see `CompiledValue`.
    """
    pure: TensorFunction = function if compiler is None else CompiledValue(function, compiler, title, **how)
    return pure if recordings is None else Replayed(pure, recordings, name_of(function))


class Replayed:
    """A pure function `(parameters, inputs) -> tensors`, recorded for each kind of its arguments. Not differentiable.

    A kind is the names, shapes and data types of all arguments. Their contents may change: they are copied to where the
    recording expects them. What the function reads beside them is recorded as it is at that time, and uncompiled where
    its code is still being made, see `Recordings.forget`. Results are copies. Arguments that are not where the
    recordings are, are none to record.

    Should a recording fail, as it does where something in the function waits for the GPU, the function is called as it
    is from then on, with one line of warning. See `Recordings.begin_anew`.

    Args:
        function: as `CompiledValue` takes it, or one.
        recordings: of the run.
        name: of the function, for the warning.
    """

    def __init__(self, function: TensorFunction, recordings: Recordings, name: str = "") -> None:
        self._function, self._recordings, self._name = function, recordings, name or name_of(function)
        self._owner = object()  # not itself: what is recorded must not keep alive what it was recorded for
        self._failed: int | None = None  # in which generation of recordings

    def __call__(self, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> Any:
        """Evaluates the function; the result does not know what it was computed from."""
        with torch.no_grad():
            if self._recordings.recording:  # another function, that calls this one: it is part of that recording
                return self._function(parameters, {name: _aligned(rows) for name, rows in inputs.items()})
            if not self._can_record(parameters, inputs):
                return self._function(parameters, inputs)
            kind = (self._owner, _shapes(parameters), _shapes(inputs))
            if not self._recordings.is_worth_it(kind):
                # As they lie in a recording: kernels for another alignment or stride may round differently, and a run
                # that is resumed begins with plain calls where the other one replays.
                found = self._function(parameters, {name: _own(rows) for name, rows in inputs.items()})
                self._recordings.count(kind)
                return found
            try:
                return self._recordings.replay(kind, self._function, parameters, inputs)
            except RuntimeError as error:
                self._failed = self._recordings.generation
                self._recordings.forget(self._owner)
                warnings.warn(
                    f"{self._name}: cannot be replayed, it runs kernel by kernel: {first_line(error)}", stacklevel=2
                )
                return self._function(parameters, inputs)

    def close(self) -> bool:
        """Throws its recordings away.

        Returns:
            Whether it could be recorded, as far as is known.
        """
        self._recordings.forget(self._owner)
        return self._failed != self._recordings.generation

    def _can_record(self, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> bool:
        """Whether it did not fail, there are few rows, and everything is where the recordings are."""
        if self._failed == self._recordings.generation:
            return False
        places = {tensor.device for tensor in (*parameters.values(), *inputs.values())}
        return places == {self._recordings.device} and sum(map(len, inputs.values())) <= MOST_ROWS


class Recordings:
    """The recordings of a run's functions on one device; those used last are kept.

    Args:
        device: where they run; on another one nothing is recorded.
        record: records a computation on tensors that stay where they are.

    Attributes:
        device: the same.
        recording: whether a function is being recorded.
        generation: how often functions became others, see `begin_anew`.
    """

    def __init__(self, device: torch.device, record: Recorder) -> None:
        self.device, self._record, self.recording, self.generation = device, record, False, 0
        self._kept: dict[tuple[Any, ...], _Recorded] = {}
        self._calls: dict[tuple[Any, ...], int] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def is_worth_it(self, kind: tuple[Any, ...]) -> bool:
        """Whether there is a recording, or there have been calls enough for one.

        Args:
            kind: whose function it is, and what its arguments are like.
        """
        return kind in self._kept or self._calls.get(kind, 0) >= PLAIN_CALLS

    def count(self, kind: tuple[Any, ...]) -> None:
        """Notes a call without a recording."""
        self._note(kind, self._calls.get(kind, 0) + 1)

    def replay(
        self,
        kind: tuple[Any, ...],
        function: TensorFunction,
        parameters: Mapping[str, Tensor],
        inputs: Mapping[str, Tensor],
    ) -> Any:
        """What the function returns for these arguments; records it before where there is no recording.

        Raises:
            RuntimeError: it cannot be recorded.
        """
        given = [*parameters.values(), *inputs.values()]
        recorded = self._kept.pop(kind, None)
        if recorded is None:
            while len(self._kept) >= MOST_RECORDINGS:
                oldest = next(iter(self._kept))
                del self._kept[oldest]
                self._note(oldest, PLAIN_CALLS - AGAIN)
            recorded = self._make(function, list(parameters), list(inputs), given)
        self._kept[kind] = recorded  # the last that goes
        # What is made in inference mode could not be written to outside of it.
        with torch.inference_mode(False), torch.no_grad():
            copy_all(recorded.static, given)
            recorded.run()
        return recorded.copies()

    def forget(self, owner: Any = None) -> None:
        """Throws recordings away: something has changed that their functions read beside their arguments.

        Args:
            owner: whose; default: all, and with them how often functions were called. What changes at every call is
                not recorded then.
        """
        if owner is None:
            self._kept.clear()
            self._calls.clear()
        else:
            self._kept = {kind: recorded for kind, recorded in self._kept.items() if kind[0] is not owner}

    def begin_anew(self) -> None:
        """Functions have become others, as code for them is there: also those that failed are tried again."""
        self.forget()
        self.generation += 1

    def _note(self, kind: tuple[Any, ...], calls: int) -> None:
        self._calls.pop(kind, None)
        self._calls[kind] = calls
        while len(self._calls) > 4 * MOST_RECORDINGS:
            self._calls.pop(next(iter(self._calls)))

    def _make(
        self, function: TensorFunction, parameter_names: list[str], input_names: list[str], given: Sequence[Tensor]
    ) -> _Recorded:
        """Records a function on tensors of its own, like those that are given."""
        with torch.inference_mode(False), torch.no_grad():
            static = [_own(t) for t in given]
            parameters = {
                name: own.requires_grad_(t.requires_grad)
                for name, own, t in zip(parameter_names, static, given, strict=False)
            }
            inputs = dict(zip(input_names, static[len(parameter_names) :], strict=True))
            self.recording = True
            try:
                run, results = self._record(lambda: function(parameters, inputs))
            finally:
                self.recording = False
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
        """The results with copies of the tensors."""
        present = [leaf for leaf in self.leaves if isinstance(leaf, Tensor)]
        copied = iter(copies(present))
        leaves = [next(copied) if isinstance(leaf, Tensor) else leaf for leaf in self.leaves]
        return pytree.tree_unflatten(leaves, self.structure)


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


def _aligned(rows: Tensor) -> Tensor:
    """The rows as `_own` has them; a block that begins in the middle of others is copied."""
    return _own(rows) if rows.storage_offset() or not rows.is_contiguous() else rows


def _shapes(tensors: Mapping[str, Tensor]) -> tuple[Any, ...]:
    """What the kind of arguments consists of, on one device."""
    return tuple((name, t.shape, t.dtype, t.requires_grad) for name, t in tensors.items())
