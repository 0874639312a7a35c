"""What one entry of a log says: messages of TensorBoard's format."""

from __future__ import annotations

import io
import logging
from typing import Any

from .package import array, protocol

__all__ = [
    "audio", "custom_scalars", "draw_boxes", "figure_pixels", "histogram", "histogram_raw", "image", "image_boxes", "pr_curve",
    "scalar", "text",
]  # fmt: skip


def _metadata(plugin: str, content: bytes = b"", **facts: Any) -> Any:
    p = protocol()
    data = p.SummaryMetadata.PluginData(plugin_name=plugin, content=content)
    return p.SummaryMetadata(plugin_data=data, **facts)


def _value(**fields: Any) -> Any:
    p = protocol()
    return p.Summary(value=[p.Summary.Value(**fields)])


# -- numbers ---------------------------------------------------------------------------------------------------------


def scalar(name: str, value: Any, new_style: bool = False, double_precision: bool = False) -> Any:
    """One number."""
    p = protocol()
    found = array(value).squeeze()
    if found.ndim != 0:
        raise AssertionError(
            f"Tensor should contain one element (0 dimensions). Was given size: {found.size} and {found.ndim} dimensions."
        )
    number = float(found)
    if not new_style:
        return _value(tag=name, simple_value=number)
    if double_precision:
        tensor = p.TensorProto(double_val=[number], dtype="DT_DOUBLE")
    else:
        tensor = p.TensorProto(float_val=[number], dtype="DT_FLOAT")
    return _value(tag=name, tensor=tensor, metadata=_metadata("scalars"))


def custom_scalars(layout: dict) -> Any:
    """Which charts TensorBoard shows together: ``{category: {chart: [kind, [tag, ...]]}}``."""
    from tensorboard.plugins.custom_scalar import layout_pb2

    p = protocol()
    categories = []
    for name, charts in layout.items():
        made = []
        for title, (kind, tags) in charts.items():
            if kind == "Margin":
                series = layout_pb2.MarginChartContent.Series(value=tags[0], lower=tags[1], upper=tags[2])
                made.append(
                    layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=[series]))
                )
            else:
                made.append(
                    layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=list(tags)))
                )
        categories.append(layout_pb2.Category(title=name, chart=made))
    content = layout_pb2.Layout(category=categories).SerializeToString()
    tensor = p.TensorProto(dtype="DT_STRING", string_val=[content], tensor_shape=p.TensorShapeProto())
    return _value(tag="custom_scalars__config__", tensor=tensor, metadata=_metadata("custom_scalars"))


# -- distributions ---------------------------------------------------------------------------------------------------


def _default_edges() -> list[float]:
    """Edges that grow by a tenth from 1e-12 on, both ways from zero."""
    edges, edge = [], 1e-12
    while edge < 1e20:
        edges.append(edge)
        edge *= 1.1
    return [-e for e in reversed(edges)] + [0.0] + edges


def histogram(name: str, values: Any, bins: Any, max_bins: int | None = None) -> Any:
    """How many values lie between edges. bins: edges, "tensorflow", or what `numpy.histogram` takes.

    Raises: ValueError without values.
    """
    import numpy as np

    values = array(values).astype(float).reshape(-1)
    if values.size == 0:
        raise ValueError("The input has no element.")
    if isinstance(bins, str) and bins == "tensorflow":
        bins = _default_edges()
    counts, limits = np.histogram(values, bins=bins)
    if max_bins is not None and len(counts) > max_bins:
        step = len(counts) // max_bins
        short = -len(counts) % step
        counts = np.pad(counts, (0, short)).reshape(-1, step).sum(axis=-1)
        limits = np.append(limits[:-1][::step], limits[-1])
    filled = np.flatnonzero(counts)
    if filled.size == 0:
        raise ValueError("The histogram is empty, please file a bug report.")
    # One empty bucket stays on the left, so that the first edge is below all values.
    first, last = filled[0], filled[-1] + 1
    counts = counts[first - 1 : last] if first > 0 else np.concatenate([[0], counts[:last]])
    limits = limits[first : last + 1]
    facts = {
        "min": values.min(),
        "max": values.max(),
        "num": len(values),
        "sum": values.sum(),
        "sum_squares": values.dot(values),
    }
    return _histogram(name, facts, limits, counts)


