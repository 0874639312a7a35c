"""Programs made to prove `compile(freeze=True)` wrong: they change what a repeated call relies on."""

from __future__ import annotations

import collections
import copy
import dataclasses
import random
import warnings

import numpy
import pytest

import flambeau as torch
from flambeau import nn
from tests.compiler.adversary import LABELS, X, check, values

F = nn.functional
ROWS: list = []


def row(make=None, calls=8):
    """Add a program to the table."""
    if make is None:
        return lambda given: row(given, calls)
    ROWS.append(pytest.param(make, calls, id=make.__name__))
    return make


@row
def one_result_twice(wrap):
    f = wrap(lambda x: ((y := x * 2), y, y.view(-1)))

    def call(k):
        a, b, c = f(X * k)
        a.add_(1)
        return a is b, c._base is a, a, b, c

    return call


@dataclasses.dataclass
class Holder:
    loss: object


@row
def results_in_containers(wrap):
    kinds = [Holder, lambda y: collections.defaultdict(list, a=y), lambda y: {y}, lambda y: collections.OrderedDict(a=y),
             lambda y: torch.max(y, 0), lambda y: {"a": [(y,)]}, lambda y: (y, None, 3, "a", y.dtype, y.shape)]  # fmt: skip
    fs = [wrap(lambda x, kind=kind: kind(x * 2)) for kind in kinds]

    def call(k):
        first, *others = [f(X * k) for f in fs]
        return first.loss, [list(x) if isinstance(x, set) else x for x in others]

    return call


@row
def versions_and_bases_of_results(wrap):
    f = wrap(lambda x: ((x + 1).mul_(3), x.add_(1).t(), x[1:]))

    def call(k):
        x = X * k
        a, b, c = f(x)
        c.mul_(2)
        return a, b, c, x, b._base is x

    return call


@row
def nothing_is_returned(wrap):
    seen = torch.zeros(6)
    f, g, h = wrap(lambda x: (seen.add_(x), None)[1]), wrap(lambda: None), wrap(lambda *a, **k: a)
    return lambda k: (f(X[0] * k), seen.clone(), g(), h(X, 1, b=X))


@row(calls=12)
def gradients_kept_and_set_by_the_user(wrap):
    model = nn.Linear(3, 3, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    kept = []

    @wrap
    def step(x):
        model(x).square().sum().backward()
        optimizer.step()

    def call(k):
        if k == 5:
            model.weight.grad = None
        if k == 7:
            model.weight.grad = torch.ones(3, 3)
        if k == 9:
            model.weight.grad = model.weight.grad.t()
        step(torch.arange(6.0).view(2, 3) * k * 0.01)
        kept.append(model.weight.grad)
        return list(kept), values(model.parameters())

    return call


@row(calls=12)
def backward_and_update_apart(wrap):
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)

    @wrap
    def backward(x):
        F.cross_entropy(model(x), LABELS).backward()

    @wrap
    def update():
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        optimizer.zero_grad()
        return norm

    return lambda k: ([backward(X * (j + k)) for j in range(3)], [p.grad for p in model.parameters()], update(),
                      values(model.parameters()))  # fmt: skip


@row(calls=14)
def everything_about_an_optimizer_changes(wrap):
    def one(kind, **options):
        model = nn.Linear(6, 3)
        late = nn.Linear(6, 3)
        optimizer = kind(model.parameters(), **options)

        @wrap
        def step(x):
            optimizer.zero_grad(set_to_none=False)
            F.cross_entropy(model(x) + late(x), LABELS).backward()
            optimizer.step()

        def call(k):
            group = optimizer.param_groups[0]
            group["lr"] *= 0.9 if k > 3 else 1
            if k == 6:
                saved = copy.deepcopy(optimizer.state_dict())
                optimizer.load_state_dict(saved)
            if k == 8:
                group["weight_decay"] = 0.1
            if k == 9 and "maximize" in group:
                group["maximize"] = True
            if k == 11:
                optimizer.add_param_group({"params": late.parameters(), "lr": 0.01})
            step(X)
            states = [v for s in optimizer.state.values() for v in s.values() if isinstance(v, torch.Tensor)]
            return values(model.parameters()), values(late.parameters()), values(states)

        return call

    kinds = torch.optim
    calls = [one(kinds.SGD, lr=0.1, momentum=0.9), one(kinds.Adam, lr=0.1, amsgrad=True), one(kinds.RMSprop, lr=0.1),
             one(kinds.Adadelta, lr=0.1), one(kinds.NAdam, lr=0.1)]  # fmt: skip
    return lambda k: [call(k) for call in calls]


