"""Layers and losses that must give what PyTorch gives: attention, transformers, bags of embeddings, losses, padding."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.parity

START = """
torch.manual_seed(3)
B, L, S, E = 2, 4, 5, 8
q, k, v = torch.randn(L, B, E), torch.randn(S, B, E), torch.randn(S, B, E)
causal = nn.Transformer.generate_square_subsequent_mask(L)
lost = torch.tensor([[False, False, True, False, True], [False] * 5])
def grads(m, *outputs):
    sum((o * torch.arange(o.numel()).reshape(o.shape)).sum() for o in outputs).backward()
    return [p.grad.double().norm() for p in m.parameters() if p.grad is not None]
"""

ATTENTION = {
    "plain": "m = nn.MultiheadAttention(E, 2); o, w = m(q, k, v); r = o, w, grads(m, o)",
    "without weights": "m = nn.MultiheadAttention(E, 2); o, w = m(q, k, v, need_weights=False); r = o, w, grads(m, o)",
    "weights of each head": "m = nn.MultiheadAttention(E, 2); r = m(q, k, v, average_attn_weights=False)",
    "padding": "m = nn.MultiheadAttention(E, 2); r = m(q, k, v, key_padding_mask=lost)",
    "float padding": "m = nn.MultiheadAttention(E, 2); r = m(q, k, v, key_padding_mask=lost.float() * -3)",
    "mask": "m = nn.MultiheadAttention(E, 2); r = m(q, q, q, attn_mask=causal)",
    "bool mask": "m = nn.MultiheadAttention(E, 2); r = m(q, q, q, attn_mask=causal < 0)",
    "mask a head": "m = nn.MultiheadAttention(E, 2); r = m(q, k, v, attn_mask=torch.randn(B * 2, L, S))",
    "both masks": "m = nn.MultiheadAttention(E, 2); r = m(q, k, v, attn_mask=torch.randn(L, S), key_padding_mask=lost)",
    "causal": "m = nn.MultiheadAttention(E, 2); r = m(q, q, q, attn_mask=causal, is_causal=True, need_weights=False)",
    "causal without a mask": "m = nn.MultiheadAttention(E, 2); r = m(q, q, q, is_causal=True)",
    "added keys": "m = nn.MultiheadAttention(E, 2, add_bias_kv=True, add_zero_attn=True); o, w = m(q, k, v, key_padding_mask=lost); r = o, w, grads(m, o)",
    "other widths": "m = nn.MultiheadAttention(E, 2, kdim=3, vdim=6); r = m(q, k[..., :3], v[..., :6]), list(m.state_dict())",
    "no bias": "m = nn.MultiheadAttention(E, 4, bias=False); r = m(q, k, v), list(m.state_dict())",
    "batch first": "m = nn.MultiheadAttention(E, 2, batch_first=True); r = m(q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1))",
    "one sequence": "m = nn.MultiheadAttention(E, 2); r = m(q[:, 0], k[:, 0], v[:, 0], key_padding_mask=lost[0])",
    "eval": "m = nn.MultiheadAttention(E, 2, dropout=0.5).eval(); r = m(q, q, q)",
    "bad heads": "nn.MultiheadAttention(E, 3)",
    "no heads": "nn.MultiheadAttention(E, 0)",
    "bad width": "nn.MultiheadAttention(E, 2)(q[..., :3], k, v)",
    "bad mask": "nn.MultiheadAttention(E, 2)(q, k, v, attn_mask=torch.zeros(3, 3))",
    "bad padding": "nn.MultiheadAttention(E, 2)(q, k, v, key_padding_mask=lost[:, :3])",
    "four dimensions": "nn.MultiheadAttention(E, 2)(q[None], k, v)",
    "repr": "r = repr(nn.MultiheadAttention(E, 2))",
}

TRANSFORMER = {
    "encoder layer": "m = nn.TransformerEncoderLayer(E, 2, 16, dropout=0.0); o = m(q); r = o, grads(m, o)",
    "norm first": "m = nn.TransformerEncoderLayer(E, 2, 16, dropout=0.0, norm_first=True, activation='gelu'); o = m(q, src_mask=causal); r = o, grads(m, o)",
    "encoder layer without bias": "m = nn.TransformerEncoderLayer(E, 2, 16, dropout=0.0, bias=False, batch_first=True); r = m(q), list(m.state_dict())",
    "encoder layer in eval": "m = nn.TransformerEncoderLayer(E, 2, 16, batch_first=True).eval(); r = m(q), m(q[0])",
    "activation as a function": "m = nn.TransformerEncoderLayer(E, 2, 16, dropout=0.0, activation=torch.tanh); r = m(q)",
    "unknown activation": "nn.TransformerEncoderLayer(E, 2, activation='x')",
    "encoder": "m = nn.TransformerEncoder(nn.TransformerEncoderLayer(E, 2, 16, dropout=0.0), 2, norm=nn.LayerNorm(E)); o = m(k, src_key_padding_mask=lost); r = o, grads(m, o)",
    "encoder causal": "m = nn.TransformerEncoder(nn.TransformerEncoderLayer(E, 2, 16, dropout=0.0), 2); r = m(q, mask=causal, is_causal=True), m(q, mask=causal)",
    "encoder in eval with padding": "m = nn.TransformerEncoder(nn.TransformerEncoderLayer(E, 2, 16, batch_first=True), 2, enable_nested_tensor=False).eval()\nr = m(k.transpose(0, 1), src_key_padding_mask=lost)",
    "decoder layer": "m = nn.TransformerDecoderLayer(E, 2, 16, dropout=0.0); o = m(q, k, tgt_mask=causal, memory_key_padding_mask=lost); r = o, grads(m, o)",
    "decoder": "m = nn.TransformerDecoder(nn.TransformerDecoderLayer(E, 2, 16, dropout=0.0, norm_first=True), 2, nn.LayerNorm(E)); o = m(q, k, tgt_mask=causal, tgt_is_causal=True); r = o, grads(m, o)",
    "decoder memory mask": "m = nn.TransformerDecoder(nn.TransformerDecoderLayer(E, 2, 16, dropout=0.0), 1); r = m(q, k, memory_mask=torch.randn(L, S))",
    "transformer": "m = nn.Transformer(E, 2, 1, 1, 16, dropout=0.0); o = m(k, q, tgt_mask=causal, src_key_padding_mask=lost, memory_key_padding_mask=lost); r = o, grads(m, o)",
    "transformer batch first": "m = nn.Transformer(E, 2, 1, 1, 16, dropout=0.0, batch_first=True, norm_first=True); r = m(k.transpose(0, 1), q.transpose(0, 1))",
    "custom layers": "m = nn.Transformer(E, 2, custom_encoder=nn.Identity(), custom_decoder=nn.TransformerDecoder(nn.TransformerDecoderLayer(E, 2, 16, dropout=0.0), 1))\nr = [n for n, _ in m.named_children()]",
    "bad batches": "nn.Transformer(E, 2, 1, 1, 16)(k, q[:, :1])",
    "bad width": "nn.Transformer(E, 2, 1, 1, 16)(k[..., :3], q[..., :3])",
    "mask": "r = nn.Transformer.generate_square_subsequent_mask(3), nn.Transformer.generate_square_subsequent_mask(2, dtype=torch.float64)",
    "repr": "r = repr(nn.TransformerEncoderLayer(E, 2, 16))",
    "deepcopied layers": "m = nn.TransformerEncoder(nn.TransformerEncoderLayer(E, 2, 16), 2); r = bool((m.layers[0].linear1.weight == m.layers[1].linear1.weight).all()), m.layers[0].linear1.weight is m.layers[1].linear1.weight",
}

EMBEDDING = {
    **{
        f"bag {mode} {name}": f"m = nn.EmbeddingBag(6, 3, mode='{mode}'{options}); o = m({given}); r = o, grads(m, o)"
        for mode in ("sum", "mean", "max")
        for name, options, given in [
            ("rows", "", "torch.tensor([[1, 2, 1], [5, 0, 4]])"),
            ("offsets", "", "torch.tensor([1, 2, 1, 5, 0]), torch.tensor([0, 2, 2])"),
            (
                "last offset",
                ", include_last_offset=True",
                "torch.tensor([1, 2, 1, 5, 0]), torch.tensor([0, 2, 5])",
            ),
            ("padding", ", padding_idx=1", "torch.tensor([[1, 2, 1], [5, 0, 4]])"),
        ]
    },
    "bag weights": "w = torch.rand(5, requires_grad=True); m = nn.EmbeddingBag(6, 3, mode='sum'); o = m(torch.tensor([1, 2, 1, 5, 0]), torch.tensor([0, 2]), w); g = grads(m, o); r = o, g, w.grad",
    "bag weights of rows": "m = nn.EmbeddingBag(6, 3, mode='sum'); r = m(torch.tensor([[1, 2], [5, 0]]), per_sample_weights=torch.rand(2, 2))",
    "bag weights for the mean": "nn.EmbeddingBag(6, 3)(torch.tensor([1]), torch.tensor([0]), torch.ones(1))",
    "bag rows and offsets": "nn.EmbeddingBag(6, 3)(torch.tensor([[1]]), torch.tensor([0]))",
    "bag without offsets": "nn.EmbeddingBag(6, 3)(torch.tensor([1]))",
    "bag first offset": "nn.EmbeddingBag(6, 3)(torch.tensor([1, 2]), torch.tensor([1]))",
    "bag norm": "m = nn.EmbeddingBag(6, 3, max_norm=0.5); r = m(torch.tensor([[1, 2]])), m.weight",
    "bag pretrained": "r = nn.EmbeddingBag.from_pretrained(torch.arange(6.0).reshape(3, 2))(torch.tensor([[0, 2]])), repr(nn.EmbeddingBag(3, 2, mode='max'))",
    "embedding norm": "m = nn.Embedding(6, 3, max_norm=0.5, norm_type=1.0); r = m(torch.tensor([1, 2])), m.weight",
    "embedding padding": "m = nn.Embedding(6, 3, padding_idx=-2); o = m(torch.tensor([4, 2])); r = o, grads(m, o), m.weight.grad, m.padding_idx",
    "embedding by frequency": "m = nn.Embedding(6, 3, scale_grad_by_freq=True); o = m(torch.tensor([4, 2, 4])); grads(m, o); r = m.weight.grad",
    "embedding pretrained": "m = nn.Embedding.from_pretrained(torch.arange(6.0).reshape(3, 2), freeze=False, padding_idx=0); r = m.weight.requires_grad, m(torch.tensor([0, 1])), repr(m)",
    "bad padding": "nn.Embedding(3, 2, padding_idx=3)",
}

_X, _C = "x = torch.randn(4, 5, requires_grad=True); ", "t = torch.tensor([1, 0, 4, 2]); "
LOSSES = {
    f"{name} {reduction}": f"{_X}{_C}l = {call}({given}, reduction='{reduction}'); l.sum().backward(); r = l, x.grad"
    for reduction in ("mean", "sum", "none")
    for name, call, given in [
        ("cross entropy", "F.cross_entropy", "x, t"),
        ("smoothed", "F.cross_entropy", "x, t, weight=torch.arange(5.0), label_smoothing=0.2, ignore_index=4"),
        ("probabilities", "F.cross_entropy", "x, torch.randn(4, 5).softmax(-1), weight=torch.arange(5.0), label_smoothing=0.1"),
        ("nll", "F.nll_loss", "x.log_softmax(-1), t, weight=torch.arange(5.0)"),
        ("mse", "F.mse_loss", "x, torch.ones(4, 5)"),
        ("weighted mse", "F.mse_loss", "x, torch.ones(4, 5), weight=torch.rand(4, 5)"),
        ("l1", "F.l1_loss", "x, torch.ones(4, 5)"),
        ("smooth l1", "F.smooth_l1_loss", "x, torch.ones(4, 5), beta=0.5"),
        ("huber", "F.huber_loss", "x, torch.ones(4, 5), delta=0.7"),
        ("bce", "F.binary_cross_entropy", "x.sigmoid(), torch.rand(4, 5), weight=torch.rand(5)"),
        ("bce logits", "F.binary_cross_entropy_with_logits", "x, torch.rand(4, 5), pos_weight=torch.rand(5)"),
        ("kl", "F.kl_div", "x.log_softmax(-1), torch.rand(4, 5)"),
        ("kl log", "F.kl_div", "x.log_softmax(-1), torch.randn(4, 5), log_target=True"),
        ("hinge", "F.hinge_embedding_loss", "x, torch.randn(4, 5).sign(), margin=0.5"),
        ("soft margin", "F.soft_margin_loss", "x, torch.randn(4, 5).sign()"),
        ("multi label", "F.multilabel_soft_margin_loss", "x, torch.rand(4, 5).round(), weight=torch.rand(5)"),
        ("multi label margin", "F.multilabel_margin_loss", "x, torch.tensor([[1, 0, -1, 2, 3]] * 4)"),
        ("multi margin", "F.multi_margin_loss", "x, t, p=2, margin=0.5, weight=torch.rand(5)"),
        ("cosine", "F.cosine_embedding_loss", "x, torch.randn(4, 5), torch.tensor([1, -1, 1, -1]), margin=0.2"),
        ("ranking", "F.margin_ranking_loss", "x[0], x[1], torch.randn(5).sign(), margin=0.2"),
        ("triplet", "F.triplet_margin_loss", "x, torch.randn(4, 5), torch.randn(4, 5), swap=True, p=1.5"),
        ("triplet distance", "F.triplet_margin_with_distance_loss", "x, torch.randn(4, 5), torch.randn(4, 5)"),
        ("poisson", "F.poisson_nll_loss", "x, torch.rand(4, 5) * 4, full=True"),
        ("gaussian", "F.gaussian_nll_loss", "x, torch.randn(4, 5), torch.rand(4, 5), full=True"),
        ("ctc", "F.ctc_loss", "x.log_softmax(-1)[:, None].expand(4, 2, 5), torch.tensor([[1, 2], [3, 3]]), [4, 4], [2, 1]"),
        ("ctc infinite", "F.ctc_loss", "x.log_softmax(-1)[:, None], torch.tensor([1, 1, 2]), torch.tensor([3]), torch.tensor([3]), zero_infinity=True"),
    ]
}  # fmt: skip

OTHERS = {
    "adaptive softmax": "m = nn.AdaptiveLogSoftmaxWithLoss(8, 10, [2, 5], div_value=2.0, head_bias=True); x = torch.randn(6, 8); t = torch.tensor([0, 1, 2, 4, 5, 9])\n"
    "o, l = m(x, t); g = grads(m, l.reshape(1)); r = o, l, g, m.log_prob(x), m.predict(x), [n for n in m.state_dict()]",
    "adaptive softmax bad target": "nn.AdaptiveLogSoftmaxWithLoss(8, 10, [2, 5])(torch.randn(1, 8), torch.tensor([10]))",
    "adaptive softmax bad cutoffs": "nn.AdaptiveLogSoftmaxWithLoss(8, 10, [5, 2])",
    "ctc bad target": "F.ctc_loss(torch.zeros(4, 1, 3), torch.tensor([[1]]), [5], [1])",
    **{
        f"conv{d}d {mode}": f"m = nn.Conv{d}d(2, 3, 3, padding=1, padding_mode='{mode}'); x = torch.randn(1, 2{', 4' * d}); o = m(x); r = o, grads(m, o), repr(m)"
        for d in (1, 2, 3)
        for mode in ("circular", "reflect", "replicate")
    },
    "conv same": "m = nn.Conv2d(2, 2, (2, 3), padding='same', dilation=2, groups=2); o = m(torch.randn(2, 5, 6)); r = o, repr(m)",
    "conv same with stride": "nn.Conv2d(2, 2, 3, padding='same', stride=2)",
    "conv bad groups": "nn.Conv2d(3, 4, 3, groups=2)",
    "conv bad padding": "nn.Conv2d(3, 4, 3, padding='x')",
    "transposed output size": "m = nn.ConvTranspose2d(2, 2, 3, stride=2); r = m(torch.randn(1, 2, 3, 3), output_size=(8, 8)).shape",
    "transposed bad output size": "nn.ConvTranspose2d(2, 2, 3, stride=2)(torch.randn(1, 2, 3, 3), output_size=(11, 8))",
    "bilinear": "m = nn.Bilinear(2, 3, 4); o = m(torch.randn(5, 2), torch.randn(5, 3)); r = o, grads(m, o)",
    "cosine similarity": "r = nn.CosineSimilarity(0)(torch.randn(3, 2), torch.randn(3, 2)), nn.PairwiseDistance(3.0, keepdim=True)(torch.randn(3, 2), torch.randn(3, 2))",
    "fold": "x = torch.randn(1, 2, 4, 5); u = nn.Unfold((2, 3), padding=1, stride=2); r = u(x), nn.Fold((4, 5), (2, 3), padding=1, stride=2)(u(x))",
    "unflatten": "r = nn.Unflatten(1, (2, 3))(torch.ones(2, 6)).shape, repr(nn.Unflatten(1, (2, 3))), nn.Flatten(0, 1)(torch.ones(2, 3, 4)).shape",
    "sync batch norm": "m = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm2d(2))); r = repr(m)",
    "batch norm statistics": "m = nn.BatchNorm1d(3, momentum=None); m(torch.randn(4, 3)); m(torch.randn(4, 3)); r = m.running_mean, m.running_var, m.num_batches_tracked, m.eval()(torch.ones(1, 3))",
    "batch norm untracked": "m = nn.BatchNorm1d(3, track_running_stats=False, affine=False); r = m.eval()(torch.randn(4, 3)), list(m.state_dict())",
    "batch norm shape": "nn.BatchNorm1d(3)(torch.ones(2, 3, 4, 5))",
    "instance norm": "m = nn.InstanceNorm1d(3, affine=True, track_running_stats=True); o = m(torch.randn(2, 3, 5)); r = o, m.running_mean, m(torch.randn(3, 5)).shape",
    "norms": "x = torch.randn(2, 4, 3); r = nn.GroupNorm(2, 4)(x), nn.LayerNorm((4, 3), bias=False)(x), nn.RMSNorm(3)(x), nn.LocalResponseNorm(2)(x)",
    "bad groups": "nn.GroupNorm(3, 4)",
    "spectral norm": "m = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4)); x = torch.randn(2, 3); r = m(x), m(x), m.eval()(x)",
    "weight norm": "m = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)); o = m(torch.randn(2, 3)); r = o, grads(m, o), list(m.state_dict()), repr(m)",
    "orthogonal": "m = nn.utils.parametrizations.orthogonal(nn.Linear(3, 3), orthogonal_map='cayley'); r = (m.weight @ m.weight.T).detach().round().abs()",
    **{
        f"orthogonal {kind} {shape} {trivial}": f"m = nn.utils.parametrizations.orthogonal(nn.Linear{shape}, orthogonal_map='{kind}', use_trivialization={trivial})\n"
        "torch.manual_seed(1); g = torch.randn(m.weight.shape); w = m.weight; (w * g).sum().backward(); r = w.shape, m.parametrizations.weight.original.shape\n"
        + (
            "r = (*r, w, m.parametrizations.weight.original.grad)"
            if kind == "householder" or kind == "cayley" and not trivial
            else ""
        )
        for kind in ("cayley", "matrix_exp", "householder")
        for shape in ((3, 3), (2, 4), (4, 2))
        for trivial in (True, False)
    },
    "old weight norm": "m = nn.utils.weight_norm(nn.Linear(3, 4), dim=1); o = m(torch.randn(2, 3)); r = o, list(m.state_dict()), repr(nn.utils.remove_weight_norm(m))",
    "old spectral norm": "m = nn.utils.spectral_norm(nn.Linear(3, 4)); x = torch.randn(2, 3); r = m(x), m(x), list(m.state_dict())",
    "parametrize": "P = nn.utils.parametrize\nclass D(nn.Module):\n    def forward(self, x): return x * 2\n    def right_inverse(self, x): return x / 2\n"
    "m = nn.Linear(2, 2); w = m.weight.detach().clone(); P.register_parametrization(m, 'weight', D()); a = (m.weight - w).abs().max()\n"
    "m.weight = torch.ones(2, 2); b = m.parametrizations.weight.original\nwith P.cached(): c = m.weight is m.weight\n"
    "r = a, b, c, P.is_parametrized(m, 'weight'), P.type_before_parametrizations(m).__name__, type(m).__name__, repr(m)\nP.remove_parametrizations(m, 'weight'); r = (*r, m.weight, type(m).__name__)",
    "vectors": "m = nn.Linear(2, 1); v = nn.utils.parameters_to_vector(m.parameters()); nn.utils.vector_to_parameters(v * 2, m.parameters()); r = v, m.weight",
    "clipping": "m = nn.Linear(3, 2); (m(torch.randn(4, 3)) ** 2).sum().backward()\nr = [nn.utils.clip_grad_norm_(m.parameters(), 0.5, p) for p in (2.0, 1, float('inf'), 3.0)], m.weight.grad, nn.utils.get_total_norm([m.bias.grad])\nnn.utils.clip_grad_value_(m.parameters(), 0.01); r = (*r, m.bias.grad)",
    "clipping what is not finite": "p = nn.Parameter(torch.ones(2)); p.grad = torch.tensor([1.0, float('inf')]); nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)",
    "clipping to nan": "p = nn.Parameter(torch.ones(2)); p.grad = torch.tensor([1.0, float('inf')]); r = nn.utils.clip_grad_norm_([p], 1.0), p.grad",
    "clipping nothing": "r = nn.utils.clip_grad_norm_([nn.Parameter(torch.ones(2))], 1.0)",
    "fused batch norm": "c, b = nn.Conv2d(2, 3, 3).eval(), nn.BatchNorm2d(3).eval(); b.running_mean.fill_(0.3); x = torch.randn(1, 2, 4, 4); r = nn.utils.fuse_conv_bn_eval(c, b)(x), b(c(x))",
    "conv gradients": "from importlib import import_module\nG = import_module(nn.__name__ + '.grad'); x, w, g = torch.randn(1, 4, 5, 5), torch.randn(6, 2, 3, 3), torch.randn(1, 6, 3, 3)\n"
    "r = G.conv2d_input(x.shape, w, g, groups=2), G.conv2d_weight(x, w.shape, g, groups=2)",
}

PROGRAMS = {
    f"{group}: {name}": text
    for group, table in [("attention", ATTENTION), ("transformer", TRANSFORMER), ("embedding", EMBEDDING), ("loss", LOSSES), ("", OTHERS)]
    for name, text in table.items()
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_layers(same, name):
    same(START + PROGRAMS[name])
