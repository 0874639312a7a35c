"""The profiler: what it records, what it leaves untouched, and the forms in which it is read."""

from __future__ import annotations

import gzip
import json

import pytest

import flambeau as torch
from flambeau.profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    tensorboard_trace_handler,
)  # fmt: skip
from flambeau.utils.flop_counter import FlopCounterMode


@pytest.fixture
def step():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, y = torch.randn(5, 8), torch.tensor([0, 1, 2, 3, 0])

    def run() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    run.model = model
    run()
    return run


def averages(prof) -> dict:
    return {event.key: event for event in prof.key_averages()}


def test_a_training_step(step):
    with profile(record_shapes=True) as prof, record_function("step"):
        step()
        step()
    found = averages(prof)
    assert found["aten::linear"].count == 4
    assert found["AddmmBackward0"].count == 4
    assert found["Optimizer.step#SGD.step"].count == 2
    assert found["step"].is_user_annotation
    whole = found["step"]
    assert whole.cpu_time_total >= found["aten::linear"].cpu_time_total > 0
    inner = [event for event in prof.events() if event.name != "step"]
    assert all(event.cpu_parent is not None for event in inner)
    assert whole.self_cpu_time_total < whole.cpu_time_total
    total = sum(event.self_cpu_time_total for event in prof.events())
    assert total == pytest.approx(whole.cpu_time_total, rel=1e-6)
    shapes = [e.input_shapes for e in prof.key_averages(group_by_input_shape=True) if e.key == "aten::linear"]
    assert shapes == [[[5, 8], [16, 8], [16]], [[5, 16], [4, 16], [4]]]


def test_it_changes_no_number_and_leaves_nothing_behind(step):
    other = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    other.load_state_dict(step.model.state_dict())
    functions = {name: getattr(torch, name) for name in ("add", "relu", "mm", "zeros")}
    codes = {name: f.__code__ for name, f in functions.items()}
    plain = [step() for _ in range(3)]
    step.model.load_state_dict(other.state_dict())
    with profile(profile_memory=True, with_flops=True, with_modules=True, with_stack=True):
        assert functions["add"].__code__ is not codes["add"]
        assert [step() for _ in range(3)] == plain
    assert all(f.__code__ is codes[name] and getattr(torch, name) is f for name, f in functions.items())
    assert torch.tensor([1.0]).add(1).item() == 2.0


def test_errors_pass_through_and_calls_in_place_have_their_names():
    x = torch.ones(3)
    with profile() as prof:
        x.add_(1)
        with pytest.raises(RuntimeError, match="must match"):
            x + torch.ones(4)
        torch.matmul(torch.ones(2, 3), torch.ones(3, 2))
    names = [event.name for event in prof.events()]
    assert "aten::add_" in names
    assert "aten::add" in names
    assert "aten::matmul" in names
    with pytest.raises(RuntimeError, match="already enabled"), profile(), profile():
        pass
    with profile() as again:
        torch.ones(1)
    assert [e.name for e in again.events()] == ["aten::ones"]


def test_memory_and_flops():
    kept = []
    with profile(profile_memory=True, with_flops=True) as prof:
        kept.append(torch.ones(1024, 1024))
        a, b = torch.ones(8, 16), torch.ones(16, 32)
        a @ b
    found = averages(prof)
    assert found["aten::ones"].self_cpu_memory_usage >= 4 * 1024 * 1024
    assert sum(e.flops for e in prof.key_averages()) == 2 * 8 * 16 * 32
    table = prof.key_averages().table(sort_by="self_cpu_memory_usage", row_limit=2)
    assert "CPU Mem" in table
    assert "FLOPs" in table


def test_callers_and_modules(step):
    with profile(with_stack=True, with_modules=True) as prof:
        step()
    linear = next(e for e in prof.events() if e.name == "aten::linear")
    assert linear.module == "Sequential.Linear"
    assert "test_profiler.py" in linear.stack[0]
    assert linear.stack[0].endswith(": run")


@pytest.mark.parametrize(
    ("plan", "actions"),
    [
        ({"wait": 1, "warmup": 1, "active": 2, "repeat": 1}, "NONE WARMUP RECORD RECORD_AND_SAVE NONE NONE"),
        ({"wait": 0, "warmup": 0, "active": 1}, "RECORD_AND_SAVE RECORD_AND_SAVE"),
        (
            {"wait": 1, "warmup": 0, "active": 1, "skip_first": 2},
            "NONE NONE NONE RECORD_AND_SAVE NONE RECORD_AND_SAVE",
        ),
    ],
)
def test_schedule(plan, actions):
    action = schedule(**plan)
    names = actions.split()
    assert [action(k).name for k in range(len(names))] == names
    assert action(0) in ProfilerAction


def test_steps_by_schedule(step, tmp_path):
    seen = []

    def ready(prof):
        seen.append(averages(prof))

    with profile(schedule=schedule(wait=1, warmup=1, active=2, repeat=2), on_trace_ready=ready,
                 activities=[ProfilerActivity.CPU]) as prof:  # fmt: skip
        for _ in range(9):
            step()
            prof.step()
    assert len(seen) == 2
    for found, first in zip(seen, (2, 6)):
        assert found["aten::linear"].count == 4
        assert {name for name in found if name.startswith("ProfilerStep")} == {
            f"ProfilerStep#{first + k}" for k in (0, 1)
        }
    with profile(on_trace_ready=tensorboard_trace_handler(str(tmp_path), "me", use_gzip=True)):
        step()
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("me.")
    assert file.name.endswith(".pt.trace.json.gz")
    assert json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]


def test_trace_and_stacks(step, tmp_path):
    with profile(with_stack=True, record_shapes=True) as prof:
        step()
    prof.add_metadata("run", "7")
    prof.add_metadata_json("sizes", "[1, 2]")
    prof.export_chrome_trace(str(tmp_path / "trace.json"))
    trace = json.loads((tmp_path / "trace.json").read_text())
    calls = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert len(calls) == len(prof.events())
    assert all(e["dur"] >= 0 and e["name"] for e in calls)
    assert (trace["run"], trace["sizes"]) == ("7", [1, 2])
    prof.export_stacks(str(tmp_path / "stacks.txt"))
    lines = (tmp_path / "stacks.txt").read_text().splitlines()
    assert lines
    assert all(line.rpartition(" ")[2].isdigit() for line in lines)


def test_the_older_profiler():
    with torch.autograd.profiler.profile(record_shapes=True) as prof:
        torch.ones(2) * 2
    assert prof.total_average().count == 2
    assert "aten::mul" in str(prof)
    assert prof.function_events[0].name == "aten::ones"
    with torch.autograd.profiler.profile(enabled=False):
        torch.ones(1)


def test_record_function_as_a_decorator():
    @record_function("mine")
    def work():
        return torch.ones(1)

    work()
    with profile() as prof:
        work()
        work()
    assert averages(prof)["mine"].count == 2


def test_flops_of_a_model(step, capsys):
    model = step.model
    with FlopCounterMode() as counter:
        model(torch.ones(5, 8)).sum().backward()
    forward = 2 * 5 * (8 * 16 + 16 * 4)
    assert counter.get_flop_counts()["Sequential"]["aten::linear"] == forward
    assert counter.get_total_flops() > forward
    assert "Sequential" in capsys.readouterr().out


def test_sorting_names_the_columns():
    with profile() as prof:
        torch.ones(1)
    with pytest.raises(ValueError, match="cannot sort by 'speed'; one of cpu_time"):
        prof.key_averages().table(sort_by="speed")
    with pytest.raises(AssertionError, match="didn't finish"):
        profile().events()
