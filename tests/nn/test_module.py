"""`Module`: registration, state, hooks, conversion and what its errors say."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections import OrderedDict

import pytest

import flambeau
from flambeau import nn
from flambeau.nn.modules.module import register_module_forward_hook


class Net(nn.Module):
    """Two layers, a buffer that is saved, and one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 2, bias=False)
        self.register_buffer("scale", flambeau.ones(2))
        self.register_buffer("cache", flambeau.zeros(1), persistent=False)

    def forward(self, x):
        return self.second(self.first(x).relu()) * self.scale


# ---------------------------------------------------------------------------------------------- registration


def test_names_come_in_the_order_of_registration():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == ["first.weight", "first.bias", "second.weight"]
    assert [name for name, _ in net.named_buffers()] == ["scale", "cache"]
    assert [name for name, _ in net.named_modules()] == ["", "first", "second"]
    assert list(net.state_dict()) == ["scale", "first.weight", "first.bias", "second.weight"]
    assert net.state_dict()._metadata["first"] == {"version": 1}


def test_parameters_are_ordinary_attributes_and_registered_ones():
    layer = nn.Linear(3, 4)
    weight = layer.weight
    assert layer.__dict__["weight"] is weight
    assert layer._parameters["weight"] is weight
    other = nn.Parameter(flambeau.zeros(4, 3))
    layer._parameters["weight"] = other
    assert layer.weight is other
    del layer._parameters["weight"]
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'weight'"):
        layer.weight
    layer.weight = weight
    assert layer._parameters["weight"] is weight
    del layer.bias
    assert "bias" not in layer._parameters


def test_replacing_one_kind_by_another_moves_the_name():
    net = nn.Module()
    net.x = flambeau.zeros(1)
    net.x = nn.Parameter(flambeau.zeros(2))
    assert list(net._parameters) == ["x"]
    net.x = None
    assert net._parameters == {"x": None}
    assert net.x is None
    net.y = nn.Linear(1, 1)
    net.y = nn.Parameter(flambeau.zeros(1))
    assert "y" not in net._modules
    net.z = nn.Buffer(flambeau.zeros(1), persistent=False)
    assert list(net._buffers) == ["z"]
    assert "z" not in net.state_dict()


REFUSED = [
    (lambda m: setattr(m, "weight", flambeau.zeros(1)), TypeError, "as parameter 'weight'"),
    (lambda m: setattr(m, "weight", 3), TypeError, "cannot assign 'int' as parameter 'weight'"),
    (lambda m: setattr(m, "child", 3), TypeError, "cannot assign 'int' as child module 'child'"),
    (lambda m: setattr(m, "buffer", 3), TypeError, "cannot assign 'int' as buffer 'buffer'"),
    (lambda m: m.register_parameter("a.b", None), KeyError, "t contain"),
    (lambda m: m.register_parameter("", None), KeyError, "t be empty string"),
    (lambda m: m.register_parameter("forward", None), KeyError, "attribute 'forward' already exists"),
    (lambda m: m.register_parameter(3, None), TypeError, "parameter name should be a string. Got int"),
    (lambda m: m.register_parameter("p", flambeau.zeros(1)), TypeError, "object to parameter 'p'"),
    (lambda m: m.register_buffer("b", 3), TypeError, "cannot assign 'int' object to buffer 'b'"),
    (lambda m: m.register_buffer("weight", None), KeyError, "attribute 'weight' already exists"),
    (lambda m: m.add_module("c", 3), TypeError, "int is not a Module subclass"),
    (lambda m: m.add_module("c.d", nn.Identity()), KeyError, "t contain"),
    (lambda m: m.get_submodule("nothing"), AttributeError, "has no attribute `nothing`"),
    (lambda m: m.get_submodule("weight"), AttributeError, "`weight` is not an nn.Module"),
    (lambda m: m.get_parameter("buffer"), AttributeError, "`buffer` is not an nn.Parameter"),
    (lambda m: m.get_buffer("weight"), AttributeError, "`weight` is not a buffer"),
    (lambda m: m.train(1), ValueError, "training mode is expected to be boolean"),
    (lambda m: m.to(flambeau.int64), TypeError, "only accepts floating point or complex dtypes"),
    (lambda m: m(1), NotImplementedError, 'is missing the required "forward" function'),
]


