"""How calls are seen while a profiler is on, and not at all while it is off.

An operator's public function is one object that many places hold (methods, modules, `from torch import add`). While a
profiler is on, the function's *code* is exchanged for one that records the call and goes on to the original; at the end
the code is put back. So the path of a call has no switch in it, and costs nothing more when nobody looks.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from time import perf_counter_ns
from types import CodeType, FunctionType
from typing import Any

from ..ops import define
from ..tensor import autograd, dispatch
from ..tensor.tensor import Tensor
from .flops import flops_of

__all__ = ["RECORDER", "Record", "Recorder"]


class Record:
    """One call: its name, when it began and ended (ns), in which thread, inside which other call."""

    __slots__ = ("name", "start", "end", "thread", "parent", "kind", "shapes", "memory", "flops", "stack", "modules",
                 "sequence", "arguments")  # fmt: skip

    def __init__(self, name: str, parent: Record | None, thread: int, kind: str):
        self.name, self.parent, self.thread, self.kind = name, parent, thread, kind
        self.start = self.end = 0
        self.shapes: list = []
        self.memory = self.flops = 0
        self.stack: list[str] = []
        self.modules = ""
        self.sequence = -1
        self.arguments: str | None = None


class Recorder:
    """Collects records while it is on. There is one for the process, as there is one set of operators."""

    def __init__(self) -> None:
        self.on = False
        self.records: list[Record] = []
        self.origin = 0
        self.shapes = self.memory = self.flops = self.stacks = self.modules = False
        self._local = threading.local()
        self._swapped: list[tuple[FunctionType, CodeType]] = []
        self._undo: list[Callable[[], None]] = []

    # -- beginning and end -------------------------------------------------------------------------------------------

    def start(self, *, shapes: bool = False, memory: bool = False, flops: bool = False, stacks: bool = False,
              modules: bool = False) -> None:  # fmt: skip
        """Begin to record.

        Raises: RuntimeError when another profiler is on.
        """
        if self.on:
            raise RuntimeError("Profiler is already enabled on this thread")
        self.shapes, self.memory, self.flops = shapes, memory, flops
        self.stacks, self.modules = stacks, modules
        self.records = []
        self._local = threading.local()
        dispatch.runtime()
        self._watch_operators()
        self._watch_backward()
        self._watch_optimizers()
        if modules:
            self._watch_modules()
        self.on = True
        self.origin = perf_counter_ns()

    def stop(self) -> list[Record]:
        """End, and give what was recorded."""
        self.on = False
        while self._undo:
            self._undo.pop()()
        while self._swapped:
            function, code = self._swapped.pop()
            function.__code__ = code
        records, self.records = self.records, []
        return [r for r in records if r.end]

    # -- one record --------------------------------------------------------------------------------------------------

    def begin(self, name: str, kind: str = "operator", given: tuple = ()) -> Record:
        """Open a record inside the one that is open in this thread."""
        local = self._local
        stack = getattr(local, "stack", None)
        if stack is None:
            stack = local.stack = []
            local.thread = threading.get_native_id()
            local.modules = []
        record = Record(name, stack[-1] if stack else None, local.thread, kind)
        if self.shapes:
            record.shapes = [list(x.shape) if isinstance(x, Tensor) else [] for x in given]
        if self.stacks:
            record.stack = _callers()
        if self.modules and local.modules:
            record.modules = ".".join(local.modules)
        stack.append(record)
        self.records.append(record)
        if self.memory:
            record.memory = -dispatch.runtime().memory_stats()["in_use"]
        record.start = perf_counter_ns()
        return record

    def finish(self, record: Record) -> None:
        """Close a record."""
        record.end = perf_counter_ns()
        if self.memory:
            record.memory += dispatch.runtime().memory_stats()["in_use"]
        stack = getattr(self._local, "stack", None)
        while stack and stack.pop() is not record:
            pass

    # -- what is watched ---------------------------------------------------------------------------------------------

    def _watch_operators(self) -> None:
        for operator in define.OPERATORS.values():
            for variant, function in operator.compiled.items():
                if variant in _VARIANTS:
                    self._swap(operator, variant, function)
        compile_function = define.COMPILE[0]

        def compile_and_watch(operator: Any, variant: str) -> Callable:
            made = compile_function(operator, variant)
            self._swap(operator, variant, made)
            return made

        define.COMPILE[0] = compile_and_watch
        self._undo.append(lambda: define.COMPILE.__setitem__(0, compile_function))

    def _swap(self, operator: Any, variant: str, function: Callable) -> None:
        if not isinstance(function, FunctionType) or function.__code__.co_freevars:
            return
        original = FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__
        )
        original.__kwdefaults__ = function.__kwdefaults__
        name = (
            f"aten::{operator.name}{'_' if variant == 'inplace' and not operator.name.endswith('_') else ''}"
        )

        def watched(*args: Any, **kwargs: Any) -> Any:
            given = (*args, *kwargs.values()) if kwargs else args
            record = self.begin(name, "operator", given)
            try:
                result = original(*args, **kwargs)
            finally:
                self.finish(record)
            if self.flops:
                record.flops = flops_of(operator, given, result)
            return result

        function.__globals__["watched_call"] = watched
        self._swapped.append((function, function.__code__))
        function.__code__ = _FORWARD.__code__.replace(co_name=function.__name__)

    def _watch_backward(self) -> None:
        run_node, accumulate = autograd._run_node, autograd._accumulate
        plain_node = autograd.Node

        def watched_node(node: Any, arrived: Any, create_graph: bool, retain_graph: bool) -> Any:
            record = self.begin(node.name(), "backward")
            record.sequence = node.number
            try:
                many = type(arrived) is dict
                if type(node) is plain_node and not (many or create_graph or node.extra is not None):
                    flows = node.plan.flow(node, arrived)
                    if not retain_graph:
                        node.saved = None
                    return flows
                return run_node(node, arrived, create_graph, retain_graph)
            finally:
                self.finish(record)

        def watched_accumulate(node: Any, g: Any, create_graph: bool) -> None:
            record = self.begin("torch::autograd::AccumulateGrad", "backward")
            try:
                accumulate(node, g, create_graph)
            finally:
                self.finish(record)

        def undo() -> None:
            autograd._run_node, autograd._accumulate = run_node, accumulate
            autograd.WATCHED[0] = False
            dispatch.SOLE -= 1

        autograd._run_node, autograd._accumulate = watched_node, watched_accumulate
        autograd.WATCHED[0] = True
        dispatch.SOLE += 1  # `watched_accumulate` holds the gradient too: it must not look shared
        self._undo.append(undo)

    def _watch_optimizers(self) -> None:
        from ..optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

        running: list[Record] = []

        def before(optimizer: Any, args: tuple, kwargs: dict) -> None:
            running.append(self.begin(f"Optimizer.step#{type(optimizer).__name__}.step", "user_annotation"))

        def after(optimizer: Any, args: tuple, kwargs: dict) -> None:
            if running:
                self.finish(running.pop())

        handles = (register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after))
        self._undo.extend(handle.remove for handle in handles)

    def _watch_modules(self) -> None:
        from ..nn.modules import module as modules

        local = self._local

        def before(module: Any, given: Any) -> None:
            if getattr(local, "modules", None) is None:
                local.modules = []
                local.stack, local.thread = [], threading.get_native_id()
            local.modules.append(type(module).__name__)

        def after(module: Any, given: Any, result: Any) -> None:
            if local.modules:
                local.modules.pop()

        handles = (
            modules.register_module_forward_pre_hook(before),
            modules.register_module_forward_hook(after, always_call=True),
        )
        self._undo.extend(handle.remove for handle in handles)


_VARIANTS = ("function", "inplace", "operator")


def _FORWARD(*args: Any, **kwargs: Any) -> Any:
    return watched_call(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821 (in the globals of each operator)


_PACKAGE = __name__.rpartition(".profiler")[0].replace(".", "/") + "/"


def _callers() -> list[str]:
    """The lines of the program that led to a call, innermost first, without this package's own."""
    found = []
    frame: Any = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        if "/" + _PACKAGE not in code.co_filename.replace("\\", "/") and not code.co_filename.startswith(
            "<operator"
        ):
            found.append(f"{code.co_filename}({frame.f_lineno}): {code.co_name}")
        frame = frame.f_back
    return found


RECORDER = Recorder()
