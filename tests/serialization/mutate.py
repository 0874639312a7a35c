"""Damages checkpoint files: bytes, sizes and offsets, and the opcodes inside, with checksums made right again."""

from __future__ import annotations

import io
import itertools
import json
import pickle
import pickletools
import random
import zipfile
from dataclasses import dataclass

import flambeau as torch
from flambeau.serialization import pickler
from flambeau.serialization.storages import bytes_of
from tests.serialization import files

#: what an attacker would like to call; `tripwire` is a module that notes being touched
TRIPWIRE = "flambeau_fuzz_tripwire"
_GLOBALS = [
    f"{TRIPWIRE}\nsnap", "os\nsystem", "posix\nsystem", "builtins\neval", "builtins\nexec", "builtins\ngetattr",
    "builtins\nbytearray", "builtins\nbytes", "builtins\nset", "builtins\nfrozenset", "builtins\ncomplex",
    "builtins\n__import__", "__builtin__\nlist", "collections\nOrderedDict", "collections\nCounter",
    "collections\ndefaultdict", "_codecs\nencode", "copyreg\n_reconstructor", "torch\nTensor", "torch\nSize",
    "torch\ndevice", "torch\nload", "torch\nempty", "torch\nfloat64", "torch\nuint8", "torch\nDoubleStorage",
    "torch\nByteStorage", "torch.storage\nUntypedStorage", "torch._utils\n_rebuild_tensor_v2",
    "torch._utils\n_rebuild_tensor_v3", "torch._utils\n_rebuild_parameter", "torch._tensor\n_rebuild_from_type_v2",
    "torch._utils\n_rebuild_meta_tensor_no_storage", "torch._utils\n_rebuild_parameter_with_state",
    "torch.nn.parameter\nParameter", "torch.serialization\n_get_layout", "flambeau.serialization.tensors\nover_storage",
]  # fmt: skip
_NUMBERS = [0, 1, 2, 3, 5, 7, 8, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53,
            2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -1, -2, -128, -(2**31), -(2**63)]  # fmt: skip
_FRAME = 0x95
_PLAIN_CODES = [
    bytes([code]) for code in b"N\x88\x89)]}\x8f(t\x85\x86\x87aesu\x90\x91R\x81\x92bQ.0210\x94\x93ijl"
]


@dataclass
class Seed:
    """A valid file in parts, so that it can be put together again around a damaged one."""

    kind: str
    data: bytes
    pickle: bytes = b""
    tokens: tuple[bytes, ...] = ()
    storages: tuple[bytes, ...] = ()


def seeds() -> list[Seed]:
    """One file of every format, protocol and compression."""
    value = files.sample_value()
    small = {"w": torch.arange(6.0).reshape(2, 3), "n": [1, (2, 3)]}
    made = [_zip_seed(value, 2), _zip_seed(value, 4), _zip_seed(small, 2), _zip_seed(small, 5)]
    for protocol, part in ((2, value), (2, small), (4, small)):
        data = files.legacy_file(part, protocol)
        made.append(Seed("legacy", data, data, _tokens_of_stream(data)))
    made.append(_compressed(made[2]))
    buffer = io.BytesIO()
    named = {f"t{k}": t for k, t in enumerate([*value["types"], *value["views"]])}
    torch.serialization.save_safetensors(named, buffer, {"made": "by hand"})
    made.append(Seed("safetensors", buffer.getvalue()))
    return made


def _zip_seed(value, protocol: int) -> Seed:
    data, storages = pickler.dump(value, pickle, protocol)
    contents = tuple(bytes(bytes_of(storage)) for storage in storages)
    return Seed("zip", files.archive_of(data, list(contents)), data, _tokens(data), contents)


def _compressed(seed: Seed) -> Seed:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", seed.pickle)
        for key, content in enumerate(seed.storages):
            archive.writestr(f"x/data/{key}", content)
    return Seed("bytes", buffer.getvalue())


def _tokens(data: bytes) -> tuple[bytes, ...]:
    """The opcodes of a pickle, each with its argument; frames go, since they would not fit a changed program."""
    places = [place for _, _, place in pickletools.genops(data) if place is not None] + [len(data)]
    found = (data[a:b] for a, b in itertools.pairwise(places))
    return tuple(token for token in found if token[0] != _FRAME)


def _tokens_of_stream(data: bytes) -> tuple[bytes, ...]:
    """The opcodes of the five pickles of a legacy file, then the storages as one piece."""
    stream, found = io.BytesIO(data), []
    for _ in range(5):
        start = stream.tell()
        for _ in pickletools.genops(stream):
            pass
        found += _tokens(data[start : stream.tell()])
    return (*found, data[stream.tell() :])


def mutated(seed: Seed, random: random.Random) -> bytes:
    """A damaged copy of a file."""
    if seed.kind == "safetensors" and random.random() < 0.6:
        return _header_mutated(seed.data, random)
    if seed.tokens and random.random() < 0.6:
        body = _program_mutated(seed.tokens, random)
        if seed.kind == "legacy":
            return body
        storages = list(seed.storages)
        if random.random() < 0.1 and storages:
            at = random.randrange(len(storages))
            storages[at] = _bytes_mutated(storages[at], random)
        return files.archive_of(body, storages)
    data = _bytes_mutated(seed.data, random)
    if seed.kind == "zip" and random.random() < 0.5:
        if random.random() < 0.5:
            data = _directory_mutated(data, random)
        return bytes(files.fixed_checksums(bytearray(data)))
    return data


