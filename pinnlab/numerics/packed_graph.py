"""A traced graph as bytes, and the process that they are for: it makes the graph's code and leaves it in the cache."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch._subclasses import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from pinnlab.numerics.compilation import generate, gpu_index, remember
from pinnlab.numerics.precision import default_dtype, products, set_products

PROGRAM = "from pinnlab.numerics.packed_graph import compile_given; compile_given()"
"""What a new process runs, with a packed graph as its standard input."""


def pack(graph: GraphModule, examples: Sequence[Any], name: str, dtype: torch.dtype) -> bytes:
    """A graph for another process of this machine, with the settings that its code, and torch's name for it, depend on.

    Args:
        graph: as `make_fx` traces it.
        examples: what it was traced with, tensors without contents.
        name: its fingerprint.
        dtype: torch's default when it was traced.

    Raises:
        Exception: something in it cannot be pickled, such as an operation that is not torch's.
    """
    from torch.fx._graph_pickler import GraphPickler

    packed = GraphPickler.dumps((graph, [*examples]))
    return pickle.dumps((packed, name, dtype, torch.get_num_threads(), products(), gpu_index()))


def compile_given() -> None:
    """Makes the code of the packed graph that standard input has, and notes it; the run comes first."""
    from torch.fx._graph_pickler import GraphPickler

    if hasattr(os, "nice"):
        os.nice(19)
    packed, name, dtype, threads, rounding, index = pickle.load(sys.stdin.buffer)
    torch.set_num_threads(threads)
    set_products(rounding)
    if index is not None:
        torch.cuda.set_device(index)
    mode = FakeTensorMode(shape_env=ShapeEnv(duck_shape=False), allow_non_fake_inputs=True)
    loaded: Any = GraphPickler.loads(packed, mode)
    graph, examples = loaded
    with torch.no_grad(), default_dtype(dtype):
        generate(graph, examples)
    remember(name)
