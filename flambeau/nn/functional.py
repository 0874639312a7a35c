"""Functions of neural networks: operators by name, and compositions of them.

Operators are declared once, under `flambeau.ops`, with ``nn.functional`` among their names; they are looked up there
when first used. What is no operator of its own, because it only chooses between operators or chains them, stands in
`flambeau.nn.composed`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

#: modules of `flambeau.nn.composed`, and the functions that each defines
_COMPOSED = {
    "activation": "relu",
    "choices": (
        "GRID_SAMPLE_INTERPOLATION_MODES GRID_SAMPLE_PADDING_MODES ScalingType SwizzleType assert_int_or_pair "
        "boolean_dispatch"
    ),
    "attention": "multi_head_attention_forward",
    "convolution": "conv_tbc",
    "ctc": "ctc_loss",
    "distance": "cosine_similarity normalize pairwise_distance pdist triplet_margin_with_distance_loss",
    "embedding": "one_hot",
    "fractional": (
        "fractional_max_pool2d fractional_max_pool2d_with_indices "
        "fractional_max_pool3d fractional_max_pool3d_with_indices"
    ),
    "linear_loss": "linear_cross_entropy",
    "pooling": (
        "adaptive_max_pool1d_with_indices adaptive_max_pool2d_with_indices adaptive_max_pool3d_with_indices"
    ),
    "products": "grouped_mm",
    "resize": "interpolate upsample upsample_bilinear upsample_nearest",
    "sampling": "affine_grid grid_sample",
    "shuffle": "channel_shuffle native_channel_shuffle pixel_shuffle pixel_unshuffle",
    "windows": "fold unfold",
}
#: names of `flambeau.overrides` that programs import from here
_OVERRIDES = (
    "handle_torch_function", "has_torch_function", "has_torch_function_unary", "has_torch_function_variadic",
)  # fmt: skip
_PLACES = {name: module for module, names in _COMPOSED.items() for name in names.split()}

#: compositions that autocast runs in float32
_FLOAT32 = frozenset(("ctc_loss", "fractional_max_pool2d", "fractional_max_pool3d", "grid_sample"))


def _in_float32(function: Any) -> Any:
    from flambeau.amp.casting import float32, under_autocast

    return under_autocast(function, float32)


def _find(name: str) -> Any:
    from flambeau.ops.define import public

    try:
        return public("nn.functional", name)
    except AttributeError:
        if name == "Tensor" or name in _OVERRIDES:
            return getattr(import_module("flambeau" if name == "Tensor" else "flambeau.overrides"), name)
        if name not in _PLACES:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'") from None
        found = getattr(import_module(f"flambeau.nn.composed.{_PLACES[name]}"), name)
        return _in_float32(found) if name in _FLOAT32 else found


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    found = globals()[name] = _find(name)  # the next look-up is that of an ordinary global
    return found


def __dir__() -> list[str]:
    from flambeau.ops.define import names

    return sorted({*names("nn.functional"), *_PLACES})
