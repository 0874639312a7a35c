"""Our CRC-32 is zlib's, with and without carry-less products."""

from __future__ import annotations

import random
import zlib

import pytest

from flambeau.backend.cpu import checksum, jit

SIZES = [0, 1, 127, 128, 1 << 14, (1 << 14) + 1, (1 << 14) + 127, 100_003, 1 << 20]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("start", [0, 1, 9])
def test_equal_to_zlib(size, start):
    chance = random.Random(size)
    data, value = chance.randbytes(size + start), chance.getrandbits(32)
    view = memoryview(data)[start:]
    assert checksum.crc32(view) == zlib.crc32(view)
    assert checksum.crc32(view, value) == zlib.crc32(view, value)


def test_pieces_and_other_element_types():
    data = random.Random(0).randbytes(1 << 17)
    value = 0
    for at in range(0, len(data), 40_000):
        value = checksum.crc32(data[at : at + 40_000], value)
    assert value == zlib.crc32(data)
    assert checksum.crc32(memoryview(data).cast("d")) == value


@pytest.mark.skipif(not jit.has_feature("pclmul"), reason="this processor has no carry-less product")
def test_narrow_registers(monkeypatch):
    monkeypatch.setattr(checksum, "_kernel", [])
    monkeypatch.setattr(jit, "has_feature", lambda name: name == "pclmul")
    data = random.Random(1).randbytes(100_003)
    assert checksum.crc32(data, 5) == zlib.crc32(data, 5)
    assert checksum._kernel != [None]


def test_without_carry_less_products(monkeypatch):
    monkeypatch.setattr(checksum, "_kernel", [])
    monkeypatch.setattr(jit, "has_feature", lambda name: False)
    data = bytes(range(256)) * 400
    assert checksum.crc32(data) == zlib.crc32(data)
    assert checksum._kernel == [None]


def test_the_constants_of_the_paper():
    assert [checksum._power(n) for n in (544, 480, 160, 96)] == [
        0x154442BD4,
        0x1C6E41596,
        0x1751997D0,
        0xCCAA009E,
    ]
