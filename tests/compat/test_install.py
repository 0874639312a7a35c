"""`flambeau.compat.install()`: one set of modules under two names, and clear words for what is missing."""

from __future__ import annotations

import importlib.util

import pytest

SAME = """
import sys
import flambeau, flambeau.compat
before = flambeau.__version__, flambeau.__name__, flambeau.Tensor.__module__
flambeau.compat.install()
flambeau.compat.install()
import torch
import torch.nn.functional as F
import torch.optim.lr_scheduler
import torch.backends.cudnn as cudnn
from torch.utils.data import DataLoader
from torch.cuda.amp import autocast
assert torch is flambeau and F is flambeau.nn.functional and sys.modules["torch.nn"] is flambeau.nn
assert torch.optim.lr_scheduler.StepLR is flambeau.optim.lr_scheduler.StepLR
assert DataLoader is flambeau.utils.data.DataLoader and cudnn is flambeau.backends.cudnn
assert flambeau.__spec__.name == "flambeau" and F.__spec__.name == "flambeau.nn.functional"
cudnn.benchmark = True
assert torch.backends.cudnn.benchmark is True

from importlib.metadata import version
from importlib.util import find_spec
assert version("torch") == torch.__version__ == "2.13.0+flambeau"
assert find_spec("torch") is not None and find_spec("torch.nn") is not None
assert find_spec("torch.export") is None
assert torch.__version__ >= "2.1" and torch.__version__ > (1, 13) and not torch.__version__ < "2.13.0"
assert torch.Tensor.__module__ == "torch" and torch.__name__ == "torch"

import pickle
x = pickle.loads(pickle.dumps(torch.nn.Parameter(torch.ones(2))))
assert isinstance(x, torch.nn.Parameter) and x.tolist() == [1, 1]

flambeau.compat.uninstall()
assert (flambeau.__version__, flambeau.__name__, flambeau.Tensor.__module__) == before
assert "torch" not in sys.modules and "torch.nn" not in sys.modules
spec = find_spec("torch")
assert spec is None or "flambeau" not in spec.origin
with flambeau.compat.installed():
    import torch
    assert torch is flambeau
assert not flambeau.compat.is_installed()
print("done")
"""


def test_one_set_of_modules(launch):
    result = launch("-c", SAME)
    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr


MISSING = """
import flambeau.compat, pickle
flambeau.compat.install()
import torch

def says(code, kind, *parts):
    try:
        exec(code)
    except kind as error:
        text = str(error)
        assert type(error).__name__ == kind.__name__, type(error)
        assert str(pickle.loads(pickle.dumps(error))) == text
        for part in parts:
            assert part in text, (part, text)
    else:
        raise AssertionError(code)

says("torch.sofmax", AttributeError, "module 'torch' has no attribute 'sofmax'\\n", "Close names that it has: torch.softmax")
says("torch.nn.functional.rleu", AttributeError, "module 'torch.nn.functional' has no attribute 'rleu'", "relu")
says("torch.utils.clip_grad_norm_", AttributeError, "torch.nn.utils.clip_grad_norm_")
says("from torch.nn import Linaer", ImportError, "cannot import name 'Linaer' from 'torch.nn'\\n", "torch.nn.Linear")
says("from torch import svd_lowrnk", ImportError, "cannot import name 'svd_lowrnk' from 'torch'")
says("import torch.export", ModuleNotFoundError, "No module named 'torch.export'\\n", "state_dict")
says("import torch.tensor", ModuleNotFoundError, "No module named 'torch.tensor'")
says("import torch.nn.functionl", ModuleNotFoundError, "torch.nn.functional")
assert callable(torch.tensor) and not hasattr(torch, "sofmax") and not hasattr(torch.nn, "Linaer")
assert torch.ones(1).tolist() == [1.0]
print("done")
"""


def test_missing_names_say_what_exists(launch):
    result = launch("-c", MISSING)
    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr


def test_too_late_beside_pytorch(launch, tmp_path):
    """A stand-in for PyTorch is enough: what counts is that some other `torch` is imported."""
    (tmp_path / "torch.py").write_text("")
    result = launch("-c", "import torch, flambeau.compat\nflambeau.compat.install()")
    assert result.returncode == 1
    assert "RuntimeError: flambeau.compat.install() comes too late" in result.stderr
    assert str(tmp_path / "torch.py") in result.stderr
    hidden = launch(
        "-c", "import flambeau.compat; flambeau.compat.install(); import torch; print(torch.ones(1).item())"
    )
    assert hidden.stdout == "1.0\n", hidden.stderr


NAMES = """
import importlib, flambeau.compat
flambeau.compat.install()
for name in '''torch.nn torch.nn.functional torch.nn.init torch.nn.utils.rnn torch.nn.parallel torch.nn.parameter torch.nn.grad
    torch.nn.modules.loss torch.nn.modules.batchnorm torch.nn.modules.utils torch.nn.common_types torch.nn.attention
    torch.optim torch.optim.lr_scheduler torch.optim.swa_utils torch.optim.optimizer torch.utils.data torch.utils.checkpoint
    torch.utils.data.distributed torch.utils.data._utils.collate torch.utils._pytree torch.utils.hooks torch.utils.dlpack
    torch.utils.collect_env torch.utils.model_zoo torch.utils.weak torch.utils.flop_counter torch.utils.cpp_extension
    torch.autograd torch.autograd.function torch.autograd.functional torch.autograd.profiler torch.autograd.graph
    torch.backends.cudnn torch.backends.cuda torch.backends.mps torch.backends.mkldnn torch.cuda torch.cuda.amp torch.cuda.random
    torch.cuda.memory torch.cuda.nvtx torch.amp torch.linalg torch.fft torch.special torch.random torch.overrides torch.func
    torch.serialization torch.storage torch.types torch.version torch.torch_version torch.testing torch.profiler torch.jit
    torch.jit.annotations torch.compiler torch.library torch.fx torch.distributions torch.distributions.constraints
    torch.multiprocessing torch.distributed torch.distributed.rpc torch.futures torch.functional torch.hub torch._C torch._utils
    torch._tensor torch._jit_internal torch._dynamo torch._dynamo.config torch._VF torch._ops torch.onnx torch.ao.quantization
    torch.__config__ torch.__future__ torch.mps torch.xpu torch.mtia torch.accelerator torch.return_types'''.split():
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(name, error)
"""


def test_modules_that_programs_import(launch):
    result = launch("-W", "ignore", "-c", NAMES)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_doctest_of_the_package(launch):
    code = "import doctest, flambeau.compat as c; r = doctest.testmod(c); print(r.failed, r.attempted > 1)"
    assert launch("-c", code).stdout == "0 True\n"


@pytest.mark.parametrize(
    "name", ["1.0", "1.0.post1", "2.1.0a0+git12", "2.0.0rc1", "2.0.0.dev3", "2.13.0+cu118"]
)
def test_versions_order_as_versions(name):
    from flambeau.torch_version import TorchVersion

    order = ["0.9", "1.0", "1.0.post1", "2.0.0.dev3", "2.0.0a1", "2.0.0rc1", "2.0", "2.0.1", "2.1.0a0", "2.1.0a0+git12",
             "2.2.dev1", "2.13.0", "2.13.0+cu118", "10"]  # fmt: skip
    version = TorchVersion(name)
    assert version == name
    at = order.index(name)
    assert all(version > before for before in order[:at])
    assert all(version < after for after in order[at + 1 :])
    if importlib.util.find_spec("packaging"):
        from packaging.version import Version

        assert sorted(order, key=Version) == order
