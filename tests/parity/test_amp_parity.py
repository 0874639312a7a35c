"""Mixed precision against PyTorch: the type of every operator's result under autocast, training, scalers."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.parity

CALLS = """
a @ b; a.mm(b); a[None].bmm(b[None]); torch.addmm(a, a, b); torch.addbmm(a, a[None], b[None]); torch.baddbmm(a[None], a[None], b[None])
F.linear(a, b); F.prelu(a, b[0, :1]); F.conv1d(a[None], b[None]); F.conv2d(a[None, None], b[None, None]); torch.tensordot(a, b, 1)
F.conv_transpose2d(a[None, None], b[None, None]); F.scaled_dot_product_attention(a[None], b[None], b[None]); torch.einsum('ij,jk', a, b)
torch.linalg.vecdot(a, b); torch.linalg.multi_dot([a, b]); F.bilinear(a, b, torch.ones(2, 4, 4)); torch.chain_matmul(a, b); torch.inner(a, b)
torch.mv(a, b[0]); torch.dot(a[0], b[0]); torch.outer(a[0], b[0]); torch.addmv(a[0], a, b[0]); torch.addr(a, a[0], b[0]); torch.kron(a, b)
a + b; a * 2; a.exp(); a.softmax(-1); a.log_softmax(0); a.sum(); a.mean(); a.norm(); a.cumsum(0); a.relu(); F.gelu(a); a.sigmoid(); a.var()
F.layer_norm(a, (4,)); F.batch_norm(a, None, None, training=True); F.group_norm(a, 2); F.max_pool2d(a[None], 2); F.dropout(a, 0.5); F.normalize(a)
F.avg_pool2d(a[None], 2); F.avg_pool3d(a[None, None], 1); F.max_pool3d(a[None, None], 1); F.adaptive_avg_pool3d(a[None, None], 1)
F.adaptive_avg_pool2d(a[None], 1); F.pad(a, (1, 1)); F.pad(a, (1, 1), mode='reflect'); F.pad(a, (1, 1), mode='replicate')
F.pad(a, (1, 1), mode='circular'); F.mse_loss(a, b); F.l1_loss(a, b); F.smooth_l1_loss(a, b); F.huber_loss(a, b); F.soft_margin_loss(a, b)
F.cross_entropy(a, t); F.nll_loss(a, t); F.kl_div(a, b); F.binary_cross_entropy(a.sigmoid(), b.sigmoid()); F.multi_margin_loss(a, t)
F.binary_cross_entropy_with_logits(a, b); F.hinge_embedding_loss(a, b); F.margin_ranking_loss(a, b, b); F.poisson_nll_loss(a, b)
F.triplet_margin_loss(a, b, b); F.cosine_embedding_loss(a, b, t.sign()); F.gaussian_nll_loss(a, b, b.abs()); F.multilabel_soft_margin_loss(a, b)
F.cosine_similarity(a, b); F.pairwise_distance(a, b); torch.cdist(a, b); a.prod(); a.prod(0); a.trace(); a.float().quantile(0.5)
torch.linalg.inv(a.float() + 9 * torch.eye(4)); torch.linalg.svdvals(a); torch.linalg.qr(a)[0]; torch.fft.fft(a); torch.fft.irfft(a)
torch.cat([a, b.float()]); torch.stack([a, b.float()]); torch.cat([a, b]); torch.index_copy(a, 0, t[:1], b[:1].float()); torch.where(a > 0, a, b)
F.embedding(t, a); F.grid_sample(a[None, None], b.reshape(1, 2, 4, 2), align_corners=False); F.interpolate(a[None], scale_factor=2); a.double() @ b.double()
F.ctc_loss(a.log_softmax(-1), t[:1] * 0 + 1, [4], [1]); nn.LSTM(4, 3)(a)[0]; nn.GRU(4, 3)(a.float())[0]; nn.RNN(4, 3)(a)[0]; nn.MultiheadAttention(4, 2)(a, a, a)[0]
nn.TransformerEncoderLayer(4, 2, 8)(a[None]); a.matmul(b.double()); torch.mm(a, b, out=torch.empty(4, 4))
"""


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("lower", ["bfloat16", "float16"])
def test_types_of_results(same_values, dtype, lower):
    calls = [call.strip() for line in CALLS.strip().splitlines() for call in line.split(";")]
    assert len(calls) > 95
    if lower == "float16":  # the lists are the same: a part of them will do
        calls = calls[::4]
    if dtype == "bfloat16":  # operands of one type: PyTorch refuses the rest as Flambeau does
        calls = [
            call
            for call in calls
            if not call.startswith(
                ("nn.", "torch.mm(a, b, out", "F.bilinear", "torch.stack([a, b.f", "torch.cat([a, b.f")
            )
        ]
    same_values(
        [
            f"(lambda a, b, t: (torch.set_autocast_dtype('cpu', torch.{lower}), torch.set_autocast_enabled('cpu', True), "
            f"({call}).dtype)[-1])"
            f"(torch.randn(4, 4).to(torch.{dtype}), torch.randn(4, 4).to(torch.{dtype}), torch.tensor([0, 1, 2, 3]))"
            for call in calls
        ],
    )


@pytest.fixture(autouse=True)
def _off(oracle):
    """Expressions turn autocast on, and nothing in them turns it off."""
    import flambeau

    yield
    for library in (flambeau, oracle):
        library.set_autocast_enabled("cpu", False)
        library.set_autocast_dtype("cpu", library.bfloat16)
        library.clear_autocast_cache()


PROGRAMS = {
    "training": "m = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 3)); o = torch.optim.SGD(m.parameters(), lr=0.1)\n"
    "x, t = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2]); r = []\nfor _ in range(5):\n    o.zero_grad()\n"
    "    with torch.autocast('cpu'): l = F.cross_entropy(m(x), t)\n    l.backward(); o.step(); r.append(round(l.item(), 2))",
    "scaled training": "p = nn.Parameter(torch.ones(3)); o = torch.optim.Adam([p], lr=0.1); s = torch.amp.GradScaler('cpu', init_scale=8.0, growth_interval=2); r = []\n"
    "for f in (1.0, float('inf'), 2.0, 1.0, float('nan'), 3.0):\n    o.zero_grad(); s.scale((p * f).sum()).backward(); s.unscale_(o); s.step(o); s.update(); r.append((s.get_scale(), s.state_dict()))\nr.append(p)",
    "state": "s = torch.amp.GradScaler('cpu'); s.load_state_dict({'scale': 4.0, 'growth_factor': 3.0, 'backoff_factor': 0.1, 'growth_interval': 7, '_growth_tracker': 5}); r = s.state_dict(), s.get_growth_factor(), s.get_backoff_factor(), s.get_growth_interval()",
    "nesting": "r = []\nwith torch.autocast('cpu', dtype=torch.float16):\n    r.append(torch.get_autocast_dtype('cpu'))\n    with torch.autocast('cpu', enabled=False, cache_enabled=False):\n"
    "        r += [torch.is_autocast_enabled('cpu'), torch.is_autocast_cache_enabled(), torch.get_autocast_dtype('cpu')]\n    r.append(torch.is_autocast_enabled('cpu'))\nr += [torch.is_autocast_enabled('cpu'), torch.get_autocast_dtype('cpu'), torch.is_autocast_enabled()]",
    "setters": "torch.set_autocast_enabled('cpu', True); a = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype; torch.set_autocast_enabled('cpu', False); r = a, torch.amp.is_autocast_available('cpu'), torch.autocast_increment_nesting(), torch.autocast_decrement_nesting()",
    "attributes": "a = torch.autocast('cpu', dtype=torch.float16, cache_enabled=False); r = a.device, a.fast_dtype, a._enabled, a._cache_enabled",
    **{
        f"bad {k}": program
        for k, program in enumerate(
            [
                "torch.autocast('foo')", "torch.autocast(3)", "torch.autocast('meta')", "torch.autocast()", "torch.is_autocast_enabled(1)",
                "torch.get_autocast_dtype('meta')", "torch.amp.custom_fwd(device_type=3)", "torch.amp.custom_bwd(lambda c: 0)",
                "torch.amp.GradScaler('cpu', growth_factor=0.5)", "torch.amp.GradScaler('cpu', backoff_factor=1.5)",
                "torch.amp.GradScaler('cpu').update()", "torch.amp.GradScaler('cpu').load_state_dict({})", "torch.amp.GradScaler('cpu').scale(3)",
                "torch.amp.GradScaler('cpu').step(torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1))",
            ]
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(same, name):
    same("torch.manual_seed(0)\n" + PROGRAMS[name])
