"""The `flambeau` command: the demo as a newcomer sees it, its pictures, and its messages."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import flambeau
from flambeau.cli import main, pictures
from flambeau.cli.demo import confusion

ROOT = Path(flambeau.__file__).resolve().parents[1]


def run(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "flambeau.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def test_demo_learns_shows_saves_and_loads(tmp_path):
    started = time.perf_counter()
    result = run("demo", folder=tmp_path)
    seconds = time.perf_counter() - started
    assert result.returncode == 0, result.stderr
    accuracy = float(result.stdout.split("test accuracy")[1].split("%")[0])
    assert accuracy >= 98.0
    assert "gives the same answers" in result.stdout
    assert result.stdout.count("epoch ") == 12  # one line an epoch where the output is not a terminal
    assert "█" in result.stdout
    state = flambeau.load(tmp_path / "digits.pt")
    assert state["scores.weight"].shape == (10, 512)
    assert seconds < 60, "a loaded machine may be slow, but not this slow"


def test_demo_in_ascii(tmp_path):
    result = run("demo", "--epochs", "1", folder=tmp_path, PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert result.stdout.isascii()


def test_demo_says_where_it_cannot_write(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "missing")]) == 1
    assert "choose another folder with --out" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["demo", "--epochs", "0"], ["demo", "--epochs", "x"], ["nonsense"]])
def test_wrong_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: flambeau" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"flambeau {flambeau.__version__}\n"


def test_no_command_prints_help(capsys):
    assert main([]) == 2
    assert "demo" in capsys.readouterr().out


def test_info(capsys):
    assert main(["info"]) == 0
    shown = capsys.readouterr().out
    for part in (flambeau.__version__, "processor", "threads", "kernel cache", "numpy", "llvmlite"):
        assert part in shown


def test_closed_pipe_is_quiet(tmp_path):
    command = f'"{sys.executable}" -m flambeau.cli info | head -n 1'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        command,
        shell=True,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stderr == ""


def test_the_taste_in_the_readme_runs(capsys):
    text = (ROOT / "README.md").read_text("utf-8")
    program = text.split("```python\n")[1].split("```")[0]
    flambeau.manual_seed(0)
    exec(compile(program, "README.md", "exec"), {})
    assert float(capsys.readouterr().out) < 0.2, "the network should have learnt the circle"


def test_confusion_counts_pairs():
    assert confusion([0, 1, 1], [0, 0, 1], classes=2) == [[1, 0], [1, 1]]


@pytest.mark.parametrize("ink", [pictures.UNICODE, pictures.ASCII])
def test_column_chart_falls_with_its_values(ink):
    lines = pictures.column_chart([10.0 ** -(i / 10) for i in range(40)], ink, width=20, height=6)
    columns = [line[9:] for line in lines[:-1]]
    heights = [sum(row[i : i + 1] not in ("", " ") for row in columns) for i in range(20)]
    assert heights[0] == 6
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize(
    "values", [[1.0], [0.0, 0.0], [float("nan"), 1.0, float("inf")], [-1.0, 2.0], [1e-30, 1e30]]
)
def test_column_chart_takes_any_numbers(values):
    assert len(pictures.column_chart(values, pictures.UNICODE, height=5)) == 6


def test_confusion_grid_shows_each_count():
    lines = pictures.confusion_grid([[12, 0], [3, 9]], pictures.ASCII)
    assert lines[0].split() == ["0", "1"]
    assert "12" in lines[1]
    assert lines[1].rstrip().endswith(".")
    assert "3" in lines[2]
    assert "9" in lines[2]


def test_small_images_stand_side_by_side():
    lines = pictures.small_images([[[0.0, 1.0]], [[1.0, 0.0]]], ["a", "b"], pictures.ASCII)
    assert lines == ["  @@   @@", " a      b"]


def test_progress_bar_is_bounded():
    for done in (-1.0, 0.0, 0.5, 1.0, 2.0):
        assert len(pictures.progress_bar(done, 10, pictures.ASCII)) == 10


def test_ink_follows_the_stream():
    class Stream:
        def __init__(self, encoding):
            self.encoding = encoding

    assert pictures.ink_for(Stream("utf-8")) is pictures.UNICODE
    for encoding in ("ascii", "latin-1", None, "no-such-encoding"):
        assert pictures.ink_for(Stream(encoding)) is pictures.ASCII
