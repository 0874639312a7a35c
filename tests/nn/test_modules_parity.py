"""Modules against PyTorch: signatures, names, first values for the same seed, ``repr`` and results."""

from __future__ import annotations

import inspect
import warnings

import pytest

import flambeau
from flambeau import nn

pytestmark = pytest.mark.parity

ANNOTATED_OTHERWISE = {"activation"}  # a default that is a function prints differently

#: class, arguments, shapes of the inputs (ints: a tensor of class indices below that number)
CASES = [
    ("Linear", (5, 3), {}, [(2, 5)]),
    ("Linear", (5, 3), {"bias": False}, [(5,)]),
    ("Bilinear", (2, 3, 4), {}, [(5, 2), (5, 3)]),
    ("Conv1d", (4, 6, 3), {"padding": 1, "groups": 2}, [(2, 4, 9)]),
    ("Conv2d", (3, 4, 3), {"stride": 2, "padding": (1, 2)}, [(2, 3, 8, 8)]),
    ("Conv2d", (3, 4, (3, 2)), {"padding": "same", "dilation": 2}, [(2, 3, 8, 8)]),
    ("Conv2d", (3, 4, 3), {"padding": 1, "padding_mode": "reflect"}, [(3, 8, 8)]),
    ("Conv2d", (3, 4, 3), {"padding": (1, 2), "padding_mode": "circular"}, [(1, 3, 8, 8)]),
    ("Conv3d", (2, 3, 2), {"bias": False}, [(1, 2, 4, 4, 4)]),
    ("ConvTranspose1d", (4, 3, 3), {"stride": 2, "output_padding": 1}, [(2, 4, 5)]),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, [(2, 4, 5, 5)]),
    ("ConvTranspose3d", (2, 3, 2), {"dilation": 2}, [(1, 2, 3, 3, 3)]),
    ("BatchNorm1d", (4,), {}, [(6, 4)]),
    ("BatchNorm1d", (4,), {"momentum": None}, [(6, 4, 3)]),
    ("BatchNorm2d", (3,), {"affine": False}, [(2, 3, 4, 4)]),
    ("BatchNorm2d", (3,), {"bias": False}, [(2, 3, 4, 4)]),
    ("BatchNorm3d", (2,), {"track_running_stats": False}, [(2, 2, 3, 3, 3)]),
    ("LayerNorm", ((3, 4),), {}, [(2, 3, 4)]),
    ("LayerNorm", (4,), {"bias": False}, [(2, 4)]),
    ("GroupNorm", (2, 6), {}, [(2, 6, 5)]),
    ("InstanceNorm1d", (3,), {"affine": True}, [(2, 3, 5)]),
    ("InstanceNorm2d", (3,), {"track_running_stats": True}, [(2, 3, 5, 5)]),
    ("RMSNorm", (4,), {}, [(3, 4)]),
    ("LocalResponseNorm", (3,), {}, [(2, 6, 4, 4)]),
    ("Dropout", (), {"p": 0.4}, [(20, 7)]),
    ("Dropout2d", (), {}, [(2, 6, 3, 3)]),
    ("AlphaDropout", (), {}, [(20, 7)]),
    ("Embedding", (7, 3), {"padding_idx": 2}, [7]),
    ("EmbeddingBag", (7, 3), {"mode": "sum"}, [7]),
    ("PReLU", (3,), {}, [(2, 3, 4)]),
    ("MaxPool1d", (2,), {}, [(2, 3, 8)]),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1}, [(2, 3, 8, 8)]),
    ("MaxPool3d", (2,), {"ceil_mode": True}, [(1, 2, 5, 5, 5)]),
    ("AvgPool1d", (2,), {}, [(2, 3, 8)]),
    ("AvgPool2d", (3,), {"padding": 1, "count_include_pad": False}, [(2, 3, 8, 8)]),
    ("AvgPool3d", (2,), {}, [(1, 2, 4, 4, 4)]),
    ("AdaptiveAvgPool1d", (3,), {}, [(2, 3, 8)]),
    ("AdaptiveAvgPool2d", ((2, None),), {}, [(2, 3, 7, 5)]),
    ("AdaptiveMaxPool2d", (3,), {}, [(2, 3, 7, 5)]),
    ("LPPool2d", (2, 3), {}, [(2, 3, 8, 8)]),
    ("Flatten", (), {}, [(2, 3, 4)]),
    ("Unflatten", (1, (2, 3)), {}, [(2, 6)]),
    ("PixelShuffle", (2,), {}, [(1, 8, 3, 3)]),
    ("PixelUnshuffle", (2,), {}, [(1, 2, 4, 4)]),
    ("ChannelShuffle", (2,), {}, [(1, 4, 3, 3)]),
    ("ZeroPad2d", ((1, 2, 3, 0),), {}, [(1, 2, 3, 3)]),
    ("ConstantPad1d", (2, 3.5), {}, [(1, 2, 3)]),
    ("ReflectionPad2d", (1,), {}, [(1, 2, 3, 3)]),
    ("ReplicationPad2d", (1,), {}, [(1, 2, 3, 3)]),
    ("CircularPad1d", (1,), {}, [(1, 2, 3)]),
    ("Upsample", (), {"scale_factor": 2, "mode": "nearest"}, [(1, 2, 3, 3)]),
    ("Upsample", (), {"size": (5, 4), "mode": "bilinear", "align_corners": False}, [(1, 2, 3, 3)]),
    ("Unfold", (2,), {}, [(1, 2, 4, 4)]),
    ("Fold", ((4, 4), 2), {"stride": 2}, [(1, 8, 4)]),
    ("CosineSimilarity", (), {}, [(3, 4), (3, 4)]),
    ("PairwiseDistance", (), {}, [(3, 4), (3, 4)]),
    ("RNN", (3, 4), {"num_layers": 2}, [(5, 2, 3)]),
    ("LSTM", (3, 4), {"bidirectional": True, "batch_first": True}, [(2, 5, 3)]),
    ("LSTM", (3, 4), {"proj_size": 2}, [(5, 3)]),
    ("GRU", (3, 4), {"bias": False}, [(5, 2, 3)]),
    ("RNNCell", (3, 4), {"nonlinearity": "relu"}, [(2, 3)]),
    ("LSTMCell", (3, 4), {}, [(2, 3)]),
    ("GRUCell", (3, 4), {}, [(3,)]),
    ("MultiheadAttention", (8, 2), {"dropout": 0.0}, [(5, 2, 8)] * 3),
    ("MultiheadAttention", (8, 2), {"kdim": 3, "vdim": 5, "batch_first": True},
     [(2, 5, 8), (2, 4, 3), (2, 4, 5)]),
    ("MultiheadAttention", (8, 2), {"add_bias_kv": True, "add_zero_attn": True}, [(5, 8)] * 3),
    ("TransformerEncoderLayer", (8, 2, 16), {"dropout": 0.0}, [(5, 2, 8)]),
    ("TransformerEncoderLayer", (8, 2, 16), {"dropout": 0.0, "norm_first": True, "activation": "gelu"},
     [(5, 8)]),
    ("TransformerDecoderLayer", (8, 2, 16), {"dropout": 0.0, "batch_first": True}, [(2, 5, 8), (2, 3, 8)]),
    ("Transformer", (8, 2, 1, 1, 16), {"dropout": 0.0}, [(4, 2, 8), (3, 2, 8)]),
    *[(name, (), {}, [(3, 6)]) for name in (
        "ReLU ReLU6 ELU SELU CELU GELU SiLU Mish Sigmoid Tanh Hardtanh Hardsigmoid Hardswish Hardshrink "
        "Softshrink "
        "LeakyReLU LogSigmoid Softplus Softsign Tanhshrink GLU Identity"
    ).split()],
    *[(name, (1,), {}, [(3, 6)]) for name in ("Softmax", "Softmin", "LogSoftmax")],
    ("Threshold", (0.1, 20), {}, [(3, 6)]),
    ("GELU", ("tanh",), {}, [(3, 6)]),
    *[(name, (), {"reduction": reduction}, [(3, 6), (3, 6)])
      for name in ("L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss", "SoftMarginLoss", "KLDivLoss",
      "PoissonNLLLoss")
      for reduction in ("mean", "sum", "none")],
    ("CrossEntropyLoss", (), {"label_smoothing": 0.1}, [(4, 6), 4]),
    ("NLLLoss", (), {"ignore_index": 1}, [(4, 6), 4]),
    ("MultiMarginLoss", (), {}, [(4, 6), 4]),
    ("BCEWithLogitsLoss", (), {}, [(3, 6), (3, 6)]),
    ("TripletMarginLoss", (), {"swap": True}, [(3, 6)] * 3),
    ("MarginRankingLoss", (), {"margin": 0.1}, [(5,)] * 3),
    ("GaussianNLLLoss", (), {}, [(3, 6)] * 3),
]  # fmt: skip


