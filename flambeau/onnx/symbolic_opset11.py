"""How operators are written in ONNX, version 11: nothing is, in this version."""

__all__: list[str] = []
