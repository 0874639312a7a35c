"""Types of the kernel language and their LLVM spelling.

A register holds bool, integers, float32, float64, pointers and vectors of those. float16 and bfloat16 exist in
memory only: a load widens to float32, a store rounds to nearest even.
"""

from __future__ import annotations

from functools import lru_cache


class Type:
    """A scalar type; calling it inside a kernel converts a value to it."""

    def __init__(
        self, name: str, llvm: str, kind: str, bits: int, signed: bool = True, memory: str = "", register=None
    ):
        self.name, self.llvm, self.kind, self.bits, self.signed = name, llvm, kind, bits, signed
        self.memory = memory or llvm  # spelling in memory
        self.register: Type = register or self  # type of a loaded value
        self.bytes = max(1, bits // 8)
        self.lanes = 0
        self.element: Type = self

    def __repr__(self) -> str:
        return self.name


i1 = Type("bool", "i1", "bool", 1, False, "i8")
i8 = Type("i8", "i8", "int", 8)
u8 = Type("u8", "i8", "int", 8, False)
i16 = Type("i16", "i16", "int", 16)
u16 = Type("u16", "i16", "int", 16, False)
i32 = Type("i32", "i32", "int", 32)
u32 = Type("u32", "i32", "int", 32, False)
i64 = Type("i64", "i64", "int", 64)
u64 = Type("u64", "i64", "int", 64, False)
f32 = Type("f32", "float", "float", 32)
f64 = Type("f64", "double", "float", 64)
f16 = Type("f16", "half", "float", 16, register=f32)
bf16 = Type("bf16", "i16", "float", 16, register=f32)
void = Type("void", "void", "void", 0)

BY_CODE = {t.name: t for t in (i8, u8, i16, u16, i32, u32, i64, u64, f32, f64, f16, bf16)} | {"b1": i1}


class Pointer(Type):
    def __init__(self, to: Type):
        super().__init__(f"ptr({to})", "ptr", "ptr", 64)
        self.to = to


class Vector(Type):
    """`lanes` values of one type in a register."""

    def __init__(self, element: Type, lanes: int):
        super().__init__(
            f"vec({element},{lanes})", f"<{lanes} x {element.llvm}>", element.kind, element.bits * lanes
        )
        self.signed, self.element, self.lanes = element.signed, element, lanes
        self.memory = f"<{lanes} x {element.memory}>"
        if element.register is not element:
            self.register = vec(element.register, lanes)


@lru_cache(None)
def ptr(to: Type) -> Pointer:
    return Pointer(to)


@lru_cache(None)
def vec(element: Type, lanes: int) -> Vector:
    return Vector(element, lanes)


def with_lanes(t: Type, lanes: int) -> Type:
    """The scalar type `t`, or the vector of it with as many lanes."""
    return vec(t, lanes) if lanes else t
