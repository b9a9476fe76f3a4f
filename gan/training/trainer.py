"""Trainer: one training session of a run, from its last checkpoint, or its start, to its end or a stop.

exit_code = Trainer(config, gan, run, batches, length, validator, variance).train()

It is the loop of gan/training/loop.py, and what is written on the way: the log, checkpoints, scores and pictures.

One step is `DCGAN.train_step` in dcgan.py.
"""

import functools
import gc
import math
import warnings
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from gan.config import Config
from gan.errors import RunError
from gan.gallery.page import Page
from gan.images import to_uint8
from gan.memory import release_memory
from gan.runs import checkpoints
from gan.runs.run_directory import Run
from gan.training import diagnostics, loss_chart
from gan.training.clock import clock
from gan.training.distribution import Distribution
from gan.training.ema import Calibrator
from gan.training.loggers import LOGGERS
from gan.training.loop import AGREE_SECONDS, Loop
from gan.training.schedule import MILESTONES, Milestones, RunLength
from gan.training.validation import Validator
from models.portable import get_stock_weights, to_stock_keras

SAMPLES = 64  # in a grid
SAVE_SECONDS = 300.0  # of training that a killed process may cost, where grids are further apart
LOG_SECONDS = 0.5  # from one write of the log to the next


class Trainer(Loop):
    """Trains a GAN and writes what comes of it to the run's directory.

    Arguments:
        batches: as for `Loop`.
        variance: the pixel variance of the real images (see `gan.training.ema`); unused without an EMA.
    """

    def __init__(
        self,
        config: Config,
        gan,
        run: Run,
        batches: Callable[[int], Iterator],
        length: RunLength,
        validator: Validator,
        variance: float,
        distribution: Distribution | None = None,
    ):
        super().__init__(config, gan, batches, length, distribution or Distribution())
        self.run, self.validator, self.variance = run, validator, variance
        self.calibrator = Calibrator(gan.calibrated_ema, variance) if gan.averages else None
        self.exported = to_stock_keras(gan.calibrated_ema)  # made once: Keras keeps a part of every model it ever made
        self.grid_inputs, self.row_names = choose_grid(gan)
        self.page = Page(run.folder.parent)  # of this run and those beside it
        self.pending = []  # (iteration, scalars) of steps that are not logged yet
        self.recent = {name: deque(maxlen=diagnostics.WINDOW) for name in diagnostics.SCALARS}
        self.failures = {}  # present failure modes
        self.loggers = []

    def train(self) -> int:
        """Trains to the end. Returns the exit code: 0, or 128 + the number of the signal that stopped it."""
        saved = checkpoints.restore(self.run.checkpoints, self.state)
        self.resume(saved)
        outputs = self.pending_outputs(saved)
        self.logged_at = self.saved_at = clock.read()
        with self.explain_failures():
            self.distribution.broadcast_state(self.state)
        if self.is_done():
            return self.finish_at_once(outputs)
        if self.iteration:
            print(f"Going on after iteration {self.iteration:,}.")
        start = self.seconds if self.length.seconds else self.iteration
        names = dict.fromkeys(["console", "csv", self.config.log])
        frozen_before = gc.get_freeze_count()
        with self.handle_stops(), self.explain_failures():
            try:
                for name in [name for name in names if name != "none"]:
                    self.loggers.append(LOGGERS[name](self.run, self.length, start))
                self.write_outputs(*outputs)
                self.logged_at = self.saved_at = clock.read()
                self.run_steps()
                if self.iteration > self.saved_iteration:
                    self.save(score=self.progress() >= 1)  # the clock may have passed the end since the loop asked
            finally:
                if not frozen_before:
                    gc.unfreeze()  # what `release_memory` froze
                for logger in self.loggers:
                    logger.close()
        self.distribution.finish()
        return self.finish()

    def finish_at_once(self, outputs: tuple[bool, bool]) -> int:
        """Writes the outputs that are due of a run that has its length already. Returns exit code 0."""
        with self.explain_failures():
            self.agree()  # which the other processes wait for
            self.distribution.finish()
        self.write_outputs(*outputs)
        self.run.grids.save_samples(self.config.image_size, SAMPLES)
        print(f"Done already: {self.iteration:,} iterations. {self.describe_how_to_continue()}")
        return 0

    def resume(self, saved: dict) -> None:
        """Restores clocks, tables, scores and diagnostics to the moment of a checkpoint, whose variables are restored.

        `saved` is what else is in it.
        """
        self.seconds, self.data_seconds = float(saved.get("seconds", 0)), float(saved.get("data_seconds", 0))
        self.iteration = self.saved_iteration = int(self.gan.iteration)
        self.run.tables.truncate(self.iteration)
        self.validator.resume(self.run.tables.read_scores(), saved.get("validation"))
        if moved := self.run.keep_best_of([row["iteration"] for row in self.validator.rows], self.iteration):
            warnings.warn(f"the score of best.keras is no longer there: it is kept in {moved}", stacklevel=2)
        log = self.run.tables.read_log(diagnostics.WINDOW)
        for name, values in self.recent.items():
            values.extend(log.get(name, ()))
        self.failures = self.run.tables.read_active_failures()
        self.grid_milestones = Milestones(self.length, self.config.sample_every, self.progress())
        self.score_milestones = Milestones(self.length, self.config.score_every, self.progress())
        self.gan.selected = int(saved.get("shown_average", 0))
        self.calibrate_ema()

    def pending_outputs(self, saved: dict) -> tuple[bool, bool]:
        """Which outputs are due before the first step: a grid, the first or one that is missing, and best.keras."""
        every = self.grid_milestones.every
        grid = bool(saved.get("grid_due", False)) or (every > 0 and self.iteration % every == 0)
        best = self.validator.is_best(self.iteration, self.run.best_iteration())
        return grid or self.is_done() or not self.iteration, best

    def progress(self) -> float:
        """The share of the run that is done."""
        return self.length.progress(self.iteration, self.seconds)

    def is_done(self) -> bool:
        """Whether the run has its length, or its patience is exhausted."""
        return self.progress() >= 1 or self.validator.should_stop

    # The loop

    def after_step(self, scalars: dict[str, tf.Tensor]) -> None:
        """Logs, scores, saves and writes a grid, from time to time."""
        self.pending.append(scalars)
        now = clock.read()
        trained = self.seconds + (now - self.logged_at)
        last = self.length.progress(self.iteration, trained) >= 1 and self.iteration >= self.next_agreement
        grid = self.grid_milestones.reached(self.iteration, trained) or last
        score = (self.score_milestones.reached(self.iteration, trained) or last) and self.validator.can_evaluate(
            self.planned_seconds(), self.remaining_scores()
        )
        if grid or score or now - self.saved_at > SAVE_SECONDS:
            self.save(grid, score)
        elif now - self.logged_at > LOG_SECONDS:
            self.write_log()

    def decide(self) -> tuple[bool, float, int]:
        """As `Loop.decide`."""
        interval = 1
        if self.distribution.count > 1 and self.step_seconds and not self.config.patience:  # which may end it any time
            interval = max(1, round(AGREE_SECONDS / self.step_seconds))
            if not self.length.seconds:
                interval = max(1, min(interval, self.length.total - self.iteration))
        return self.is_done(), self.seconds + (clock.read() - self.logged_at), interval

    def write_log(self) -> None:
        """Logs the steps since the last call. Raises RunError at the first scalar that is not finite."""
        scalars = [{name: float(value) for name, value in step.items()} for step in self.pending]  # waits for a GPU
        now = clock.read()
        elapsed, self.logged_at, self.pending = now - self.logged_at, now, []
        self.step_seconds = elapsed / len(scalars)
        size, first = self.config.images_per_iteration, self.iteration - len(scalars) + 1
        rows = [
            {
                "iteration": first + i,
                "images": (first + i) * size,
                "seconds": self.seconds + self.step_seconds * (i + 1),
                **values,
                "images_per_second": size / self.step_seconds,
            }
            for i, values in enumerate(scalars)
        ]
        self.seconds += elapsed
        for name, values in self.recent.items():
            # As they are written, so that diagnostics are the same after a restart.
            values.extend(float(f"{row[name]:.9g}") for row in rows if name in row)
        for logger in self.loggers:
            logger.log(rows, self.failures)
        for row in rows:
            if infinite := [name for name, value in row.items() if not np.isfinite(value)]:
                self.fail(row["iteration"], ", ".join(infinite))

    def save(self, grid: bool = False, score: bool = False) -> None:
        """Writes the log, a score, a checkpoint and the outputs; none of it counts as training time."""
        if self.pending:
            self.write_log()
        self.calibrate_ema()
        arrays = {name: variable.numpy() for name, variable in self.state.items()}
        if not all(np.isfinite(array).all() for array in [*arrays.values(), *self.gan.calibrated_ema.get_weights()]):
            self.fail(self.iteration, "a weight")
        best = score and self.evaluate()
        grid = grid or self.is_done()
        if grid or score:
            self.check_health()
        arrays |= {
            "seconds": np.float64(self.seconds),
            "data_seconds": np.float64(self.data_seconds),
            "grid_due": np.bool_(grid),
            "validation": self.validator.budget.state,
            "pixel_variance": np.float64(self.variance),
            **({"shown_average": np.int64(self.gan.selected)} if len(self.gan.averages) > 1 else {}),
        }
        checkpoints.save(self.run.checkpoints, self.iteration, arrays)
        self.write_outputs(grid, best)
        del arrays
        release_memory()
        self.saved_iteration = self.iteration
        self.logged_at = self.saved_at = clock.read()

    # What the loop does from time to time

    def calibrate_ema(self) -> None:
        """Calibrates the averaged generator that is selected, which generates all samples."""
        if self.calibrator:
            self.gan.calibrate_ema(self.calibrator)

    def select_average(self, number: int) -> None:
        """Lets the average of the half-life with that number generate all samples."""
        if number != self.gan.selected:
            self.gan.selected = number
            self.calibrate_ema()

    def generate_samples(self) -> np.ndarray:
        """The samples of the grid, uint8 (64, h, w, 3)."""
        return to_uint8(self.gan.generate_images(self.grid_inputs))

    def planned_seconds(self) -> float:
        """Seconds that the whole run is expected to train, at the present speed: a first step is a slow one."""
        if self.length.seconds:
            return max(self.length.seconds, self.seconds)
        return self.seconds + self.step_seconds * max(0, self.length.total - self.iteration)

    def remaining_scores(self) -> int:
        """How many milestones for a score remain, the present one included."""
        if self.score_milestones.every and not self.length.seconds:
            past_end = self.iteration - self.length.total
            return 1 - past_end // self.score_milestones.every  # the end has one of its own
        return 1 + int(MILESTONES * max(0.0, 1 - self.progress()))

    def evaluate(self) -> bool:
        """Scores the averaged generators, if there is time. Returns whether the best is to become best.keras."""
        before, count = self.gan.selected, len(self.validator.rows)
        averages = {
            half_life: functools.partial(self.select_average, i) for i, half_life in enumerate(self.gan.averages)
        }
        if self.validator.evaluate(self.iteration, self.planned_seconds(), self.remaining_scores(), averages) is None:
            self.select_average(before)
            return False
        for score in self.validator.rows[count:]:
            score |= {"images": self.iteration * self.config.images_per_iteration, "seconds": round(self.seconds, 3)}
            for logger in self.loggers:
                logger.log_score(score)
        return self.validator.is_best(self.iteration, self.run.best_iteration())

    def check_health(self) -> None:
        """Reports each failure mode once when it starts, and once when it ends."""
        saturation = diagnostics.saturated_share(self.generate_samples()) - self.validator.scorer.real_saturation
        scores = [] if self.validator.failure else self.validator.rows
        found = diagnostics.diagnose(
            self.recent, saturation, scores[-1] if scores else None,
            smoothing=self.config.label_smoothing, regularized=self.config.penalized,
            critic=self.config.loss == "wasserstein", acgd=self.config.optimizer == "acgd",
            batch_norm=self.gan.has_batch_norm,
            penalty="r1+r2" if self.config.loss == "relativistic" else "r1",
        )  # fmt: skip
        rows = [(self.iteration, name, "started", found[name]) for name in found if name not in self.failures]
        rows += [(self.iteration, name, "ended", "") for name in self.failures if name not in found]
        self.run.tables.append_diagnostics(rows)
        for iteration, name, status, advice in rows:
            print(f"iteration {iteration:,}: {name} {status}{'. ' + advice if advice else ''}.", flush=True)
        self.failures = found

    def write_outputs(self, grid: bool, best: bool) -> None:
        """Writes the chart, the generator and the gallery, and where they are due the grid and the best generator."""
        if grid and not self.run.grids.path(self.iteration).exists():
            picture = self.run.grids.save(self.iteration, self.generate_samples(), self.row_names)
            for logger in self.loggers:
                logger.log_grid(self.iteration, picture)
        if self.iteration:
            self.exported.set_weights(get_stock_weights(self.gan.calibrated_ema))
            self.run.save_generator(self.exported, self.iteration)
            if best:
                self.run.save_best(self.exported, self.validator.rows[-1], self.validator.protocol())
            loss_chart.draw_chart(self.run.tables.read_log(), self.validator.rows, self.run.folder / "loss.png")
        self.page.refresh()  # with every chart, as an open page follows it

    # The end

    def fail(self, iteration: int, what: str) -> None:
        """Ends a run in which a scalar or a weight, named by `what`, is no longer finite, by a RunError."""
        advice = diagnostics.suggest_after_nan(self.config.precision)
        self.run.tables.append_diagnostics([(iteration, "NaN", "started", advice)])
        self.page.refresh()
        raise RunError(f"NaN or infinite after iteration {iteration:,}: {what}. {self.describe_saved()}. {advice}.")

    def describe_saved(self) -> str:
        """What is left of the run after a failure."""
        if not self.saved_iteration:
            return f"There is no checkpoint in {self.run.folder} yet"
        return f"The checkpoint of iteration {self.saved_iteration:,} and the grids up to it are in {self.run.folder}"

    def finish(self) -> int:
        """Collects the samples, and prints what there is and what to do next. Returns the exit code."""
        self.run.grids.save_samples(self.config.image_size, SAMPLES)
        self.page.refresh()
        images, seconds = self.iteration * self.config.images_per_iteration, max(self.seconds, 1e-9)
        print(
            f"{self.iteration:,} iterations, {images:,} images in {seconds:,.0f} s of training"
            f" ({images / seconds:,.0f} images/s), {100 * self.data_seconds / seconds:.1f}% of it waiting for data."
        )
        print(self.validator.describe(seconds, self.planned_seconds(), self.run.best_iteration()))
        print(f"Grids, losses and generator.keras are in {self.run.folder}; {self.page.path} shows all runs.")
        if self.stopped_by:
            print("Stopped and saved. The same command goes on from here.")
            return 128 + self.stopped_by
        if self.progress() < 1:
            patience = self.config.patience
            print(f"Stopped early: {patience} scores without a lower one. {self.describe_how_to_continue()}")
        return 0

    def describe_how_to_continue(self) -> str:
        """What to type to train longer."""
        flags = []
        if self.progress() >= 1:  # the run may have more than this command asks for
            hundredths = math.ceil(self.progress() * self.length.seconds / 60 * 100)
            epochs = self.iteration * self.config.epochs // self.length.total
            flags = [f"--minutes above {hundredths / 100:.10g}" if self.length.seconds else f"--epochs above {epochs}"]
        flags += [f"--patience above {self.validator.scores_since_lowest}"] if self.validator.should_stop else []
        schedules = {self.config.learning_rate_schedule, self.config.penalty_schedule, self.config.beta_schedule}
        schedules |= {self.config.discriminator_noise_schedule} if self.config.discriminator_noise else set()
        follow = self.progress() >= 1 and schedules != {"constant"}
        more = " Schedules, as of learning rates, are then stretched to the new length." if follow else ""
        return f"To train longer, give {' and '.join(flags)}.{more}"


def choose_grid(gan) -> tuple:
    """What the generator takes for the samples of a grid, and the names of its rows.

    With labels, a row has one of the most frequent combinations, and the noise is the same down each column. Where
    there are fewer combinations than rows, some or all have several, with noise of their own.
    """
    if gan.labels is None:
        return gan.fixed_noise(SAMPLES), ()
    size = math.isqrt(SAMPLES)
    shown = gan.labels.codes[:size]
    numbers = np.arange(size) * len(shown) // size  # the combination of each row
    codes = shown[numbers]
    repeats = np.arange(size) - np.searchsorted(numbers, numbers)  # how many rows of it come before
    noise = tf.split(gan.fixed_noise(size * (repeats.max() + 1)), repeats.max() + 1)
    rows = tf.concat([noise[repeat] for repeat in repeats], axis=0)
    inputs = gan.pair_with_labels(rows, tf.constant(gan.labels.encode(codes.repeat(size, axis=0))))
    return inputs, tuple(gan.labels.describe(each) for each in codes)