@row(calls=12)
def numbers_that_the_call_itself_changes(wrap):
    class Counts(nn.Module):
        calls = 0

        def __init__(self):
            super().__init__()
            self.calls = 0
            self.last = torch.zeros(6)
            self.register_buffer("mean", torch.zeros(6))

        def forward(self, x):
            self.calls += 1
            self.mean = self.mean * 0.5 + x[0]
            self.last = self.last + self.mean
            return x * self.calls

    model, number = nn.Linear(6, 3), 0
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    counts = Counts()
    forward = wrap(counts.forward)

    @wrap
    def step(x):
        optimizer.zero_grad()
        F.cross_entropy(model(x), LABELS).backward()
        optimizer.step()
        schedule.step()

    @wrap
    def counted(x):
        nonlocal number
        number += 1
        return x * number

    def call(k):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            step(X)
        return values(model.parameters()), forward(X * k), counts.last, counts.mean, counted(X)

    return call


class Trainer:
    """Holds what a step uses, as programs do."""

    def __init__(self):
        self.model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.Linear(8, 3))
        self.optimizer = torch.optim.Adam(self.model.parameters(), 0.01)
        self.scale = 1.0

    def step(self, x):
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(x), LABELS) * self.scale
        loss.backward()
        self.optimizer.step()
        return loss.detach()


@row(calls=16)
def what_an_object_holds_changes(wrap):
    trainer = Trainer()
    step = wrap(trainer.step)

    def call(k):
        if k == 5:
            trainer.model.eval()
        if k == 7:
            trainer.model.train()
            trainer.model[0].weight = nn.Parameter(torch.ones(8, 6))
        if k == 9:
            trainer.optimizer = torch.optim.SGD(trainer.model.parameters(), 0.1)
        if k == 11:
            trainer.scale = 0.5
        if k == 13:
            trainer.model[0].weight.requires_grad_(False)
        return step(X), values(trainer.model.parameters())

    return call


@row(calls=12)
def models_hidden_in_helpers_and_containers(wrap):
    model, several, table = nn.Dropout(0.5), [nn.Dropout(0.5), nn.Linear(6, 6)], [torch.ones(6)]
    offset = torch.ones(6)

    def helper(x):
        return model(x)

    helpers = {"one": helper}
    inner = wrap(model.forward)
    fs = [wrap(lambda x: helpers["one"](x) * 2), wrap(lambda x: [m(x) for m in several]), wrap(lambda x: inner(x) * 2),
          wrap(lambda x: x * table[0] + offset)]  # fmt: skip

    def call(k):
        nonlocal offset
        if k == 5:
            model.eval()
            several[0].eval()
        if k == 7:
            offset, table[0] = torch.zeros(6), torch.full((6,), 3.0)
        with torch.no_grad():
            return [f(X) for f in fs]

    return call


@row(calls=12)
def hooks_and_layers_added_later(wrap):
    model, trained = nn.Sequential(nn.Linear(6, 2), nn.ReLU()), nn.Linear(6, 2)
    f = wrap(lambda x: model(x) * 2)

    @wrap
    def step(x):
        trained.zero_grad()
        trained(x).sum().backward()

    def call(k):
        if k == 5:
            model[0].register_forward_hook(lambda m, i, o: o * 10)
            trained.weight.register_hook(lambda g: g * 10)
        if k == 7:
            model[1] = nn.Tanh()
            trained.bias.register_post_accumulate_grad_hook(lambda p: p.grad.mul_(3))
        if k == 9:
            model.append(nn.Linear(2, 2))
        step(X)
        with torch.no_grad():
            return f(X), values(p.grad for p in trained.parameters())

    return call


