"""Tensors in several processes: one memory, whatever way they travel."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import time

import numpy
import pytest

import flambeau
import flambeau.multiprocessing as mp

METHODS = mp.get_all_start_methods()


def test_names_of_multiprocessing_are_there():
    import multiprocessing

    assert set(multiprocessing.__all__) <= set(mp.__all__)
    assert mp.Process is multiprocessing.Process
    assert mp.get_sharing_strategy() in mp.get_all_sharing_strategies()
    mp.set_sharing_strategy(mp.get_sharing_strategy())
    with pytest.raises(AssertionError, match="invalid sharing strategy 'magic'"):
        mp.set_sharing_strategy("magic")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mp.nothing


def test_share_memory_moves_all_views_and_keeps_arrays_readable():
    base = flambeau.arange(6.0)
    view, array, storage = base[2:4], base.numpy(), base.untyped_storage()
    assert not base.is_shared()
    assert base.share_memory_() is base
    assert base.is_shared()
    assert view.is_shared()
    assert storage.is_shared()
    base += 1
    assert view.tolist() == [3, 4]
    assert array.tolist() == [0, 1, 2, 3, 4, 5]  # as NumPy saw them last
    place = base.data_ptr()
    base.share_memory_()
    assert base.data_ptr() == place
    assert flambeau.empty(0).share_memory_().is_shared()
    assert flambeau.nn.Linear(2, 2).share_memory().weight.is_shared()


def test_sharing_keeps_versions_and_gradients():
    weight = flambeau.ones(3, requires_grad=True)
    product = (weight * weight).sum()
    weight.share_memory_()
    product.backward()
    assert weight.grad.tolist() == [2, 2, 2]
    base = flambeau.ones(3)
    base.add_(1)
    before = base._version
    base.share_memory_()
    assert base._version == before


def write(tensor, value):
    tensor.fill_(value)


@pytest.mark.parametrize("method", METHODS)
def test_a_process_writes_to_the_tensor_that_it_was_given(method):
    context = mp.get_context(method)
    tensor = flambeau.zeros(3, 4)
    if method == "fork":
        tensor.share_memory_()  # a fork copies what is not shared
    process = context.Process(target=write, args=(tensor[1:], 5.0))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert tensor.tolist() == [[0] * 4, [5] * 4, [5] * 4]
    assert tensor.is_shared()


def produce(queue, answers, linear):
    queue.put(flambeau.arange(5))
    queue.put((flambeau.ones(2, 3).t(), flambeau.tensor(2.5, dtype=flambeau.float16), "text"))
    linear.bias.data.fill_(7.0)
    queue.put(None)
    queue.put(answers.get())
    answers.get()  # a process must live until what it sent has been received


def test_queues():
    context = mp.get_context("fork")
    queue, answers = context.Queue(), context.Queue()
    linear = flambeau.nn.Linear(2, 2)
    linear.share_memory()
    process = context.Process(target=produce, args=(queue, answers, linear))
    process.start()
    first = queue.get(timeout=20)
    assert first.tolist() == [0, 1, 2, 3, 4]
    assert first.is_shared()
    second, half, text = queue.get(timeout=20)
    assert (second.shape, second.stride(), half.item(), text) == ((3, 2), (1, 3), 2.5, "text")
    assert queue.get(timeout=20) is None
    assert linear.bias.tolist() == [7, 7]
    answers.put(first)  # back to where it came from: still the same memory
    again = queue.get(timeout=20)
    again[0] = 100
    assert first[0] == 100
    answers.put(None)
    process.join()
    assert process.exitcode == 0


def test_tensors_that_are_results_do_not_travel():
    result = flambeau.ones(2, requires_grad=True) * 2
    with pytest.raises(RuntimeError, match="Cowardly refusing to serialize non-leaf tensor"):
        mp.reductions.reduce_tensor(result)
    assert pickle.loads(pickle.dumps(flambeau.ones(2))).tolist() == [1, 1]  # plain pickling copies


def test_nothing_is_left_of_shared_memory():
    def mapped():
        with open("/proc/self/maps") as file:
            return file.read().count("memfd:flambeau")

    if not os.path.exists("/proc/self/maps"):
        pytest.skip("needs /proc")
    gc.collect()
    before, files = mapped(), len(os.listdir("/proc/self/fd"))
    tensors = [flambeau.ones(1000).share_memory_() for _ in range(5)]
    assert mapped() == before + 5
    array = tensors[0].numpy()
    del tensors
    gc.collect()
    assert mapped() == before + 1
    assert array.sum() == 1000
    del array
    assert (mapped(), len(os.listdir("/proc/self/fd"))) == (before, files)


def add(index, tensor):
    tensor[index] += index + 1


def fail(index):
    if index == 1:
        raise ValueError("the second one fails")
    time.sleep(30)


def die(index, how):
    if index == 0:
        sys.exit(how) if how > 0 else os.kill(os.getpid(), -how)
    time.sleep(30)


def test_spawn():
    tensor = flambeau.zeros(2)
    assert mp.spawn(add, (tensor,), nprocs=2) is None
    assert tensor.tolist() == [1, 2]


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_start_processes(method):
    if method not in METHODS:
        pytest.skip(f"this system does not start processes by {method}")
    tensor = flambeau.zeros(2).share_memory_()
    context = mp.start_processes(add, (tensor,), nprocs=2, join=False, start_method=method)
    assert len(context.pids()) == 2
    while not context.join(timeout=20):
        pass
    assert tensor.tolist() == [1, 2]


def test_failures_of_started_processes():
    with pytest.raises(
        mp.ProcessRaisedException, match="Process 1 terminated with the following error"
    ) as caught:
        mp.start_processes(fail, nprocs=2, start_method="fork")
    assert "ValueError: the second one fails" in str(caught.value)
    assert caught.value.error_index == 1
    with pytest.raises(mp.ProcessExitedException, match="process 0 terminated with exit code 3") as ended:
        mp.start_processes(die, (3,), nprocs=2, start_method="fork")
    assert ended.value.exit_code == 3
    with pytest.raises(mp.ProcessExitedException, match="process 0 terminated with signal SIGKILL") as killed:
        mp.start_processes(die, (-signal.SIGKILL,), nprocs=2, start_method="fork")
    assert killed.value.signal_name == "SIGKILL"
    copied = pickle.loads(pickle.dumps(killed.value))
    assert (copied.exit_code, copied.error_pid) == (-9, killed.value.error_pid)


def test_arrays_over_shared_memory():
    tensor = flambeau.zeros(4).share_memory_()
    array = tensor.numpy()
    array += numpy.arange(4)
    assert tensor.tolist() == [0, 1, 2, 3]
