"""Parts of PyTorch's name space that libraries reach for: what they do here."""

from __future__ import annotations

import gc
import math

import pytest

import flambeau as torch
from flambeau.func import grad, grad_and_value, hessian, jacrev, vjp


def test_scripting_and_compiling_give_what_they_got():
    def double(x):
        return x + x

    assert torch.jit.script(double) is double
    assert torch.jit.trace(double, torch.ones(2)) is double
    assert torch.jit.ignore(double) is torch.jit.unused(double) is double
    assert not torch.jit.is_scripting()
    assert not torch.compiler.is_compiling()
    assert torch.compiler.disable(double) is double
    with pytest.raises(ZeroDivisionError):
        torch.jit.trace(lambda x: 1 / 0, torch.ones(1))
    with pytest.raises(NotImplementedError, match="state_dict"):
        torch.jit.load("model.pt")
    assert torch.jit.isinstance({"a": [torch.ones(1)]}, dict[str, list[torch.Tensor]])
    assert not torch.jit.isinstance(["a"], list[int])
    assert torch.jit.fork(double, torch.ones(1)).wait().item() == 2.0


def test_futures():
    first, second = torch.futures.Future(), torch.futures.Future()
    together = torch.futures.collect_all([first, second])
    after = first.then(lambda f: f.value() + 1)
    first.set_result(1)
    assert after.wait() == 2
    assert not together.done()
    second.set_exception(ValueError("late"))
    with pytest.raises(ValueError, match="late"):
        torch.futures.wait_all([first, second])
    with pytest.raises(RuntimeError, match="only be marked completed once"):
        first.set_result(2)


def test_operators_of_programs():
    @torch.library.custom_op("mine::scale", mutates_args=())
    def scale(x: torch.Tensor, by: float = 2.0) -> torch.Tensor:
        return x * by

    def keep(ctx, inputs, output):
        ctx.by = inputs[1]

    scale.register_autograd(lambda ctx, g: (g * ctx.by, None), setup_context=keep)
    scale.register_fake(lambda x, by=2.0: torch.empty_like(x))
    x = torch.ones(3, requires_grad=True)
    torch.ops.mine.scale(x, 5.0).sum().backward()
    assert x.grad.tolist() == [5.0] * 3
    assert torch.ops.mine.scale.default(torch.ones(1)).item() == 2.0
    assert scale(torch.ones(2, device="meta")).device.type == "meta"
    assert torch.library.infer_schema(scale._init_fn, mutates_args=()) == "(Tensor x, float by=2.0) -> Tensor"
    assert torch.ops.aten.add(torch.ones(1), 2).item() == 3.0
    assert not hasattr(torch.ops, "nobody")
    library = torch.library.Library("theirs", "DEF")
    library.define("twice(Tensor x) -> Tensor")
    with pytest.raises(NotImplementedError, match="declared, but has no implementation"):
        torch.ops.theirs.twice(torch.ones(1))
    library.impl("twice", lambda x: 2 * x, "CPU")
    assert torch.ops.theirs.twice(torch.ones(1)).item() == 2.0


def test_gradients_as_functions():
    x = torch.tensor([1.0, 2.0, 3.0])
    w = torch.tensor([0.5, 1.0, 2.0], requires_grad=True)
    g = grad(lambda x: (x.sin() * w).sum())(x)
    assert torch.allclose(g, x.cos() * w)
    assert torch.allclose(torch.autograd.grad(g.sum(), w)[0], x.cos())
    third = grad(grad(grad(lambda x: x**4)))(torch.tensor(2.0))
    assert third.item() == 48.0
    assert not third.requires_grad
    (a, b), value = grad_and_value(lambda p, q: (p["k"] * q).sum(), argnums=(0, 1))({"k": x}, x)
    assert a["k"].tolist() == b.tolist() == x.tolist()
    assert value.item() == 14.0
    assert jacrev(lambda x: x**2)(x).tolist() == torch.diag(2 * x).tolist()
    assert hessian(lambda x: (x**3).sum())(x).tolist() == torch.diag(6 * x).tolist()
    output, pull = vjp(lambda p, q: (p * q, p.sum()), x, x)
    assert [t.tolist() for t in pull((x, torch.tensor(1.0)))] == [(x * x + 1).tolist(), (x * x).tolist()]
    assert output[1].item() == 6.0
    with pytest.raises(RuntimeError, match="returned scalar tensor, got tensor with 1 dims"):
        grad(lambda x: x)(x)


