"""More training programs, on the parts of the library that `programs.py` leaves out: see there."""

from __future__ import annotations

import math
from typing import Any

from tests.compiler.programs import PROGRAMS as PROGRAMS
from tests.compiler.programs import program, state_of


@program
def residual_network(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self, before, after, stride) -> None:
            super().__init__()
            self.a = nn.Conv2d(before, after, 3, stride, 1, bias=False)
            self.b = nn.Conv2d(after, after, 3, 1, 1, bias=False)
            self.na, self.nb = nn.BatchNorm2d(after), nn.BatchNorm2d(after)
            self.squeeze = nn.Sequential(
                nn.AdaptiveAvgPool2d(1),
                nn.Conv2d(after, 4, 1),
                nn.ReLU6(),
                nn.Conv2d(4, after, 1),
                nn.Hardsigmoid(),
            )
            self.shorter = (
                nn.Identity()
                if stride == 1
                else nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(before, after, 1), nn.BatchNorm2d(after))
            )

        def forward(self, x):
            y = self.nb(self.b(F.relu(self.na(self.a(x)), inplace=True)))
            return F.relu(y * self.squeeze(y) + self.shorter(x))

    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        Block(8, 8, 1),
        Block(8, 16, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 4),
    )
    decayed = [p for p in model.parameters() if p.dim() > 1]
    other = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": 1e-3}, {"params": other}], lr=0.05, momentum=0.9
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3)
    averaged = torch.optim.swa_utils.AveragedModel(model)

    def step():
        x, y = torch.rand(4, 3, 12, 12), torch.randint(0, 4, (4,))
        loss = F.cross_entropy(model(x), y, weight=torch.tensor([1.0, 2.0, 0.5, 1.0]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        averaged.update_parameters(model)
        model.eval()
        with torch.no_grad():
            right = (model(x).argmax(1) == y).float().mean()
        model.train()
        return loss, right

    return step, state_of(model, averaged)


@program
def segmentation(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional
    down = nn.Sequential(
        nn.ReflectionPad2d(1),
        nn.Conv2d(1, 6, 3, stride=2),
        nn.CELU(),
        nn.Conv2d(6, 12, 3, padding="same"),
        nn.LocalResponseNorm(3),
    )
    up = nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        nn.Conv2d(12, 4, 3, padding=1),
        nn.PixelShuffle(1),
        nn.Conv2d(4, 3, 1),
    )
    optimizer = torch.optim.Adam([*down.parameters(), *up.parameters()], lr=1e-2)

    def step():
        x, y = torch.rand(3, 1, 10, 10), torch.randint(0, 3, (3, 10, 10))
        scores = up(down(x))
        chances = scores.softmax(1)
        wanted = F.one_hot(y, 3).permute(0, 3, 1, 2).float()
        overlap = (chances * wanted).sum((2, 3))
        dice = 1 - (2 * overlap + 1) / (chances.sum((2, 3)) + wanted.sum((2, 3)) + 1)
        focal = F.cross_entropy(scores, y, reduction="none")
        focal = ((1 - (-focal).exp()) ** 2 * focal).mean()
        edges = F.interpolate(chances, scale_factor=0.5, mode="nearest").diff(dim=-1).abs().mean()
        loss = dice.mean() + focal + 0.1 * edges
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, state_of(down, up)


@program
def attention_with_teacher(torch: Any) -> tuple:
    """Sequence to sequence; the decoder is shown its own words or the right ones."""
    nn, F = torch.nn, torch.nn.functional
    embed, reader, cell = nn.Embedding(9, 8), nn.GRU(8, 10, batch_first=True), nn.LSTMCell(18, 10)
    query, key, energy, head = nn.Linear(10, 6), nn.Linear(10, 6), nn.Linear(6, 1), nn.Linear(20, 9)
    modules = [embed, reader, cell, query, key, energy, head]
    parameters = [p for m in modules for p in m.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3)

    def step():
        source, target = torch.randint(0, 9, (4, 6)), torch.randint(0, 9, (4, 5))
        states, last = reader(embed(source))
        h, c, word = last[0], torch.zeros_like(last[0]), target[:, 0]
        loss = 0.0
        for t in range(1, 5):
            weight = F.softmax(energy(torch.tanh(query(h)[:, None] + key(states))), dim=1)
            context = (weight * states).sum(1)
            h, c = cell(torch.cat([embed(word), context], 1), (h, c))
            scores = head(torch.cat([h, context], 1))
            loss = loss + F.cross_entropy(scores, target[:, t])
            word = torch.where(torch.rand(4) < 0.5, target[:, t], scores.argmax(1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
        optimizer.step()
        return loss

    return step, state_of(*modules)


@program
def random_field(torch: Any) -> tuple:
    """Linear-chain conditional random field: forward algorithm and best path."""
    nn = torch.nn
    scores, moves = nn.Linear(5, 4), nn.Parameter(torch.randn(4, 4) * 0.1)
    optimizer = torch.optim.Adam([*scores.parameters(), moves], lr=1e-2)

    def step():
        x, tags = torch.randn(3, 7, 5), torch.randint(0, 4, (3, 7))
        given = scores(x)
        total = given[:, 0]
        for t in range(1, 7):
            total = torch.logsumexp(total.unsqueeze(2) + moves, dim=1) + given[:, t]
        right = given.gather(2, tags.unsqueeze(2)).sum((1, 2)) + moves[tags[:, :-1], tags[:, 1:]].sum(1)
        loss = (total.logsumexp(1) - right).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            best, back = given[:, 0], []
            for t in range(1, 7):
                best, where = (best.unsqueeze(2) + moves).max(1)
                best = best + given[:, t]
                back.append(where)
            path = [best.argmax(1)]
            for where in reversed(back):
                path.append(where.gather(1, path[-1].unsqueeze(1)).squeeze(1))
        return loss, torch.stack(path[::-1], 1)

    return step, [*state_of(scores), moves.data]


@program
def word_vectors(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional
    centre, around = nn.Embedding(30, 6), nn.Embedding(30, 6)
    bag = nn.EmbeddingBag(30, 6, mode="mean")
    optimizer = torch.optim.Adagrad([*centre.parameters(), *around.parameters(), *bag.parameters()], lr=0.1)

    def step():
        word, near = torch.randint(0, 30, (12,)), torch.randint(0, 30, (12,))
        far = torch.multinomial(torch.ones(30), 12 * 4, replacement=True).view(12, 4)
        v = centre(word) + bag(torch.stack([word, near], 1))
        good = F.logsigmoid((v * around(near)).sum(1))
        bad = F.logsigmoid(-torch.bmm(around(far), v.unsqueeze(2)).squeeze(2)).sum(1)
        loss = -(good + bad).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, state_of(centre, around, bag)


@program
def normalizing_flow(torch: Any) -> tuple:
    nn = torch.nn
    masks = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(2, 1)
    scales = nn.ModuleList(
        nn.Sequential(nn.Linear(2, 12), nn.LeakyReLU(), nn.Linear(12, 2), nn.Tanh()) for _ in range(4)
    )
    shifts = nn.ModuleList(
        nn.Sequential(nn.Linear(2, 12), nn.LeakyReLU(), nn.Linear(12, 2)) for _ in range(4)
    )
    optimizer = torch.optim.Adam([*scales.parameters(), *shifts.parameters()], lr=5e-3)

    def step():
        prior = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
        angle = torch.rand(20) * math.pi
        x = torch.stack([angle.cos(), angle.sin()], 1) + 0.1 * torch.randn(20, 2)
        logdet = x.new_zeros(x.shape[0])
        for mask, scale, shift in zip(masks, scales, shifts):
            held = x * mask
            s, t = scale(held) * (1 - mask), shift(held) * (1 - mask)
            x = (1 - mask) * (x - t) * torch.exp(-s) + held
            logdet -= s.sum(1)
        loss = -(prior.log_prob(x) + logdet).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, state_of(scales, shifts)


@program
def vector_quantisation(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional
    enter, leave = nn.Linear(10, 4), nn.Linear(4, 10)
    codes, counts, sums = torch.randn(8, 4), torch.zeros(8), torch.zeros(8, 4)
    optimizer = torch.optim.Adam([*enter.parameters(), *leave.parameters()], lr=1e-2)

    def step():
        x = torch.randn(16, 10)
        z = enter(x)
        with torch.no_grad():
            nearest = torch.cdist(z, codes).argmin(1)
            hot = F.one_hot(nearest, 8).type_as(z)
            counts.mul_(0.9).add_(hot.sum(0), alpha=0.1)
            sums.mul_(0.9).add_(hot.t() @ z, alpha=0.1)
            codes.copy_(torch.where(counts[:, None] > 0.05, sums / counts.clamp(min=1e-3)[:, None], codes))
        q = codes[nearest]
        loss = F.mse_loss(leave(z + (q - z).detach()), x) + 0.25 * F.mse_loss(z, q.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, nearest

    return step, [*state_of(enter, leave), codes, counts]


@program
def soft_actor(torch: Any) -> tuple:
    nn, F, D = torch.nn, torch.nn.functional, torch.distributions
    actor = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 4))
    judges = nn.ModuleList(nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1)) for _ in range(2))
    heat = nn.Parameter(torch.zeros(()))
    of_actor, of_judges, of_heat = (
        torch.optim.Adam(p, lr=3e-3) for p in (actor.parameters(), judges.parameters(), [heat])
    )

    def act(s):
        mean, spread = actor(s).chunk(2, -1)
        base = D.Normal(mean, spread.clamp(-4, 1).exp())
        found = D.TransformedDistribution(D.Independent(base, 1), [D.TanhTransform(cache_size=1)])
        a = found.rsample()
        return a, found.log_prob(a)

    def step():
        s, after, reward = torch.randn(10, 3), torch.randn(10, 3), torch.rand(10)
        with torch.no_grad():
            a, logp = act(after)
            ahead = torch.min(*(j(torch.cat([after, a], 1)).squeeze(1) for j in judges)) - heat.exp() * logp
            wanted = reward + 0.9 * ahead
        a, logp = act(s)
        judged = sum(F.mse_loss(j(torch.cat([s, a.detach()], 1)).squeeze(1), wanted) for j in judges)
        of_judges.zero_grad()
        judged.backward()
        of_judges.step()
        for p in judges.parameters():
            p.requires_grad_(False)
        value = torch.min(*(j(torch.cat([s, a], 1)).squeeze(1) for j in judges))
        acted = (heat.exp().detach() * logp - value).mean()
        of_actor.zero_grad()
        acted.backward()
        of_actor.step()
        for p in judges.parameters():
            p.requires_grad_(True)
        warmth = -(heat * (logp.detach() - 2)).mean()
        of_heat.zero_grad()
        warmth.backward()
        of_heat.step()
        return judged, acted, warmth

    return step, [*state_of(actor, judges), heat.data]


@program
def clipped_policy(torch: Any) -> tuple:
    """PPO on a continuous action: several epochs over shuffled parts."""
    nn, D = torch.nn, torch.distributions
    actor, critic = (
        nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2)),
        nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1)),
    )
    spread = nn.Parameter(torch.zeros(2))
    for layer in (*actor, *critic):
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight, math.sqrt(2))
            nn.init.constant_(layer.bias, 0.0)
    parameters = [*actor.parameters(), *critic.parameters(), spread]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, eps=1e-5)

    def step():
        s, reward, done = torch.randn(12, 4), torch.randn(12), (torch.rand(12) < 0.2).float()
        with torch.no_grad():
            found = D.Normal(actor(s), spread.exp())
            a = found.sample()
            before, value = found.log_prob(a).sum(1), critic(s).squeeze(1)
            gain, last = torch.zeros(12), 0.0
            for t in reversed(range(12)):
                ahead = value[t + 1] if t < 11 else torch.zeros(())
                change = reward[t] + 0.99 * ahead * (1 - done[t]) - value[t]
                gain[t] = last = change + 0.99 * 0.95 * (1 - done[t]) * last
            goal = gain + value
            gain = (gain - gain.mean()) / (gain.std() + 1e-8)
        losses = []
        for _ in range(2):
            for rows in torch.randperm(12).split(6):
                found = D.Normal(actor(s[rows]), spread.exp())
                ratio = (found.log_prob(a[rows]).sum(1) - before[rows]).exp()
                first = torch.min(ratio * gain[rows], ratio.clamp(0.8, 1.2) * gain[rows]).mean()
                now = critic(s[rows]).squeeze(1)
                bound = value[rows] + (now - value[rows]).clamp(-0.2, 0.2)
                second = 0.5 * torch.max((now - goal[rows]) ** 2, (bound - goal[rows]) ** 2).mean()
                loss = second - first - 0.01 * found.entropy().sum(1).mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 0.5)
                optimizer.step()
                losses.append(loss.detach())
        return tuple(losses)

    return step, [*state_of(actor, critic), spread.data]


