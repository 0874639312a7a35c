"""Random streams against PyTorch's CPU generator: the same seed gives the same numbers, and the same words are used up."""

from __future__ import annotations

import pytest

import flambeau

pytest.importorskip("torch")
pytestmark = pytest.mark.parity

TYPES = "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool".split()
BY_TYPE = """
empty(20).random_() | empty(20).random_(2) | empty(20).random_(0, 100) | empty(20).random_(-5, 5)
empty(20).random_(10, 10) | empty(20).random_(0, 2**40) | empty(20).bernoulli_(0.4) | empty(20).uniform_()
empty(20).bernoulli_(torch.full((20,), 0.4)) | empty(20).normal_() | empty(20).exponential_() | empty(20).geometric_(0.5)
empty(20).cauchy_() | empty(20).log_normal_() | torch.randperm(20, dtype=kind) | torch.randint(0, 10, (20,), dtype=kind)
torch.rand(20, dtype=kind) | torch.randn(20, dtype=kind) | torch.rand_like(empty(5)) | torch.randn_like(empty(5))
torch.randint_like(empty(5), 10) | torch.randint_like(empty(5), 3, 10) | torch.bernoulli(torch.full((20,), 0.5, dtype=kind))
torch.multinomial(torch.ones(5, dtype=kind), 3) | torch.normal(torch.zeros(20, dtype=kind), 1.0)
"""
TABLE = """
torch.rand(20, dtype=torch.complex64) | torch.randn(20, dtype=torch.complex64) | torch.randn(3, dtype=torch.complex128)
torch.randn(2, 3, 4) | torch.randn(5, 5).t().contiguous() | torch.empty(4, 5).t().normal_() | torch.empty(40, 5).t().normal_()
torch.empty(4, 5).t().uniform_() | torch.empty(6, 6)[::2].uniform_() | torch.empty(6, 6)[:, ::2].normal_()
torch.empty(64, 6)[:, ::2].normal_() | torch.empty(2, 3, 4).permute(1, 2, 0).uniform_() | torch.normal(2.0, 3.0, (20,))
torch.normal(torch.arange(5.0), torch.arange(1.0, 6.0)) | torch.normal(0.0, torch.arange(1.0, 6.0))
torch.normal(torch.arange(5.0)) | torch.normal(torch.zeros(2, 3), torch.ones(2, 3)) | torch.normal(torch.zeros(20), -torch.ones(20))
torch.normal(0.0, -1.0, (2,)) | torch.multinomial(torch.tensor([0.1, 0.2, 0.7]), 2)
torch.multinomial(torch.tensor([0.1, 0.2, 0.7]), 4) | torch.multinomial(torch.tensor([0.1, 0.2, 0.7]), 10, replacement=True)
torch.multinomial(torch.tensor([[0.1, 0.2, 0.7], [1.0, 2.0, 3.0]]), 2)
torch.multinomial(torch.tensor([[0.1, 0.2, 0.7], [1.0, 2.0, 3.0]]), 5, True) | torch.multinomial(torch.zeros(3), 1)
torch.multinomial(torch.tensor([-1.0, 0.0, 2.0]), 1) | torch.multinomial(torch.tensor([float("nan"), 1.0]), 1)
torch.multinomial(torch.tensor([0.0, 1.0]), 2) | torch.multinomial(torch.ones(2, 2, 2), 2) | torch.multinomial(torch.ones(3), 0)
torch.randint(5, (3,)) | torch.randint(2, 5, (3,)) | torch.randint(5, 5, (3,)) | torch.randint(-5, (3,))
torch.randint(0, 2**63 - 1, (3,)) | torch.randint(-(2**63), 2**63 - 1, (3,)) | torch.randint(0, 300, (3,), dtype=torch.uint8)
torch.randint(0, 2**31, (3,)) | torch.randint(0, 2**32, (3,)) | torch.randint(0, 2**32 - 1, (3,)) | torch.randint(0, 2**28, (3,))
torch.randint(0, 10, [2, 2]) | torch.randint(0, 10, ()) | torch.randint(high=10, size=(3,)) | torch.randint(low=0, high=10, size=(3,))
torch.randperm(0) | torch.randperm(1) | torch.randperm(-1) | torch.randperm(10) | torch.randperm(1000) | torch.rand(())
torch.randperm(300, dtype=torch.uint8) | torch.rand(0) | torch.rand(2, 0) | torch.rand((2, 3)) | torch.rand([2])
torch.rand(2, 3, requires_grad=True) | torch.rand(3, generator=torch.Generator().manual_seed(1))
torch.randn(3, generator=torch.Generator().manual_seed(1)) | torch.empty(3).uniform_(2, 1) | torch.empty(3).uniform_(-1, 1)
torch.empty(3).normal_(0, -1) | torch.empty(3).exponential_(-1) | torch.empty(3).exponential_(0) | torch.empty(3).geometric_(0)
torch.empty(3).bernoulli_(1.5) | torch.empty(3).bernoulli_(-0.5) | torch.bernoulli(torch.tensor([2.0]))
torch.bernoulli(torch.tensor([0.5] * 20), 0.9) | torch.empty(3).cauchy_(0, -1) | torch.empty(3).log_normal_(0, -1)
F.dropout(torch.ones(20), 0.3) | F.dropout(torch.ones(20, dtype=torch.float64), 0.3) | F.dropout(torch.ones(20), 1.0)
F.dropout(torch.ones(20), 1.5) | F.dropout1d(torch.ones(3, 4, 2), 0.3) | F.dropout2d(torch.ones(3, 4, 2, 2), 0.3)
F.alpha_dropout(torch.ones(20), 0.3, training=True) | F.feature_alpha_dropout(torch.ones(3, 4), 0.3, training=True)
F.rrelu(torch.arange(-5.0, 5.0), training=True) | F.gumbel_softmax(torch.ones(5)) | F.gumbel_softmax(torch.ones(5), hard=True)
F.dropout(torch.ones(3, 5).t(), 0.5) | F.dropout(torch.ones(3, 5, 4).transpose(0, 1), 0.5) | torch.ones(3, 5).t().geometric_(0.3)
F.dropout(torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last), 0.5) | F.dropout(torch.ones(6, 10)[:, ::2], 0.5)
F.dropout(torch.ones(1, 10).expand(6, 10), 0.5) | F.alpha_dropout(torch.ones(3, 5).t(), 0.5, training=True)
torch.ones(3, 5).t().cauchy_() | torch.ones(3, 5).t().log_normal_() | torch.ones(3, 5).t().exponential_()
torch.ones(3, 5).t().bernoulli_(torch.full((3, 5), 0.5).t()) | torch.ones(5, 3).bernoulli_(torch.full((3, 5), 0.5).t())
torch.bernoulli(torch.full((3, 5), 0.5).t()) | F.gumbel_softmax(torch.ones(3, 5).t()) | torch.poisson(torch.full((3, 5), 4.0).t())
torch.rand(3, out=torch.empty(3)) | torch.randn(3, out=torch.empty(3)) | torch.randperm(5, out=torch.empty(5, dtype=torch.int64))
torch.rand(3, device="meta").shape | torch.rand_like(torch.ones(2, 2), dtype=torch.float64)
torch.ones(3, requires_grad=True).uniform_() | torch.rand_like(torch.ones(2, 3).t()).stride() | torch.Generator().initial_seed()
torch.Generator(device="cpu").device | torch.Generator().manual_seed(-1).initial_seed() | torch.Generator().manual_seed(2**64)
torch.Generator().manual_seed(1.5) | torch.Generator().get_state().shape | torch.Generator().get_state()
torch.Generator().manual_seed(5).get_state() | torch.get_rng_state() | torch.set_rng_state(torch.ones(3))
torch.set_rng_state(torch.ones(3, dtype=torch.uint8)) | torch.manual_seed(2).initial_seed() | torch.initial_seed()
torch.rand(3, generator=torch.Generator().manual_seed(1).clone_state()) | torch.random.initial_seed() | torch.manual_seed("a")
"""
INITS = """
uniform_(w) | normal_(w) | constant_(w, 3) | ones_(w) | zeros_(w) | eye_(w) | dirac_(torch.empty(4, 4, 3)) | xavier_uniform_(w)
xavier_normal_(w) | kaiming_uniform_(w) | kaiming_normal_(w) | kaiming_uniform_(w, a=5**0.5) | trunc_normal_(w)
kaiming_normal_(w, mode="fan_out", nonlinearity="relu") | trunc_normal_(w, std=0.02) | orthogonal_(w) | sparse_(w, 0.3)
uniform_(w, -1, 2) | normal_(w, 1, 2) | xavier_uniform_(torch.empty(4, 3, 3, 3)) | xavier_uniform_(torch.empty(3))
orthogonal_(torch.empty(7, 5)) | kaiming_normal_(w, nonlinearity="tanh") | normal_(torch.empty(3))
uniform_(w, generator=torch.Generator().manual_seed(3))
"""
MODULES = """
Linear(4, 3) | Linear(4, 3, bias=False) | Conv2d(3, 4, 3) | Conv1d(3, 4, 3) | ConvTranspose2d(3, 4, 3) | Embedding(10, 4)
LSTM(3, 4) | GRU(3, 4, 2) | LSTMCell(3, 4) | MultiheadAttention(8, 2) | Bilinear(2, 3, 4) | EmbeddingBag(10, 4)
TransformerEncoderLayer(8, 2, 16) | TransformerDecoderLayer(8, 2, 16) | Conv3d(1, 2, 2) | Transformer(8, 2, 1, 1, 16)
"""
#: evaluated after each expression: where the stream stands
AFTER = "r = [r, torch.randint(0, 1 << 30, (1,))]"


