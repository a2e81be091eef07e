"""A pure function, compiled: traced to a plain graph (`make_fx`), for which torch's code generator makes machine code.

`torch.compile` cannot follow fields and jets through Python arithmetic, and puts guards around what it makes. Here the
function is traced with symbolic sizes, so that one compilation serves every number of points. Everything that changes
in a run must be an argument of the function: whatever it closes over becomes a constant of the graph.
"""

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

from pinnlab.errors import first_line
from pinnlab.numerics import torch_version
from pinnlab.numerics.compilation import TensorFunction, fingerprint, generate, remember, sketch
from pinnlab.numerics.compiler import Compiler
from pinnlab.numerics.outlines import check_numbers, check_outline, name_of, outline, shaken
from pinnlab.numerics.packed_graph import pack
from pinnlab.numerics.precision import default_dtype

MOST_GRAPHS = 8
"""Compilations of one function at most: a function that needs one for every number of points is not worth any."""

SHORT = 32
"""Shorter inputs have a graph for each length: torch's code generator treats loops over so few rows specially."""


class CompiledValue:
    """A pure function `(parameters, inputs) -> tensors`, compiled at its first call. Not differentiable.

    One compilation serves all numbers of points from `SHORT` on. An input that is shorter (the two ends of an interval)
    gets a graph for its length, which serves all numbers of points of the others. So do parameters of another shape,
    all of another data type, and all on another device.

    Should compilation fail, the function runs uncompiled from then on, with one line of warning: a run is never
    lost to a missing compiler. The same goes for code that returns other shapes, data types or numbers than the
    function.

    Args:
        function: takes a mapping of parameters and a mapping of `(n, ...)` inputs; touches nothing else. It returns
            a tensor, or a nest of lists, tuples and dictionaries with tensors or None in it.
        compiler: of the run; by default the function is compiled when it is first called.
        title: what it computes, for people; default: the function's name.
        decompositions: how to write some operations in terms of others before the graph is compiled.
        any_length: whether one compilation is to serve all numbers of points; if not, each has its own. `vmap` needs
            that: its rules for `cat` and for the gradient of a slice turn symbolic lengths into constants.
        moved: the name of a parameter that training moves, where they require no gradient, see `outlines.shaken`.
    """

    def __init__(
        self,
        function: TensorFunction,
        compiler: Compiler | None = None,
        title: str = "",
        decompositions: Mapping[Any, Callable[..., Any]] | None = None,
        any_length: bool = True,
        moved: str | None = None,
    ) -> None:
        self._function, self._moved = function, moved
        self._compiler = Compiler() if compiler is None else compiler
        self._title = title or name_of(function)
        self._decompositions = torch_version.decompositions() | dict(decompositions or {})
        self._any_length = any_length
        self._graphs: dict[tuple[Any, ...], _Graph] = {}
        self._uncompiled = False

    def __call__(self, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> Any:
        """Evaluates the function; the result does not know what it was computed from."""
        with torch.no_grad():
            graph = None if self._uncompiled else self._graph(parameters, inputs)
            return self._function(parameters, inputs) if graph is None else graph(parameters, inputs)

    def _graph(self, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> _Graph | None:
        """The graph for these arguments; None while there is no code for it."""
        lengths = {name: len(rows) for name, rows in inputs.items()}
        shapes = tuple((name, p.shape, p.dtype, p.device) for name, p in parameters.items())
        kinds = (
            (name, min(len(rows), SHORT), rows.shape[1:], rows.dtype, rows.device) for name, rows in inputs.items()
        )
        kind: tuple[Any, ...] = (shapes, *kinds)
        symbolic = self._any_length
        if not symbolic:
            kind = (*kind, *lengths.values())
        try:
            graph = self._graphs.get(kind) or self._build(kind, parameters, inputs, symbolic)
            if graph is not None and not graph.admits(inputs):  # it depends on the number of points
                kind = (*kind, *lengths.values())
                graph = self._graphs.get(kind) or self._build(kind, parameters, inputs, symbolic=False)
            return graph if graph is not None and graph.is_right(parameters, inputs) else None
        except Exception as error:  # whatever the tracer or the compiler trips over must not end the run
            self._uncompiled = self._compiler.uncompiled = True
            warnings.warn(f"not compiled, the run goes on slower: {first_line(error)}", stacklevel=4)
            return None

    def _build(
        self, kind: tuple[Any, ...], parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor], symbolic: bool
    ) -> _Graph | None:
        if len(self._graphs) == MOST_GRAPHS:
            raise RuntimeError("the computation is another one for every number of points")
        if not self._compiler.wants(sketch(self._title, kind)):
            self._uncompiled = self._compiler.uncompiled = True
            return None
        with self._compiler.counting():
            graph = _Graph(self._function, parameters, inputs, symbolic, self._title, self._decompositions, self._moved)
            if graph.admits(inputs):
                self._compiler.take(graph)
        self._graphs[kind] = graph
        return graph


class _Graph:
    """A function traced for one kind of arguments, to be compiled.

    The lengths of inputs are symbols where `symbolic` says so and they are not `SHORT`. They are traced with lengths
    that are all different and that do not depend on the run: the same code, and hence the same rounding, comes out
    after a resume.

    Attributes:
        title: what it computes, for people.
        fingerprint: its name, the same in every process.
    """

    def __init__(
        self,
        function: TensorFunction,
        parameters: Mapping[str, Tensor],
        inputs: Mapping[str, Tensor],
        symbolic: bool,
        title: str,
        decompositions: Mapping[Any, Callable[..., Any]],
        moved: str | None = None,
    ) -> None:
        self._function, self._moved = function, moved
        parameter_names, input_names = list(parameters), list(inputs)

        def flat(*tensors: Tensor) -> list[Any]:
            count = len(parameter_names)
            result = function(
                dict(zip(parameter_names, tensors[:count], strict=True)),
                dict(zip(input_names, tensors[count:], strict=True)),
            )
            self._leaves, self._structure = pytree.tree_flatten(result)
            return self._leaves

        self._sizes = ShapeEnv(duck_shape=False)
        # Tensors that a user's function closes over (tables, constants) become constants of the graph.
        mode = FakeTensorMode(shape_env=self._sizes, allow_non_fake_inputs=True)
        fixed = [_placeholder(mode, p.detach(), None) for p in parameters.values()]
        self._inputs = [
            _placeholder(mode, rows, length if symbolic and len(rows) >= SHORT else None)
            for length, rows in zip(range(1009, 1009 + len(inputs)), inputs.values(), strict=True)
        ]
        self._examples = [*fixed, *self._inputs]
        with mode, enable_python_dispatcher():
            self._graph = make_fx(flat, dict(decompositions), _allow_non_fake_inputs=True)(*self._examples)
        self.title, self.fingerprint = title, fingerprint(self._graph, self._examples)
        self._default = torch.get_default_dtype()  # of what is made in the graph without a data type
        self._run: Callable[..., Any] | None = None
        self._error: Exception | None = None
        self._checked = False
        self._admitted: dict[tuple[int, ...], bool] = {}

    def compile(self) -> None:
        """Makes the code, or fetches it from the cache on the disk; an error shows when the code is to be used."""
        with torch.no_grad(), default_dtype(self._default):
            try:
                self._run = generate(self._graph, self._examples)
            except Exception as error:
                self._error = error
            else:
                remember(self.fingerprint)

    def packed(self) -> bytes:
        """The graph, for a process that makes its code."""
        return pack(self._graph, self._examples, self.fingerprint, self._default)

    def is_right(self, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> bool:
        """Whether there is code; looks at what it returns when there is for the first time.

        Raises:
            RuntimeError: it returns something else than the function, or could not be made.
        """
        if self._error is not None:
            raise self._error
        if self._run is not None and not self._checked:
            traced = outline(self._leaves, self._inputs, [*inputs.values()])
            check_outline(self._function, self(parameters, inputs), traced)
            few = {name: rows[:SHORT] for name, rows in inputs.items()}
            self._check(parameters, few if self.admits(few) else inputs)
            self._checked = True
        return self._checked

    def _check(self, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> None:
        """Holds the code against the function: tracing itself may get a shape wrong, and so may what the code returns.

        Torch 2.11 does for a norm over one entry.
        """
        found, expected = self(parameters, inputs), self._function(parameters, inputs)
        check_outline(self._function, found, expected)
        check_numbers(self._function, found, expected, self._function(shaken(parameters, self._moved), inputs))

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
        assert self._run is not None
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