@program
def weights_as_distributions(torch: Any) -> tuple:
    """Bayes by backprop."""
    nn, F, D = torch.nn, torch.nn.functional, torch.distributions
    mean, spread = nn.Parameter(torch.randn(5, 3) * 0.1), nn.Parameter(torch.full((5, 3), -3.0))
    optimizer = torch.optim.Adam([mean, spread], lr=1e-2)

    def step():
        x, y = torch.randn(14, 5), torch.randint(0, 3, (14,))
        posterior = D.Normal(mean, F.softplus(spread))
        cost = D.kl_divergence(posterior, D.Normal(0.0, 1.0)).sum() / 14
        scores = torch.stack([x @ posterior.rsample() for _ in range(3)])
        likelihood = D.Categorical(logits=scores).log_prob(y.expand(3, -1)).mean()
        loss = cost - likelihood
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss, cost

    return step, [mean.data, spread.data]


@program
def gaussian_process(torch: Any) -> tuple:
    nn = torch.nn
    length, noise = (
        nn.Parameter(torch.zeros((), dtype=torch.float64)),
        nn.Parameter(torch.full((), -2.0, dtype=torch.float64)),
    )
    optimizer = torch.optim.Adam([length, noise], lr=5e-2)

    def step():
        x = torch.rand(12, 1, dtype=torch.float64) * 6
        y = torch.sin(x[:, 0]) + 0.1 * torch.randn(12, dtype=torch.float64)
        cover = torch.exp(-0.5 * (x - x.T) ** 2 / length.exp() ** 2) + noise.exp() * torch.eye(
            12, dtype=torch.float64
        )
        root = torch.linalg.cholesky(cover)
        weight = torch.cholesky_solve(y[:, None], root)
        loss = 0.5 * (y[None] @ weight).squeeze() + root.diagonal().log().sum() + 6 * math.log(2 * math.pi)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, [length.data, noise.data]