@pytest.mark.parametrize(("action", "kind", "text"), REFUSED)
def test_refusals(action, kind, text):
    module = nn.Module()
    module.weight = nn.Parameter(flambeau.zeros(2))
    module.child = nn.Identity()
    module.register_buffer("buffer", flambeau.zeros(1))
    with pytest.raises(kind, match=text):
        action(module)


@pytest.mark.parametrize("value", [lambda: nn.Parameter(flambeau.zeros(1)), nn.Identity])
def test_assigning_before_init_is_an_error(value):
    class Early(nn.Module):
        def __init__(self):
            self.x = value()

    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
        Early()


def test_unknown_constructor_arguments():
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        nn.Module(size=3)
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        nn.Module(3)


def test_paths():
    net = nn.Sequential(Net(), nn.ReLU())
    assert net.get_submodule("0.first") is net[0].first
    assert net.get_parameter("0.first.weight") is net[0].first.weight
    assert net.get_buffer("0.scale") is net[0].scale
    net.set_submodule("0.first", nn.Identity())
    assert isinstance(net[0].first, nn.Identity)


def test_shared_modules_and_parameters_are_listed_once():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, layer)
    assert len(list(net.parameters())) == 2
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert len(list(net.modules())) == 2
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_a_module_is_freed_without_the_cycle_collector():
    gc.disable()
    try:
        net = Net()
        gone = weakref.ref(net)
        del net
        assert gone() is None
    finally:
        gc.enable()


# ---------------------------------------------------------------------------------------------- copies


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_independent_and_equal(duplicate):
    net = Net()
    twin = duplicate(net)
    assert twin.first.weight is not net.first.weight
    assert twin.first.weight is twin.first._parameters["weight"]
    assert isinstance(twin.first.weight, nn.Parameter)
    assert flambeau.equal(twin.first.weight, net.first.weight)
    with flambeau.no_grad():
        twin.first.weight.zero_()
    assert net.first.weight.abs().sum().item() > 0
    twin.first.weight = nn.Parameter(flambeau.ones(4, 3))
    assert twin.first._parameters["weight"] is twin.first.weight


def test_shallow_copy_has_working_registries():
    net = nn.Linear(2, 2)
    twin = copy.copy(net)
    assert twin.weight is net.weight
    twin.weight = nn.Parameter(flambeau.zeros(2, 2))
    assert twin._parameters["weight"] is twin.weight
    assert net.weight is not twin.weight


# ---------------------------------------------------------------------------------------------- state


def test_load_reports_everything_that_does_not_fit():
    state = Net().state_dict()
    del state["scale"]
    state["first.weight"] = flambeau.zeros(9, 9)
    state["third.weight"] = flambeau.zeros(1)
    with pytest.raises(RuntimeError) as caught:
        Net().load_state_dict(state)
    lines = str(caught.value).split("\n\t")
    assert lines == [
        "Error(s) in loading state_dict for Net:",
        'Missing key(s) in state_dict: "scale". ',
        'Unexpected key(s) in state_dict: "third.weight". ',
        "size mismatch for first.weight: copying a param with shape torch.Size([9, 9]) from checkpoint, "
        "the shape in current model is torch.Size([4, 3]).",
    ]


def test_load_without_strict_returns_the_differences():
    state = Net().state_dict()
    del state["scale"]
    state["third.weight"] = flambeau.zeros(1)
    keys = Net().load_state_dict(state, strict=False)
    assert keys.missing_keys == ["scale"]
    assert keys.unexpected_keys == ["third.weight"]
    assert repr(Net().load_state_dict(Net().state_dict())) == "<All keys matched successfully>"