@row(calls=12)
def memory_moves_and_is_shared(wrap):
    flat, other = torch.arange(12.0), torch.ones(6)
    model = nn.Linear(3, 2, bias=False)
    model.weight.data = flat[:6].view(2, 3)
    hidden = {"a": [({"w": torch.ones(6)},)]}
    f, g = wrap(lambda x: model(x) + 1), wrap(lambda x: x.add_(1) * other)
    h = wrap(lambda x: x * 2 + hidden["a"][0][0]["w"])

    def call(k):
        if k == 7:
            model.weight.data = flat[6:].view(2, 3)
        if k == 9:
            model.weight.data = torch.arange(6.0).view(3, 2).t()
        with torch.no_grad():
            x = X[k % 5] * k
            return (
                f(torch.ones(1, 3) * k),
                g(other if k < 5 else x),
                h(hidden["a"][0][0]["w"] if k < 5 else x),
                other.clone(),
            )

    return call


@row(calls=12)
def modes_around_the_call(wrap):
    model = nn.Linear(6, 8)
    f, g = wrap(model.forward), wrap(lambda x: model(x).relu())

    def call(k):
        with (torch.inference_mode, torch.no_grad, torch.enable_grad)[k % 3]():
            r = g(X)
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=k % 2 == 1):
            return f(X * k), r.is_inference(), r.requires_grad, r.detach().clone()

    return call


@row(calls=14)
def arguments_of_other_kinds(wrap):
    base = torch.arange(16.0).view(4, 4)
    layouts = [base, base, base, base, base.t(), base[:, :2], base.double(), base[:1].expand(4, 4), base.to(torch.int64),
               base[::2], base.diagonal(), nn.Parameter(base.clone()), base > 3, base]  # fmt: skip
    numbers = [1, 1, 1, 1, 1, True, 1.0, -0.0, 0.0, float("nan"), float("nan"), 2**40, -0.0, True]
    f, g, h = (
        wrap(lambda x: x * 2 + 1),
        wrap(lambda x, s: x * s),
        wrap(lambda a, b=None, c=None: a - b * 2 + c),
    )

    def call(k):
        named = {"b": base[0], "c": base[1] * k} if k < 6 else {"c": base[0] * k, "b": base[1]}
        return f(layouts[k]).detach(), g(torch.tensor([1.0, -2.0]), numbers[k]), h(base[2], **named)

    return call


@row(calls=10)
def random_numbers(wrap):
    own = torch.Generator().manual_seed(5)
    f = wrap(lambda x: F.dropout(x, 0.5) + torch.rand(6) + torch.rand(6, generator=own))

    def call(k):
        if k == 5:
            torch.manual_seed(7)
        if k == 7:
            own.manual_seed(5)
        return f(X), torch.rand(2)

    return call


@row(calls=10)
def refused_in_the_middle(wrap):
    seen, table = torch.zeros(6), torch.arange(12.0).view(6, 2)

    @wrap
    def f(index):
        seen.add_(1)
        y = F.embedding(index, table)
        seen.add_(10)
        z = F.embedding(index + 1, table)
        seen.add_(100)
        return y + z

    def call(k):
        try:
            return f(torch.tensor([0, {6: 5, 7: 6, 8: -9}.get(k, 2)])), seen.clone()
        except IndexError as error:
            return str(error).splitlines()[0], seen.clone()

    return call


@row
def gradients_twice_and_through_gradients(wrap):
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
    model[2].weight = model[0].weight

    @wrap
    def f(x):
        x = x.detach().requires_grad_()
        y = model(x).square().sum()
        (g,) = torch.autograd.grad(y, x, create_graph=True)
        g.square().sum().backward()
        y = model(x).sin().sum()
        y.backward(retain_graph=True)
        y.backward()
        return g.detach(), y

    def call(k):
        model.zero_grad()
        g, y = f(X * k)
        try:
            y.backward()
        except RuntimeError as error:
            return g, str(error), [p.grad for p in model.parameters()]

    return call


