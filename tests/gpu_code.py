"""What torch's code generator makes for a GPU, run without one: kernels in Triton's interpreter, the rest on the CPU.

Code is generated for a card that is only described. The kernels are the ones that a card would run, statement by
statement; what is not seen here is how Triton's own compiler translates them, libraries such as cuBLAS, and time.
Needs a CUDA build of torch with its Triton, and `TRITON_INTERPRET=1` before Triton is imported.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import inspect
import linecache
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from scipy import special
from torch.utils._python_dispatch import TorchDispatchMode

from pinnlab.numerics import compilation
from pinnlab.numerics.compiled_value import _placeholder
from pinnlab.numerics.packed_graph import compile_given as compile_given
from pinnlab.numerics.packed_graph import pack

CARD = torch.device("cuda", 0)
BLOCKS = {"XBLOCK": 1024, "YBLOCK": 16, "R0_BLOCK": 64}
"""Entries that one program of a kernel works on; few programs, which are slow to interpret."""

H200 = SimpleNamespace(
    type="cuda", name="described", major=9, minor=0, multi_processor_count=132, warp_size=32, total_memory=141 << 30,
    max_threads_per_multi_processor=2048, max_threads_per_block=1024, regs_per_multiprocessor=65536,
    shared_memory_per_block=48 << 10, shared_memory_per_block_optin=227 << 10, L2_cache_size=50 << 20,
    shared_memory_per_multiprocessor=228 << 10, gcnArchName="", uuid="", is_integrated=0, is_multi_gpu_board=0,
)  # fmt: skip


def missing() -> str:
    """What is missing for this module's work; empty: nothing."""
    if torch.version.cuda is None:
        return "no CUDA build of torch"
    if importlib.util.find_spec("triton") is None:
        return "no Triton"
    if "triton" in sys.modules and not os.environ.get("TRITON_INTERPRET"):
        return "Triton was imported for a GPU; run these tests in a process of their own"
    return ""


class Launches:
    """What the generated code looked like, and what its last call started for the card.

    Attributes:
        code: the last that was generated.
        kernels: its own, counted.
        products: those by libraries, counted.
    """

    def __init__(self) -> None:
        self.code, self.kernels, self.products = "", 0, 0

    @property
    def total(self) -> int:
        """Kernels of the code itself, and products by libraries."""
        return self.kernels + self.products


LAUNCHES = Launches()


def generate(graph: torch.fx.GraphModule, examples: Sequence[Any]) -> Callable[..., Any]:
    """Stands in for `numerics.compilation.generate`: code for a card, which takes and returns tensors on the CPU."""
    from torch._inductor import config
    from torch._inductor.graph import GraphLowering

    codes: list[str] = []
    with _described_card() as patch:
        placed, constants = _on_card(graph, examples)
        patch(GraphLowering, "save_output_code", staticmethod(codes.append))
        with config.patch(fx_graph_cache=False):
            compilation.generate(graph, placed)
        LAUNCHES.code = codes[-1]
        _mend_interpreter()
        call = _loaded(codes[-1])

    def run(*tensors: torch.Tensor) -> Any:
        LAUNCHES.kernels = LAUNCHES.products = 0
        return call([*tensors, *constants])

    return run


def names(make: Callable[[], object]) -> list[str]:
    """The names under which torch keeps the code that a function makes for a card."""
    from torch._inductor import codecache

    found, name = list[str](), codecache.compiled_fx_graph_hash

    def noted(*given: Any) -> Any:
        key = name(*given)
        found.append(key[0])
        return key

    with _described_card() as patch:
        patch(codecache, "compiled_fx_graph_hash", noted)
        make()
    return found


def names_of_packed(job: Any) -> list[list[str]]:
    """Those of a graph's code in this process, and in a new one that is given the graph, see `packed_graph`."""
    with _described_card():
        placed, _ = _on_card(job._graph, job._examples)
        packed = pack(job._graph, placed, job.fingerprint, job._default)
    program = "import gpu_code; print(gpu_code.names(gpu_code.compile_given))"
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", program]
        run = subprocess.run(command, input=packed, env=environment, stdout=subprocess.PIPE, check=True)
    with torch.no_grad():
        own = names(lambda: compilation.generate(job._graph, placed))
    return [own, ast.literal_eval(run.stdout.decode().splitlines()[-1])]


# ------------------------------------------------------------------------------- the generator


