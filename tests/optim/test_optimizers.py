"""Optimisers: the native step equals the one in tensor operators; groups, state, hooks and refusals."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest

import flambeau
from flambeau import nn, optim

NATIVE = [
    (optim.SGD, {"lr": 0.1}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "maximize": True}),
    (optim.Adam, {"lr": 0.1}),
    (optim.Adam, {"lr": 0.1, "weight_decay": 0.2, "maximize": True}),
    (optim.Adam, {"lr": 0.1, "amsgrad": True, "betas": (0.5, 0.6)}),
    (optim.Adam, {"lr": 0.1, "decoupled_weight_decay": True, "weight_decay": 0.2}),
    (optim.AdamW, {"lr": 0.1}),
    (optim.AdamW, {"lr": 0.1, "amsgrad": True, "eps": 1e-3}),
]
OTHERS = [
    (optim.Adagrad, {}),
    (optim.Adadelta, {}),
    (optim.Adafactor, {}),
    (optim.RMSprop, {"momentum": 0.5, "centered": True}),
    (optim.Adamax, {}),
    (optim.NAdam, {}),
    (optim.RAdam, {}),
    (optim.ASGD, {}),
    (optim.Rprop, {}),
]
SHAPES = [(3, 4), (5,), (), (0, 2), (70, 600)]


def parameters(dtype, shapes=SHAPES) -> list[nn.Parameter]:
    flambeau.manual_seed(0)
    return [nn.Parameter(flambeau.randn(shape, dtype=dtype)) for shape in shapes]


def give_gradients(made: list[nn.Parameter], seed: int) -> None:
    flambeau.manual_seed(seed)
    for parameter in made:
        parameter.grad = flambeau.randn(parameter.shape, dtype=parameter.dtype)


@pytest.mark.parametrize("dtype", [flambeau.float32, flambeau.float64])
@pytest.mark.parametrize(("kind", "options"), NATIVE)
def test_the_native_step_equals_the_one_in_operators(kind, options, dtype):
    compare_with_reference(kind, options, dtype, dtype, 1e-5)


@pytest.mark.parametrize("dtype", [flambeau.float16, flambeau.bfloat16])
@pytest.mark.parametrize(("kind", "options"), NATIVE)
def test_the_native_step_in_low_precision_follows_the_one_in_float32(kind, options, dtype):
    if kind is not optim.SGD:  # averages that low precision can hold
        options = {**options, "betas": (0.5, 0.6), "eps": 1e-2}
    compare_with_reference(kind, options, dtype, flambeau.float32, 0.02 if dtype is flambeau.float16 else 0.1)


def compare_with_reference(kind, options, dtype, reference_dtype, tolerance) -> None:
    mine = parameters(dtype)
    theirs = [nn.Parameter(p.detach().clone().to(reference_dtype)) for p in mine]
    native, reference = kind(mine, **options), kind(theirs, **options)
    for step in range(4):
        give_gradients(mine, step)
        native.step()
        with flambeau.no_grad():
            for p, q in zip(mine, theirs):
                reference._reference_step(q, p.grad.to(reference_dtype), reference.param_groups[0])
    for a, b in zip(mine, theirs):
        assert flambeau.allclose(a.detach().double(), b.detach().double(), rtol=tolerance, atol=tolerance)
        for name, value in native.state[a].items():
            expected = reference.state[b][name].double()
            assert flambeau.allclose(value.double(), expected, rtol=tolerance, atol=tolerance)


def test_memory_with_gaps_and_expanded_gradients():
    base = flambeau.zeros(4, 6)
    apart = base[:, ::2].detach().requires_grad_()
    whole = flambeau.zeros(2, 3, requires_grad=True)
    apart.grad = flambeau.ones(4, 3)
    whole.grad = flambeau.ones(1, 1).expand(2, 3)
    optimizer = optim.SGD([apart, whole], lr=0.5)
    for _ in range(2):
        optimizer.step()
    assert base[:, ::2].eq(-1).all()
    assert base[:, 1::2].eq(0).all()
    assert whole.eq(-1).all()


def test_layouts_that_are_dense_but_not_row_major():
    weight = nn.Parameter(flambeau.arange(6.0).view(2, 3).t())
    expected = weight.detach().clone() - 0.1 * flambeau.arange(6.0).view(3, 2)
    weight.grad = flambeau.arange(6.0).view(3, 2)
    optim.SGD([weight], lr=0.1).step()
    assert flambeau.allclose(weight.detach(), expected)


def test_what_changes_between_steps_is_noticed():
    a, b = nn.Parameter(flambeau.zeros(2)), nn.Parameter(flambeau.zeros(2))
    optimizer = optim.SGD([a, b], lr=1.0, momentum=0.5)
    a.grad = flambeau.ones(2)
    optimizer.step()
    assert a.tolist() == [-1, -1]
    assert b.tolist() == [0, 0]
    b.grad = flambeau.ones(2)  # a parameter that had no gradient gets one
    optimizer.step()
    assert a.tolist() == [-2.5, -2.5]
    assert b.tolist() == [-1, -1]
    optimizer.state[a]["momentum_buffer"] = flambeau.zeros(2)  # state is replaced
    optimizer.step()
    assert a.tolist() == [-3.5, -3.5]
    a.data = flambeau.zeros(2)  # memory is replaced
    optimizer.step()
    assert a.tolist() == [-1.5, -1.5]
    optimizer.param_groups[0]["lr"] = 10.0
    optimizer.param_groups[0]["momentum"] = 0
    optimizer.step()
    assert a.tolist() == [-11.5, -11.5]
    optimizer.state.clear()
    optimizer.param_groups[0]["params"][0] = c = nn.Parameter(flambeau.zeros(3))
    c.grad = flambeau.ones(3)
    optimizer.step()
    assert c.tolist() == [-10, -10, -10]
    a.grad = None
    del b.grad
    optimizer.zero_grad()
    optimizer.step()
    assert c.tolist() == [-10, -10, -10]


def test_a_step_counts_as_a_write():
    p = nn.Parameter(flambeau.ones(2))
    loss = (p * p).sum()
    p.grad = flambeau.ones(2)
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize(("kind", "options"), [*NATIVE, *OTHERS])
def test_all_descend(kind, options):
    flambeau.manual_seed(0)
    p = nn.Parameter(flambeau.tensor([[3.0, -2.0], [1.0, 4.0]]))
    optimizer = kind([p], **{**options, "maximize": False})
    before = (p * p).sum().item()
    for _ in range(5):
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        optimizer.step()
    assert (p * p).sum().item() < before


@pytest.mark.parametrize(("kind", "options"), [*NATIVE, *OTHERS])
def test_state_goes_through_a_file_and_on(kind, options):
    def train(optimizer, made, begin, end):
        for step in range(begin, end):
            give_gradients(made, step)
            optimizer.step()

    mine = parameters(flambeau.float32, [(3, 4), (5,)])
    first = kind(mine, **options)
    train(first, mine, 0, 3)
    twins = [nn.Parameter(p.detach().clone()) for p in mine]
    second = kind(twins, **options)
    second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    train(first, mine, 3, 5)
    train(second, twins, 3, 5)
    for a, b in zip(mine, twins):
        assert flambeau.equal(a, b)


def test_state_dict_layout():
    a, b = nn.Parameter(flambeau.zeros(1)), nn.Parameter(flambeau.zeros(2))
    optimizer = optim.Adam([{"params": [a]}, {"params": [b], "lr": 0.5}])
    a.grad, b.grad = flambeau.ones(1), flambeau.ones(2)
    optimizer.step()
    state = optimizer.state_dict()
    assert list(state) == ["state", "param_groups"]
    assert list(state["state"]) == [0, 1]
    assert list(state["state"][1]) == ["step", "exp_avg", "exp_avg_sq"]
    assert state["state"][0]["step"].item() == 1
    assert [group["params"] for group in state["param_groups"]] == [[0], [1]]
    assert state["param_groups"][1]["lr"] == 0.5
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optim.Adam([a, b]).load_state_dict(state)
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        optim.Adam([{"params": [a, b]}, {"params": [nn.Parameter(flambeau.zeros(1))]}]).load_state_dict(state)


def test_deepcopy_is_independent():
    p = nn.Parameter(flambeau.zeros(2))
    p.grad = flambeau.ones(2)
    optimizer = optim.SGD([p], lr=1.0, momentum=0.9)
    optimizer.step()
    twin = copy.deepcopy(optimizer)
    twin.param_groups[0]["params"][0].grad = flambeau.ones(2)
    twin.step()
    assert p.tolist() == [-1, -1]


def test_hooks_run_around_the_step():
    p = nn.Parameter(flambeau.zeros(1))
    p.grad = flambeau.ones(1)
    optimizer, seen = optim.SGD([p], lr=1.0), []
    handle = optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append(p.item()))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(p.item()))
    optimizer.step()
    assert seen == [0, -1]
    handle.remove()
    optimizer.step()
    assert seen == [0, -1, -2]
    optimizer.register_state_dict_post_hook(lambda o, state: {"all": state})
    assert list(optimizer.state_dict()) == ["all"]


def test_a_users_own_optimizer_has_hooks_too():
    class Signs(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            with flambeau.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        p.sub_(group["lr"] * p.grad.sign())

    p = nn.Parameter(flambeau.ones(2))
    p.grad = flambeau.tensor([3.0, -3.0])
    optimizer, seen = Signs([p], 0.5), []
    optimizer.register_step_post_hook(lambda *args: seen.append(1))
    optimizer.step()
    assert p.tolist() == [0.5, 1.5]
    assert seen == [1]


def test_closure_and_differentiable():
    p = nn.Parameter(flambeau.ones(1))

    def closure():
        p.grad = flambeau.ones(1)
        return flambeau.tensor(7.0)

    assert optim.SGD([p], lr=1.0).step(closure).item() == 7
    lr = flambeau.tensor(0.5, requires_grad=True)
    start = flambeau.ones(2, requires_grad=True)
    moved = start.clone()
    moved.grad = flambeau.tensor([1.0, 2.0])
    optimizer = optim.SGD([moved], lr=lr, differentiable=True)
    optimizer.step()
    moved.sum().backward()
    assert lr.grad.item() == -3
    assert start.grad.tolist() == [1, 1]


def p1():
    return [nn.Parameter(flambeau.zeros(1))]


REFUSED = [
    (lambda: optim.SGD([]), ValueError, "optimizer got an empty parameter list"),
    (lambda: optim.SGD(p1()[0]), TypeError, "should be an iterable of Tensors or dicts"),
    (lambda: optim.SGD([3]), TypeError, "can only optimize Tensors, but one of the params is int"),
    (lambda: optim.SGD([{"params": set(p1())}]), TypeError, "ordered collections"),
    (lambda: optim.SGD([p1()[0] * 1]), ValueError, "can't optimize a non-leaf Tensor"),
    (lambda: optim.SGD(p1(), lr=-1), ValueError, "Invalid learning rate: -1"),
    (lambda: optim.SGD(p1(), momentum=-1), ValueError, "Invalid momentum value: -1"),
    (
        lambda: optim.SGD(p1(), nesterov=True),
        ValueError,
        "Nesterov momentum requires a momentum and zero dampening",
    ),
    (lambda: optim.Adam(p1(), betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0: 1.0"),
    (lambda: optim.Adam(p1(), eps=-1), ValueError, "Invalid epsilon value: -1"),
    (lambda: optim.Adam(p1(), weight_decay=-1), ValueError, "Invalid weight_decay value: -1"),
    (lambda: optim.Adam(p1(), lr=flambeau.ones(2)), ValueError, "Tensor lr must be 1-element"),
    (lambda: optim.Rprop(p1(), etas=(2, 1)), ValueError, "Invalid eta values: 2, 1"),
    (
        lambda: optim.LBFGS([{"params": p1()}, {"params": p1()}]),
        ValueError,
        "doesn't support per-parameter options",
    ),
    (lambda: optim.SGD([("a", p1()[0]), p1()[0]]), ValueError, "Some param names are missing"),
    (lambda: optim.Optimizer(p1(), {}).step(), NotImplementedError, "^$"),
]


@pytest.mark.parametrize(("action", "kind", "text"), REFUSED)
def test_refusals(action, kind, text):
    with pytest.raises(kind, match=text):
        action()


def test_groups():
    a, b = p1()[0], p1()[0]
    optimizer = optim.SGD([("a", a)], lr=0.1)
    optimizer.add_param_group({"params": [("b", b)], "lr": 0.2})
    assert optimizer.param_groups[1]["param_names"] == ["b"]
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        optimizer.add_param_group({"params": [("a", a)]})
    with pytest.raises(TypeError, match="param_group must be a dict"):
        optimizer.add_param_group([a])
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD([a, a])
    assert "Parameter Group 1" in repr(optimizer)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_finds_the_minimum_of_a_quadratic(search):
    p = nn.Parameter(flambeau.tensor([4.0, -3.0, 2.0]))
    scale = flambeau.tensor([1.0, 10.0, 0.5])
    optimizer = optim.LBFGS([p], lr=1 if search else 0.1, max_iter=50, line_search_fn=search)

    def closure():
        optimizer.zero_grad()
        loss = (p * p * scale).sum()
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    assert closure().item() < 1e-6


def test_no_memory_is_gained_over_many_steps():
    made = parameters(flambeau.float32, [(64, 64)])
    optimizer = optim.Adam(made)
    give_gradients(made, 0)
    optimizer.step()
    optimizer.step()
    from flambeau.backend.cpu import runtime

    before = runtime.memory_stats()["in_use"]
    for _ in range(200):
        optimizer.step()
    assert runtime.memory_stats()["in_use"] == before


def test_warnings_are_not_needed():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optim.Adam(p1()).step()


@pytest.mark.parametrize(("kind", "options"), NATIVE)
def test_results_do_not_depend_on_the_number_of_threads(kind, options):
    before = flambeau.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            flambeau.set_num_threads(threads)
            made = parameters(flambeau.float32, [(300, 700), (5,), (40000,)])
            optimizer = kind(made, **options)
            for step in range(3):
                give_gradients(made, step)
                optimizer.step()
            results.append(made)
    finally:
        flambeau.set_num_threads(before)
    assert all(flambeau.equal(a, b) for a, b in zip(*results))


def test_the_operator_refuses_tensors_that_do_not_belong_together():
    from flambeau.ops import define, optimise

    step = define.function_of(optimise.Sgd.operator)
    a, b = flambeau.ones(3), flambeau.ones(4)
    with pytest.raises(RuntimeError, match="differ in layout"):
        step([a], [b], [], False, False, False, 0.1, 0.0, 0.0, 0.0)
    with pytest.raises(RuntimeError, match="expected 1 tensors for as many parameters, got 2"):
        step([a], [a, a], [], False, False, False, 0.1, 0.0, 0.0, 0.0)
    apart = flambeau.ones(6)[::2]
    with pytest.raises(RuntimeError, match="lie apart or overlap"):
        step([apart], [apart], [], False, False, False, 0.1, 0.0, 0.0, 0.0)
    step([a], [flambeau.ones(3)], [], False, False, False, 0.5, 0.0, 0.0, 0.0)
    assert a.tolist() == [0.5, 0.5, 0.5]
