"""Hooks of all modules cost nothing once they are gone."""

from __future__ import annotations

import flambeau
from flambeau import nn
from flambeau.nn.modules.module import register_module_forward_hook


def test_calls_are_plain_again_after_the_last_global_hook():
    layer, seen = nn.Identity(), []
    handle = register_module_forward_hook(lambda module, args, result: seen.append(type(module).__name__))
    layer(flambeau.ones(1))
    assert nn.Module._has_hooks
    handle.remove()
    layer(flambeau.ones(1))
    assert seen == ["Identity"]
    assert not nn.Module._has_hooks
    own = nn.Identity()
    own.register_forward_hook(lambda module, args, result: seen.append("own"))
    own(flambeau.ones(1))
    assert seen == ["Identity", "own"]