@contextlib.contextmanager
def _described_card() -> Iterator[Callable[..., Any]]:
    """Has torch take `H200` for a card that is there; gives a function that replaces an attribute for as long."""
    torch._C._ensureCUDADeviceGuardSet()
    import triton
    from torch._dynamo.device_interface import CudaInterface
    from torch._inductor.async_compile import AsyncCompile
    from torch._inductor.fx_passes import fuse_attention, joint_graph, misc_patterns, pad_mm
    from torch._subclasses import fake_tensor

    with contextlib.ExitStack() as stack:

        def patch(owner: Any, name: str, value: Any) -> None:
            stack.enter_context(mock.patch.object(owner, name, value, create=True))

        answers: dict[str, Any] = {
            "is_available": lambda: True, "device_count": lambda: 1, "current_device": lambda: 0,
            "get_device_properties": lambda *device: H200, "get_device_capability": lambda *device: (9, 0),
            "synchronize": lambda *device: None, "set_device": lambda *device: None,
            "device": lambda *device: contextlib.nullcontext(),
        }  # fmt: skip
        for name, answer in answers.items():
            patch(torch.cuda, name, answer)
            patch(CudaInterface, name, staticmethod(answer))
        patch(CudaInterface, "is_triton_capable", staticmethod(lambda *device: True))
        for name in ("current_device", "get_device_properties"):
            patch(CudaInterface.Worker, name, staticmethod(answers[name]))
        patch(torch.cuda, "get_rng_state", lambda *device: torch.zeros(16, dtype=torch.uint8))
        patch(torch.cuda, "set_rng_state", lambda *state: None)
        patch(fake_tensor, "init_gpu_context", lambda *device: None)
        for module in [m for name, m in sys.modules.items() if name.startswith(("torch._inductor", "torch.utils"))]:
            if hasattr(module, "has_triton"):
                patch(module, "has_triton", lambda *device: True)
        triton.runtime.driver.set_active(_Driver())
        patch(AsyncCompile, "triton", lambda self, name, source, *more, **options: _kernel(name, source))
        # These try patterns on tensors of the card: attention, and padded products, which are off for ours.
        patch(fuse_attention, "_sfdp_init", lambda *device: None)
        patch(pad_mm, "_pad_mm_init", lambda *device: None)
        patch(misc_patterns, "_misc_patterns_init", lambda *device: None)
        fold = joint_graph.UniformValueConstantFolder.run

        def on_cpu(self: Any, *args: Any, **kwargs: Any) -> Any:
            with _ConstantsOnCpu():
                return fold(self, *args, **kwargs)

        patch(joint_graph.UniformValueConstantFolder, "run", on_cpu)
        yield patch


class _Driver:
    """What Triton asks of the driver of a card."""

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: Any = None) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return CARD

    def get_device_interface(self) -> Any:
        return torch.cuda

    def is_active(self) -> bool:
        return True


