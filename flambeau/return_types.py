"""Named tuples that operators with several results return, such as ``torch.return_types.max``.

>>> import flambeau as torch
>>> values, indices = torch.tensor([3.0, 1.0]).sort()
"""

from __future__ import annotations

from operator import itemgetter


class Structure(tuple):
    """Base of the result types: a tuple made from one sequence, with a name for each item."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    n_fields = 0

    def __new__(cls, items):
        made = tuple.__new__(cls, items)
        if len(made) != cls.n_fields:
            raise TypeError(
                f"torch.return_types.{cls.__name__}() takes a {len(cls._fields)}-sequence ({len(made)}-sequence given)"
            )
        return made

    def __repr__(self) -> str:
        items = ",\n".join(f"{name}={item!r}" for name, item in zip(self._fields, self))
        return f"torch.return_types.{type(self).__name__}(\n{items})"

    def __reduce__(self):
        return (type(self), (tuple(self),))


def structure(name: str, fields: str) -> type[Structure]:
    """A result type with these fields."""
    names = tuple(fields.split())
    members: dict = {n: property(itemgetter(k), doc=f"Item {k}.") for k, n in enumerate(names)}
    members |= {"__slots__": (), "_fields": names, "__module__": __name__, "__match_args__": names}
    members |= {"n_fields": len(names), "n_sequence_fields": len(names), "n_unnamed_fields": 0}
    members["__doc__"] = f"Result of {name}: {', '.join(names)}."
    return type(name, (Structure,), members)


_FIELDS = {
    "_lu_with_info": "LU pivots info",
    "aminmax": "min max",
    "cummax": "values indices",
    "cummin": "values indices",
    "frexp": "mantissa exponent",
    "geqrf": "a tau",
    "histogram": "hist bin_edges",
    "histogramdd": "hist bin_edges",
    "kthvalue": "values indices",
    "linalg_cholesky_ex": "L info",
    "linalg_eig": "eigenvalues eigenvectors",
    "linalg_eigh": "eigenvalues eigenvectors",
    "linalg_inv_ex": "inverse info",
    "linalg_ldl_factor": "LD pivots",
    "linalg_ldl_factor_ex": "LD pivots info",
    "linalg_lstsq": "solution residuals rank singular_values",
    "linalg_lu": "P L U",
    "linalg_lu_factor": "LU pivots",
    "linalg_lu_factor_ex": "LU pivots info",
    "linalg_qr": "Q R",
    "linalg_slogdet": "sign logabsdet",
    "linalg_solve_ex": "result info",
    "linalg_svd": "U S Vh",
    "lu_unpack": "P L U",
    "max": "values indices",
    "median": "values indices",
    "min": "values indices",
    "mode": "values indices",
    "nanmedian": "values indices",
    "qr": "Q R",
    "slogdet": "sign logabsdet",
    "sort": "values indices",
    "svd": "U S V",
    "topk": "values indices",
    "triangular_solve": "solution cloned_coefficient",
}


def __getattr__(name: str):
    fields = _FIELDS.get(name)
    if fields is None:
        raise AttributeError(f"module 'torch.return_types' has no attribute '{name}'")
    made = globals()[name] = structure(name, fields)
    return made


def __dir__():
    return sorted({*globals(), *_FIELDS})


#: every result type by name, made on first use
all_return_types = tuple(_FIELDS)


def structure_of(name: str) -> type[Structure]:
    """The result type of an operator."""
    return globals().get(name) or __getattr__(name)
