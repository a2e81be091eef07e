"""Compiles a pure function to one graph, without torch's guards around it: traced (`make_fx`), then Inductor."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext
from torch.utils import _pytree as pytree

from pinnlab.numerics.compilation import TensorFunction, first_line
from pinnlab.numerics.outlines import check_outline, outline
from pinnlab.numerics.torch_version import decompositions

MOST_GRAPHS = 8
"""Compilations of one function at most: a function that needs one for every number of points is not worth any."""

SHORT = 32
"""Shorter inputs have a graph for each length: torch's code generator treats loops over so few rows specially."""


class CompiledValue:
    """A pure function `(parameters, inputs) -> tensors`, compiled at its first call. Not differentiable.

    One compilation serves all numbers of points from `SHORT` on. An input that is shorter (the two ends of an interval)
    gets a graph for its length, which serves all numbers of points of the others. So do parameters of another shape or
    data type.

    Should compilation fail, the function runs uncompiled from then on, with one line of warning: a run is never
    lost to a missing compiler. The same goes for code that returns other shapes or data types than the function.

    Args:
        function: takes a mapping of parameters and a mapping of `(n, ...)` inputs; touches nothing else. It returns
            a tensor, or a nest of lists, tuples and dictionaries with tensors or None in it.
    """

    def __init__(self, function: TensorFunction) -> None:
        self._function = function
        self._graphs: dict[tuple[Any, ...], _Graph] = {}
        self._failed = False

    def __call__(self, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> Any:
        """Evaluates the function; the result does not know what it was computed from."""
        with torch.no_grad():
            graph = None if self._failed else self._graph(parameters, inputs)
            return self._function(parameters, inputs) if graph is None else graph(parameters, inputs)

    def _graph(self, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> _Graph | None:
        lengths = {name: len(rows) for name, rows in inputs.items()}
        shapes = tuple((name, p.shape, p.dtype) for name, p in parameters.items())
        kind: tuple[Any, ...] = (shapes, *((name, min(length, SHORT)) for name, length in lengths.items()))
        try:
            if kind not in self._graphs:
                self._graphs[kind] = self._build(parameters, inputs, symbolic=True)
            if not self._graphs[kind].admits(inputs):  # something in the function depends on the number of points
                kind = (*kind, *lengths.values())
            if kind not in self._graphs:
                self._graphs[kind] = self._build(parameters, inputs, symbolic=False)
            return self._graphs[kind]
        except Exception as error:  # whatever the tracer or the compiler trips over must not end the run
            self._failed = True
            warnings.warn(f"not compiled, the run goes on slower: {first_line(error)}", stacklevel=4)
            return None

    def _build(self, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor], symbolic: bool) -> _Graph:
        if len(self._graphs) == MOST_GRAPHS:
            raise RuntimeError("the computation is another one for every number of points")
        graph = _Graph(self._function, parameters, inputs, symbolic)
        if graph.admits(inputs):
            check_outline(self._function, graph(parameters, inputs), outline(self._function, parameters, inputs))
        return graph


class _Graph:
    """A function compiled for one kind of arguments.

    The lengths of inputs are symbols where `symbolic` says so and they are not `SHORT`. They are traced with lengths
    that are all different and that do not depend on the run: the same code, and hence the same rounding, comes out
    after a resume.
    """

    def __init__(
        self, function: TensorFunction, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor], symbolic: bool
    ) -> None:
        parameter_names, input_names = list(parameters), list(inputs)

        def flat(*tensors: Tensor) -> list[Any]:
            count = len(parameter_names)
            result = function(
                dict(zip(parameter_names, tensors[:count], strict=True)),
                dict(zip(input_names, tensors[count:], strict=True)),
            )
            leaves, self._structure = pytree.tree_flatten(result)
            return leaves

        self._sizes = ShapeEnv(duck_shape=False)
        # Tensors that a user's function closes over (tables, constants) become constants of the graph.
        mode = FakeTensorMode(shape_env=self._sizes, allow_non_fake_inputs=True)
        fixed = [_placeholder(mode, p.detach(), None) for p in parameters.values()]
        self._inputs = [
            _placeholder(mode, rows, length if symbolic and len(rows) >= SHORT else None)
            for length, rows in zip(range(1009, 1009 + len(inputs)), inputs.values(), strict=True)
        ]
        with mode, enable_python_dispatcher():
            graph = make_fx(flat, decompositions(), _allow_non_fake_inputs=True)(*fixed, *self._inputs)
        from torch import _inductor  # takes a second to import, which a run that does not compile need not wait for

        self._run: Callable[..., Any] = _inductor.compile(graph, [*fixed, *self._inputs])
        self._admitted: dict[tuple[int, ...], bool] = {}

    def admits(self, inputs: Mapping[str, Tensor]) -> bool:
        """Whether the graph is right for inputs of these lengths."""
        lengths = tuple(map(len, inputs.values()))
        if lengths not in self._admitted:
            # In shape only: a guard would take rows that begin in the middle of others for something else.
            shapes = [torch.empty(rows.shape, dtype=rows.dtype, device="meta") for rows in inputs.values()]
            self._admitted[lengths] = self._sizes.evaluate_guards_for_args(self._inputs, shapes, ignore_static=False)
        return self._admitted[lengths]

    def __call__(self, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> Any:
        # The generated code takes memory for contiguous, as the placeholders are.
        tensors = [t.contiguous() for t in (*parameters.values(), *inputs.values())]
        return pytree.tree_unflatten(self._run(*tensors), self._structure)


def _placeholder(mode: FakeTensorMode, tensor: Tensor, length: int | None) -> Any:
    """A tensor without contents; with `length` its first size is a symbol, traced with that value."""
    if length is None:
        sizes = [DimDynamic.STATIC] * tensor.ndim
        example = tensor.new_empty(tensor.shape)
    else:
        sizes = [DimDynamic.DYNAMIC, *[DimDynamic.STATIC] * (tensor.ndim - 1)]
        example = tensor.new_empty(length, *tensor.shape[1:])
    return mode.from_tensor(example, symbolic_context=StatelessSymbolicContext(dynamic_sizes=sizes))
