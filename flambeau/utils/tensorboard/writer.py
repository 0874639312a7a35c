"""`SummaryWriter`: numbers, pictures, texts and distributions of a training run, for TensorBoard."""

from __future__ import annotations

import os
import socket
import time
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from . import summary
from .package import array, protocol

__all__ = ["FileWriter", "SummaryWriter"]


class FileWriter:
    """Writes entries into a log file, in a thread of its own."""

    def __init__(self, log_dir: Any, max_queue: int = 10, flush_secs: float = 120, filename_suffix: str = ""):
        self._folder = os.fspath(log_dir)
        self.event_writer = protocol().EventFileWriter(self._folder, max_queue, flush_secs, filename_suffix)

    def get_logdir(self) -> str:
        """The folder."""
        return self._folder

    def add_event(self, event: Any, step: Any = None, walltime: float | None = None) -> None:
        """Write an entry; its time is now unless given."""
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        self.event_writer.add_event(event)

    def add_summary(self, summary: Any, global_step: Any = None, walltime: float | None = None) -> None:
        """Write a summary."""
        self.add_event(protocol().Event(summary=summary), global_step, walltime)

    def flush(self) -> None:
        """Write what waits to the disk."""
        self.event_writer.flush()

    def close(self) -> None:
        """Write what waits, and close the file."""
        self.event_writer.close()

    def reopen(self) -> None:
        """Go on in another file (a file opens with its first entry)."""


