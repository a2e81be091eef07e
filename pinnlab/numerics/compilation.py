"""Compiles a pure tensor function once for every number of points.

`torch.compile` cannot follow fields and jets through Python arithmetic, so the function is first traced to a
plain graph of tensor operations with symbolic sizes (`make_fx`); that graph is then compiled. Everything that
changes in a run must be an argument of the function: whatever it closes over becomes a constant of the graph.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from pinnlab.errors import ConfigurationError
from pinnlab.numerics import torch_version
from pinnlab.numerics.outlines import check_outline, outline

TensorFunction = Callable[..., Any]

WORTH_COMPILING = 1500
"""Evaluations a run must plan before `"auto"` compiles: the 6-20 s it costs are won back at 5-10 ms each."""


def should_compile(option: str | bool, evaluations: int, device: torch.device) -> bool:
    """Decides the option `compile`: `True`, `False`, or `"auto"` (compile when it pays and can be done).

    Args:
        option: the user's choice.
        evaluations: how many evaluations the run plans.
        device: where it runs; a CPU needs a C++ compiler, a GPU needs Triton.

    Raises:
        ConfigurationError: the option is none of the three.
    """
    if isinstance(option, bool):
        return option
    if option != "auto":
        raise ConfigurationError(f"model.compile: {option!r} is not one of auto, true, false")
    return evaluations >= WORTH_COMPILING and can_compile(device)


def can_compile(device: torch.device) -> bool:
    """Whether the tools that `torch.compile` needs for this device are on the machine."""
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        return bool(has_triton())
    compilers = [os.environ.get("CXX", ""), "g++", "clang++", "c++"]
    return any(name and shutil.which(name) for name in compilers)


class CompiledFunction:
    """A pure function `(parameters, inputs) -> tensors`, compiled at its first call.

    One compilation serves all numbers of points but 0 and 1, which torch treats specially: an input of such a length
    (the one initial point of an ordinary differential equation) gets a graph of its own, compiled when it is met.

    Should compilation fail, the function runs uncompiled from then on, with one line of warning: a run is never
    lost to a missing compiler. The same goes for code that returns other shapes or data types than the function.

    Args:
        function: takes a mapping of parameters and a mapping of `(n, ...)` inputs; touches nothing else. Its result
            is a tensor, or, when no parameter requires a gradient, any structure of tensors.
        decompositions: how to write some operations in terms of others before the graph is compiled.
        any_length: whether one compilation is to serve all numbers of points; if not, each has its own. `vmap` needs
            that: its rules for `cat` and for the gradient of a slice turn symbolic lengths into constants.
    """

    def __init__(
        self,
        function: TensorFunction,
        decompositions: Mapping[Any, Callable[..., Any]] | None = None,
        any_length: bool = True,
    ) -> None:
        self._function = function
        self._decompositions = torch_version.decompositions() | dict(decompositions or {})
        self._any_length = any_length
        self._compiled: dict[tuple[tuple[str, int], ...], Callable[..., Any]] = {}
        self._failed = False

    def __call__(self, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> Any:
        """Evaluates the function; differentiable with respect to the parameters."""
        if self._failed:
            return self._function(parameters, inputs)
        distinct = 2 if self._any_length else sys.maxsize
        kind = tuple((name, min(len(rows), distinct)) for name, rows in inputs.items())
        try:
            if kind not in self._compiled:
                self._compiled[kind] = self._build(parameters, inputs)
            return self._compiled[kind](list(parameters.values()), list(inputs.values()))
        except _compilation_errors() as error:
            self._failed = True
            warnings.warn(f"not compiled, the run goes on slower: {first_line(error)}", stacklevel=2)
            return self._function(parameters, inputs)

    def _build(self, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> Callable[..., Any]:
        parameter_names, input_names = list(parameters), list(inputs)

        def flat(parameter_values: list[Tensor], input_values: list[Tensor]) -> Any:
            return self._function(
                dict(zip(parameter_names, parameter_values, strict=True)),
                dict(zip(input_names, input_values, strict=True)),
            )

        # Tensors that a user's function closes over (tables, constants) become constants of the graph.
        trace = make_fx(
            flat,
            decomposition_table=self._decompositions,
            tracing_mode="symbolic" if self._any_length else "fake",
            _allow_non_fake_inputs=True,
        )
        examples = _examples(inputs) if self._any_length else list(inputs.values())
        try:
            graph = trace(list(parameters.values()), examples)
            graph.graph.eliminate_dead_code()  # half of what differentiating twice leaves behind
            graph.recompile()
            compiled = torch.compile(graph, dynamic=self._any_length)
            # The first call decides which sizes torch takes for equal; on the examples none are, so that later
            # changes of the numbers of points never compile again. Forward and backward, without touching `.grad`.
            outputs = compiled(list(parameters.values()), examples)
            shapes = outline(self._function, parameters, dict(zip(input_names, examples, strict=True)))
            check_outline(self._function, outputs, shapes)
            trained = [p for p in parameters.values() if p.requires_grad]
            if torch.is_grad_enabled() and trained:
                torch.autograd.grad(outputs.sum(), trained, allow_unused=True)
        except Exception as error:  # whatever the tracer or the compiler trips over must not end the run
            raise _NotCompiledError(first_line(error)) from error
        return compiled


class _NotCompiledError(RuntimeError):
    """The first compilation failed."""


def _compilation_errors() -> tuple[type[Exception], ...]:
    """What a call raises that could not be compiled: a function, for `torch._dynamo` takes a second to import.

    The second kind comes from compiling again in mid-run, for a number of points that torch treats specially.
    """
    return _NotCompiledError, torch._dynamo.exc.TorchDynamoException


def outer_products(left: Tensor, right: Tensor) -> Any:
    """A batched matrix product with a short inner dimension as a sum of outer products, a decomposition of `bmm`.

    Gradients of single points with respect to a layer's weights are such products. Written like this they are fused
    with what follows and go straight into their place in the Jacobian: 3,000 points of a 3x20 network take 10.7 ms
    on one core instead of 15.0.
    """
    inner = left.shape[2]
    if isinstance(inner, torch.SymInt) or not 0 < inner <= _SHORT:
        return NotImplemented
    terms = [left[:, :, k, None] * right[:, k, None, :] for k in range(inner)]
    return functools.reduce(torch.add, terms)


_SHORT = 4  # as many channels as a layer's first derivatives have in up to four dimensions


def _examples(inputs: Mapping[str, Tensor]) -> list[Tensor]:
    """Inputs to trace with: no two of the same length but those of length 0 or 1, so that no other is specialised."""
    return [
        tensor.new_ones(length if len(tensor) > 1 else len(tensor), *tensor.shape[1:])
        for length, tensor in zip(range(1009, 1009 + len(inputs)), inputs.values(), strict=True)
    ]


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
