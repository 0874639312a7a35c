"""`compile(..., freeze=True)`: a call that is repeated without its Python.

What the last recorded call did is kept as segments: plans, the outside memory that they used (of an argument, of an
earlier segment, or fixed), the numbers they were given, the tensors that came out, the gradients that were set. A repeat
checks what it relies on, runs the plans, and wraps the results.
"""

from __future__ import annotations

import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ..amp.state import state as autocast
from ..backend.cpu import recording, runtime
from ..backend.cpu.planning import slots_written
from ..base.device import device
from ..base.dtype import dtype
from ..base.layout import Size
from ..base.mode import mode
from ..optim.fused import FusedGroups
from ..return_types import Structure
from ..tensor import autograd
from ..tensor.autograd import AccumulateGrad
from ..tensor.plan import raise_refusal
from ..tensor.tensor import Tensor, make, track_view
from .reliances import MOST_NUMBERS, PLAIN, Reliances, equal, options_of

__all__ = ["Capture", "Frozen"]


class Stays(Exception):
    """Why a call cannot be repeated without its Python."""


class Capture:
    """Watches one recorded call."""

    def __init__(self, function: Callable, args: tuple, kwargs: dict) -> None:
        self.thread = threading.get_ident()
        given: list = []
        flat((args, kwargs), given)
        self.around = Reliances(function, given)
        #: gradients before the call, of the parameters that it may use
        self.known = {k: x._grad for k, x in self.around.tensors.items()}
        self.segments: list[recording.Segment] = []
        self.live: list[
            tuple[int, int, int, Callable]
        ] = []  # segment, first scalar, count, where they come from
        self.leaves: dict[int, tuple[Tensor, Any]] = {}  # with the gradient that they had before
        self.looked: str | None = None

    def segment(self, at_end: bool, recording_thread: int) -> None:
        if recording_thread != self.thread:
            return
        if threading.get_ident() != self.thread:
            self.looked = "another thread uses its tensors while it runs"
            return
        found = recording.segment()
        last = found.trace.entries[-1]
        if not (at_end or last.refuses or len(found.trace.entries) >= recording.LIMIT):
            self.looked = "it looks at a value while it runs"
        if found.trace.foreign:
            self.looked = "it uses memory that is shared with something outside (NumPy, `.data`)"
        self.segments.append(found)

    def numbers(self, count: int, source: Callable[[], tuple]) -> None:
        """The next `count` numbers of the recording may change: `source` gives (name, what is fixed, numbers) anew."""
        if threading.get_ident() == self.thread:
            self.live.append((len(self.segments), recording.scalars_so_far(), count, source))

    def note_leaves(self, nodes: list[AccumulateGrad]) -> None:
        """A backward pass is about to change the gradients of these leaves."""
        for node in nodes if threading.get_ident() == self.thread else ():
            leaf = node._variable()
            if leaf is not None:
                self.leaves.setdefault(id(leaf), (leaf, self.known.get(id(leaf), leaf._grad)))

    def __enter__(self) -> Capture:
        self.before = recording.counts()
        autograd.ENDS[0] = self.note_leaves
        FusedGroups.live_numbers = self.numbers
        recording.WATCHER[0] = self
        return self

    def __exit__(self, *exc: object) -> None:
        recording.WATCHER[0] = None
        autograd.ENDS[0] = None
        FusedGroups.live_numbers = None
        changed = self.around.changed()
        if changed is not None:
            self.looked = self.looked or f"it {changed}"
        for key, x in self.around.tensors.items():  # without a backward pass, as `zero_grad` does
            if x._grad is not self.known[key]:
                self.leaves.setdefault(key, (x, self.known[key]))
        made, asked, ran = recording.counts()
        if ran - self.before[2] != len(self.segments):
            self.looked = self.looked or "another thread computes while it runs"
        if made != self.before[0]:
            self.looked = self.looked or "it did something new"
        elif asked != self.before[1]:
            self.looked = (
                self.looked or "it looks at a value, or makes a tensor of Python numbers, while it runs"
            )


def flat(x: Any, found: list) -> Any:
    """The structure of nested arguments or results, with their leaves appended to `found`."""
    if isinstance(x, (tuple, list)):
        return (type(x), tuple([flat(e, found) for e in x]))
    if isinstance(x, dict):
        return (type(x), tuple([(k, flat(v, found)) for k, v in x.items()]))
    found.append(x)
    return None