def test_load_copies_and_assign_replaces():
    net, state = nn.Linear(2, 2), nn.Linear(2, 2).state_dict()
    weight = net.weight
    net.load_state_dict(state)
    assert net.weight is weight
    assert flambeau.equal(weight, state["weight"])
    net.bias.requires_grad_(False)
    net.load_state_dict(state, assign=True)
    assert net.weight is not weight
    assert isinstance(net.weight, nn.Parameter)
    assert net.weight.data_ptr() == state["weight"].data_ptr()
    assert not net.bias.requires_grad


def test_load_refuses_what_is_no_mapping():
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like"):
        nn.Linear(1, 1).load_state_dict([1])


def test_extra_state_and_state_hooks():
    class Counting(nn.Linear):
        def __init__(self):
            super().__init__(1, 1)
            self.count = 0

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    module, seen = Counting(), []
    module.count = 7
    module.register_state_dict_pre_hook(lambda m, prefix, keep: seen.append(prefix))
    module.register_state_dict_post_hook(lambda m, state, prefix, meta: seen.append(len(state)))
    state = module.state_dict()
    assert state["_extra_state"] == {"count": 7}
    assert seen == ["", 3]
    other = Counting()
    other.register_load_state_dict_pre_hook(lambda m, state, prefix, *rest: seen.append(type(m)))
    other.register_load_state_dict_post_hook(lambda m, keys: seen.append(keys.missing_keys))
    other.load_state_dict(state)
    assert other.count == 7
    assert seen[2:] == [Counting, []]


def test_batch_norm_state_of_version_one_gets_its_counter():
    state = nn.BatchNorm1d(2).state_dict()
    del state["num_batches_tracked"]
    state._metadata[""] = {"version": 1}
    assert not nn.BatchNorm1d(2).load_state_dict(state).missing_keys


# ---------------------------------------------------------------------------------------------- hooks


def test_forward_hooks_see_and_change_arguments_and_results():
    layer = nn.Identity()
    log = []
    first = layer.register_forward_pre_hook(lambda m, args: log.append("first"))
    layer.register_forward_pre_hook(lambda m, args: (args[0] + 1,), prepend=True)
    layer.register_forward_pre_hook(lambda m, args, kwargs: (args, kwargs), with_kwargs=True)
    layer.register_forward_hook(lambda m, args, output: output * 2)
    assert layer(flambeau.tensor(1)).item() == 4
    first.remove()
    layer(flambeau.tensor(1))
    assert log == ["first"]


def test_a_call_without_hooks_takes_the_short_way():
    layer = nn.Linear(1, 1)
    assert not layer._has_hooks
    layer.register_forward_hook(lambda *args: None)
    assert layer._has_hooks
    assert not nn.Linear(1, 1)._has_hooks


def test_always_called_hooks_run_after_an_error():
    class Broken(nn.Module):
        def forward(self, x):
            raise ValueError("broken")

    seen = []
    module = Broken()
    module.register_forward_hook(lambda m, args, output: seen.append(output), always_call=True)
    module.register_forward_hook(lambda m, args, output: seen.append("never"))
    with pytest.raises(ValueError, match="broken"):
        module(1)
    assert seen == [None]


def test_global_hooks_reach_all_modules():
    seen = []
    handle = register_module_forward_hook(lambda m, args, output: seen.append(type(m).__name__))
    try:
        nn.Sequential(nn.Identity())(1)
    finally:
        handle.remove()
    nn.Identity()(1)
    assert seen == ["Identity", "Sequential"]


def test_wrong_pre_hook_result():
    layer = nn.Identity()
    layer.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
    with pytest.raises(RuntimeError, match="forward pre-hook must return None or a tuple"):
        layer(1)


