"""Training programs of the field, small: each is a function of the library that gives (step, state).

`step()` does one training step on new data and gives numbers to compare; `state` holds the tensors that it trains. The same
text runs with PyTorch (`tests/parity/test_programs_parity.py`), eagerly, compiled and frozen (`test_programs.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

PROGRAMS: dict[str, Callable] = {}


def program(build: Callable) -> Callable:
    PROGRAMS[build.__name__] = build
    return build


def state_of(*modules: Any) -> list:
    return [p for module in modules for p in module.state_dict().values()]


@program
def variational_autoencoder(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter = nn.Sequential(nn.Linear(64, 32), nn.SiLU())
            self.mean, self.spread = nn.Linear(32, 8), nn.Linear(32, 8)
            self.leave = nn.Sequential(nn.Linear(8, 32), nn.SiLU(), nn.Linear(32, 64))

        def forward(self, x):
            h = self.enter(x)
            mean, spread = self.mean(h), self.spread(h)
            z = mean + torch.randn_like(mean) * torch.exp(0.5 * spread)
            return self.leave(z), mean, spread

    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step():
        x = torch.rand(16, 64)
        drawn, mean, spread = model(x)
        likelihood = F.binary_cross_entropy_with_logits(drawn, x, reduction="sum")
        divergence = -0.5 * torch.sum(1 + spread - mean.pow(2) - spread.exp())
        loss = (likelihood + divergence) / len(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, state_of(model)


@program
def adversarial_pair(torch: Any) -> tuple:
    nn = torch.nn
    maker = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.LeakyReLU(0.2), nn.Linear(32, 2))
    judge = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(32, 1))
    criterion = nn.BCEWithLogitsLoss()
    first = torch.optim.Adam(maker.parameters(), lr=2e-3, betas=(0.5, 0.999))
    second = torch.optim.Adam(judge.parameters(), lr=2e-3, betas=(0.5, 0.999))

    def step():
        real = torch.randn(32, 2) * 0.3 + 1
        ones, zeros = torch.ones(32, 1), torch.zeros(32, 1)
        made = maker(torch.randn(32, 8))
        second.zero_grad()
        judged = criterion(judge(real), ones) + criterion(judge(made.detach()), zeros)
        judged.backward()
        second.step()
        first.zero_grad()
        fooled = criterion(judge(made), ones)
        fooled.backward()
        first.step()
        return judged, fooled

    return step, state_of(maker, judge)


@program
def gradient_penalty(torch: Any) -> tuple:
    nn = torch.nn
    critic = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 24), nn.Softplus(), nn.Linear(24, 1))
    optimizer = torch.optim.RMSprop(critic.parameters(), lr=1e-3)

    def step():
        real, fake = torch.randn(16, 6), torch.randn(16, 6) + 2
        at = torch.rand(16, 1)
        between = (at * real + (1 - at) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        penalty = ((slope.norm(2, dim=1) - 1) ** 2).mean()
        loss = critic(fake).mean() - critic(real).mean() + 10 * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, penalty

    return step, state_of(critic)


@program
def q_learning(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional

    def network():
        return nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))

    online, target = network(), network()
    target.load_state_dict(online.state_dict())
    optimizer = torch.optim.AdamW(online.parameters(), lr=1e-3, amsgrad=True)

    def step():
        seen, after = torch.randn(24, 4), torch.randn(24, 4)
        action = torch.randint(0, 3, (24, 1))
        reward, done = torch.rand(24), torch.rand(24) < 0.1
        value = online(seen).gather(1, action).squeeze(1)
        with torch.no_grad():
            future = target(after).max(1).values.masked_fill(done, 0.0)
        loss = F.smooth_l1_loss(value, reward + 0.99 * future)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(online.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(target.parameters(), online.parameters()):
                slow.mul_(0.95).add_(fast, alpha=0.05)
        return loss

    return step, state_of(online, target)


@program
def policy_gradient(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional
    body = nn.Sequential(nn.Linear(5, 16), nn.Tanh())
    actor, critic = nn.Linear(16, 3), nn.Linear(16, 1)
    parameters = [*body.parameters(), *actor.parameters(), *critic.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=3e-3)

    def step():
        h = body(torch.randn(20, 5))
        chosen = torch.distributions.Categorical(logits=actor(h))
        action = chosen.sample()
        value = critic(h).squeeze(-1)
        rewards = (action == 1).float() + 0.1 * torch.randn(20)
        total, returns = torch.zeros(()), []
        for reward in rewards.flip(0):
            total = reward + 0.9 * total
            returns.append(total)
        wanted = torch.stack(returns[::-1])
        gain = (wanted - value).detach()
        loss = (-chosen.log_prob(action) * gain).mean() + F.mse_loss(value, wanted)
        loss = loss - 0.01 * chosen.entropy().mean()
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, 0.5)
        optimizer.step()
        return loss, norm

    return step, state_of(body, actor, critic)


@program
def denoising_diffusion(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional

    class Unet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.time = nn.Sequential(nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 16))
            self.enter = nn.Conv2d(1, 8, 3, padding=1)
            self.down = nn.Conv2d(8, 16, 3, stride=2, padding=1)
            self.norm = nn.GroupNorm(4, 16)
            self.middle = nn.Conv2d(16, 16, 3, padding=1)
            self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
            self.leave = nn.Conv2d(16, 1, 3, padding=1)

        def forward(self, x, t):
            rates = torch.exp(-math.log(1e4) * torch.arange(8) / 8)
            angle = t[:, None].float() * rates[None]
            when = self.time(torch.cat([angle.sin(), angle.cos()], dim=-1))
            a = F.silu(self.enter(x))
            b = F.silu(self.norm(self.down(a))) + when[:, :, None, None]
            b = F.silu(self.middle(b))
            return self.leave(torch.cat([self.up(b), a], dim=1))

    model = Unet()
    slow = Unet()
    slow.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    left = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 50), 0)

    def step():
        x, noise = torch.rand(4, 1, 12, 12), torch.randn(4, 1, 12, 12)
        t = torch.randint(0, 50, (4,))
        a = left[t].view(-1, 1, 1, 1)
        loss = F.mse_loss(model(a.sqrt() * x + (1 - a).sqrt() * noise, t), noise)
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for kept, p in zip(slow.parameters(), model.parameters()):
                kept.lerp_(p, 0.1)
        return loss

    return step, state_of(model, slow)


@program
def translation(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional
    embed = nn.Embedding(20, 16, padding_idx=0)
    model = nn.Transformer(16, 2, 1, 1, 32, dropout=0.1, batch_first=True)
    head = nn.Linear(16, 20, bias=False)
    head.weight = embed.weight
    parameters = [*embed.parameters(), *model.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, betas=(0.9, 0.98), eps=1e-9)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: min((k + 1) ** -0.5, (k + 1) * 4**-1.5))

    def step():
        source, wanted = torch.randint(1, 20, (4, 7)), torch.randint(1, 20, (4, 6))
        source[0, 5:] = 0
        wanted[1, 4:] = 0
        mask = torch.triu(torch.ones(5, 5, dtype=torch.bool), diagonal=1)
        found = model(embed(source), embed(wanted[:, :-1]), tgt_mask=mask, src_key_padding_mask=source == 0,
                      memory_key_padding_mask=source == 0, tgt_key_padding_mask=wanted[:, :-1] == 0)  # fmt: skip
        loss = F.cross_entropy(
            head(found).flatten(0, 1), wanted[:, 1:].flatten(), ignore_index=0, label_smoothing=0.1
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss

    return step, state_of(embed, model)


@program
def recurrent_language_model(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional
    embed, cell, head = nn.Embedding(12, 8), nn.LSTM(8, 16, 2, dropout=0.2), nn.Linear(16, 12)
    parameters = [*embed.parameters(), *cell.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.5, momentum=0.9, nesterov=True)
    carried: list = [None]

    def step():
        text = torch.randint(0, 12, (9, 3))
        out, after = cell(embed(text[:-1]), carried[0])
        carried[0] = tuple(h.detach() for h in after)
        loss = F.cross_entropy(head(out).reshape(-1, 12), text[1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 0.25)
        optimizer.step()
        return loss

    return step, state_of(embed, cell, head)


@program
def packed_sequences(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional
    embed, cell, head = (
        nn.Embedding(15, 8, padding_idx=0),
        nn.GRU(8, 12, bidirectional=True, batch_first=True),
        nn.Linear(24, 2),
    )
    parameters = [*embed.parameters(), *cell.parameters(), *head.parameters()]
    optimizer = torch.optim.Adagrad(parameters, lr=0.05)

    def step():
        lengths = torch.randint(1, 9, (5,))
        text = torch.randint(1, 15, (5, int(lengths.max())))
        text = text.masked_fill(torch.arange(text.shape[1]) >= lengths[:, None], 0)
        packed = nn.utils.rnn.pack_padded_sequence(
            embed(text), lengths, batch_first=True, enforce_sorted=False
        )
        _, last = cell(packed)
        loss = F.cross_entropy(head(torch.cat([last[0], last[1]], 1)), text.sum(1) % 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, state_of(embed, cell, head)


@program
def siamese_triplets(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional
    model = nn.Sequential(
        nn.Conv1d(2, 8, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(32, 8)
    )
    optimizer = torch.optim.NAdam(model.parameters(), lr=2e-3)

    def step():
        anchor, same, other = (F.normalize(model(torch.randn(6, 2, 20)), dim=1) for _ in range(3))
        loss = F.triplet_margin_loss(anchor, same, other, margin=0.5)
        close = F.cosine_similarity(anchor, same)
        loss = loss + F.relu(0.9 - close).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, close

    return step, state_of(model)


@program
def contrastive_pictures(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional
    body = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.Hardswish(),
        nn.Conv2d(8, 16, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 8),
    )  # fmt: skip
    temperature = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
    optimizer = torch.optim.AdamW(
        [{"params": body.parameters()}, {"params": [temperature], "weight_decay": 0.0}], lr=1e-3
    )

    def step():
        x = torch.rand(6, 3, 16, 16)
        a = F.normalize(body(x.flip(-1)), dim=-1)
        b = F.normalize(body(x + 0.1 * torch.randn_like(x)), dim=-1)
        logits = temperature.exp() * a @ b.T
        wanted = torch.arange(6)
        loss = (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            temperature.clamp_(0, math.log(100))
        return loss

    return step, [*state_of(body), temperature.data]


@program
def vision_transformer(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(1, 16, 4, 4)
            self.first = nn.Parameter(torch.zeros(1, 1, 16))
            self.places = nn.Parameter(torch.randn(1, 10, 16) * 0.02)
            layer = nn.TransformerEncoderLayer(16, 4, 32, 0.1, "gelu", batch_first=True, norm_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 10))

        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.first.expand(len(x), -1, -1), x], 1) + self.places
            return self.head(self.encoder(x)[:, 0])

    model = Model()
    optimizer = torch.optim.RAdam(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=20)

    def step():
        x, y = torch.rand(5, 1, 12, 12), torch.randint(0, 10, (5,))
        mixed = torch.randperm(5)
        loss = 0.7 * F.cross_entropy(model(0.7 * x + 0.3 * x[mixed]), y) + 0.3 * F.cross_entropy(
            model(x), y[mixed]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss

    return step, state_of(model)


@program
def graph_convolution(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional
    first, second = nn.Linear(6, 12), nn.Linear(12, 3)
    weight = nn.Parameter(torch.randn(12, 1))
    parameters = [*first.parameters(), *second.parameters(), weight]
    optimizer = torch.optim.Adam(parameters, lr=1e-2, weight_decay=5e-4)

    def spread(x, start, end):
        out = torch.zeros_like(x).index_add_(0, end, x[start])
        degree = torch.zeros(len(x)).scatter_add_(0, end, torch.ones(len(end)))
        return out / degree.clamp(min=1)[:, None]

    def step():
        x, y = torch.randn(14, 6), torch.randint(0, 3, (14,))
        start, end = torch.randint(0, 14, (40,)), torch.randint(0, 14, (40,))
        h = F.dropout(F.elu(spread(first(x), start, end)), 0.2)
        score = torch.exp((h @ weight)[:, 0])
        h = h * (score / torch.zeros(14).index_add(0, end, score[start]).add(1))[:, None]
        loss = F.nll_loss(F.log_softmax(second(spread(h, start, end)), 1), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, [*state_of(first, second), weight.data]


@program
def inner_loop(torch: Any) -> tuple:
    """Meta learning: the gradient of a loss after a gradient step."""
    nn, F = torch.nn, torch.nn.functional
    model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    names = [name for name, _ in model.named_parameters()]

    def step():
        total = 0.0
        for _ in range(2):
            phase, x = torch.rand(1) * 3, torch.rand(10, 1) * 10 - 5
            y = torch.sin(x + phase)
            inner = F.mse_loss(model(x[:5]), y[:5])
            slopes = torch.autograd.grad(inner, list(model.parameters()), create_graph=True)
            moved = {n: p - 0.1 * g for n, p, g in zip(names, model.parameters(), slopes)}
            total = total + F.mse_loss(torch.func.functional_call(model, moved, (x[5:],)), y[5:])
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        return total

    return step, state_of(model)


@program
def neural_equation(torch: Any) -> tuple:
    """Solved by Runge-Kutta steps, with checkpoints."""
    nn, F = torch.nn, torch.nn.functional
    field = nn.Sequential(nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 2))
    optimizer = torch.optim.Adamax(field.parameters(), lr=5e-3)

    def solve(y):
        h = 0.1
        a = field(y)
        b = field(y + h / 2 * a)
        c = field(y + h / 2 * b)
        return y + h / 6 * (a + 2 * b + 2 * c + field(y + h * c))

    def step():
        y, path = torch.randn(8, 2), []
        for k in range(4):
            y = torch.utils.checkpoint.checkpoint(solve, y, use_reentrant=False) if k % 2 else solve(y)
            path.append(y)
        found = torch.stack(path)
        loss = F.huber_loss(found, torch.roll(found.detach(), 1, 0) * 0.9) + 1e-3 * sum(
            p.abs().sum() for p in field.parameters()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, state_of(field)


@program
def mixture_of_experts(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional
    gate, experts = (
        nn.Linear(8, 4),
        nn.ModuleList(nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)) for _ in range(4)),
    )
    parameters = [*gate.parameters(), *experts.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)

    def step():
        x = torch.randn(12, 8)
        weights = F.softmax(gate(x), -1)
        most, which = weights.topk(2, dim=-1)
        most = most / most.sum(-1, keepdim=True)
        out = torch.zeros_like(x)
        for k, expert in enumerate(experts):
            row, place = torch.where(which == k)
            if len(row):
                out = out.index_add(0, row, most[row, place, None] * expert(x[row]))
        balance = (weights.mean(0) * F.one_hot(which[:, 0], 4).float().mean(0)).sum() * 4
        loss = F.mse_loss(out, x.roll(1, 1)) + 0.01 * balance
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, state_of(gate, experts)


@program
def half_precision(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional
    model = nn.Sequential(nn.Linear(16, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step():
        losses = []
        for _ in range(2):  # gradients of two parts are added
            x, y = torch.randn(8, 16), torch.randint(0, 4, (8,))
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(x).float(), y) / 2
            loss.backward()
            losses.append(loss.detach())
        optimizer.step()
        optimizer.zero_grad()
        return tuple(losses)

    return step, state_of(model)


@program
def quasi_newton(torch: Any) -> tuple:
    point = torch.nn.Parameter(torch.tensor([-1.0, 1.5]))
    optimizer = torch.optim.LBFGS([point], lr=0.8, max_iter=4, line_search_fn="strong_wolfe")

    def step():
        def closure():
            optimizer.zero_grad()
            loss = (1 - point[0]) ** 2 + 10 * (point[1] - point[0] ** 2) ** 2
            loss.backward()
            return loss

        return optimizer.step(closure)

    return step, [point.data]


@program
def physics_informed(torch: Any) -> tuple:
    """u'' = -u by second derivatives of the network."""
    nn = torch.nn
    model = nn.Sequential(
        nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 1)
    ).double()
    optimizer = torch.optim.Rprop(model.parameters(), lr=1e-3)
    t = torch.linspace(0, 3, 24, dtype=torch.float64).unsqueeze(1).requires_grad_()

    def step():
        u = model(t)
        (first,) = torch.autograd.grad(u, t, torch.ones_like(u), create_graph=True)
        (second,) = torch.autograd.grad(first, t, torch.ones_like(u), create_graph=True)
        loss = ((second + u) ** 2).mean() + (u[0] ** 2 + (first[0] - 1) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, state_of(model)


@program
def audio_network(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional
    model = nn.Sequential(
        nn.Conv2d(1, 6, (5, 3), padding=(2, 1)), nn.InstanceNorm2d(6, affine=True), nn.PReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, dilation=2, padding=2), nn.ELU(), nn.AdaptiveMaxPool2d((1, None)),
    )  # fmt: skip
    cell, head = nn.GRUCell(8, 12), nn.Linear(12, 5)
    parameters = [*model.parameters(), *cell.parameters(), *head.parameters()]
    optimizer = torch.optim.Adadelta(parameters, lr=1.0)
    window = torch.hann_window(32)

    def step():
        sound = torch.randn(3, 400)
        power = torch.stft(sound, 32, 16, window=window, return_complex=True).abs().pow(2)
        h = model(torch.log1p(power)[:, None]).squeeze(2)  # (3, 8, T)
        state, seen = torch.zeros(3, 12), []
        for x in h.unbind(2):
            state = cell(x, state)
            seen.append(head(state))
        scores = F.log_softmax(torch.stack(seen), 2)
        wanted = torch.randint(1, 5, (3, 4))
        loss = F.ctc_loss(scores, wanted, torch.full((3,), len(seen)), torch.full((3,), 4))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, state_of(model, cell, head)


@program
def early_exit(torch: Any) -> tuple:
    """How many layers run depends on values."""
    nn, F = torch.nn, torch.nn.functional
    layers, head = nn.ModuleList(nn.Linear(10, 10) for _ in range(4)), nn.Linear(10, 3)
    parameters = [*layers.parameters(), *head.parameters()]
    optimizer = torch.optim.ASGD(parameters, lr=0.05)
    counts = []

    def step():
        x, y = torch.randn(7, 10), torch.randint(0, 3, (7,))
        used = 0
        for layer in layers:
            x = x + F.mish(layer(x))
            used += 1
            if x.abs().mean() > 1.6:
                break
        counts.append(used)
        scores = head(x)
        loss = F.multi_margin_loss(scores, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right = (scores.argmax(1) == y).float().mean()
        return loss, right, torch.tensor(used)

    return step, state_of(layers, head)
