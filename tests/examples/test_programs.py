"""Each example, run in small by `flambeau run`: it ends well, and what it claims to show is there."""

from __future__ import annotations

import re

import pytest

from benchmarks.examples import FOLDER, PROGRAMS, run_example


def after(label: str, text: str) -> list[float]:
    """The numbers that follow each occurrence of the label."""
    return [float(found) for found in re.findall(rf"{label}\s+([-+]?\d+\.?\d*(?:e[-+]?\d+)?)", text)]


def test_every_example_is_an_ordinary_pytorch_script():
    assert len(PROGRAMS) >= 11
    for name in PROGRAMS:
        source = (FOLDER / f"{name}.py").read_text("utf-8")
        assert "\nimport torch\n" in source, name
        assert "flambeau" not in source, name
        assert source.count("\n") <= 130, name


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_example_explains_its_options(name):
    assert "--epochs" in run_example(name, "--help")


def test_every_example_is_in_the_documentation():
    listed = set(
        re.findall(r"\.\./examples/(\w+)\.py", (FOLDER.parent / "docs" / "examples.md").read_text("utf-8"))
    )
    assert listed - {"common"} == {*PROGRAMS, "digits"}


def test_linear_regression_arrives_at_the_closed_form():
    text = run_example("linear_regression", "--epochs", "50")
    losses = after("loss", text)
    assert losses[-1] < 0.05 * losses[0]
    found, exact = (re.findall(rf"{way}\s+y = (\S+) x (\S+)", text)[0] for way in ("found", "closed form"))
    assert [float(number) for number in found] == pytest.approx([float(number) for number in exact], abs=2e-3)
    assert sum("#" in line for line in text.splitlines()) > 8  # the line of the plot


def test_the_digits_network_learns_and_shows_what_it_misreads():
    text = run_example("digits_mlp", "--epochs", "3")
    losses = after(r"epoch\s+\d+  loss", text)
    assert losses[-1] < 0.3 * losses[0]
    assert after("test accuracy", text)[-1] > 90
    assert re.search(r"a \d read as \d", text)


def test_the_custom_loss_hardly_hears_outliers():
    text = run_example("custom_loss", "--epochs", "150")
    distance = {name: after(name, text)[-1] for name in ("MSELoss", "GemanMcClure")}
    assert distance["GemanMcClure"] < 0.3 * distance["MSELoss"]


def test_class_weights_gain_fifteen_points_of_balanced_accuracy():
    rows = re.findall(r"(plain|weighted) .* (\S+)%$", run_example("imbalance"), re.MULTILINE)
    plain, weighted = ([float(share) for name, share in rows if name == way] for way in ("plain", "weighted"))
    assert len(plain) == len(weighted) == 5
    assert min(after - before for before, after in zip(plain, weighted)) >= 15


def test_the_gradient_vanishes_without_normalisation_only():
    text = run_example("vanishing_gradient", "--epochs", "4")
    rows = re.findall(r"^ +(\d+)  (\S+e-\d+) .* (\S+e-\d+) ", text, re.MULTILINE)
    assert [int(row[0]) for row in rows] == list(range(1, 12))
    plain, normalised = ([float(row[at]) for row in rows] for at in (1, 2))
    assert plain[0] < 1e-6 * plain[-1]
    assert normalised[0] > 0.1 * normalised[-1]
    reached = [float(share) for share in re.findall(r"(\S+)%", text)]
    assert reached[0] < 30 < 70 < reached[1]


def test_the_custom_dataset_is_learnt():
    text = run_example("custom_dataset", "--epochs", "3", "--items", "500")
    losses, right = after("loss", text), after("accuracy", text)
    assert losses[-1] < 0.8 * losses[0]
    assert right[-1] > 60
    assert "image (32, 1, 16, 16)" in text


def test_transfer_beats_training_from_scratch_with_a_frozen_body():
    text = run_example("transfer_learning", "--epochs", "6", "--draws", "3")
    assert re.findall(r"transfer .* 195 +(\w+)", text) == ["True"] * 3
    assert re.findall(r"scratch .* 26019 +(\w+)", text) == ["False"] * 3
    transfer, scratch = (
        float(re.findall(rf"^{way} +(\S+)%", text, re.MULTILINE)[0]) for way in ("transfer", "scratch")
    )
    assert transfer > scratch + 5


def test_shape_debugging_shows_the_error_and_the_mended_network():
    text = run_example("shape_debugging")
    assert "mat1 and mat2 shapes cannot be multiplied (4x64 and 1024x32)" in text
    assert "fix " in text  # Flambeau's own lines below PyTorch's
    assert "hidden  Linear     (4, 64)         -> does not fit" in text
    assert "hidden  Linear     (4, 64)         -> (4, 32)" in text
    assert "in_features=64" in text
    losses = after("loss", text)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(("name", "epochs", "bound"), [("lstm_text", 3, 3.2), ("transformer_text", 2, 2.85)])
def test_language_models_learn_and_write(name, epochs, bound):
    text = run_example(name, "--epochs", str(epochs), "--write", "60")
    first = [float(number) for number in re.findall(r"first steps (.*)", text)[0].split()]
    assert first[0] == pytest.approx(4.06, abs=0.2)  # ln 58: nothing is known yet
    assert after(r"epoch +\d+  loss", text)[-1] < bound
    written = text[text.index("Shall I ") :].rstrip("\n")
    assert 60 <= len(written) <= 68


def test_the_auto_encoder_draws_digits():
    text = run_example("vae", "--epochs", "5")
    losses = after(r"epoch +\d+  loss", text)
    assert losses[-1] < 0.85 * losses[0]
    blocks = [part.splitlines() for part in text.split("\n\n")[1:]]
    assert [block[0] for block in blocks] == ["given", "drawn again from their codes", "drawn from noise"]
    assert all(len(block) == 9 for block in blocks)
    # The network's own pictures resemble digits in how much ink they use.
    ink = [sum(sign in "*#%@" for line in block[1:] for sign in line) for block in blocks]
    assert 0.3 * ink[0] < ink[2] < 1.7 * ink[0]
