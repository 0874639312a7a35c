"""Random number generators whose streams equal PyTorch's CPU generator for the same seed."""

from __future__ import annotations

import ctypes
import os
import struct

from ..base import dtype as types
from ..base.device import device as Device
from ..base.mode import mode
from ..ops import define, random
from . import dispatch, interop
from .tensor import Tensor

STATE_WORDS = 632
_Words = ctypes.c_int64 * STATE_WORDS
DEFAULT_SEED = 67280421310721


def seeded(seed: int) -> list[int]:
    """The 624 words that a seed starts from (Matsumoto and Nishimura, 1998)."""
    x = seed & 0xFFFFFFFF
    words = [x]
    for j in range(1, 624):
        x = (1812433253 * (x ^ (x >> 30)) + j) & 0xFFFFFFFF
        words.append(x)
    return words


class Generator:
    """A stream of random numbers (MT19937).

    >>> import flambeau as torch
    >>> g = torch.Generator().manual_seed(0)
    >>> torch.rand(2, generator=g)
    tensor([0.4963, 0.7682])
    """

    def __init__(self, device="cpu"):
        self.device = Device(device)
        if self.device.type not in ("cpu", "meta"):
            name = self.device.type.upper()
            raise RuntimeError(f"Cannot get {name} generator without a {name} back end.")
        self._seed = DEFAULT_SEED
        self._state: Tensor | None = None

    @property
    def state(self) -> Tensor:
        """The state that kernels read and write, made on first use."""
        if self._state is None:
            self._state = interop.empty_tensor((STATE_WORDS,), types.int64)
            dispatch.runtime().set_version(self._state._memory, 0)  # written outside inference mode too
            self._fill(self._seed)
        return self._state

    def _words(self):
        return _Words.from_address(interop.address(self.state))

    def _fill(self, seed: int) -> None:
        self._words()[:] = seeded(seed) + [624] + [0] * (STATE_WORDS - 625)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of a seed; gives the generator."""
        if not hasattr(seed, "__index__"):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        seed = seed.__index__()
        if not -(1 << 63) <= seed < 1 << 64:
            raise ValueError("Overflow when unpacking long long")
        self._seed = seed & 0xFFFFFFFFFFFFFFFF
        if self._state is not None:
            self._fill(self._seed)
        return self

    def initial_seed(self) -> int:
        """The seed that the stream started from."""
        return self._seed

    def seed(self) -> int:
        """Start from a seed of the operating system; gives it."""
        value = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(value)
        return value

    def get_state(self) -> Tensor:
        """The state as bytes, in PyTorch's layout."""
        words = self._words()
        at = words[624]
        left = 625 - at
        if at == 624 and words[:624] == seeded(self._seed):  # nothing drawn yet
            left, at = 1, 0
        data = struct.pack("<QiiQ", self._seed, left, 1, at)
        data += struct.pack("<624Q", *[w & 0xFFFFFFFF for w in words[:624]])
        waiting = words[625] != 0
        sample = struct.unpack("<d", struct.pack("<q", words[626]))[0] if waiting else 0.0
        data += struct.pack("<dddi4x", 0.0, sample, 0.0, 1 if waiting else 0)
        data += struct.pack("<fi", 0.0, 0)
        made = interop.empty_tensor((len(data),), types.uint8)
        ctypes.memmove(interop.address(made), data, len(data))
        return made

    def set_state(self, new_state: Tensor) -> Generator:
        """Go on from a state that `get_state` gave."""
        if new_state.dtype is not types.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if new_state.numel() != 5056 and new_state.numel() != 5048:
            raise RuntimeError(
                "Expected a CPUGeneratorImplState of size 5056 but found the input RNG state size to be "
                f"{new_state.numel()}"
            )
        data = bytes(bytearray(new_state.tolist()))
        seed, left, _, at = struct.unpack_from("<QiiQ", data)
        state = struct.unpack_from("<624Q", data, 24)
        _, sample, _, valid = struct.unpack_from("<dddi", data, 24 + 4992)
        position = 624 if left == 1 else at
        bits = struct.unpack("<q", struct.pack("<d", sample))[0]
        self._seed = seed
        self._words()[:] = [*state, position, 1 if valid else 0, bits] + [0] * (STATE_WORDS - 627)
        return self

    def snapshot(self) -> tuple[int, bytes]:
        """The state in the quickest form, for `restore`."""
        return self._seed, bytes(self._words())

    def restore(self, saved: tuple[int, bytes]) -> None:
        """Go on from a snapshot."""
        self._seed = saved[0]
        ctypes.memmove(interop.address(self.state), saved[1], 8 * STATE_WORDS)

    def clone_state(self) -> Generator:
        """An independent generator at the same place."""
        made = Generator(self.device)
        made.set_state(self.get_state())
        return made

    def __getstate__(self):
        return {"seed": self._seed, "state": bytes(bytearray(self.get_state().tolist()))}

    def __setstate__(self, saved):
        self.__init__()
        self.set_state(interop.tensor(list(saved["state"]), dtype=types.uint8))


default_generator = Generator()


def state_of(generator: Generator | None) -> Tensor:
    """The state tensor of a generator, or of the default one."""
    if generator is None:
        found = default_generator._state
        return default_generator.state if found is None else found
    if not isinstance(generator, Generator):
        raise TypeError(f"argument 'generator' must be torch._C.Generator, not {type(generator).__name__}")
    return generator.state


def manual_seed(seed: int) -> Generator:
    """Start the default stream of random numbers from a seed."""
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Start the default stream from a seed of the operating system; gives it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default stream."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """State of the default stream, as bytes."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Go on from a state that `get_rng_state` gave."""
    default_generator.set_state(new_state)


random.STATE[0] = state_of
define.RECORDING[0] = lambda: bool(mode.grad)
