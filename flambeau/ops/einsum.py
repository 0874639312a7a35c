"""Einstein summation: products of tensors over named dimensions, by permutations and batched matrix products."""

from __future__ import annotations

from math import prod

from ..base.dtype import promote_types
from ..base.errors import require
from .define import op, ops
from .kinds import Composite

ELLIPSIS = "..."
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def is_tensor(x) -> bool:
    return hasattr(x, "_layout")


@op("einsum(any[*] args) -> Tensor", method=False)
class Einsum(Composite):
    """Sum of products of the operands' elements, with dimensions named by letters.

    args: an equation and operands, or operands each followed by its list of subscripts and, last, the result's.
    Letters that the result lacks are summed; a letter twice in one operand takes the diagonal; ``...`` stands for
    dimensions that broadcast.

    >>> import flambeau as torch
    >>> a, b = torch.ones(2, 3), torch.ones(3, 4)
    >>> torch.einsum("ij,jk->ik", a, b).shape
    torch.Size([2, 4])
    """

    def body(args):
        args = args if isinstance(args, (tuple, list)) else (args,)
        if len(args) < 2:
            raise ValueError(
                "einsum(): must specify the equation string and at least one operand, or at least one operand and "
                "its subscripts list"
            )
        if len(args) == 3 and type(args[0]) is str and is_tensor(args[1]) and is_tensor(args[2]):
            return two(*args)
        if is_tensor(args[0]):
            terms, output, operands = from_sublists(args)
        else:
            operands = args[1] if len(args) == 2 and isinstance(args[1], (list, tuple)) else args[1:]
            terms, output = parse(args[0], len(operands))
        return contract(list(operands), terms, output)


#: how products of two tensors are formed, by the equation and the layouts; () where it takes more than a product
_RECIPES: dict = {}


def two(equation: str, a, b):
    """The result of an equation with two operands: what a matrix product can do is planned once."""
    key = (equation, a._layout, b._layout)
    recipe = _RECIPES.get(key)
    if recipe:
        (order, shape), other, product, result = recipe
        a = a if order is None else ops.permute(a, order)
        a = a if shape is None else ops.reshape(a, shape)
        order, shape = other
        b = b if order is None else ops.permute(b, order)
        b = b if shape is None else ops.reshape(b, shape)
        found = ops.mm(a, b) if product == 2 else ops.bmm(a, b)
        shape, order = result
        found = found if shape is None else ops.reshape(found, shape)
        return found if order is None else ops.permute(found, order)
    terms, output = parse(equation, 2)
    found = contract([a, b], terms, output)
    if recipe is None:
        if len(_RECIPES) > 4096:
            _RECIPES.clear()
        _RECIPES[key] = plan_of_two(a._layout, b._layout, terms, output_labels(terms, output, 0)
                                    if ELLIPSIS not in (*terms[0], *terms[1]) else None)  # fmt: skip
    return found


def plan_of_two(a, b, terms, output) -> tuple:
    """Order and shape of each operand, dimensions of the product, shape and order of the result (None: as it is).

    Empty where an operand has a label twice, or one to sum alone, or where dimensions broadcast.
    """
    if output is None or a.foreign or b.foreign or a.dtype is not b.dtype or 0 in (a.numel, b.numel):
        return ()
    first, second = terms
    size = dict(zip(first, a.shape))
    if any(len(set(t)) != len(t) for t in terms) or any(size.get(x, n) != n for x, n in zip(second, b.shape)):
        return ()
    size |= dict(zip(second, b.shape))
    both = [x for x in first if x in second]
    batch, inner = [x for x in both if x in output], [x for x in both if x not in output]
    left, right = [x for x in first if x not in both], [x for x in second if x not in both]
    if not inner or not set(output) >= {*left, *right}:
        return ()
    groups = [batch] if batch else []

    def brought(term, *parts):
        labels = [x for part in parts for x in part]
        order = tuple(term.index(x) for x in labels)
        plain = all(len(part) == 1 for part in parts)
        shape = tuple(prod(size[x] for x in part) for part in parts)
        return None if order == tuple(range(len(term))) else order, None if plain else shape

    labels = [*batch, *left, *right]
    order = tuple(labels.index(x) for x in output)
    plain = all(len(part) == 1 for part in (*groups, left, right))
    return (
        brought(first, *groups, left, inner),
        brought(second, *groups, inner, right),
        2 + len(groups),
        (
            None if plain else tuple(size[x] for x in labels),
            None if order == tuple(range(len(order))) else order,
        ),
    )