@row
def written_by_a_call_after_it_was_saved(wrap):
    f = wrap(lambda x: x.mul_(2)[0] + 0)

    def call(k):
        w, x = torch.ones(3, requires_grad=True), torch.ones(3)
        y = (w * x).sum()
        with torch.no_grad():
            f(x)
        y.backward()

    return call


class Scales(nn.Module):
    """Takes a number from its class."""

    scale = 2.0

    def __init__(self):
        super().__init__()
        self.several = nn.ParameterList([nn.Parameter(torch.ones(6)) for _ in range(2)])

    def forward(self, x):
        return sum(x * w for w in self.several) * self.scale


@row(calls=12)
def numbers_of_layers_and_classes(wrap):
    layers, scales = nn.Sequential(nn.Dropout(0.5), nn.LeakyReLU(0.1), nn.BatchNorm1d(6)), Scales()
    f, g = wrap(lambda x: layers(x)), wrap(lambda x: scales(x))

    def call(k):
        if k == 5:
            layers[0].p = 0.1
            scales.scale = 3.0
        if k == 7:
            layers[1].negative_slope = 0.7
            scales.several.append(nn.Parameter(torch.ones(6)))
        if k == 9:
            layers[2].momentum = 0.9
            del scales.scale
        with torch.no_grad():
            return f(X), layers[2].running_mean.clone(), g(X)

    return call


@row(calls=12)
def state_carried_in_containers(wrap):
    cell, carried, tables, recent = (
        nn.GRU(6, 4),
        [None],
        {"h": (torch.zeros(5, 4), 1)},
        collections.deque(maxlen=3),
    )

    @wrap
    def through_a_list(x):
        out, after = cell(x[:, None], carried[0])
        carried[0] = after.detach()
        return out

    @wrap
    def through_a_table(x):
        tables["h"] = (tables["h"][0] * 0.5 + x[:, :4], 1)
        return tables["h"][0].sum()

    @wrap
    def through_a_queue(x):
        recent.append(x.mean())
        return torch.stack(list(recent)).sum()

    def call(k):
        if k == 6:
            carried[0] = None
        with torch.no_grad():
            return through_a_list(X * k), through_a_table(X * k), through_a_queue(X * k)

    return call


@row(calls=12)
def containers_that_others_change(wrap):
    layers, weights, options = [nn.Linear(6, 6)], [0.5, 2.0], {"rate": 0.5, "mask": None, "pair": (X, 2.0)}
    holder = Holder(None)

    @wrap
    def f(x):
        for layer in layers:
            x = layer(x).tanh()
        x = x * weights[1] + options["rate"]
        if options["mask"] is not None:
            x = x * options["mask"]
        return x + options["pair"][0] * options["pair"][1] + (0 if holder.loss is None else holder.loss)

    more = nn.Linear(6, 6)

    def call(k):
        if k == 4:
            layers.append(more)
        if k == 5:
            weights[1] = 3.0
        if k == 6:
            options["rate"] = 0.25
        if k == 7:
            options["mask"] = X > 0
        if k == 8:
            options["pair"] = (X * 2, 3.0)
        if k == 10:
            holder.loss = torch.ones(6)
        with torch.no_grad():
            return f(X)

    return call


@row(calls=12)
def numbers_drawn_elsewhere(wrap):
    random.seed(4)
    numpy.random.seed(4)
    endless = iter(range(1000))
    f = wrap(lambda x: x * random.random())
    g = wrap(lambda x: x * float(numpy.random.rand()))
    h = wrap(lambda x: x * next(endless))
    return lambda k: (f(X), g(X), h(X))


@pytest.mark.parametrize(("make", "calls"), ROWS)
def test_it_is_the_same(make, calls):
    check(make, calls)
