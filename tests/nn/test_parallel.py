"""Data parallelism on the devices that there are, and the choice of attention kernels."""

from __future__ import annotations

import pytest

import flambeau
from flambeau import nn
from flambeau.nn import parallel
from flambeau.nn.attention import SDPBackend, sdpa_kernel
from flambeau.nn.attention.bias import CausalBias, causal_lower_right, causal_upper_left


def test_data_parallel_without_gpus_calls_the_module():
    layer = nn.Linear(2, 3)
    model = nn.DataParallel(layer)
    x = flambeau.ones(4, 2)
    assert bool((model(x) == layer(x)).all())
    assert model.device_ids == []
    assert sorted(model.state_dict()) == ["module.bias", "module.weight"]
    assert bool((parallel.data_parallel(layer, x) == layer(x)).all())


def test_replicas_hand_their_gradients_to_the_original():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    copies = parallel.replicate(net, ["cpu", "cpu"])
    x = flambeau.randn(6, 2)
    found = parallel.parallel_apply(copies, list(parallel.scatter(x, ["cpu", "cpu"])))
    whole = parallel.gather(found, "cpu")
    assert tuple(whole.shape) == (6, 2)
    (whole * flambeau.randn(6, 2)).sum().backward()
    assert net[0].weight.grad is not None
    assert list(copies[0].parameters()) == []
    assert isinstance(net[0].weight, nn.Parameter)


def test_scatter_and_gather_nested():
    given = {"a": flambeau.arange(4), "b": [flambeau.ones(2), 3], "c": "text"}
    first, second = parallel.scatter(given, ["cpu", "cpu"])
    assert first["a"].tolist() == [0, 1]
    assert second["a"].tolist() == [2, 3]
    assert first["b"][1] == 3
    assert second["c"] == "text"
    joined = parallel.gather([{"x": flambeau.tensor(1.0)}, {"x": flambeau.tensor(2.0)}], "cpu")
    assert joined["x"].tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="same number of keys"):
        parallel.gather([{"x": flambeau.ones(1)}, {}], "cpu")


def test_errors_of_threads_arrive():
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        parallel.parallel_apply(
            [nn.Linear(2, 2), nn.Linear(2, 2)], [flambeau.ones(1, 2), flambeau.ones(1, 3)]
        )


def test_kernels_are_chosen_for_a_while():
    from flambeau.backends import cuda

    with sdpa_kernel([SDPBackend.MATH, SDPBackend.FLASH_ATTENTION]):
        assert (cuda.math_sdp_enabled(), cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled()) == (
            True, True, False,
        )  # fmt: skip
        with sdpa_kernel(SDPBackend.MATH):
            assert not cuda.flash_sdp_enabled()
    assert cuda.mem_efficient_sdp_enabled()
    with pytest.raises(AssertionError, match="Backend must be an instance of SDPBackend"), sdpa_kernel(3):
        pass


def test_causal_biases():
    q, k = flambeau.randn(1, 1, 2, 4), flambeau.randn(1, 1, 3, 4)
    attend = nn.functional.scaled_dot_product_attention
    for bias in (causal_upper_left(2, 3), causal_lower_right(2, 3)):
        assert isinstance(bias, CausalBias)
        assert bool((attend(q, k, k, attn_mask=bias) == attend(q, k, k, attn_mask=bias._materialize())).all())
    assert causal_lower_right(2, 3)._materialize().tolist() == [[True, True, False], [True, True, True]]
    with pytest.raises(AssertionError, match="only supports 2D tensors"):
        causal_upper_left(2)