def from_sublists(args):
    """Terms, output and operands of the form ``einsum(a, [0, 1], b, [1, 2], [0, 2])``."""
    given = list(args)
    output = given.pop() if len(given) % 2 else None
    operands, lists = given[::2], given[1::2]

    def labels(subscripts) -> list[str]:
        found = []
        for k in subscripts:
            if k is Ellipsis:
                found.append(ELLIPSIS)
                continue
            if not 0 <= k < 52:
                raise ValueError(
                    "einsum(): subscripts in subscript list are not within the valid range [0, 52)"
                )
            found.append(LETTERS[k])
        return found

    return [labels(s) for s in lists], None if output is None else labels(output), operands


def parse(equation: str, count: int):
    """Labels of each operand and of the result (None where the equation has no arrow)."""
    left, arrow, right = equation.partition("->")
    texts = left.split(",")
    terms = []
    at = 0
    for k, text in enumerate(texts):
        terms.append(_labels(text, at, f"operand {k}"))
        at += len(text) + 1
    require(len(texts) <= count, "einsum(): fewer operands were provided than specified in the equation")
    require(len(texts) >= count, "einsum(): more operands were provided than specified in the equation")
    return terms, _labels(right, len(left) + 2, "the output") if arrow else None


def _labels(text: str, start: int, where: str) -> list[str]:
    labels, at = [], 0
    while at < len(text):
        letter = text[at]
        if letter == ".":
            require(
                ELLIPSIS not in labels,
                f"einsum(): found '.' for {where} for which an ellipsis was already found",
            )
            require(
                text.startswith(ELLIPSIS, at),
                f"einsum(): found '.' for {where} that is not part of any ellipsis",
            )
            labels.append(ELLIPSIS)
            at += 3
            continue
        if letter != " ":
            require(
                letter.isascii() and letter.isalpha(),
                f"einsum(): invalid subscript given at index {start + at} in the equation string, subscripts must "
                "be in [a-zA-Z]",
            )
            labels.append(letter)
        at += 1
    return labels


def named(operands, terms):
    """Labels with the ellipses replaced by one label a dimension, numbered from the last; and their largest number."""
    widest, result = 0, []
    for k, (x, term) in enumerate(zip(operands, terms)):
        have, wanted = x._layout.ndim, len(term) - (ELLIPSIS in term)
        if ELLIPSIS not in term:
            require(
                have == wanted,
                f"einsum(): the number of subscripts in the equation ({wanted}) does not match the number of "
                f"dimensions ({have}) for operand {k} and no ellipsis was given",
            )
            result.append(term)
            continue
        require(
            have >= wanted,
            f"einsum(): the number of subscripts in the equation ({wanted}) is more than the number of dimensions "
            f"({have}) for operand {k}",
        )
        widest = max(widest, have - wanted)
        result.append(_spelled(term, have - wanted))
    return result, widest


def _spelled(term, count: int) -> list:
    at = term.index(ELLIPSIS)
    return [*term[:at], *range(-count, 0), *term[at + 1 :]]


def output_labels(terms, output, widest: int) -> list:
    """The result's labels; without an arrow those seen once, in order, behind the ellipsis."""
    if output is None:
        seen = [x for term in terms for x in term if isinstance(x, str)]
        return [*range(-widest, 0), *sorted(x for x in set(seen) if seen.count(x) == 1)]
    known = {x for term in terms for x in term}
    for x in output:
        if x != ELLIPSIS:
            require(
                output.count(x) == 1, f"einsum(): output subscript {x} appears more than once in the output"
            )
            require(
                x in known,
                f"einsum(): output subscript {x} does not appear in the equation for any input operand",
            )
    return _spelled(output, widest) if ELLIPSIS in output else list(output)


def contract(operands, terms, output):
    """The result of the whole equation."""
    terms, widest = named(operands, terms)
    output = output_labels(terms, output, widest)
    pieces = [diagonals(x, term, k) for k, (x, term) in enumerate(zip(operands, terms))]
    sizes: dict = {}
    for x, term in pieces:
        for n, label in zip(x._layout.shape, term):
            if sizes.setdefault(label, n) != n:
                if n != 1 and sizes[label] != 1:
                    shapes = " ".join(f"{list(o._layout.shape)}->{list(o._layout.shape)}" for o in operands)
                    raise RuntimeError(
                        "einsum(): operands do not broadcast with remapped shapes [original->remapped]: "
                        + shapes
                    )
                sizes[label] = n if sizes[label] == 1 else sizes[label]
    while len(pieces) > 1:
        first, second = cheapest(pieces, output, sizes)
        b, a = pieces.pop(second), pieces.pop(first)
        kept = set(output).union(*(term for _, term in pieces))
        pieces.insert(0, multiply(a, b, kept))
    x, term = summed(*pieces[0], set(output))
    x = ops.permute(x, [term.index(o) for o in output if o in term])
    missing = [k for k, o in enumerate(output) if o not in term]
    for k in missing:
        x = ops.unsqueeze(x, k)
    return x


