"""Loggers: where the scalars, scores and sample grids of a training go.

    logger = LOGGERS["csv"](run, length, start=0)
    rows = [{"iteration": 1, "images": 64, "seconds": 0.1, "d_loss": 1.4, "images_per_second": 640.0}]
    logger.log(rows, failures={})

A logger has `log(rows, failures)`, `log_score(score)`, `log_grid(iteration, image)` and `close()`. To add one, write
its class, derived from `Logger`, a row of `LOGGERS`, and its name in gan/config.py.
"""

import contextlib

import numpy as np

from gan import progress
from gan.runs.run_directory import Run
from gan.training.schedule import RunLength


class Logger:
    """A logger that does nothing.

    Arguments:
        run: the run's folder.
        length: the length of the run.
        start: how far the run was when this training session started, in the unit of `length`.
    """

    def __init__(self, run: Run, length: RunLength, start: float):
        self.run, self.length = run, length

    def log(self, rows: list[dict[str, float]], failures: dict[str, str]) -> None:
        """Logs successive iterations: iteration, images, seconds, scalars by name, images_per_second.

        A row has no value for a scalar that its iteration did not compute. `failures` are the present failure modes.
        """

    def log_score(self, score: dict) -> None:
        """Logs a score, a row of metrics.csv."""

    def log_grid(self, iteration: int, image: np.ndarray) -> None:
        """Logs a grid of samples, uint8 (h, w, 3)."""

    def close(self) -> None:
        """Ends the logging."""


class ConsoleLogger(Logger):
    """A line of progress with losses, scores and present failure modes."""

    def __init__(self, run: Run, length: RunLength, start: float):
        super().__init__(run, length, start)
        self.resources = contextlib.ExitStack()
        self.show = self.resources.enter_context(
            progress.show_progress(length.seconds or length.total, start, length.unit)
        )

    def log(self, rows: list[dict[str, float]], failures: dict[str, str]) -> None:
        last = rows[-1]
        means = {name: np.mean([row[name] for row in rows]) for name in last if all(name in row for row in rows)}
        text = f"{last['images_per_second']:,.0f} img/s"
        for title, name in (("loss D", "d_loss"), ("G", "g_loss"), ("D(x)", "real_score"), ("D(G(z))", "fake_score")):
            text += f" {title} {means[name]:.2f}" if name in means else ""
        self.show(last["seconds"] if self.length.seconds else last["iteration"], "; ".join([text, *failures]))

    def close(self) -> None:
        self.resources.close()


class CSVLogger(Logger):
    """The tables log.csv and metrics.csv."""

    def log(self, rows: list[dict[str, float]], failures: dict[str, str]) -> None:
        self.run.tables.append_log(rows)

    def log_score(self, score: dict) -> None:
        self.run.tables.append_score(score)


class TensorBoardLogger(Logger):
    """Event files for TensorBoard, in the run's folder tensorboard/: scalars, scores and grids by iteration.

    They are written by `tf.summary.write`, with the metadata of TensorBoard's plugins `scalars` and `images`, as
    TensorFlow's own functions for the two need TensorBoard itself.
    """

    def __init__(self, run: Run, length: RunLength, start: float):
        import tensorflow as tf

        super().__init__(run, length, start)
        self.tf = tf
        self.writer = tf.summary.create_file_writer(str(run.folder / "tensorboard"))

    def log(self, rows: list[dict[str, float]], failures: dict[str, str]) -> None:
        for row in rows:
            self.write_scalars("training", row)

    def log_score(self, score: dict) -> None:
        self.write_scalars(f"scores-{score['half_life']:g}" if "half_life" in score else "scores", score)

    def log_grid(self, iteration: int, image: np.ndarray) -> None:
        height, width, _ = image.shape
        content = [str(width), str(height), self.tf.io.encode_png(image)]
        self.write("samples", self.tf.stack(content), iteration, "images")
        self.writer.flush()

    def write_scalars(self, group: str, values: dict) -> None:
        """Writes the numbers among `values`, under their names, at its iteration."""
        for name, value in values.items():
            if isinstance(value, int | float) and name not in ("iteration", "images", "seconds", "half_life"):
                self.write(f"{group}/{name}", self.tf.constant(value, self.tf.float32), values["iteration"], "scalars")
        self.writer.flush()

    def write(self, tag: str, tensor, step: int, plugin: str) -> None:
        """Writes one value for one of TensorBoard's plugins."""
        metadata = self.tf.compat.v1.SummaryMetadata()
        metadata.plugin_data.plugin_name = plugin
        with self.writer.as_default():
            self.tf.summary.write(tag, tensor, step=step, metadata=metadata)

    def close(self) -> None:
        self.writer.close()


LOGGERS = {"console": ConsoleLogger, "csv": CSVLogger, "tensorboard": TensorBoardLogger}