class _ConstantsOnCpu(TorchDispatchMode):
    """Makes what is asked for on the card on the CPU: constants that the generator looks into."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "cuda":
            kwargs["device"] = torch.device("cpu")
        return func(*args, **kwargs)


def _on_card(graph: torch.fx.GraphModule, examples: Sequence[Any]) -> tuple[list[Any], list[torch.Tensor]]:
    """Moves a graph that was traced for the CPU, in place; constants become further inputs.

    Returns:
        What it was traced with, and the constants.
    """
    *_, last = (node for node in graph.graph.nodes if node.op == "placeholder")
    constants = []
    for node in [*graph.graph.nodes]:
        if node.kwargs.get("device") is not None:
            node.kwargs = {**node.kwargs, "device": CARD}
        if node.op == "get_attr":
            constants.append(getattr(graph, str(node.target)).contiguous())  # as placeholders are
            with graph.graph.inserting_after(last):
                last = graph.graph.placeholder(f"constant_{len(constants)}")
            node.replace_all_uses_with(last)
            graph.graph.erase_node(node)
        node.meta.clear()
    graph.recompile()
    for name, _ in [*graph.named_buffers()]:
        delattr(graph, name)
    with examples[0].fake_mode as mode:
        return [t.to(CARD) for t in (*examples, *(_placeholder(mode, t, None) for t in constants))], constants


# ----------------------------------------------------------------------------- the interpreter


def _loaded(code: str) -> Callable[[list[torch.Tensor]], Any]:
    """The function that starts the kernels, on tensors on the CPU; memory that is not written to is not a number."""
    code = re.sub(r"with torch\.cuda\._DeviceGuard\(\d+\):", "if True:", code)
    code = re.sub(r"torch\.cuda\.set_device\(\d+\)", "pass", code)
    code = re.sub(r"get_raw_stream\(\d+\)", "None", code)
    code = re.sub(r"(device=)?(torch\.)?device\(type='cuda'[^)]*\)|'cuda:0'|'cuda'", r"\1'cpu'", code)
    namespace: dict[str, Any] = {"__name__": "generated", "__file__": "generated"}
    exec(compile(code, "generated", "exec"), namespace)
    namespace["empty_strided_cuda"] = _unwritten
    namespace["extern_kernels"] = _Counted(namespace["extern_kernels"])
    return namespace["call"] if "call" in namespace else namespace["runner"].call


def _unwritten(size: Sequence[int], stride: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    count = 1 + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if all(size) else 0
    filling = float("nan") if dtype.is_floating_point else True if dtype == torch.bool else 99
    return torch.full((count,), filling, dtype=dtype).as_strided(tuple(size), tuple(stride))


class _Counted:
    """Products by libraries, counted."""

    def __init__(self, kernels: Any) -> None:
        self._kernels = kernels

    def __getattr__(self, name: str) -> Any:
        LAUNCHES.products += 1
        return getattr(self._kernels, name)


def _kernel(name: str, source: str) -> _Kernel:
    """A kernel from its source, interpreted."""
    source = source.replace("triton_helpers.set_driver_to_gpu()", "").replace("@triton_heuristics.", "@_kinds.")
    file = f"<{name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)  # Triton reads it again
    namespace: dict[str, Any] = {"__name__": name, "__file__": file, "_kinds": _Kinds()}
    exec(compile(source, file, "exec"), namespace)
    namespace["libdevice"] = _Library()
    return namespace[name]


class _Kinds:
    """Decorators of kernels, which choose blocks and launch: `pointwise`, `reduction`, `persistent_reduction`."""

    def __getattr__(self, kind: str) -> Callable[..., Any]:
        return lambda **options: _Kernel


class _Kernel:
    """A kernel that is started as the generated code does it."""

    def __init__(self, function: Any) -> None:
        self._function = function
        names = [*inspect.signature(function.fn).parameters]
        self._sizes = {name: BLOCKS[name] for name in names if name in BLOCKS}
        self._names = [name for name in names if name not in BLOCKS]

    def run(self, *arguments: Any, stream: Any = None) -> None:
        """Runs all programs of the kernel's grid, one after the other."""
        LAUNCHES.kernels += 1
        given = dict(zip(self._names, arguments, strict=True))
        sizes, grid = dict(self._sizes), []
        for axis in "xyz":
            count, name = int(given.get(f"{axis}numel", 1)), f"{axis.upper()}BLOCK"
            if name in sizes:  # where there is one entry, the code takes a block for no larger
                sizes[name] = min(sizes[name], 1 << max(count - 1, 0).bit_length())
            grid.append(-(-count // sizes.get(name, count)))
        self._function[tuple(grid)](**given, **sizes)


def _mend_interpreter() -> None:
    """Has numbers of the interpreter counted with, which are arrays of one entry (NumPy 2.4 refuses that)."""
    from triton.runtime import interpreter

    original = getattr(interpreter._patch_lang_tensor, "original", interpreter._patch_lang_tensor)

    def patched(tensor: Any, scope: Any) -> None:
        original(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda own: int(own.handle.data.item()))

    patched.original = original  # type: ignore[attr-defined]
    interpreter._patch_lang_tensor = patched


class _Library:
    """Functions of CUDA's library, which the interpreter has not, by NumPy and SciPy."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        import triton.language as tl
        from triton.runtime.interpreter import TensorHandle

        function = {"pow": np.power, "rsqrt": lambda x: 1 / np.sqrt(x)}.get(name)
        function = function or getattr(np, name, None) or getattr(special, name)

        def apply(*arguments: Any) -> Any:
            first = arguments[0]
            data = [a.handle.data if isinstance(a, tl.tensor) else a for a in arguments]
            found = np.asarray(function(*data))
            if found.dtype == bool:
                return tl.tensor(TensorHandle(found, tl.int1), first.type.with_element_ty(tl.int1))
            return tl.tensor(TensorHandle(found.astype(data[0].dtype), first.dtype), first.type)

        return apply
