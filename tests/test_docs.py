"""Documentation that runs: the examples of every docstring, and the Python of the pages in docs/ and of the README."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import flambeau

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FLAGS = doctest.FAIL_FAST | doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
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
    if module.startswith("flambeau.compat") and "torch" in sys.modules:
        pytest.skip("PyTorch itself is imported in this process")
    monkeypatch.chdir(tmp_path)
    flambeau.manual_seed(0)
    test = doctest.DocTestParser().get_doctest(text, names(module), module, f"{module}.py", line)
    report = []
    failed, tried = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=report.append)
    assert tried
    assert not failed, "".join(report)


BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```$(?:\n+```text(?P<about> about)?\n(?P<printed>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
BOUNDARY = "----- end of a block -----"


def program(page: Path) -> tuple[str, list[tuple[str | None, bool]]]:
    """The Python of a page as one program, each line at its place; what each block should print, and if exactly."""
    text, lines, wanted = page.read_text("utf-8"), [], []
    for match in BLOCK.finditer(text):
        start = text.count("\n", 0, match.start()) + 1
        lines += [""] * (start - len(lines))
        lines += match["code"].splitlines() + [f"print({BOUNDARY!r})"]
        wanted.append((match["printed"], not match["about"]))
    return "\n".join(lines) + "\n", wanted


def run(source: str, folder: Path) -> list[str]:
    """What each block of the program prints, in a process of its own: it may register operators and write files."""
    file = folder / "page.py"
    file.write_text(source, "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, str(file)], cwd=folder, env=environment, capture_output=True, encoding="utf-8"
    )
    assert not done.returncode, done.stderr
    return done.stdout.split(BOUNDARY + "\n")[:-1]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```python" in page.read_text("utf-8")], ids=lambda p: p.name
)
def test_pages_run_and_print_what_they_say(page, tmp_path):
    source, wanted = program(page)
    printed = run(source, tmp_path)
    assert len(printed) == len(wanted)
    for ours, (said, exactly) in zip(printed, wanted):
        if said is not None:
            assert ours == said or (not exactly and alike(ours, said))


def alike(ours: str, said: str) -> bool:
    """What a trained network gives on another processor: numbers within 5%, and one sign in fifty of a picture."""
    number = re.compile(r"\d+\.?\d*")
    close = [
        abs(float(a) - float(b)) <= 0.05 * float(b)
        for a, b in zip(number.findall(ours), number.findall(said))
    ]
    ours, said = number.sub("0", ours), number.sub("0", said)
    return all(close) and len(ours) == len(said) and sum(a != b for a, b in zip(ours, said)) <= len(said) / 50


@pytest.mark.parity
def test_the_tutorial_prints_the_same_under_pytorch(oracle, tmp_path):
    source, wanted = program(ROOT / "docs" / "tutorial.md")
    source = source.replace("import flambeau as torch", "import torch").replace("from flambeau", "from torch")
    for theirs, (said, _) in zip(run(source, tmp_path), wanted, strict=True):
        # Below the first line of an error Flambeau has more to say.
        assert said is None or alike(theirs, said) or (theirs and said.startswith(theirs))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