def diagonals(x, term, k: int):
    """An operand with each label once."""
    term = list(term)
    for label in dict.fromkeys(term):
        while term.count(label) > 1:
            i = term.index(label)
            j = term.index(label, i + 1)
            a, b = x._layout.shape[i], x._layout.shape[j]
            require(
                a == b,
                f"einsum(): subscript {label} is repeated for operand {k} but the sizes don't match, {b} != {a}",
            )
            x = ops.movedim(ops.diagonal(x, 0, i, j), -1, i)
            del term[j]
    return x, term


def cheapest(pieces, output, sizes) -> tuple[int, int]:
    """The two operands whose product has the fewest elements beyond their own; of equal pairs the first."""
    if len(pieces) == 2:
        return 0, 1
    best = None
    for i in range(len(pieces)):
        for j in range(i + 1, len(pieces)):
            rest = set(output).union(*(t for k, (_, t) in enumerate(pieces) if k not in (i, j)))
            a, b = set(pieces[i][1]), set(pieces[j][1])
            volume = [prod(sizes[x] for x in labels) for labels in ((a | b) & rest, a, b)]
            cost = volume[0] - volume[1] - volume[2]
            if best is None or cost < best[0]:
                best = cost, i, j
    return best[1:]


def summed(x, term, kept):
    """An operand without the labels that nothing else needs."""
    drop = [k for k, label in enumerate(term) if label not in kept]
    if not drop:
        return x, term
    return ops.sum(x, tuple(drop)), [label for label in term if label in kept]


def dropped(x, term, other, other_term):
    """An operand without its dimensions of size 1 that broadcast against the other's."""
    sizes = dict(zip(other_term, other._layout.shape))
    drop = [k for k, label in enumerate(term) if x._layout.shape[k] == 1 and sizes.get(label, 1) != 1]
    if not drop:
        return x, term
    return ops.squeeze(x, tuple(drop)), [label for k, label in enumerate(term) if k not in drop]


def multiply(first, second, kept):
    """The product of two operands, summed over the labels that are not kept."""
    (a, a_term), (b, b_term) = first, second
    a, a_term, b, b_term = *dropped(a, a_term, b, b_term), *dropped(b, b_term, a, a_term)
    a, a_term = summed(a, a_term, kept | set(b_term))
    b, b_term = summed(b, b_term, kept | set(a_term))
    both = [x for x in a_term if x in b_term]
    batch = [x for x in both if x in kept]
    inner = [x for x in both if x not in kept]
    left = [x for x in a_term if x not in both]
    right = [x for x in b_term if x not in both]
    size = dict(zip(b_term, b._layout.shape)) | dict(zip(a_term, a._layout.shape))
    extent = {name: [size[x] for x in labels] for name, labels in
              (("batch", batch), ("inner", inner), ("left", left), ("right", right))}  # fmt: skip
    labels = [*batch, *left, *right]
    a = ops.permute(a, [a_term.index(x) for x in (*batch, *left, *inner)])
    if not inner:
        b = ops.permute(b, [b_term.index(x) for x in (*batch, *right)])
        a = ops.reshape(a, [*extent["batch"], *extent["left"], *(1 for _ in right)])
        b = ops.reshape(b, [*extent["batch"], *(1 for _ in left), *extent["right"]])
        return ops.mul(a, b), labels
    b = ops.permute(b, [b_term.index(x) for x in (*batch, *inner, *right)])
    count = {name: prod(sizes) for name, sizes in extent.items()}
    a = ops.reshape(a, [count["batch"], count["left"], count["inner"]])
    b = ops.reshape(b, [count["batch"], count["inner"], count["right"]])
    if a._layout.dtype is not b._layout.dtype:  # the sum of small integers before is int64
        kind = promote_types(a._layout.dtype, b._layout.dtype)
        a, b = ops.to_copy(a, dtype=kind), ops.to_copy(b, dtype=kind)
    found = ops.bmm(a, b)
    return ops.reshape(found, [*extent["batch"], *extent["left"], *extent["right"]]), labels