class Frozen:
    """A captured call, ready to be repeated."""

    def __init__(
        self,
        function: Callable,
        capture: Capture,
        args: tuple,
        kwargs: dict,
        result: Any,
        root: recording.Root,
    ) -> None:
        if capture.looked:
            raise Stays(capture.looked)
        self.root = root  # holds the plans: the function may be reset while another thread repeats this
        self.inputs: list = []
        self.structure = flat((args, kwargs), self.inputs)
        given = {id(x) for x in self.inputs}
        if any(id(leaf) in given for leaf, _ in capture.leaves.values()):
            raise Stays("it sets gradients of its arguments")
        self.same_memory = _sharing(self.inputs)
        self.grad, self.inference, self.autocast = bool(mode.grad), mode.inference, autocast.cpu
        self.around = Reliances(function, self.inputs)
        self._place_arguments()
        self.steps = [self._step(k, one, capture) for k, one in enumerate(capture.segments)]
        #: the memory of all segments but the first, where there are several
        self.later = (
            tuple(x for step in self.steps[1:] for x in step.outside) if len(self.steps) > 1 else None
        )
        self.live = [
            (self.steps[k], first, count, source, source()[:2]) for k, first, count, source in capture.live
        ]
        self.leaves = [
            (leaf, self._known_gradient(before), self._template(leaf._grad))
            for leaf, before in capture.leaves.values()
        ]
        outputs: list = []
        self.result_structure = flat(result, outputs)
        _refuse_unknown(self.result_structure)
        gradients = {id(leaf._grad): leaf for leaf, *_ in self.leaves if leaf._grad is not None}
        numbers: dict[int, int] = {}
        self.outputs = []
        for k, x in enumerate(outputs):
            first = numbers.setdefault(id(x), k) if isinstance(x, Tensor) else k
            if first != k:
                self.outputs.append(("again", first))
            elif id(x) in gradients:
                self.outputs.append(("gradient", gradients[id(x)]))
            else:
                self.outputs.append(self._template(x, outputs[:k]))
        #: segment, number and version of results that were written in place
        self.versions = sorted({
            (*where, version) for x in (*outputs, *(leaf._grad for leaf, *_ in self.leaves))
            if isinstance(x, Tensor) and x._memory is not None
            for kind, where, _ in [self.places.get(recording.block_address(x._memory), ("", None, 0))]
            if kind == "result" and (version := recording.version_of(x._memory)) > 0
        })  # fmt: skip
        self.fits = self._compile_fits()
        del self.places, self.inputs, self.around

    # -- building --

    def _place_arguments(self) -> None:
        #: by address of a block: where a repeat finds its memory
        self.places: dict[int, tuple] = {}
        for k, x in enumerate(self.inputs):
            if isinstance(x, Tensor) and x._memory is not None:
                self.places.setdefault(recording.block_address(x._memory), ("argument", k, x._offset))

    def _step(self, number: int, one: recording.Segment, capture: Capture) -> Any:
        plan = recording.plan_of(one.last, [slot for slot, _ in one.kept])
        if not plan:
            raise Stays("it did something new")
        step = Step()
        step.sources = []
        for _, capsule, start, block in one.outside:
            found = self.places.get(block)
            step.sources.append(
                ("fixed", capsule, start) if found is None else (*found[:2], start - found[2])
            )
        for k, (_, block) in enumerate(one.kept):
            self.places[block] = ("result", (number, k), 0)
        written = {s for entry in one.trace.entries for s in slots_written(entry)}
        bumps = [k for k, (slot, *_) in enumerate(one.outside) for entry in one.trace.entries for s in slots_written(entry)
                 if s == slot] if written else []  # fmt: skip
        sizes = {slot: n for entry in one.trace.entries for slot, n in zip(entry.outputs, entry.sizes)}
        words = [
            one.last, one.trace.slots, len(one.outside), len(one.kept), len(one.scalars), len(bumps), plan,
            *(slot for slot, *_ in one.outside), *(slot for slot, _ in one.kept), *(sizes[slot] for slot, _ in one.kept),
            *one.scalars, *bumps,
        ]  # fmt: skip
        step.words = runtime.words(words)
        step.scalars = runtime.address(step.words) + 8 * (7 + len(one.outside) + 2 * len(one.kept))
        kinds = [kind for entry in one.trace.entries for kind in entry.scalars]
        step.kinds = kinds
        step.whole = all(kind == "fixed" for kind, *_ in step.sources)
        step.outside = tuple(
            x for kind, capsule, start in step.sources if kind == "fixed" for x in (capsule, start)
        )
        step.last = runtime.programs[one.trace.entries[-1].program][0]
        return step

    def _known_gradient(self, before: Tensor | None) -> tuple:
        """What a gradient must be before a repeat: (whether there is one, where it lies if the call uses it)."""
        if before is None:
            return False, None
        place = (
            self.places.get(recording.block_address(before._memory)) if before._memory is not None else None
        )
        used = any(
            kind == "fixed" and what is before._memory
            for step in self.steps
            for kind, what, _ in step.sources
        )
        return True, (before._memory, before._offset, before._layout) if used or place else None

    def _template(self, x: Any, earlier: list | tuple = ()) -> tuple:
        """How a repeat makes one of the results, behind earlier ones."""
        if not isinstance(x, Tensor):
            for k, one in enumerate(self.inputs):
                if one is x:
                    return "same", k
            if x is None or type(x) in _VALUES or x in self.around:
                return "value", x
            raise Stays(f"it returns a {type(x).__name__}, which may hold tensors")
        if type(x) is not Tensor or x._memory is None:
            raise Stays("its results are no plain tensors")
        node = x._node
        if node is not None and not _released(node):
            raise Stays("its results carry a graph that is still to be run backwards")
        base = self._template_of_base(x._base, earlier)
        found = self.places.get(recording.block_address(x._memory))
        if found is None:
            if x in self.around:
                return "value", x
            if not any(
                kind == "fixed" and what is x._memory for step in self.steps for kind, what, _ in step.sources
            ):
                raise Stays("it returns a tensor that no recorded operator made")
            return "fixed", x._memory, x._offset, x._layout, node, base
        kind, where, start = found
        if kind == "argument":
            if self.inputs[where] is x:
                return "same", where
            return kind, where, x._offset - start, x._layout, node, base
        return kind, where, x._offset, x._layout, node, base

    def _template_of_base(self, base: Tensor | None, earlier: list | tuple) -> tuple | None:
        """Where a repeat finds the tensor that a result is a view of; None where nobody else has that."""
        if base is None:
            return None
        for kind, tensors in (("same", self.inputs), ("again", earlier)):
            for k, one in enumerate(tensors):
                if one is base:
                    return kind, k
        return ("value", base) if base in self.around else None

    def _compile_fits(self) -> Callable:
        """fits(args, kwargs): the flat arguments, where everything that a repeat relies on holds, else None."""
        scope: dict = {
            "flat": flat,
            "sharing": _sharing,
            "equal": equal,
            "mode": mode,
            "autocast": autocast,
            "options_of": options_of,
        }

        def name(x: Any) -> str:
            scope[f"v{len(scope)}"] = x
            return f"v{len(scope) - 1}"

        plain = not self.structure[1][1][1] and self.structure[1][0][1] == (None,) * len(self.inputs)
        lines = [f"if kwargs or len(args) != {len(self.inputs)}: return None", "given = args"] if plain else [
            "given = []", f"if flat((args, kwargs), given) != {name(self.structure)}: return None"]  # fmt: skip
        wrong = [f"bool(mode.grad) is not {self.grad}", f"mode.inference is not {name(self.inference)}",
                 f"autocast.cpu is not {name(self.autocast)}"]  # fmt: skip
        tensors = 0
        reached = {id(x._memory) for x in self.around.tensors.values()}
        reached |= {id(where[0]) for _, (_, where), _ in self.leaves if where is not None}
        for k, x in enumerate(self.inputs):
            lines.append(f"x{k} = given[{k}]")
            if isinstance(x, Tensor):
                tensors += 1
                is_not = "is not" if x._node is None else "is"
                wrong.append(
                    f"type(x{k}) is not {name(type(x))} or x{k}._layout is not {name(x._layout)} "
                    f"or x{k}._node {is_not} None"
                )
                if x._memory is not None and id(x._memory) in reached:  # the plan takes the two for one
                    wrong.append(f"x{k}._memory is not {name(x._memory)}")
            else:
                value = name(x)
                wrong.append(f"x{k} is not {value} and not equal(x{k}, {value})")
        if tensors > 1:
            wrong.append(f"sharing(given) != {name(self.same_memory)}")
        wrong += self._around(name)
        for leaf, (there, where), _ in self.leaves:
            wrong += self._gradient_differs(f"{name(leaf)}._grad", there, where, name)
        lines += [f"if {one}: return None" for one in wrong] + ["return given"]
        body = "".join(f"        {line}\n" for line in lines)
        source = f"def fits(args, kwargs):\n    try:\n{body}    except ValueError:  # an empty cell\n        return None\n"
        exec(compile(source, "<what a captured call relies on>", "exec"), scope)
        return scope["fits"]

    def _around(self, name: Callable[[Any], str]) -> list[str]:
        """Conditions under which what the function can reach is not what it was."""
        around, given = self.around, {id(x) for x in self.inputs}
        places = [*around.places, *around.named_numbers()]
        wrong = []
        for one in places:
            have, value = one.expression(name(one.holder)), name(one.value)
            same = f" and not equal({have}, {value})" if type(one.value) in PLAIN else ""
            wrong.append(f"{have} is not {value}{same}")
        for one in around.lists:
            plain = len(one) <= MOST_NUMBERS and all(type(x) in PLAIN for x in one)
            wrong.append(f"{name(one)} != {name(one[:])}" if plain else f"len({name(one)}) != {len(one)}")
        for module, training in around.modules.values():
            one = name(module)
            wrong += [
                f"{one}.training is not {name(training)}",
                f"{one}._has_hooks is not {name(module._has_hooks)}",
            ]
            if module._parameters:
                wrong.append(f"len({one}._parameters) != {len(module._parameters)}")
            if module._modules:
                wrong.append(f"len({one}._modules) != {len(module._modules)}")
        stepped = set()
        for optimizer in around.optimizers.values():
            one, groups = name(optimizer), optimizer.param_groups
            wrong += [
                f"len({one}.param_groups) != {len(groups)}",
                f"{one}.state is not {name(optimizer.state)}",
            ]
            if hasattr(optimizer.state, "stamp"):
                wrong.append(f"{one}.state.stamp != {optimizer.state.stamp}")
            if not isinstance(optimizer, FusedGroups):
                wrong.append(f"options_of({one}) != {name(options_of(optimizer))}")
            stepped.update(id(p) for group in groups for p in group["params"])
        changed = {id(leaf) for leaf, *_ in self.leaves}
        for key, x in around.tensors.items():
            one = name(x)
            if key not in given:
                wrong += [f"{one}._memory is not {name(x._memory)}", f"{one}._layout is not {name(x._layout)}",
                          f"{one}._offset != {x._offset}", f"{one}._node is not {name(x._node)}"]  # fmt: skip
                if x._node is not None:
                    wrong.append(f"{one}._node.extra is not {name(x._node.extra)}")  # hooks
            there, where = self._known_gradient(x._grad)
            if key not in changed and (where is not None or key in stepped):
                wrong += self._gradient_differs(f"{one}._grad", there, where, name)
        return wrong

    def _gradient_differs(self, have: str, there: bool, where: tuple | None, name: Callable) -> list[str]:
        """Conditions under which a gradient is not what it was before the call."""
        wrong = [f"({have} is None) is {there}"]
        if where is not None:
            memory, offset, layout = where
            wrong += [f"{have}._memory is not {name(memory)}", f"{have}._offset != {offset}",
                      f"{have}._layout is not {name(layout)}"]  # fmt: skip
        return wrong

    # -- running --

    def repeat(self, given: list) -> tuple[bool, Any]:
        """(whether it ran, result): False, before anything ran, where the arguments share memory in a new way."""
        for step, first, count, source, fixed in self.live:
            kinds = step.kinds[first : first + count]
            *now, numbers = source()
            if (*now,) != fixed:
                return False, None
            data = struct.pack("".join("q" if k else "d" for k in kinds), *numbers[:count])
            recording.write_bytes(step.scalars + 8 * first, data)
        results: list = []
        if self.later is None:
            if self.steps and not self._run(self.steps[0], given, results):
                return False, None
        else:
            if not runtime.repeat(None, self.later, True):  # nothing may run before it is clear that all can
                return False, None
            try:
                if not self._run(self.steps[0], given, results):
                    return False, None
                for step in self.steps[1:]:
                    while not self._run(step, given, results):
                        time.sleep(0.00005)  # another thread runs a plan
            finally:
                recording.give_back()
        for number, k, version in self.versions:
            recording.set_version(results[number][k], version)
        for leaf, _, template in self.leaves:
            leaf._grad = _made(template, given, results)
        if self.result_structure is None:
            return True, _made(self.outputs[0], given, results)
        made: list = []
        for template in self.outputs:
            made.append(
                made[template[1]] if template[0] == "again" else _made(template, given, results, made)
            )
        return True, _rebuilt(self.result_structure, iter(made))

    def _run(self, step: Any, given: list, results: list) -> bool:
        """Run a segment; False where it cannot run now, or not with this memory."""
        found = runtime.repeat(
            step.words, step.outside if step.whole else self._outside(step, given, results)
        )
        if found is None:
            return False
        if found is False:
            raise_refusal(step.last)
        results.append(found)
        return True

    @staticmethod
    def _outside(step: Any, given: list, results: list) -> tuple:
        found: list = []
        for kind, what, start in step.sources:
            if kind == "fixed":
                found += (what, start)
            elif kind == "argument":
                found += (given[what]._memory, given[what]._offset + start)
            else:
                found += (results[what[0]][what[1]], start)
        return tuple(found)