def histogram_raw(
    name: str, min: float, max: float, num: int, sum: float, sum_squares: float, bucket_limits: Any, bucket_counts: Any
) -> Any:  # fmt: skip
    """A histogram that the program counted itself."""
    facts = {"min": min, "max": max, "num": num, "sum": sum, "sum_squares": sum_squares}
    return _histogram(name, facts, bucket_limits, bucket_counts)


def _histogram(name: str, facts: dict, limits: Any, counts: Any) -> Any:
    made = protocol().HistogramProto(
        **{key: float(value) for key, value in facts.items()},
        bucket_limit=[float(edge) for edge in limits], bucket=[float(count) for count in counts],
    )  # fmt: skip
    return _value(tag=name, histo=made)


def pr_curve(tag: str, labels: Any, predictions: Any, num_thresholds: int = 127, weights: Any = None) -> Any:
    """Precision and recall of predictions in [0, 1] at thresholds from 0 to 1."""
    import numpy as np
    from tensorboard.plugins.pr_curve.plugin_data_pb2 import PrCurvePluginData

    p = protocol()
    labels, predictions = array(labels).reshape(-1), array(predictions).reshape(-1)
    count = min(num_thresholds, 127)
    weights = np.ones(labels.shape) if weights is None else np.broadcast_to(array(weights), labels.shape)
    places = np.floor(predictions * (count - 1)).astype(np.int32)
    positive = np.histogram(places, count, (0, count - 1), weights=labels * weights)[0]
    negative = np.histogram(places, count, (0, count - 1), weights=(1 - labels) * weights)[0]
    hits = np.cumsum(positive[::-1])[::-1]
    false = np.cumsum(negative[::-1])[::-1]
    rest, missed = false[0] - false, hits[0] - hits
    smallest = 1e-7
    precision, recall = hits / np.maximum(smallest, hits + false), hits / np.maximum(smallest, hits + missed)
    data = np.stack((hits, false, rest, missed, precision, recall))
    content = PrCurvePluginData(version=0, num_thresholds=count).SerializeToString()
    shape = p.TensorShapeProto(dim=[p.TensorShapeProto.Dim(size=n) for n in data.shape])
    tensor = p.TensorProto(dtype="DT_FLOAT", float_val=data.reshape(-1).tolist(), tensor_shape=shape)
    return _value(tag=tag, tensor=tensor, metadata=_metadata("pr_curves", content))


# -- text and sound --------------------------------------------------------------------------------------------------


def text(tag: str, words: str) -> Any:
    """A text in Markdown."""
    from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData

    p = protocol()
    shape = p.TensorShapeProto(dim=[p.TensorShapeProto.Dim(size=1)])
    tensor = p.TensorProto(dtype="DT_STRING", string_val=[words.encode()], tensor_shape=shape)
    content = TextPluginData(version=0).SerializeToString()
    return _value(tag=tag + "/text_summary", tensor=tensor, metadata=_metadata("text", content))


def audio(tag: str, sound: Any, sample_rate: int = 44100) -> Any:
    """A mono sound with values in [-1, 1]."""
    import wave

    import numpy as np

    sound = array(sound).squeeze()
    if abs(sound).max() > 1:
        logging.getLogger(__name__).warning("audio amplitude out of range, auto clipped.")
        sound = sound.clip(-1, 1)
    if sound.ndim != 1:
        raise AssertionError("input tensor should be 1 dimensional.")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((sound * np.iinfo(np.int16).max).astype("<i2").tobytes())
    made = protocol().Summary.Audio(
        sample_rate=sample_rate, num_channels=1, length_frames=sound.shape[-1], encoded_audio_string=buffer.getvalue(),
        content_type="audio/wav",
    )  # fmt: skip
    return _value(tag=tag, audio=made)


# -- pictures --------------------------------------------------------------------------------------------------------