@program
def low_rank_adapters(torch: Any) -> tuple:
    """A frozen layer with a trained low-rank part, as a parametrization; another layer with weight norm."""
    nn, F = torch.nn, torch.nn.functional

    class LowRank(nn.Module):
        def __init__(self, rows, columns) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.randn(rows, 2) * 0.1), nn.Parameter(torch.zeros(2, columns))

        def forward(self, weight):
            return weight + self.a @ self.b

    base = nn.Linear(8, 8)
    base.requires_grad_(False)
    nn.utils.parametrize.register_parametrization(base, "weight", LowRank(8, 8))
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(8, 4))
    bounded = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3))
    model = nn.Sequential(base, nn.GELU(approximate="tanh"), normed, nn.Softsign(), bounded)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)

    def step():
        x, y = torch.randn(10, 8), torch.randint(0, 3, (10,))
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, state_of(model)


@program
def rotary_decoder(torch: Any) -> tuple:
    """A decoder with rotary places, RMS norm, gated layers, grouped queries; then it writes a few words with a cache."""
    nn, F = torch.nn, torch.nn.functional

    def turn(x, start=0):
        angle = torch.arange(start, start + x.shape[-2])[:, None] * 1e4 ** (-torch.arange(0, 4, 2) / 4)
        a, b = x[..., ::2], x[..., 1::2]
        return torch.stack(
            [a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1
        ).flatten(-2)

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.n1, self.n2 = nn.RMSNorm(16), nn.RMSNorm(16)
            self.q, self.kv, self.o = (
                nn.Linear(16, 16, bias=False),
                nn.Linear(16, 16, bias=False),
                nn.Linear(16, 16, bias=False),
            )
            self.gate, self.up, self.down = (
                nn.Linear(16, 24, bias=False),
                nn.Linear(16, 24, bias=False),
                nn.Linear(24, 16, bias=False),
            )

        def forward(self, x, cache=None):
            n, t, _ = x.shape
            start = 0 if cache is None or not cache else cache[0].shape[2]
            h = self.n1(x)
            q = turn(self.q(h).view(n, t, 4, 4).transpose(1, 2), start)
            k, v = self.kv(h).view(n, t, 2, 8).transpose(1, 2).chunk(2, -1)
            k = turn(k, start)
            if cache is not None:
                if cache:
                    k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
                cache[:] = [k, v]
            y = F.scaled_dot_product_attention(
                q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1), is_causal=t > 1
            )
            x = x + self.o(y.transpose(1, 2).reshape(n, t, 16))
            h = self.n2(x)
            return x + self.down(F.silu(self.gate(h)) * self.up(h))

    embed, layers, norm = nn.Embedding(11, 16), nn.ModuleList(Layer() for _ in range(2)), nn.RMSNorm(16)
    modules = [embed, layers, norm]
    parameters = [p for m in modules for p in m.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-2, betas=(0.9, 0.95), weight_decay=0.1)

    def forward(x, caches=None):
        h = embed(x)
        for k, layer in enumerate(layers):
            h = layer(h, None if caches is None else caches[k])
        return F.linear(norm(h), embed.weight)

    def step():
        text = torch.randint(0, 11, (3, 8))
        loss = F.cross_entropy(forward(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        norm_of = nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        with torch.no_grad():
            caches, word, written = [[], []], text[:1, :3], []
            for _ in range(4):
                chance = F.softmax(forward(word, caches)[:, -1] / 0.8, -1)
                likely, which = chance.sort(descending=True)
                likely = likely.masked_fill(likely.cumsum(-1) - likely > 0.9, 0.0)
                word = which.gather(1, torch.multinomial(likely, 1))
                written.append(word)
        return loss, norm_of, torch.cat(written, 1)

    return step, state_of(*modules)


@program
def own_functions_and_hooks(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional

    class Sharp(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, slope):
            ctx.save_for_backward(x)
            ctx.slope = slope
            return (x > 0).to(x.dtype)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g / (1 + ctx.slope * x.abs()) ** 2, None

    enter, leave = nn.Linear(6, 10), nn.Linear(10, 3)
    seen: list = []
    enter.register_forward_hook(lambda module, args, out: out * 1.5)
    leave.register_full_backward_hook(lambda module, given, taken: (given[0] * 0.5,))
    leave.weight.register_hook(lambda g: g.clamp(-0.1, 0.1))
    optimizer = torch.optim.RMSprop(
        [*enter.parameters(), *leave.parameters()], lr=1e-2, centered=True, momentum=0.9
    )

    def step():
        spikes, voltage = torch.zeros(7, 10), torch.zeros(7, 10)
        x, y = torch.rand(4, 7, 6), torch.randint(0, 3, (7,))
        counts = 0
        for now in x:
            voltage = 0.9 * voltage * (1 - spikes.detach()) + enter(now)
            spikes = Sharp.apply(voltage - 1.0, 5.0)
            counts = counts + leave(spikes)
        counts.register_hook(lambda g: seen.append(g.norm()))
        counts.retain_grad()
        loss = F.cross_entropy(counts, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, seen.pop(), counts.grad.abs().max()

    return step, state_of(enter, leave)


@program
def distillation(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional
    teacher = nn.Sequential(nn.Linear(6, 20), nn.SELU(), nn.AlphaDropout(0.1), nn.Linear(20, 5)).eval()
    student = nn.Sequential(nn.Linear(6, 8), nn.LogSigmoid(), nn.Linear(8, 5))
    mixed = nn.Bilinear(5, 5, 5)
    optimizer = torch.optim.SGD([*student.parameters(), *mixed.parameters()], lr=0.1)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5)

    def step():
        x, y = torch.randn(9, 6), torch.randint(0, 5, (9,))
        with torch.inference_mode():
            soft = teacher(x) / 3
        mine = student(x)
        mine = mine + 0.1 * mixed(mine, torch.tanh(mine))
        loss = F.kl_div(F.log_softmax(mine / 3, 1), F.softmax(soft, 1).clone(), reduction="batchmean") * 9
        loss = 0.5 * loss + 0.5 * F.cross_entropy(mine, y)
        loss = (
            loss
            + F.poisson_nll_loss(mine.mean(1), y.float()) * 0.01
            + F.gaussian_nll_loss(mine[:, 0], mine[:, 1].detach(), torch.ones(9)) * 0.01
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step(loss.item())
        return loss

    return step, state_of(student, mixed)


@program
def dilated_sound(torch: Any) -> tuple:
    nn, F = torch.nn, torch.nn.functional
    enter = nn.Conv1d(1, 8, 1)
    layers = nn.ModuleList(nn.Conv1d(8, 16, 2, dilation=2**k) for k in range(3))
    leave = nn.ConvTranspose1d(8, 1, 4, stride=2, padding=1)
    parameters = [*enter.parameters(), *layers.parameters(), *leave.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-2)

    def step():
        x = torch.randn(2, 1, 24)
        h = enter(x)
        for k, layer in enumerate(layers):
            h = h + F.glu(layer(F.pad(h, (2**k, 0))), dim=1)
        y = leave(F.silu(h))
        low = F.avg_pool1d(y, 2)
        spectrum = torch.fft.rfft(low, dim=-1).abs()
        wanted = torch.fft.rfft(x, dim=-1).abs()
        loss = F.l1_loss(low, x) + F.mse_loss(torch.log1p(spectrum), torch.log1p(wanted))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, state_of(enter, layers, leave)


@program
def scaled_gradients(torch: Any) -> tuple:
    """Half precision with a loss scale, and gradients of gradients by `func`."""
    nn, F = torch.nn, torch.nn.functional
    model = nn.Sequential(nn.Linear(5, 12), nn.Tanh(), nn.Linear(12, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5, dampening=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=128.0, growth_interval=2)

    def energy(x):
        return model(x).pow(2).sum()

    def step():
        x = torch.randn(6, 5)
        optimizer.zero_grad()
        slope = torch.func.grad(energy)(x)
        loss = F.mse_loss(model(x), x.sum(1, keepdim=True)) + 0.01 * slope.pow(2).mean()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        return loss, slope

    return step, state_of(model)


@program
def picture_style(torch: Any) -> tuple:
    """The picture is what is trained."""
    nn, F = torch.nn, torch.nn.functional
    eyes = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU())
    for p in eyes.parameters():
        p.requires_grad = False
    style, picture = torch.rand(1, 3, 14, 14), torch.rand(1, 3, 14, 14).requires_grad_()
    optimizer = torch.optim.Adam([picture], lr=0.05)

    def gram(x):
        n, c, h, w = x.shape
        x = x.view(n, c, h * w)
        return torch.einsum("nij,nkj->nik", x, x) / (c * h * w)

    def step():
        a, b = eyes(picture), eyes(style)
        varied = (picture[..., 1:] - picture[..., :-1]).abs().mean() + (
            picture[..., 1:, :] - picture[..., :-1, :]
        ).abs().mean()
        loss = 100 * F.mse_loss(gram(a), gram(b)) + 0.01 * varied
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            picture.clamp_(0, 1)
        return loss

    return step, [picture.data]


@program
def learned_sorting(torch: Any) -> tuple:
    """Ranking losses, sorting, unique, scatter reductions, quantiles."""
    nn, F = torch.nn, torch.nn.functional
    model = nn.Sequential(nn.Linear(4, 10), nn.Threshold(0.0, 0.0), nn.Linear(10, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step():
        x, group = torch.randn(15, 4), torch.randint(0, 3, (15,))
        score = model(x).squeeze(1)
        order = score.sort(descending=True, stable=True)
        wanted = x.sum(1)[order.indices]
        gain = (wanted / torch.log2(torch.arange(15) + 2.0)).sum()
        pairs = torch.combinations(torch.arange(15), 2)
        sign = torch.sign(x.sum(1)[pairs[:, 0]] - x.sum(1)[pairs[:, 1]])
        loss = F.margin_ranking_loss(score[pairs[:, 0]], score[pairs[:, 1]], sign, margin=0.1)
        tops = torch.full((3,), -10.0).scatter_reduce(0, group, score, "amax")
        means = torch.zeros(3).scatter_reduce(0, group, score, "mean", include_self=False)
        loss = loss + 0.01 * (tops - means).sum() + 0.01 * torch.quantile(score, 0.75) + 0.01 * score.median()
        loss = loss + F.hinge_embedding_loss(score, torch.where(group > 0, 1.0, -1.0)) * 0.01
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, gain, torch.bincount(group, minlength=3)

    return step, state_of(model)
