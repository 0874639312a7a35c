"""The examples, run unchanged by PyTorch and by Flambeau: the same data in the same order, the same losses."""

from __future__ import annotations

import math
import re

import pytest

from benchmarks import examples
from benchmarks.examples import PROGRAMS, run_example

pytestmark = pytest.mark.parity

#: The first epoch; where an epoch is a single step, a few. What is printed besides is kept short.
ARGUMENTS = {
    "linear_regression": ["--epochs", "60"],
    "custom_loss": ["--epochs", "20"],
    "imbalance": ["--epochs", "20", "--seeds", "3"],
    "transfer_learning": ["--epochs", "1", "--draws", "1"],
    "lstm_text": ["--epochs", "1", "--write", "40"],
    "transformer_text": ["--epochs", "1", "--write", "40"],
}
#: Epochs over which the losses still agree to 4 digits; then rounding, multiplied by each step, shows.
SETTLED = {
    "digits_mlp": 3,
    "vanishing_gradient": 3,
    "custom_dataset": 2,
    "lstm_text": 4,
    "transformer_text": 3,
    "vae": 3,
}
NUMBER = re.compile(r"[-+]?\d+\.\d+(?:e[-+]\d+)?")


def compared(text: str) -> list[tuple[str, list[float]]]:
    """Lines that report losses, gradients or the order of items: their words, and their fractions apart."""
    chosen = re.compile(r"loss|first steps|items|e-\d\d|weighs|cannot be multiplied|->")
    lines = [re.sub("[▁-█]+", "", line) for line in text.splitlines() if chosen.search(line)]
    # Shares of what is recognised are counts: one more or less is no error of arithmetic.
    lines = [re.sub(r"\d+\.\d+%", "some%", line) for line in lines]
    return [
        (" ".join(NUMBER.sub("#", line).split()), [float(n) for n in NUMBER.findall(line)]) for line in lines
    ]


def check(name: str, *arguments: str) -> None:
    ours, theirs = (
        compared(run_example(name, *arguments, module=module)) for module in ("flambeau", "torch")
    )
    assert [words for words, _ in ours] == [words for words, _ in theirs]
    assert sum(len(numbers) for _, numbers in theirs) >= 1
    for (words, mine), (_, other) in zip(ours, theirs):
        close = [math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6) for a, b in zip(mine, other)]
        assert all(close), f"{words}\n    {mine}\n    {other}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_first_epoch_follows_pytorch_to_four_digits(name):
    check(name, *ARGUMENTS.get(name, ["--epochs", "1"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTLED)
def test_so_do_the_epochs_after_it(name):
    check(name, "--epochs", str(SETTLED[name]), *ARGUMENTS.get(name, [])[2:])


@pytest.mark.parametrize("module", ["flambeau", "torch"])
def test_workers_change_nothing(module):
    alone, helped = (
        run_example("custom_dataset", "--epochs", "1", "--items", "200", "--workers", workers, module=module)
        for workers in ("0", "2")
    )
    assert alone == helped


def test_times_of_examples_are_printed_side_by_side(capsys):
    assert examples.main(["linear_regression", "--repeats", "1"]) == 0
    row = re.search(r"\| linear_regression \| (\S+) s \| (\S+) s \| (\S+) \|", capsys.readouterr().out)
    ours, theirs, ratio = map(float, row.groups())
    assert ratio == pytest.approx(ours / theirs, rel=0.05, abs=0.02)  # all three are rounded
