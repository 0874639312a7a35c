"""Attention like PyTorch's: values, strides of results, gradients, masks, errors, dropout's random numbers."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.parity

CALLS = [
    "torch.randn(2, 3, 5, 8), torch.randn(2, 3, 6, 8), torch.randn(2, 3, 6, 8)",
    "torch.randn(2, 3, 70, 8), torch.randn(2, 3, 70, 8), torch.randn(2, 3, 70, 8), is_causal=True",
    "torch.randn(2, 3, 20, 8), torch.randn(2, 3, 130, 8), torch.randn(2, 3, 130, 8), is_causal=True",
    "torch.randn(2, 3, 5, 8).double(), torch.randn(2, 3, 6, 8).double(), torch.randn(2, 3, 6, 8).double()",
    "torch.randn(5, 8), torch.randn(6, 8), torch.randn(6, 4)",
    "torch.randn(3, 5, 8), torch.randn(3, 6, 8), torch.randn(3, 6, 8)",
    "torch.randn(2, 3, 5, 8), torch.randn(1, 3, 6, 8), torch.randn(1, 3, 6, 8)",
    "torch.randn(2, 3, 5, 8), torch.randn(2, 3, 0, 8), torch.randn(2, 3, 0, 8)",
    "torch.randn(2, 3, 5, 0), torch.randn(2, 3, 4, 0), torch.randn(2, 3, 4, 8)",
    "torch.randn(1, 4, 3, 8), torch.randn(1, 2, 3, 8), torch.randn(1, 2, 3, 8), enable_gqa=True",
    "torch.randn(1, 4, 3, 8), torch.randn(1, 2, 3, 8), torch.randn(1, 1, 3, 8), enable_gqa=True",
    "torch.randn(1, 2, 3, 8), torch.randn(1, 2, 3, 8), torch.randn(1, 2, 3, 8), scale=-0.5",
    "*(torch.randn(1, 3, 4, 8).transpose(1, 2) for _ in range(3))",
    "*(torch.randn(4, 2, 3, 8).transpose(0, 1) for _ in range(3))",
    "*(torch.randn(1, 4, 8, 3).transpose(2, 3) for _ in range(3))",
    "*(torch.randn(1, 1, 3, 8).expand(2, 4, 3, 8) for _ in range(3))",
    "*(t.view(2, 6, 4, 8).transpose(1, 2) for t in torch.randn(2, 6, 96).split(32, 2)), is_causal=True",
    *(
        f"torch.randn(2, 3, 9, 8), torch.randn(2, 3, 7, 8), torch.randn(2, 3, 7, 8), {mask}"
        for mask in (
            "torch.randn(9, 7)", "torch.randn(9, 7) > 0", "torch.randn(9, 7) > 9", "torch.randn(2, 1, 1, 7) > 0",
            "torch.randn(2, 3, 9, 1)", "torch.full((9, 7), torch.finfo(torch.float32).min)",
            "torch.zeros(9, 7).fill_(-float('inf'))", "torch.randn(9, 7) > 0, is_causal=True",
            "torch.randn(9, 7), dropout_p=0.3", "torch.randn(9, 7).requires_grad_()",
        )
    ),
    "torch.randn(2, 3, 9, 8), torch.randn(2, 3, 9, 8), torch.randn(2, 3, 9, 8), dropout_p=0.4, is_causal=True",
]  # fmt: skip


def test_values_and_strides(same_values):
    same_values([f"F.scaled_dot_product_attention({call})" for call in CALLS], "r = r.detach(), r.stride()")


def test_gradients(same_values):
    ending = """
assert r.requires_grad
g = torch.randn(r.shape, dtype=r.dtype)
(r * g).sum().backward()
r = [x.grad for x in leaves]
"""
    leaf = "(leaves.append(x.detach().requires_grad_()) or leaves[-1] for x in xs)"
    calls = []
    for call in CALLS[:17]:
        keywords = ", ".join(part for part in call.split(", ") if "=" in part)
        tensors = call[: call.index(", " + keywords)] if keywords else call
        calls.append(
            f"(lambda xs: F.scaled_dot_product_attention(*{leaf}, {keywords}))([{tensors}]) "
            "if not globals().update(leaves=[]) else None"
        )
    same_values(calls, ending)


def test_errors(same):
    q = "torch.randn(1, 2, 3, 4)"
    for call in (
        f"{q}, {q}.double(), {q}",
        f"{q}.bfloat16(), {q}.half(), {q}.long()",
        f"{q}.long(), {q}.long(), {q}.long()",
        "torch.randn(3), torch.randn(3), torch.randn(3)",
        f"{q}, {q}, {q}, torch.zeros(3, 3).int()",
        f"{q}, {q}, {q}, torch.zeros(4, 3)",
        f"{q}, {q}, {q}, [1]",
        f"{q}, torch.randn(1, 2, 3, 5), {q}",
        f"{q}, torch.randn(1, 3, 3, 4), torch.randn(1, 3, 3, 4)",
        f"torch.randn(1, 3, 3, 4), {q}, {q}, enable_gqa=True",
        f"{q}, {q}, {q}, torch.zeros(3, 3), is_causal=True, dropout_p=0.5",
        f"{q}, {q}, {q}, dropout_p=1.5",
    ):
        same(f"r = F.scaled_dot_product_attention({call})")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bits(oracle, dtype):
    import flambeau

    results = []
    for torch in (flambeau, oracle):
        torch.manual_seed(0)
        q, k, v, g = (torch.randn(2, 3, 70, 16).to(getattr(torch, dtype)) for _ in range(4))
        leaves = [x.requires_grad_() for x in (q, k, v)]
        found = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        found.backward(g)
        results.append([x.detach().float().numpy() for x in (found, *(x.grad for x in leaves))])
    for x, y in zip(*results):
        assert abs(x - y).max() <= (0.04 if dtype == "bfloat16" else 0.006)


def test_modules(same):
    same("""
torch.manual_seed(0)
layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True).double()
x = torch.randn(2, 70, 32, dtype=torch.float64, requires_grad=True)
mask = nn.Transformer.generate_square_subsequent_mask(70, dtype=torch.float64)
padding = torch.arange(70).expand(2, 70) > torch.tensor([[60], [69]])
y = layer(x, src_mask=mask, src_key_padding_mask=torch.zeros(2, 70, dtype=torch.float64).masked_fill(padding, -float("inf")))
y.square().sum().backward()
whole, _ = layer.self_attn(x, x, x, need_weights=False, is_causal=True, attn_mask=mask)
r = y, x.grad, layer.self_attn.in_proj_weight.grad, whole
""")