def _number_bytes(random: random.Random, width: int) -> bytes:
    value = random.choice(_NUMBERS) if random.random() < 0.7 else random.getrandbits(8 * width)
    return (value % (1 << (8 * width))).to_bytes(width, "little")


def _bytes_mutated(data: bytes, random: random.Random) -> bytes:
    """Bits turned, numbers overwritten, pieces removed, doubled or moved, the end cut off."""
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        if not out:
            break
        at, what = random.randrange(len(out)), random.randrange(8)
        length = min(len(out) - at, random.choice((1, 2, 4, 8, 16, 64)))
        if what < 2:
            out[at] ^= 1 << random.randrange(8)
        elif what == 2:
            out[at] = random.randrange(256)
        elif what == 3:
            width = random.choice((1, 2, 4, 8))
            out[at : at + width] = _number_bytes(random, width)
        elif what == 4:
            del out[at : at + length]
        elif what == 5:
            out[at:at] = out[at : at + length]
        elif what == 6:
            other = random.randrange(len(out))
            out[other : other + length] = out[at : at + length]
        elif random.random() < 0.3:
            del out[at:]
    return bytes(out)


def _directory_mutated(data: bytes, random: random.Random) -> bytes:
    """A size, an offset, a method or a flag of the archive's directory or of its end replaced."""
    out = bytearray(data)
    entries, at = [], out.find(b"PK\1\2")
    while at >= 0:
        entries.append(at)
        at = out.find(b"PK\1\2", at + 4)
    if not entries or random.random() < 0.3:
        at, fields = out.rfind(b"PK\5\6"), ((8, 2), (10, 2), (12, 4), (16, 4), (20, 2))
    else:
        at = random.choice(entries)
        fields = ((8, 2), (10, 2), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (42, 4))
    if at >= 0:
        place, width = random.choice(fields)
        old = int.from_bytes(out[at + place : at + place + width], "little")
        new = old + random.randint(-70, 70) if random.random() < 0.5 else random.choice(_NUMBERS)
        out[at + place : at + place + width] = (new % (1 << (8 * width))).to_bytes(width, "little")
    return bytes(out)


def _program_mutated(tokens: tuple[bytes, ...], random: random.Random) -> bytes:
    """Opcodes removed, doubled, exchanged, added, and given other arguments."""
    out = list(tokens)
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        at, what = random.randrange(len(out)), random.randrange(6)
        if what == 0:
            del out[at]
        elif what == 1:
            out.insert(at, random.choice(tokens))
        elif what == 2:
            other = random.randrange(len(out))
            out[at], out[other] = out[other], out[at]
        elif what == 3:
            out.insert(at, _made_token(random))
        else:
            out[at] = _changed_token(out[at], random)
        if not out:
            break
    return b"".join(out)


def _made_token(random: random.Random) -> bytes:
    """An opcode that no valid file need have."""
    what = random.randrange(8)
    if what < 2:
        return random.choice(_PLAIN_CODES)
    if what == 2:
        return b"c" + random.choice(_GLOBALS).encode() + b"\n"
    if what == 3:
        return (
            b"c"
            + random.choice(_GLOBALS).encode()
            + b"\n"
            + random.choice((b")R", b"X\1\0\0\0a\x85R", b")\x81"))
        )
    if what == 4:
        return files.number(random.choice(_NUMBERS))
    if what == 5:
        return random.choice((b"h", b"q", b"K")) + bytes([random.randrange(60)])
    if what == 6:
        return random.choice((b"X", b"B", b"T", b"\x8b", b"r", b"j")) + _number_bytes(random, 4) + b"ab"
    return bytes([random.randrange(256)])


def _changed_token(token: bytes, random: random.Random) -> bytes:
    """The same opcode with another argument, or a number in place of a number."""
    if token[:1] in b"KMJ\x8a" and len(token) > 1:
        if random.random() < 0.5:
            return b"K" + bytes([random.randrange(8)])
        return files.number(random.choice(_NUMBERS))
    if token[:1] == b"c":
        return b"c" + random.choice(_GLOBALS).encode() + b"\n"
    if len(token) > 1:
        at = random.randrange(1, len(token))
        return token[:at] + bytes([random.randrange(256)]) + token[at + 1 :]
    return random.choice(_PLAIN_CODES)


def _header_mutated(data: bytes, random: random.Random) -> bytes:
    """A safetensors file whose header says something else, and is still JSON."""
    count = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + count])
    name = random.choice(list(header))
    entry = header[name]
    what = random.randrange(6)
    if what == 0:
        del header[name]
    elif what == 1 and "shape" in entry:
        entry["shape"] = [random.choice(_NUMBERS) for _ in range(random.randrange(4))]
    elif what == 2 and "shape" in entry:
        entry["data_offsets"][random.randrange(2)] += random.choice(_NUMBERS)
    elif what == 3 and "shape" in entry:
        entry["dtype"] = random.choice(("F64", "BOOL", "U8", "F8_E4M3", "X", 3, None, "C128"))
    elif what == 4:
        header[name] = random.choice(([], {}, None, 1e400, "x", {"dtype": "F32"}, [[[[]]]]))
    else:
        entry[random.choice(("shape", "data_offsets", "dtype"))] = random.choice(
            (None, [], [1.5], [[1]], {}, "F32", [True, 2], [-1, 3], list(range(100)))
        )
    text = json.dumps(header).encode()
    if random.random() < 0.1:
        text = _bytes_mutated(text, random)
    return len(text).to_bytes(8, "little") + text + data[8 + count :]
