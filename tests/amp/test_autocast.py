"""autocast: which type operators compute in, nesting, threads, the cache of casts, custom functions."""

from __future__ import annotations

import threading

import pytest

import flambeau as torch
from flambeau.amp import policy
from flambeau.amp.state import state
from flambeau.ops import define

F = torch.nn.functional
x, y = torch.randn(4, 4), torch.randn(4, 4)
bf16, f16, f32, f64 = torch.bfloat16, torch.float16, torch.float32, torch.float64

LOWER = {
    "mm": lambda: torch.mm(x, y),
    "matmul": lambda: x.matmul(y),
    "@": lambda: x @ y,
    "linear": lambda: F.linear(x, y, y[0]),
    "conv2d": lambda: F.conv2d(torch.ones(1, 1, 4, 4), torch.ones(2, 1, 3, 3)),
    "conv_transpose1d": lambda: F.conv_transpose1d(torch.ones(1, 1, 4), torch.ones(1, 2, 3)),
    "bmm": lambda: torch.bmm(x[None], y[None]),
    "addmm": lambda: torch.addmm(x, x, y),
    "baddbmm": lambda: torch.baddbmm(x[None], x[None], y[None]),
    "attention": lambda: F.scaled_dot_product_attention(x[None], y[None], y[None]),
    "prelu": lambda: F.prelu(x, y[0, :1]),
    "einsum": lambda: torch.einsum("ij,jk->ik", x, y),
    "Linear": lambda: torch.nn.Linear(4, 2)(x),
}
FLOAT32 = {
    "mse_loss": lambda a, b: F.mse_loss(a, b),
    "cross_entropy": lambda a, b: F.cross_entropy(a, torch.tensor([0, 1, 2, 3])),
    "nll_loss": lambda a, b: F.nll_loss(a, torch.tensor([0, 1, 2, 3])),
    "prod": lambda a, b: a.prod(),
    "trace": lambda a, b: torch.trace(a),
    "cdist": lambda a, b: torch.cdist(a, b),
    "inverse": lambda a, b: torch.linalg.inv(a + 9 * torch.eye(4, dtype=a.dtype)),
    "pad": lambda a, b: F.pad(a, (1, 1), mode="reflect"),
    "ctc_loss": lambda a, b: F.ctc_loss(a.log_softmax(-1), torch.tensor([1, 2]), [4], [2]),
    "grid_sample": lambda a, b: F.grid_sample(a[None, None], b.reshape(1, 2, 4, 2), align_corners=False),
}
OTHERS = {
    "add": lambda a, b: a + b,
    "softmax": lambda a, b: a.softmax(-1),
    "layer_norm": lambda a, b: F.layer_norm(a, (4,)),
    "relu": lambda a, b: a.relu(),
    "mv": lambda a, b: torch.mv(a, b[0]),
    "dot": lambda a, b: torch.dot(a[0], b[0]),
    "sum": lambda a, b: a.sum(),
    "pad": lambda a, b: F.pad(a, (1, 1)),
}


@pytest.mark.parametrize("name", LOWER)
def test_products_compute_in_the_lower_precision(name):
    before = LOWER[name]()
    with torch.autocast("cpu"):
        inside = LOWER[name]()
    after = LOWER[name]()
    assert (before.dtype, inside.dtype, after.dtype) == (f32, bf16, f32)
    assert (inside.float() - before).abs().max() < 0.1 * before.abs().max() or name == "Linear"
    with torch.autocast("cpu", dtype=f16):
        assert LOWER[name]().dtype is f16


@pytest.mark.parametrize("name", FLOAT32)
def test_losses_and_factorisations_compute_in_float32(name):
    with torch.autocast("cpu"):
        assert FLOAT32[name](x.bfloat16(), y.bfloat16()).dtype is f32
        assert FLOAT32[name](x, y).dtype is f32


@pytest.mark.parametrize("name", OTHERS)
def test_other_operators_keep_the_type_of_their_operands(name):
    with torch.autocast("cpu"):
        assert OTHERS[name](x, y).dtype is f32
        assert OTHERS[name](x.bfloat16(), y.bfloat16()).dtype is bf16


def test_the_lists_name_operators_that_exist():
    composed = {"nn.functional." + name for name in dir(F)}
    named = (policy.LOWER | policy.FLOAT32 | policy.WIDEST | policy.UNTOUCHED | {policy.RECURRENT}) - {"stft"}
    public = {".".join(filter(None, key)) for key in define.PUBLIC}
    missing = {n for n in named if n not in define.OPERATORS and n not in composed and n not in public}
    assert not missing


def test_float64_and_integers_stay():
    with torch.autocast("cpu"):
        assert (x.double() @ y.double()).dtype is f64
        assert F.mse_loss(x.double(), y.double()).dtype is f64
        assert (x.long() @ y.long()).dtype is torch.int64


def test_operands_meet_in_the_widest_type():
    index, row = torch.tensor([0]), torch.ones(1, 4, dtype=bf16)
    with pytest.raises(RuntimeError):
        torch.index_copy(x, 0, index, row)
    with torch.autocast("cpu"):
        assert torch.index_copy(x, 0, index, row).dtype is f32
        assert torch.stack([x, y.bfloat16()]).dtype is f32
        assert torch.cat([x.bfloat16(), y.bfloat16()]).dtype is bf16


