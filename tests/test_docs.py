"""Documentation that runs: the examples of every docstring, and the Python of the pages in docs/ and of the README."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from pathlib import Path

import pytest

import flambeau

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings():
    """Every docstring of the package that holds an example: module name, line, text."""
    for path in sorted((ROOT / "flambeau").rglob("*.py")):
        source = path.read_text("utf-8")
        if ">>>" not in source:
            continue
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, DOCUMENTED) and ">>>" in (text := ast.get_docstring(node) or ""):
                line = 1 if isinstance(node, ast.Module) else node.lineno
                yield pytest.param(module, line, text, id=f"{module}:{getattr(node, 'name', 'module')}")


def names(module: str) -> dict:
    """What an example may use without importing it: the usual three, and its own module's public names."""
    nn = flambeau.nn
    found = {"flambeau": flambeau, "torch": flambeau, "nn": nn, "F": nn.functional, "__name__": "example"}
    home = importlib.import_module(module)
    public = (name for name in vars(home) if not name.startswith("_") and module.split(".")[1:2] != ["ops"])
    for name in getattr(home, "__all__", public):
        found.setdefault(name, getattr(home, name))
    return found


@pytest.mark.parametrize(("module", "line", "text"), list(docstrings()))
def test_examples_of_docstrings(module, line, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if ">>> from numpy" in text or ">>> import numpy" in text:
        pytest.importorskip("numpy")
    flambeau.manual_seed(0)
    test = doctest.DocTestParser().get_doctest(text, names(module), module, f"{module}.py", line)
    report = []
    failed, tried = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=report.append)
    assert tried
    assert not failed, "".join(report)


def blocks(page: Path) -> list[tuple[int, str]]:
    """The Python blocks of a page that run: line and text. ```python no-run is a fragment."""
    text = page.read_text("utf-8")
    found = re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, match.start()) + 2, match.group(1)) for match in found]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_pages_run_from_top_to_bottom(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scope: dict = {"__name__": "page"}
    for line, block in blocks(page):
        capsys.readouterr()
        code = compile("\n" * (line - 1) + block, str(page), "exec")
        exec(code, scope)
        # What a line prints stands behind it after `#>`, and is compared.
        expected = [part.strip() for part in re.findall(r"#> ?(.*)", block)]
        printed = [part.strip() for part in capsys.readouterr().out.splitlines()]
        if expected:
            assert printed == expected, f"{page.name}, line {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