class SummaryWriter:
    """Writes a log that ``tensorboard --logdir runs`` shows.

    log_dir: the folder; by default a new one under ``runs``, named after the time and the machine. comment: goes to the
    end of that name. max_queue, flush_secs: how many entries, and how long, may wait in memory.

    Example::

        with SummaryWriter() as writer:
            for step in range(100):
                writer.add_scalar("loss/train", loss, step)
    """

    def __init__(
        self, log_dir: Any = None, comment: str = "", purge_step: int | None = None, max_queue: int = 10,
        flush_secs: float = 120, filename_suffix: str = "",
    ):  # fmt: skip
        protocol()  # says at once when the package is missing
        if not log_dir:
            now = datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir = log_dir
        self.purge_step, self.max_queue = purge_step, max_queue
        self.flush_secs, self.filename_suffix = flush_secs, filename_suffix
        self.file_writer: FileWriter | None = None
        self.all_writers: dict[Any, FileWriter] | None = None
        self._get_file_writer()

    def _get_file_writer(self) -> FileWriter:
        if self.file_writer is None or self.all_writers is None:
            self.file_writer = FileWriter(self.log_dir, self.max_queue, self.flush_secs, self.filename_suffix)
            self.all_writers = {self.file_writer.get_logdir(): self.file_writer}
            if self.purge_step is not None:
                p = protocol()
                self.file_writer.add_event(p.Event(step=self.purge_step, file_version="brain.Event:2"))
                start = p.SessionLog(status=p.SessionLog.START)
                self.file_writer.add_event(p.Event(step=self.purge_step, session_log=start))
                self.purge_step = None
        return self.file_writer

    def get_logdir(self) -> Any:
        """The folder of the log."""
        return self.log_dir

    # -- numbers -----------------------------------------------------------------------------------------------------

    def add_scalar(
        self, tag: str, scalar_value: Any, global_step: Any = None, walltime: float | None = None, new_style: bool = False,
        double_precision: bool = False,
    ) -> None:  # fmt: skip
        """A number at a step."""
        made = summary.scalar(tag, scalar_value, new_style, double_precision)
        self._get_file_writer().add_summary(made, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: dict[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Several numbers in one chart; each gets a folder of its own beside the log."""
        walltime = time.time() if walltime is None else walltime
        parent = self._get_file_writer().get_logdir()
        for tag, value in tag_scalar_dict.items():
            folder = os.path.join(parent, main_tag.replace("/", "_") + "_" + tag)
            if folder not in self.all_writers:
                self.all_writers[folder] = FileWriter(
                    folder, self.max_queue, self.flush_secs, self.filename_suffix
                )
            self.all_writers[folder].add_summary(summary.scalar(main_tag, value), global_step, walltime)

    def add_custom_scalars(self, layout: dict) -> None:
        """Arrange charts of numbers: ``{category: {chart: ["Multiline", [tag, ...]]}}``."""
        self._get_file_writer().add_summary(summary.custom_scalars(layout))

    def add_custom_scalars_multilinechart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """One chart of several numbers."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """A chart of a number with its lower and upper bounds."""
        if len(tags) != 3:
            raise AssertionError
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    def add_hparams(
        self, hparam_dict: dict[str, Any], metric_dict: dict[str, Any], hparam_domain_discrete: dict | None = None,
        run_name: str | None = None, global_step: Any = None,
    ) -> None:  # fmt: skip
        """The settings of a run and what came of them, for TensorBoard's table of runs."""
        from .hparams import summaries

        if not isinstance(hparam_dict, dict) or not isinstance(metric_dict, dict):
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        name = run_name or str(time.time())
        folder = os.path.join(self._get_file_writer().get_logdir(), name)
        with SummaryWriter(log_dir=folder) as writer:
            for made in summaries(hparam_dict, metric_dict, hparam_domain_discrete or {}):
                writer.file_writer.add_summary(made)
            for key, value in metric_dict.items():
                writer.add_scalar(key, value, global_step)

    # -- distributions -----------------------------------------------------------------------------------------------

    def add_histogram(
        self, tag: str, values: Any, global_step: Any = None, bins: Any = "tensorflow", walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:  # fmt: skip
        """How the values of a tensor are distributed."""
        made = summary.histogram(tag, values, bins, max_bins)
        self._get_file_writer().add_summary(made, global_step, walltime)

    def add_histogram_raw(
        self, tag: str, min: float, max: float, num: int, sum: float, sum_squares: float, bucket_limits: Any,
        bucket_counts: Any, global_step: Any = None, walltime: float | None = None,
    ) -> None:  # fmt: skip
        """A histogram that the program counted itself."""
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        made = summary.histogram_raw(tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts)
        self._get_file_writer().add_summary(made, global_step, walltime)

    def add_pr_curve(
        self, tag: str, labels: Any, predictions: Any, global_step: Any = None, num_thresholds: int = 127,
        weights: Any = None, walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Precision against recall of a classifier of two classes."""
        made = summary.pr_curve(tag, labels, predictions, num_thresholds, weights)
        self._get_file_writer().add_summary(made, global_step, walltime)

    # -- pictures, sound, text ---------------------------------------------------------------------------------------

    def add_image(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: float | None = None, dataformats: str = "CHW"
    ) -> None:  # fmt: skip
        """A picture: bytes, or numbers in [0, 1]."""
        made = summary.image(tag, img_tensor, dataformats=dataformats)
        self._get_file_writer().add_summary(made, global_step, walltime)

    def add_images(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: float | None = None, dataformats: str = "NCHW"
    ) -> None:  # fmt: skip
        """Several pictures in a grid."""
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_image_with_boxes(
        self, tag: str, img_tensor: Any, box_tensor: Any, global_step: Any = None, walltime: float | None = None,
        rescale: float = 1, dataformats: str = "CHW", labels: Any = None,
    ) -> None:  # fmt: skip
        """A picture with boxes (left, top, right, bottom) drawn on it."""
        names = [labels] if isinstance(labels, str) else labels
        if names is not None and len(names) != array(box_tensor).reshape(-1, 4).shape[0]:
            names = None
        made = summary.image_boxes(tag, img_tensor, box_tensor, rescale, dataformats, names)
        self._get_file_writer().add_summary(made, global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: Any = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """A Matplotlib figure, or several."""
        pixels = summary.figure_pixels(figure, close)
        self.add_image(tag, pixels, global_step, walltime, "NCHW" if pixels.ndim == 4 else "CHW")

    def add_audio(
        self, tag: str, snd_tensor: Any, global_step: Any = None, sample_rate: int = 44100, walltime: float | None = None
    ) -> None:  # fmt: skip
        """A mono sound with values in [-1, 1]."""
        self._get_file_writer().add_summary(
            summary.audio(tag, snd_tensor, sample_rate), global_step, walltime
        )

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """A text in Markdown."""
        self._get_file_writer().add_summary(summary.text(tag, text_string), global_step, walltime)

    def add_embedding(
        self, mat: Any, metadata: Any = None, label_img: Any = None, global_step: Any = None, tag: str = "default",
        metadata_header: Any = None,
    ) -> None:  # fmt: skip
        """Rows of a matrix as points, for TensorBoard's projector, with labels and small pictures."""
        from .embedding import write

        folder = Path(self._get_file_writer().get_logdir())
        write(folder, array(mat), metadata, label_img, global_step, tag, metadata_header)

    # -- not supported -----------------------------------------------------------------------------------------------

    def add_graph(
        self, model: Any, input_to_model: Any = None, verbose: bool = False, use_strict_trace: bool = True
    ) -> NoReturn:
        """Not supported: there is no traced graph to draw."""
        raise NotImplementedError(
            "SummaryWriter.add_graph: Flambeau does not trace models into graphs\n"
            "  fix     leave the call out; print(model) shows the modules, and add_text can log that"
        )

    def add_onnx_graph(self, prototxt: Any) -> NoReturn:
        """Not supported."""
        raise NotImplementedError("SummaryWriter.add_onnx_graph is not supported; leave the call out")

    def add_video(self, tag: str, vid_tensor: Any, *arguments: Any, **keywords: Any) -> NoReturn:
        """Not supported: TensorBoard shows videos as animated pictures that need another package to encode."""
        raise NotImplementedError("SummaryWriter.add_video is not supported; log frames with add_images")

    def add_mesh(self, tag: str, vertices: Any, *arguments: Any, **keywords: Any) -> NoReturn:
        """Not supported."""
        raise NotImplementedError("SummaryWriter.add_mesh is not supported; leave the call out")

    # -- the end -----------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what waits to the disk."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self) -> None:
        """Write what waits, and close the files; a later entry opens new ones."""
        for writer in (self.all_writers or {}).values():
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self):
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()