def test_nesting_restores_what_was():
    with torch.autocast("cpu"):
        with torch.autocast("cpu", enabled=False):
            assert not torch.is_autocast_enabled("cpu")
            assert (x @ y).dtype is f32
        with torch.autocast("cpu", dtype=f16):
            assert torch.get_autocast_dtype("cpu") is f16
            assert (x @ y).dtype is f16
        assert (x @ y).dtype is bf16
    assert not torch.is_autocast_enabled("cpu")
    assert torch.get_autocast_dtype("cpu") is bf16
    assert (x @ y).dtype is f32


def test_an_error_inside_ends_the_region():
    with pytest.raises(RuntimeError), torch.autocast("cpu"):
        torch.mm(x, torch.ones(3, 3))
    assert state.cpu is None
    assert (x @ y).dtype is f32


def test_decorator_and_reentry():
    region = torch.autocast("cpu")

    @region
    def product(depth):
        found = x @ y
        return product(depth - 1) if depth else found

    assert product(3).dtype is bf16
    assert (x @ y).dtype is f32


def test_other_threads_are_not_concerned():
    seen = {}

    def work():
        seen["dtype"] = (x @ y).dtype
        seen["loss"] = F.mse_loss(x.bfloat16(), y.bfloat16()).dtype

    with torch.autocast("cpu"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == {"dtype": f32, "loss": bf16}


def test_a_parameter_is_cast_once_and_anew_after_a_write():
    weight = torch.nn.Parameter(torch.ones(4, 4))
    with torch.autocast("cpu"):
        torch.mm(x, weight)
        torch.mm(x, weight)
        assert len(state.cache) == 1
        with torch.no_grad():
            weight.mul_(3)
        assert torch.mm(torch.ones(4, 4), weight)[0, 0] == 12
    assert not state.cache
    with torch.autocast("cpu", cache_enabled=False):
        torch.mm(x, weight)
        assert not state.cache


def test_a_cast_made_without_gradients_does_not_hide_them():
    weight = torch.nn.Parameter(torch.ones(4, 4))
    with torch.autocast("cpu"):
        with torch.no_grad():
            torch.mm(x, weight)
        torch.mm(x, weight).sum().backward()
    assert weight.grad is not None


def test_gradients_have_the_type_of_the_parameters():
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 2))
    with torch.autocast("cpu"):
        scores = model(x)
        loss = F.cross_entropy(scores, torch.tensor([0, 1, 0, 1]))
    assert (scores.dtype, loss.dtype) == (bf16, f32)
    loss.backward()
    assert all(p.grad.dtype is f32 for p in model.parameters())


def test_writing_forms_are_not_cast():
    out = torch.empty(4, 4)
    with torch.autocast("cpu"):
        assert torch.mm(x, y, out=out) is out
        assert torch.zeros(4, 4).addmm_(x, y).dtype is f32
    assert out.dtype is f32


def test_functions_made_inside_the_region_are_listed_too():
    with torch.autocast("cpu"):
        operator = define.OPERATORS["mm"]
        operator.compiled.pop("function", None)
        assert define.function_of(operator)(x, y).dtype is bf16
    assert define.function_of(operator)(x, y).dtype is f32


def test_nothing_is_exchanged_while_autocast_is_off():
    from flambeau.amp.casting import _listed

    with torch.autocast("cpu"):
        torch.mm(x, y)
    assert _listed
    assert all(names[k] is value for names, _, off in _listed for k, value in off.items())


def test_custom_functions():
    seen = []

    class Double(torch.autograd.Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
        def forward(ctx, a):
            seen.append((a.dtype, torch.is_autocast_enabled("cpu")))
            return a * 2

        @staticmethod
        @torch.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            seen.append(torch.is_autocast_enabled("cpu"))
            return g * 2

    class Plain(torch.autograd.Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cpu")
        def forward(ctx, a):
            return a @ a

        @staticmethod
        @torch.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            seen.append(torch.is_autocast_enabled("cpu"))
            return g.float()

    a = x.bfloat16().requires_grad_()
    b = x.clone().requires_grad_()
    with torch.autocast("cpu"):
        first, second = Double.apply(a), Plain.apply(b)
    assert second.dtype is bf16
    first.sum().backward()
    second.float().sum().backward()
    assert seen == [(f32, False), False, True]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: torch.autocast("foo"), RuntimeError, "Expected one of cpu, cuda"),
        (lambda: torch.autocast(3), ValueError, "Expected `device_type` of type `str`, got: `<class 'int'>`"),
        (lambda: torch.autocast("meta"), RuntimeError, "unsupported scalarType"),
        (lambda: torch.get_autocast_dtype(1), TypeError, "must be str, not int"),
        (lambda: torch.set_autocast_enabled("cpu", 3), TypeError, "must be bool, not int"),
    ],
)
def test_bad_input(make, error, text):
    with pytest.raises(error, match="(?s)" + text.replace("(", r"\(").replace("?", r"\?")):
        make()


def test_what_cannot_be_is_disabled_with_a_warning():
    with pytest.warns(UserWarning, match="CUDA is not available"):
        assert not torch.autocast("cuda")._enabled
    with pytest.warns(UserWarning, match="only supports dtypes of torch.bfloat16, torch.float16"):
        assert not torch.autocast("cpu", dtype=torch.float32)._enabled
    with pytest.warns(FutureWarning, match=r"torch.amp.autocast\('cpu'"):
        assert torch.cpu.amp.autocast()._enabled
    with pytest.warns(DeprecationWarning, match="is deprecated"):
        assert not torch.is_autocast_cpu_enabled()
