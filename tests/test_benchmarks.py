"""The benchmarks' own arithmetic, on stand-ins whose ratio is known."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

import flambeau
from benchmarks import __main__ as table
from benchmarks import bandwidth, data, large, processes, small, training
from benchmarks.measure import Row, measure

SIDES = {"flambeau": SimpleNamespace(seconds=0.002), "torch": SimpleNamespace(seconds=0.004)}


def sleeper(side):
    return lambda: time.sleep(side.seconds)


def broken(side):
    if side is SIDES["flambeau"]:
        raise AttributeError("module 'flambeau' has no attribute 'sleep'")
    return sleeper(side)


def test_ratio_of_two_known_programs():
    row = Row("sleep", "group", sleeper, limit=1.0)
    measure(row, SIDES)
    assert row.ratio == pytest.approx(0.5, rel=0.3)


def test_a_row_that_cannot_run_is_missing_and_the_rest_goes_on(capsys):
    row = Row("sleep", "group", broken, limit=1.0)
    result = table.finish(row, SIDES)
    assert row.missing.startswith("AttributeError")
    assert row.ratio is None
    assert not result["passed"]
    assert "missing (AttributeError" in capsys.readouterr().out


def test_an_oracle_that_cannot_run_is_an_error():
    with pytest.raises(AttributeError):
        measure(Row("sleep", "group", lambda side: side.nothing, limit=1.0), {"torch": SIDES["torch"]})


def test_names_of_rows_are_unique():
    names = [
        row.name
        for row in (*small.ROWS, *large.ROWS, *training.ROWS, *data.ROWS, *data.PROCESS_ROWS, *processes.ROWS)
    ]
    assert len(names) == len(set(names))


def test_summary_counts_rows_over_the_limit():
    rows = [
        Row(f"row {i}", large.GROUP, sleeper, 1.0, times={"flambeau": i, "torch": 2.0}) for i in (1, 2, 3)
    ]
    assert table.summaries(rows) == ["large: 1 of 3 rows over 1.00 (at most 3, up to 1.20), most 1.50"]


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "time", "-"),
        (1.5e-6, "time", "1.5 us"),
        (2e-9, "time", "2 ns"),
        (0.25, "s", "250 ms"),
        (3, "MB", "3.0 MB"),
    ],
)
def test_quantities(value, unit, shown):
    assert table.quantity(value, unit) == shown


def test_bandwidth_of_small_kernels(monkeypatch, capsys):
    monkeypatch.setattr(bandwidth, "ROWS", 8)
    monkeypatch.setattr(bandwidth, "IDLE_SECONDS", 0)
    threads = flambeau.get_num_threads()
    try:
        assert bandwidth.main(["--threads", "1", "--rounds", "1"]) == 0
    finally:
        flambeau.set_num_threads(threads)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(lines) == 1 + len(bandwidth.kernels())
    assert all(line.split("|")[7].strip() in ("memory", "arithmetic") for line in lines[1:])
