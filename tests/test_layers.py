"""The architecture's rules, read from the syntax trees: imports, length of files, no native sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "flambeau"

# A layer imports only lower numbers. Layers 6 and 7 are made of peers that use one another's public names.
# What is not named here belongs to the public layer, under the names that PyTorch gives its modules.
LAYERS = {
    "base": 0, "return_types": 0, "version": 0, "__future__": 0, "ir": 1, "backend": 2, "ops": 3, "tensor": 4,
    "cli": 7, "compat": 7, "data": 7, "testing": 7, "__main__": 7,
}  # fmt: skip
PUBLIC = 6  # `import flambeau` itself means the whole name space
PEERS = (6, 7)
# `ops` says what operators mean: it knows neither how they run nor what a tensor is.
FORBIDDEN = {"ops": {"backend", "tensor"}}
MOST_LINES = 900
NATIVE = {
    ".c",
    ".cc",
    ".cpp",
    ".cxx",
    ".cu",
    ".h",
    ".hpp",
    ".pyx",
    ".pxd",
    ".rs",
    ".so",
    ".dll",
    ".dylib",
    ".a",
    ".o",
}
SKIPPED = {".git", ".venv", "venv", "build", "dist", "node_modules"}


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def folder_of(module: str) -> str:
    """``"ops"`` for ``"flambeau.ops.define"``; empty for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def layer(folder: str) -> int:
    return LAYERS.get(folder, PUBLIC)


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def type_only(tree: ast.AST) -> set[ast.AST]:
    """Everything under ``if TYPE_CHECKING:``, which never runs."""
    blocks = (
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    )
    return {inner for block in blocks for statement in block.body for inner in ast.walk(statement)}


def imports(path: Path, source: str) -> Iterator[tuple[int, str]]:
    """Line and full name of every module of ours that a file imports, at any depth of nesting."""
    tree = ast.parse(source)
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    skipped = type_only(tree)
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:  # `from flambeau import nn` means the folder, not the name space
                below = ROOT.joinpath(*module.split("."), alias.name)
                is_module = module == "flambeau" and (below.is_dir() or below.with_suffix(".py").is_file())
                yield node.lineno, f"{module}.{alias.name}" if is_module else module
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            # Back ends are found by a name put together at run time; a literal is an import like any other.
            if node.args and isinstance(node.args[0], ast.Constant):
                yield node.lineno, str(node.args[0].value)


def layer_breaks(path: Path, source: str) -> list[str]:
    """What a file imports against the rule, in words."""
    own = folder_of(module_of(path))
    found = []
    for line, module in imports(path, source):
        if module.split(".")[0] != "flambeau" or own == "" or folder_of(module) == own:
            continue
        other = folder_of(module)
        mine, theirs = layer(own), layer(other)
        allowed = theirs < mine or (theirs == mine and mine in PEERS)
        if not allowed or other in FORBIDDEN.get(own, ()):
            found.append(
                f"{path.relative_to(ROOT)}:{line}: {own} (layer {mine}) imports {module} (layer {theirs})"
            )
    return found


def test_every_layer_has_a_folder():
    folders = {folder_of(module_of(path)) for path in python_files("flambeau")} - {""}
    assert folders >= LAYERS.keys(), f"no such folder: {sorted(LAYERS.keys() - folders)}"


def test_layers_import_only_lower_layers():
    breaks = [
        text for path in python_files("flambeau") for text in layer_breaks(path, path.read_text("utf-8"))
    ]
    assert not breaks, "\n".join(breaks)


@pytest.mark.parametrize(
    ("file", "source", "wrong"),
    [
        ("ops/define.py", "from flambeau.backend import cpu", True),
        ("ops/define.py", "from ..tensor.tensor import Tensor", True),
        ("ops/define.py", "def late():\n    import flambeau.nn", True),
        ("ops/define.py", "import flambeau", True),
        ("ops/define.py", "from flambeau import nn", True),
        ("ops/define.py", "import importlib\nimportlib.import_module('flambeau.tensor')", True),
        ("ops/define.py", "from flambeau.base import dtype", False),
        ("ops/define.py", "from .kinds import Pointwise", False),
        ("ops/define.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import flambeau", False),
        (
            "tensor/dispatch.py",
            "import importlib\nimportlib.import_module(f'flambeau.backend.{name}')",
            False,
        ),
        ("nn/linear.py", "import flambeau\nfrom flambeau.utils import hooks", False),
        ("nn/linear.py", "import flambeau.cli", True),
        ("base/dtype.py", "from flambeau import ir", True),
    ],
)
def test_the_layer_rule_sees(file, source, wrong):
    assert bool(layer_breaks(PACKAGE / file, source)) == wrong


def test_torch_is_never_imported():
    """PyTorch is the oracle of the parity tests and of the benchmarks, never a dependency. (The examples are its scripts.)"""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in python_files("flambeau")
        for line, module in imports(path, path.read_text("utf-8"))
        if module.split(".")[0] == "torch"
    ]
    assert not found


def test_no_file_is_too_long():
    lengths = {
        path: len(path.read_text("utf-8").splitlines())
        for path in python_files("flambeau", "tests", "benchmarks")
    }
    long = {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > MOST_LINES}
    assert not long


def test_no_native_sources():
    paths = (path for path in ROOT.rglob("*") if not SKIPPED & set(path.relative_to(ROOT).parts))
    native = [str(path.relative_to(ROOT)) for path in paths if path.suffix in NATIVE and path.is_file()]
    assert not native
