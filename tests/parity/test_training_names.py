"""Every public name of PyTorch's training surface is there, with PyTorch's signature."""

from __future__ import annotations

import importlib
import inspect

import pytest

pytestmark = pytest.mark.parity

#: modules whose public names are compared, and the names that this version leaves out
MODULES = {
    "nn": "",
    "nn.functional": "scaled_mm scaled_grouped_mm",  # products of eight-bit numbers, for GPUs
    "nn.init": "",
    "nn.parameter": "UninitializedTensorMixin",
    "nn.attention": "",
    "nn.attention.bias": "",
    "nn.grad": "",
    "nn.parallel": "DistributedDataParallel",  # several processes
    "nn.utils": "",
    "nn.utils.clip_grad": "",
    "nn.utils.convert_parameters": "",
    "nn.utils.fusion": "",
    "nn.utils.parametrizations": "",
    "nn.utils.parametrize": "",
    "nn.utils.prune": "",
    "nn.utils.rnn": "",
    "nn.utils.spectral_norm": "SpectralNormLoadStateDictPreHook SpectralNormStateDictHook",  # closures here
    "nn.utils.stateless": "",
    "nn.utils.weight_norm": "",
    "nn.modules.activation": "",
    "nn.modules.adaptive": "",
    "nn.modules.batchnorm": "",
    "nn.modules.channelshuffle": "",
    "nn.modules.container": "",
    "nn.modules.conv": "",
    "nn.modules.distance": "",
    "nn.modules.dropout": "",
    "nn.modules.flatten": "",
    "nn.modules.fold": "",
    "nn.modules.instancenorm": "",
    "nn.modules.lazy": "",
    "nn.modules.linear": "",
    "nn.modules.loss": "",
    "nn.modules.module": "",
    "nn.modules.normalization": "",
    "nn.modules.padding": "",
    "nn.modules.pixelshuffle": "",
    "nn.modules.pooling": "",
    "nn.modules.rnn": "",
    "nn.modules.sparse": "",
    "nn.modules.transformer": "",
    "nn.modules.upsampling": "",
    "optim": "",
    "optim.adamw": "adamw",
    "optim.lr_scheduler": "",
    "optim.optimizer": "",
    "optim.swa_utils": "",
    "amp": "",
    "amp.autocast_mode": "",
    "amp.grad_scaler": "",
    "cpu.amp": "",
    "cuda.amp": "",
}
#: parameters that differ on purpose: PyTorch's function takes anything and chooses later, ours says what it takes;
#: `sigmoid` and `tanh` are the operators themselves, which also take `out`
TOLERATED = {
    "nn.Container", "nn.NLLLoss2d", "nn.functional.sigmoid", "nn.functional.tanh", "nn.modules.container.Container",
    "nn.modules.loss.NLLLoss2d", "nn.parallel.DistributedDataParallel",
}  # fmt: skip


def public_names(module) -> list[str]:
    """What a module lists, or defines without a leading underscore."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return sorted(listed)
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and callable(value)
        and _defined_here(value)
    )


def _defined_here(value) -> bool:
    return str(getattr(value, "__module__", "")).startswith(
        ("torch.nn", "torch.optim", "torch.amp", "torch._C._nn")
    )


@pytest.mark.parametrize("name", MODULES)
def test_names_exist(oracle, name):
    theirs = importlib.import_module(f"torch.{name}")
    ours = importlib.import_module(f"flambeau.{name}")
    missing = {n for n in public_names(theirs) if not hasattr(ours, n)}
    assert missing <= set(MODULES[name].split()), missing


def described(function) -> list | None:
    """Names, kinds and plain defaults of a function's parameters."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    plain = (int, float, str, bool, type(None), tuple)
    return [
        (p.name, p.kind.name, repr(p.default) if isinstance(p.default, plain) else p.default is p.empty)
        for p in parameters
    ]


def takes_anything(description: list) -> bool:
    return [kind for _, kind, _ in description] == ["VAR_POSITIONAL", "VAR_KEYWORD"]


@pytest.mark.parametrize("name", MODULES)
def test_signatures_agree(oracle, name):
    theirs = importlib.import_module(f"torch.{name}")
    ours = importlib.import_module(f"flambeau.{name}")
    different = []
    for n in public_names(theirs):
        given = getattr(theirs, n)
        if not callable(given) or not hasattr(ours, n) or f"{name}.{n}" in TOLERATED:
            continue
        wanted, found = described(given), described(getattr(ours, n))
        if wanted is None or found is None or takes_anything(wanted):
            continue
        if wanted != found:
            different.append(f"{n}\n    {found}\n    {wanted}")
    assert not different, "\n".join(different)
