"""Functions of functions: gradients as functions, and modules as functions of their parameters.

>>> import flambeau as torch
>>> torch.func.grad(torch.func.grad(lambda x: x**3))(torch.tensor(2.0))
tensor(12.)

`vmap` and forward mode are not in this version: they say so when they are called.
"""

from flambeau.nn.utils.stateless import functional_call_of as functional_call
from flambeau.nn.utils.stateless import stack_module_state

from .gradients import grad, grad_and_value, hessian, jacrev, vjp
from .missing import functionalize, jacfwd, jvp, linearize, vmap

__all__ = [
    "functional_call", "functionalize", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize",
    "stack_module_state", "vjp", "vmap",
]  # fmt: skip