def build(library, seed_library, name, args, kwargs):
    seed_library.manual_seed(11)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(library, name)(*args, **kwargs)


def inputs(oracle, shapes) -> list:
    oracle.manual_seed(5)
    made = []
    for shape in shapes:
        made.append(oracle.randint(0, shape, (shape, 3) if len(shapes) == 1 else (shape,))
                    if isinstance(shape, int) else oracle.rand(shape) + 0.1)  # fmt: skip
    return made


def leaves(value) -> list:
    if isinstance(value, (tuple, list)):
        return [leaf for part in value for leaf in leaves(part)]
    return [] if value is None else [value]


def assert_equal(ours, theirs, tolerance: float = 2e-5) -> None:
    ours, theirs = leaves(ours), leaves(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert tuple(a.shape) == tuple(b.shape)
        difference = (
            (a.detach().numpy().astype("float64") - b.detach().numpy().astype("float64")) if a.numel() else 0
        )
        scale = 1 + (abs(b.detach().numpy()).max() if b.numel() else 0)
        assert abs(difference).max() <= tolerance * scale if a.numel() else True


@pytest.mark.parametrize(("name", "args", "kwargs", "shapes"), CASES)
def test_state_first_values_repr_and_results(oracle, name, args, kwargs, shapes):
    theirs = build(oracle.nn, oracle, name, args, kwargs)
    ours = build(nn, flambeau, name, args, kwargs)
    assert repr(ours) == repr(theirs)
    expected = theirs.state_dict()
    assert list(ours.state_dict()) == list(expected)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    for key, value in ours.state_dict().items():
        assert_equal(value, expected[key], 1e-6)
    for training in (True, False):
        given = inputs(oracle, shapes)
        oracle.manual_seed(3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = theirs.train(training)(*given)
        flambeau.manual_seed(3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = ours.train(training)(*[flambeau.from_numpy(x.numpy()) for x in given])
        assert_equal(got, wanted)
    for (_, a), (_, b) in zip(ours.named_buffers(), theirs.named_buffers()):
        assert_equal(a, b)


def test_all_names_are_there(oracle):
    missing = set(oracle.nn.modules.__all__) - set(nn.modules.__all__)
    assert missing <= {"LinearCrossEntropyLoss", "LinearCrossEntropyOptions"}


def test_signatures(oracle):
    different = []
    for name in nn.modules.__all__:
        ours = inspect.signature(getattr(nn, name).__init__).parameters.values()
        theirs = inspect.signature(getattr(oracle.nn, name).__init__).parameters.values()
        mine = [(p.name, p.kind, p.default if p.name not in ANNOTATED_OTHERWISE else None) for p in ours]
        wanted = [(p.name, p.kind, p.default if p.name not in ANNOTATED_OTHERWISE else None) for p in theirs]
        if mine != wanted:
            different.append((name, mine, wanted))
    assert not different


def test_module_methods(oracle):
    names = [n for n in dir(oracle.nn.Module) if not n.startswith("_") and n != "T_destination"]
    assert not [n for n in names if not hasattr(nn.Module, n)]
    for name in names:
        theirs = getattr(oracle.nn.Module, name)
        if callable(theirs) and name != "forward":
            ours = inspect.signature(getattr(nn.Module, name)).parameters
            assert list(ours) == list(inspect.signature(theirs).parameters), name


INITS = [
    ("uniform_", (), {"a": -1, "b": 2}),
    ("normal_", (), {"mean": 1, "std": 2}),
    ("trunc_normal_", (), {"std": 0.5}),
    ("trunc_normal_", (), {"a": -0.4, "b": 0.7}),
    ("trunc_normal_", (), {"a": 1.5, "b": 1.9}),
    ("constant_", (0.3,), {}),
    ("eye_", (), {}),
    ("xavier_uniform_", (), {"gain": 2}),
    ("xavier_normal_", (), {}),
    ("kaiming_uniform_", (), {"mode": "fan_out", "nonlinearity": "relu"}),
    ("kaiming_normal_", (), {"a": 0.2}),
    ("orthogonal_", (), {"gain": 2}),
    ("sparse_", (0.4,), {}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), INITS)
def test_init_draws_the_same_numbers(oracle, name, args, kwargs):
    theirs, ours = oracle.empty(5, 7), flambeau.empty(5, 7)
    oracle.manual_seed(1)
    getattr(oracle.nn.init, name)(theirs, *args, **kwargs)
    flambeau.manual_seed(1)
    assert getattr(nn.init, name)(ours, *args, **kwargs) is ours
    assert_equal(ours, theirs, 1e-5)


def test_dirac(oracle):
    theirs, ours = oracle.empty(6, 3, 3, 3), flambeau.empty(6, 3, 3, 3)
    oracle.nn.init.dirac_(theirs, 2)
    assert_equal(nn.init.dirac_(ours, 2), theirs, 0)