def to_pixels(picture: Any, dataformats: str) -> Any:
    """An array in height, width, channel order from one in `dataformats` (such as "CHW"); a batch becomes a grid."""
    import numpy as np

    letters = dataformats.upper()
    if len(set(letters)) != len(letters):
        raise AssertionError(
            f"You can not use the same dimension shordhand twice.         input_format: {dataformats}"
        )
    if picture.ndim != len(letters):
        raise AssertionError(
            f"size of input tensor and input format are different.         tensor shape: {picture.shape}, input_format: {dataformats}"
        )
    if len(letters) == 4:
        picture = _grid(np.transpose(picture, [letters.index(c) for c in "NCHW"]))
        return picture.transpose(1, 2, 0)
    if len(letters) == 3:
        picture = np.transpose(picture, [letters.index(c) for c in "HWC"])
        return np.concatenate([picture] * 3, 2) if picture.shape[2] == 1 else picture
    picture = np.transpose(picture, [letters.index(c) for c in "HW"])
    return np.stack([picture] * 3, 2)


def _grid(pictures: Any, columns: int = 8) -> Any:
    """Pictures (count, channel, height, width) beside and below one another."""
    import numpy as np

    if pictures.shape[1] == 1:
        pictures = np.concatenate([pictures] * 3, 1)
    count, channels, height, width = pictures.shape
    columns = min(count, columns)
    rows = -(-count // columns)
    whole = np.zeros((channels, height * rows, width * columns), pictures.dtype)
    for k in range(count):
        y, x = k // columns * height, k % columns * width
        whole[:, y : y + height, x : x + width] = pictures[k]
    return whole


def _bytes_of(pixels: Any) -> Any:
    """Pixels as uint8: whole numbers stay, others are in [0, 1]."""
    import numpy as np

    factor = 1 if pixels.dtype == np.uint8 else 255
    return (pixels.astype(np.float32) * factor).clip(0, 255).astype(np.uint8)


def image(tag: str, picture: Any, rescale: float = 1, dataformats: str = "NCHW") -> Any:
    """A picture, or several in a grid."""
    return _picture(tag, _bytes_of(to_pixels(array(picture), dataformats)), rescale)


def image_boxes(
    tag: str, picture: Any, boxes: Any, rescale: float = 1, dataformats: str = "CHW", labels: Any = None
) -> Any:
    """A picture with boxes (left, top, right, bottom) drawn on it."""
    pixels = _bytes_of(to_pixels(array(picture), dataformats))
    return _picture(tag, draw_boxes(pixels, array(boxes), labels), rescale)


def draw_boxes(pixels: Any, boxes: Any, labels: Any = None) -> Any:
    """Pixels with red frames, and labels in their corners."""
    import numpy as np

    pictures = _pillow()
    from PIL import ImageDraw

    canvas = pictures.fromarray(pixels)
    draw = ImageDraw.Draw(canvas)
    for k, box in enumerate(boxes.reshape(-1, 4).tolist()):
        draw.rectangle(box, outline="red", width=2)
        if labels is not None:
            draw.text((box[0] + 3, box[1] + 3), str(labels[k]), fill="red")
    return np.asarray(canvas)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "pictures in TensorBoard's logs need Pillow\n  fix     pip install pillow", name="PIL"
        ) from None
    return Image


def _picture(tag: str, pixels: Any, rescale: float) -> Any:
    height, width, channels = pixels.shape
    height, width = int(height * rescale), int(width * rescale)
    pictures = _pillow()
    picture = pictures.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    if rescale != 1:
        picture = picture.resize((width, height), pictures.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    made = protocol().Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=buffer.getvalue()
    )
    return _value(tag=tag, image=made)


def figure_pixels(figures: Any, close: bool = True) -> Any:
    """Matplotlib figures drawn to pixels (channel, height, width); several of one size get a first dimension."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    def draw(figure: Any) -> Any:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[:, :, :3].transpose(2, 0, 1).copy()
        if close:
            import matplotlib.pyplot as plt

            plt.close(figure)
        return pixels

    return np.stack([draw(f) for f in figures]) if isinstance(figures, (list, tuple)) else draw(figures)
