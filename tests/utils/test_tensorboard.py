"""Logs for TensorBoard, read back with the `tensorboard` package."""

from __future__ import annotations

import io
import sys

import pytest

import flambeau as torch

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def log(tmp_path):
    """A writer, and a function that closes it and reads a folder of its log."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from flambeau.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(tmp_path / "run")

    def read(folder: str = ""):
        writer.close()
        kinds = ("scalars", "tensors", "images", "histograms", "audio")
        events = EventAccumulator(str(tmp_path / "run" / folder), size_guidance=dict.fromkeys(kinds, 0))
        return events.Reload()

    return writer, read


def test_numbers(log, tmp_path):
    writer, read = log
    for step in range(3):
        writer.add_scalar("loss", torch.tensor(0.5 * step), step)
    writer.add_scalar("exact", 0.1, 4, new_style=True, double_precision=True)
    writer.add_scalars("pair", {"train": 1.0, "test": 2.0}, 7)
    writer.add_hparams({"rate": 0.1, "kind": "a", "on": True}, {"accuracy": 0.5}, run_name="settings")
    events = read()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(0, 0.0), (1, 0.5), (2, 1.0)]
    assert events.Tensors("exact")[0].tensor_proto.double_val == [0.1]
    assert [(e.step, e.value) for e in read("pair_test").Scalars("pair")] == [(7, 2.0)]
    settings = read("settings")
    assert settings.Scalars("accuracy")[0].value == 0.5
    assert settings.SummaryMetadata("_hparams_/session_start_info").plugin_data.plugin_name == "hparams"
    with pytest.raises(AssertionError, match="should contain one element"):
        writer.add_scalar("loss", torch.ones(2), 0)


def test_distributions_and_text(log):
    writer, read = log
    values = torch.tensor([-1.0, 0.0, 0.5, 0.5, 2.0])
    writer.add_histogram("weights", values, 1)
    writer.add_histogram("edges", values, 1, bins=[-2.0, 0.0, 1.0, 3.0])
    writer.add_text("note", "hello *there*", 2)
    writer.add_pr_curve("curve", torch.tensor([0, 1, 1]), torch.tensor([0.1, 0.9, 0.4]))
    events = read()
    found = events.Histograms("weights")[0].histogram_value
    assert (found.num, found.min, found.max, found.sum) == (5, -1.0, 2.0, 2.0)
    assert sum(found.bucket) == 5
    assert events.Histograms("edges")[0].histogram_value.bucket == [0, 1, 3, 1]
    assert events.Tensors("note/text_summary")[0].tensor_proto.string_val == [b"hello *there*"]
    assert "curve" in events.Tags()["tensors"]
    with pytest.raises(ValueError, match="no element"):
        writer.add_histogram("none", torch.ones(0))


def test_pictures_and_sound(log):
    pillow = pytest.importorskip("PIL.Image")
    writer, read = log
    picture = torch.arange(3 * 4 * 5, dtype=torch.float32).view(3, 4, 5) / 60
    writer.add_image("one", picture, 0)
    writer.add_image("grey", picture[0], 0, dataformats="HW")
    writer.add_images("many", picture.expand(3, 3, 4, 5), 0)
    writer.add_image_with_boxes(
        "boxes", torch.zeros(3, 20, 20), torch.tensor([[2.0, 2, 10, 10]]), labels=["a"]
    )
    writer.add_audio("tone", torch.sin(torch.arange(800) * 0.1), 0, sample_rate=8000)
    events = read()
    pixels = pillow.open(io.BytesIO(events.Images("one")[0].encoded_image_string))
    assert pixels.size == (5, 4)
    assert pixels.getpixel((2, 1)) == tuple(int(picture[c, 1, 2] * 255) for c in range(3))
    assert (events.Images("many")[0].width, events.Images("many")[0].height) == (15, 4)
    red = pillow.open(io.BytesIO(events.Images("boxes")[0].encoded_image_string)).getpixel((2, 6))
    assert red == (255, 0, 0)
    assert events.Audio("tone")[0].sample_rate == 8000.0
    with pytest.raises(AssertionError, match="input_format: HW"):
        writer.add_image("bad", picture, 0, dataformats="HW")


def test_points(log, tmp_path):
    writer, read = log
    writer.add_embedding(torch.eye(3), metadata=["a", "b", "c"], global_step=5)
    read()
    folder = tmp_path / "run"
    assert (folder / "00005/default/metadata.tsv").read_text() == "a\nb\nc\n"
    assert (folder / "00005/default/tensors.tsv").read_text().splitlines()[0] == "1.0\t0.0\t0.0"
    assert 'tensor_name: "default:00005"' in (folder / "projector_config.pbtxt").read_text()


def test_what_is_not_supported_says_so(log):
    writer, _ = log
    for call in (
        lambda: writer.add_graph(None),
        lambda: writer.add_mesh("m", None),
        lambda: writer.add_video("v", None),
    ):
        with pytest.raises(NotImplementedError):
            call()


def test_without_the_package(monkeypatch, tmp_path):
    from flambeau.utils.tensorboard import SummaryWriter, package

    package.protocol.cache_clear()
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "tensorboard.compat", raising=False)
    with pytest.raises(ModuleNotFoundError, match="pip install tensorboard"):
        SummaryWriter(tmp_path)
    package.protocol.cache_clear()