def test_full_backward_hooks_see_and_change_gradients():
    layer = nn.Linear(2, 1, bias=False)
    seen = {}

    def before(module, grad_output):
        seen["before"] = [g.clone() for g in grad_output]
        return (grad_output[0] * 10,)

    def after(module, grad_input, grad_output):
        seen["after"] = grad_output[0].clone()
        return (grad_input[0] + 1,)

    layer.register_full_backward_pre_hook(before)
    layer.register_full_backward_hook(after)
    x = flambeau.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    assert seen["before"][0].item() == 1
    assert seen["after"].item() == 10
    assert flambeau.allclose(x.grad, layer.weight.detach() * 10 + 1)
    assert flambeau.allclose(layer.weight.grad, flambeau.full((1, 2), 10.0))


def test_full_backward_hook_where_no_input_needs_a_gradient():
    layer = nn.Linear(2, 1)
    seen = []
    layer.register_full_backward_hook(
        lambda m, grad_input, grad_output: seen.append((grad_input, grad_output[0].item()))
    )
    layer(flambeau.ones(1, 2)).sum().backward()
    assert seen == [((None,), 1.0)]


def test_both_kinds_of_backward_hooks_do_not_mix():
    layer = nn.Linear(1, 1)
    layer.register_full_backward_hook(lambda *args: None)
    with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full backward hooks"):
        layer.register_backward_hook(lambda *args: None)


# ---------------------------------------------------------------------------------------------- conversion


def test_to_keeps_parameter_objects_and_integer_buffers():
    net = nn.BatchNorm1d(2)
    weight = net.weight
    net.weight.grad = flambeau.ones(2)
    assert net.to(flambeau.float64) is net
    assert net.weight is weight
    assert weight.dtype is flambeau.float64
    assert weight.grad.dtype is flambeau.float64
    assert net.running_mean.dtype is flambeau.float64
    assert net.num_batches_tracked.dtype is flambeau.int64
    assert net.float().weight.dtype is flambeau.float32
    assert net.half().weight.dtype is flambeau.float16
    assert net.bfloat16().weight.dtype is flambeau.bfloat16
    assert net.double().weight.dtype is flambeau.float64


def test_meta_device_and_to_empty():
    layer = nn.Linear(3, 4, device="meta")
    assert layer.weight.is_meta
    layer.to_empty(device="cpu")
    assert layer.weight.shape == (4, 3)
    assert not layer.weight.is_meta
    assert isinstance(layer.weight, nn.Parameter)


def test_apply_visits_children_first():
    seen = []
    net = Net()
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "Linear", "Net"]


def test_train_eval_requires_grad_and_zero_grad():
    net = Net()
    assert net.eval().first.training is False
    assert net.train().first.training is True
    net(flambeau.ones(1, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.second.weight.grad.abs().sum().item() == 0
    net.zero_grad()
    assert net.second.weight.grad is None
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


# ---------------------------------------------------------------------------------------------- showing


def test_repr():
    assert repr(nn.Sequential(OrderedDict(a=nn.Linear(1, 2), b=nn.ReLU(inplace=True)))) == (
        "Sequential(\n  (a): Linear(in_features=1, out_features=2, bias=True)\n  (b): ReLU(inplace=True)\n)"
    )
    assert repr(nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()])) == (
        "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Tanh()\n)"
    )


def test_errors_say_which_module_and_what_it_was_built_with():
    net = nn.Sequential(Net(), nn.ReLU())
    with pytest.raises(RuntimeError) as caught:
        net(flambeau.zeros(2, 5))
    notes = "\n".join(caught.value.__notes__)
    assert "at    Sequential.0.first (Linear), test_module.py:" in notes
    assert "fix   this Linear was built with in_features=3" in notes


def test_dir_lists_parameters_buffers_and_modules():
    names = dir(Net())
    assert {"first", "second", "scale", "forward"} <= set(names)
    assert "0" not in dir(nn.Sequential(nn.ReLU()))