def test_spectrogram_and_back():
    x = torch.sin(torch.arange(400) * 0.3) + 0.1 * torch.arange(400).cos()
    window = torch.hann_window(32)
    spectrum = torch.stft(x, 32, hop_length=8, window=window, return_complex=True)
    assert spectrum.shape == (17, 51)
    assert spectrum.abs().mean(1).argmax().item() == round(0.3 / (2 * math.pi) * 32)
    assert torch.allclose(torch.istft(spectrum, 32, 8, window=window, length=400), x, atol=1e-5)
    assert torch.equal(x.stft(32, 8, window=window, return_complex=False), torch.view_as_real(spectrum))
    with pytest.raises(RuntimeError, match="expected 0 < n_fft < 400, but got n_fft=500"):
        torch.stft(x, 500, window=torch.ones(500), center=False, return_complex=True)
    with pytest.raises(RuntimeError, match="requires the return_complex parameter"):
        torch.stft(x, 32, window=window)
    with pytest.warns(UserWarning, match="A window was not provided"):
        torch.stft(x, 32, return_complex=True)


def test_few_singular_values():
    torch.manual_seed(0)
    matrix = torch.randn(40, 3) @ torch.randn(3, 20)
    for m in (matrix, matrix.mT):
        U, S, V = torch.svd_lowrank(m, q=3)
        assert torch.allclose(U * S @ V.mT, m, atol=1e-4)
    assert torch.allclose(S, torch.linalg.svdvals(matrix)[:3], rtol=1e-4)
    _, S, V = torch.pca_lowrank(matrix, q=3)
    assert torch.allclose(S, torch.linalg.svdvals(matrix - matrix.mean(0))[:3], rtol=1e-3)


def test_exchanging_tensors():
    a, b = torch.nn.Parameter(torch.ones(2)), torch.zeros(3)
    a.grad = torch.full((2,), 5.0)
    torch.utils.swap_tensors(a, b)
    assert isinstance(b, torch.nn.Parameter)
    assert (type(a), a.tolist(), a.requires_grad) == (torch.Tensor, [0, 0, 0], False)
    assert b.grad.tolist() == [5, 5]
    (b * 2).sum().backward()
    assert b.grad.tolist() == [7, 7]


def test_dictionaries_that_let_tensors_go():
    from flambeau.utils.weak import WeakIdKeyDictionary

    table, kept = WeakIdKeyDictionary(), torch.ones(2)
    table[kept] = 1
    table[torch.ones(2)] = 2
    gc.collect()
    assert len(table) == 1
    assert table[kept] == 1
    assert torch.ones(2) not in table


@pytest.mark.parametrize(
    "call", ["fill_diagonal_(7)", "apply_(lambda v: v + 1)", "map_(x, lambda a, b: a * b)"]
)
def test_rare_methods(call):
    x = torch.arange(9.0).view(3, 3)
    expected = {
        "fill": [7, 1, 2, 3, 7, 5, 6, 7, 7],
        "appl": [v + 1 for v in range(9)],
        "map_": [v * v for v in range(9)],
    }[call[:4]]
    assert eval(f"x.clone().{call}", {"x": x}).view(-1).tolist() == expected


def test_lists_of_tensors():
    a, b = [torch.ones(2), torch.ones(3) * 2], [torch.ones(2) * 3, torch.ones(3)]
    assert [t.tolist() for t in torch._foreach_add(a, b, alpha=2)] == [[7, 7], [4, 4, 4]]
    assert torch._foreach_mul_(a, [2.0, 3.0]) is None
    assert [t.tolist() for t in a] == [[2, 2], [6, 6, 6]]
    torch._foreach_addcmul_(a, b, b, value=0.5)
    assert a[0].tolist() == [6.5, 6.5]
    assert torch._foreach_norm(b)[0].item() == pytest.approx(math.sqrt(18))
    with pytest.raises(AttributeError):
        torch._foreach_nothing(a)


def test_attention_with_scores_of_one_s_own():
    from flambeau.nn.attention.flex_attention import create_block_mask, flex_attention

    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 4, 6, 8) for _ in range(3))
    causal = create_block_mask(lambda b, h, i, j: i >= j, None, None, 6, 6)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.allclose(flex_attention(q, k, v, block_mask=causal), expected, atol=1e-6)
    found = flex_attention(q, k, v, score_mod=lambda s, b, h, i, j: s + (i - j))
    bias = (torch.arange(6).view(6, 1) - torch.arange(6)).float()
    assert torch.allclose(found, torch.nn.functional.scaled_dot_product_attention(q, k, v, bias), atol=1e-5)


def test_settings_that_programs_make():
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    state = torch.get_rng_state()
    with torch.random.fork_rng(devices=[]):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(RuntimeError):
        torch.random.fork_rng(device_type="nothing").__enter__()
    assert not torch.distributed.is_available()
    with pytest.raises(ValueError, match="Default process group has not been initialized"):
        torch.distributed.get_rank()
    assert "LLVM" in torch.__config__.show()
    assert torch.finfo(torch.float8_e4m3fn).max == 448.0
