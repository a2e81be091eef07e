"""Whether and how plain graphs of tensor operations become machine code: the only caller of torch's code generator."""

from __future__ import annotations

import contextlib
import functools
import getpass
import hashlib
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.utils import deterministic

from pinnlab.errors import ConfigurationError

TensorFunction = Callable[..., Any]

FAST: Mapping[str, Any] = MappingProxyType(
    {"cpp_wrapper": True, "cpp.vec_isa_ok": True, "cpp_cache_precompile_headers": False, "compile_threads": 1}
)
"""How the code generator is called for a CPU.

All kernels of a graph, and what calls them, are one C++ file: a file for each kernel reads the same 1.3 s of headers
each time, and calling kernels from Python takes 0.2 ms of a small network's 0.5. Without the dry compilations that ask
what the processor can do, 1 s at every start; without precompiled headers, 150 MB that save nothing for one file; and
without helpers for many files, which a copy of the process would not have.
"""


GPU_OPTIONS: Mapping[str, Any] = MappingProxyType({"deterministic": True, "triton.autotune_pointwise": False})
"""How the code generator is called for a GPU: it does not choose by the clock among kernels that round differently.

Else two processes with the same code may not give the same bits: ranks, or a run and the one that resumes it. Nor are
kernels that go entry by entry compiled in up to six sizes of blocks, to be timed: one is, in a part of the time.
"""


def check_option(option: str | bool) -> str | bool:
    """The option `compile`, looked at.

    Raises:
        ConfigurationError: it is none of `True`, `False` and `"auto"`.
    """
    if not isinstance(option, bool) and option != "auto":
        raise ConfigurationError(f"model.compile: {option!r} is not one of auto, true, false")
    return option


def can_compile(device: torch.device) -> bool:
    """Whether the tools that `torch.compile` needs for this device are on the machine."""
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        return bool(has_triton())
    compilers = [os.environ.get("CXX", ""), "g++", "clang++", "c++"]
    return any(name and shutil.which(name) for name in compilers)


def generate(graph: GraphModule, examples: Sequence[Any]) -> TensorFunction:
    """Machine code for a graph, which torch keeps in a cache on the disk.

    On a CPU two ways are tried: `FAST`, and torch's own defaults for compilers that do not take it.

    Args:
        graph: as `make_fx` traces it.
        examples: what it was traced with.
    """
    from torch import _inductor  # takes a second to import, which a run that does not compile need not wait for

    if any(isinstance(t, Tensor) and t.device.type != "cpu" for t in examples):
        with warnings.catch_warnings(), _ordered_sums():
            # That float32 is not rounded to TensorFloat-32 is meant, see `numerics.precision.exact_products`.
            warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")
            return _inductor.compile(graph, [*examples], options=dict(GPU_OPTIONS))
    try:
        with _without_trials():
            return _inductor.compile(graph, [*examples], options=dict(FAST))
    except Exception:  # whatever it trips over, if it is no matter of these options it comes again
        return _inductor.compile(graph, [*examples])


@contextlib.contextmanager
def _ordered_sums() -> Iterator[None]:
    """Has gradients at rows that are taken more than once added in one order, not in the one that threads arrive in.

    Else two runs on a GPU would not give the same bits, for networks that have parts, such as `Tiles`.
    """
    before, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = deterministic
    filled = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    memory.fill_uninitialized_memory = False  # to fill it shows faults, and costs kernels
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)
        memory.fill_uninitialized_memory = filled


@contextlib.contextmanager
def _without_trials() -> Iterator[None]:
    """Has torch's code generator take a processor for one without instructions for short numbers.

    It would compile and load six small programs to see which of them there are, in every process, 2.7 s in a new one
    and 0.3 s in all others; float64 and float32 use none of them. What torch finds out afterwards is not touched.
    """
    from torch._inductor import cpu_vec_isa

    with mock.patch.object(cpu_vec_isa.VecISA, "check_build", return_value=False):
        _forget_instructions(cpu_vec_isa)
        try:
            yield
        finally:
            _forget_instructions(cpu_vec_isa)


def _forget_instructions(cpu_vec_isa: Any) -> None:
    """Empties what torch keeps of a processor's instructions."""
    for kept in (cpu_vec_isa.valid_vec_isa_list, *(type(isa).__bool__ for isa in cpu_vec_isa.supported_vec_isa_list)):
        getattr(kept, "cache_clear", lambda: None)()


_ON_GPU = "-gpu"
"""The end of the name of a graph for a GPU."""


def fingerprint(graph: GraphModule, examples: Sequence[Any]) -> str:
    """Names a graph, for inputs of these shapes and torch's default data type.

    It is the same in every process with this version of torch, and on every GPU of a machine: ranks say it alike.
    """
    shapes = [(str(tuple(t.shape)), str(t.dtype), t.device.type) for t in examples]
    constants = [(name, tuple(t.shape), str(t.dtype)) for name, t in graph.named_buffers()]
    code = re.sub(r"(device\(type='cuda', index=)\d+", r"\1", graph.code)
    said = repr((code, shapes, constants, torch.get_default_dtype(), torch.__version__))
    on_gpu = any(kind == "cuda" for *_, kind in shapes)
    return hashlib.sha256(said.encode()).hexdigest()[:32] + (_ON_GPU if on_gpu else "")


def sketch(title: str, kind: tuple[Any, ...]) -> str:
    """Names all graphs of one title and kind of arguments: what can be said before a function is traced."""
    said = repr((title, kind, torch.get_default_dtype(), torch.__version__))
    return "sketch-" + hashlib.sha256(said.encode()).hexdigest()[:32]


def is_known(name: str) -> bool:
    """Whether a graph was compiled on this machine before, for so many threads, so that its code is in the cache.

    Args:
        name: its fingerprint; with a `sketch` whether any graph was.
    """
    return _mark(name).exists()


def remember(name: str) -> None:
    """Notes that the code of a graph is in the cache. Without the right to write there, it is not noted."""
    mark = _mark(name)
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError:
        return


def _mark(name: str) -> Path:
    place = f"-{gpu_index()}" if name.endswith(_ON_GPU) else ""  # torch's name for the code has it, too
    return cache_folder() / "pinnlab" / f"{name}-{torch.get_num_threads()}{place}"


def cache_folder() -> Path:
    """Where torch keeps code; to ask its own function would import the code generator, which takes a second."""
    if (folder := os.environ.get("TORCHINDUCTOR_CACHE_DIR")) is not None:
        return Path(folder).absolute()
    try:
        user = getpass.getuser()
    except (KeyError, ModuleNotFoundError, OSError):  # a container whose user has no name
        user = f"uid_{os.getuid()}" if hasattr(os, "getuid") else "unknown_user"
    return Path(tempfile.gettempdir()) / ("torchinductor_" + re.sub(r'[\\/:*?"<>|]', "_", user))


def gpu_index() -> int | None:
    """Which of a machine's GPUs this process works on; None where it has used none."""
    return torch.cuda.current_device() if torch.cuda.is_initialized() else None


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