class Step:
    """A segment, ready to be repeated."""

    __slots__ = ("kinds", "last", "outside", "scalars", "sources", "whole", "words")


def _sharing(leaves: list) -> list:
    """Which tensors share memory, and how far apart they start in it."""
    first: dict[int, tuple[int, int]] = {}
    found = []
    for k, x in enumerate(leaves):
        if isinstance(x, Tensor) and x._memory is not None:
            number, offset = first.setdefault(id(x._memory), (k, x._offset))
            if number != k:
                found.append((number, k, x._offset - offset))
    return found


def _released(node: Any) -> bool:
    """Whether nothing is left to run backwards from a node."""
    stack, seen, ran = [node], set(), False
    while stack:
        one = stack.pop()
        if id(one) in seen or type(one) is AccumulateGrad:
            continue
        seen.add(id(one))
        saved = getattr(one, "saved", ())
        if saved is not None and saved != ():
            return False
        ran = ran or saved is None
        stack.extend(e for e in one.edges if e is not None)
    return ran  # nothing tells this of a graph that saves nothing, such as one of views


def _made(template: tuple, given: list, results: list, made: list | tuple = ()) -> Any:
    kind, where, *rest = template
    if kind == "value":
        return where
    if kind == "same":
        return given[where]
    if kind == "gradient":
        return where._grad
    start, layout, node, base = rest
    if kind == "argument":
        found = make(given[where]._memory, layout, given[where]._offset + start)
    elif kind == "fixed":
        found = make(where, layout, start)
    else:
        found = make(results[where[0]][where[1]], layout, start)
    found._node = node
    if base is not None:
        kind, where = base
        found._base = source = given[where] if kind == "same" else made[where] if kind == "again" else where
        if mode.grad:
            track_view(source, found)
    return found


#: containers that can be made anew from their parts
_CONTAINERS = (tuple, list, dict, OrderedDict, Size)
_VALUES = (*PLAIN, dtype, device)


def _refuse_unknown(structure: Any) -> None:
    """Stop where a result is made of containers that are not known."""
    if structure is None:
        return
    kind, inside = structure
    if kind not in _CONTAINERS and not issubclass(kind, Structure) and not hasattr(kind, "_make"):
        raise Stays(f"it returns a {kind.__name__}")
    for one in inside:
        _refuse_unknown(one[1] if issubclass(kind, dict) else one)


def _rebuilt(structure: Any, leaves: Any) -> Any:
    if structure is None:
        return next(leaves)
    kind, inside = structure
    if issubclass(kind, dict):
        return kind((k, _rebuilt(s, leaves)) for k, s in inside)
    parts = [_rebuilt(s, leaves) for s in inside]
    return kind(*parts) if hasattr(kind, "_make") else kind(parts)