def expressions(table: str) -> list[str]:
    return [text.strip() for text in table.replace("\n", " | ").split(" | ") if text.strip()]


@pytest.mark.parametrize("kind", TYPES)
def test_by_type(same_values, kind):
    texts = [t.replace("kind", f"torch.{kind}") for t in expressions(BY_TYPE)]
    same_values([t.replace("empty(20)", f"torch.empty(20, dtype=torch.{kind})") if t.startswith("empty") else
                 t.replace("empty(5)", f"torch.ones(5, dtype=torch.{kind})") for t in texts], AFTER)  # fmt: skip


def test_table(same_values):
    same_values(expressions(TABLE), AFTER)


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 24, 31, 32, 40, 100, 1001])
def test_normal_samples_of_any_size(same_values, size):
    kinds = ("float32", "float64", "float16", "bfloat16")
    same_values([f"torch.randn({size}, dtype=torch.{kind})" for kind in kinds], AFTER)


def test_initialisation(same_values):
    same_values([f"nn.init.{t.replace('(w', '(torch.empty(5, 7)')}" for t in expressions(INITS)], AFTER)


def test_modules(same_values):
    same_values([f"[p for p in nn.{text}.parameters()]" for text in expressions(MODULES)], AFTER)


def test_the_state_is_the_same_after_mixed_draws(oracle):
    for torch in (flambeau, oracle):
        torch.manual_seed(3)
        torch.rand(10)
        torch.randn(3)
        torch.rand(1000)
    assert flambeau.get_rng_state().tolist() == oracle.get_rng_state().tolist()


def test_a_state_of_the_other_library_goes_on(oracle):
    oracle.manual_seed(11)
    oracle.randn(5)
    flambeau.set_rng_state(flambeau.tensor(oracle.get_rng_state().tolist(), dtype=flambeau.uint8))
    assert flambeau.randn(5).tolist() == pytest.approx(oracle.randn(5).tolist(), rel=1e-6)
    assert flambeau.rand(700).tolist() == oracle.rand(700).tolist()
