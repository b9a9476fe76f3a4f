"""One sitting of a run: from its last checkpoint, or its start, to its end or a stop.

exit_code = Session(config, game, run, batches, total).play()
"""

import signal
import time
from collections.abc import Callable

import numpy as np

from gan import checkpoints, plots, progress
from gan.config import Config
from gan.errors import RunError
from gan.images import to_uint8
from gan.runs import Run
from models.layers import portable

SAMPLES = 64  # faces in a picture
SAVE_EVERY = 300.0  # seconds of training that a killed process may cost, where pictures are further apart
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Session:
    """The loop, and what it keeps of the run. `batches(start)` gives the real faces from iteration `start` on."""

    def __init__(self, config: Config, game, run: Run, batches: Callable, total: int):
        self.config, self.game, self.run, self.batches, self.total = config, game, run, batches, total
        self.state = game.state()
        self.sample_every = config.sample_every or max(1, total // 20)
        self.rows = []  # of steps that are not logged yet
        self.seconds, self.waited = 0.0, 0.0  # of training, and of that for data
        self.stopped_by = 0  # a signal's number
        self.portable = portable(game.averaged)  # made once: Keras keeps a part of every model it ever made

    def play(self) -> int:
        """Trains to the end. Returns 0, or 128 + the signal that stopped it."""
        kept = checkpoints.restore(self.run.checkpoints, self.state)
        self.seconds, self.waited = float(kept.get("seconds", 0)), float(kept.get("waited", 0))
        first = self.iteration = self.saved = int(self.game.iteration)
        self.run.keep_rows(first)
        self.publish()  # the first picture, or what a killed run still owed
        if first >= self.total:
            self.run.save_samples(self.config.image_size, SAMPLES)
            print(f"Done already: {first:,} iterations. A larger --epochs goes on from there.")
            return 0
        if first:
            print(f"Going on after iteration {first:,}.")
        handlers = {number: signal.signal(number, self.stop) for number in SIGNALS}
        try:
            with progress.line(self.total, first) as self.show:
                self.loop()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return self.farewell()

    def stop(self, number, frame) -> None:
        """Asks the loop to end after this step; a second Ctrl-C ends it at once."""
        self.stopped_by = number
        print("\nFinishing this step and saving; Ctrl-C again stops without saving.", flush=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def loop(self) -> None:
        """Steps, and every now and then a log entry, a checkpoint and a picture."""
        batches = iter(self.batches(self.iteration))
        self.clock = self.saved_at = time.perf_counter()
        while self.iteration < self.total and not self.stopped_by:
            before = time.perf_counter()
            real = next(batches)
            self.waited += time.perf_counter() - before
            self.rows.append(self.game.train_step(real))
            self.iteration += 1
            now = time.perf_counter()
            if self.iteration % self.sample_every == 0 or now - self.saved_at > SAVE_EVERY:
                self.save()
            elif now - self.clock > 0.5:
                self.write_log()
        if self.iteration > self.saved:
            self.save()

    def write_log(self) -> None:
        """Logs the steps since the last call; raises RunError at the first loss that is not finite."""
        values = np.stack([row.numpy() for row in self.rows])  # waits for a GPU to finish them
        now = time.perf_counter()
        elapsed, self.clock, self.rows = now - self.clock, now, []
        size, first = self.config.images_per_iteration, self.iteration - len(values) + 1
        rate = len(values) * size / elapsed
        times = self.seconds + elapsed * np.arange(1, len(values) + 1) / len(values)
        self.run.append_rows(
            [
                (i, i * size, f"{seconds:.3f}", *(f"{value:.9g}" for value in row), f"{rate:.1f}")
                for i, (seconds, row) in enumerate(zip(times, values, strict=True), first)
            ]
        )
        self.seconds += elapsed
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            self.fail(first + int(np.argmin(finite)))
        d_loss, g_loss, d_real, d_fake = values.mean(axis=0)
        self.show(
            self.iteration,
            f"{rate:,.0f} img/s loss D {d_loss:.2f} G {g_loss:.2f} D(x) {d_real:.2f} D(G(z)) {d_fake:.2f}",
        )

    def save(self) -> None:
        """The log, a checkpoint, and what people look at; none of it counts as training time."""
        if self.rows:
            self.write_log()
        arrays = {name: variable.numpy() for name, variable in self.state.items()}
        if not all(np.isfinite(array).all() for array in arrays.values()):
            self.fail(self.iteration)
        arrays |= {"seconds": np.float64(self.seconds), "waited": np.float64(self.waited)}
        checkpoints.save(self.run.checkpoints, self.iteration, arrays)
        self.publish()
        self.saved = self.iteration
        self.clock = self.saved_at = time.perf_counter()

    def publish(self) -> None:
        """This iteration's picture, if it is due, the loss chart and the generator."""
        due = self.iteration % self.sample_every == 0 or self.iteration >= self.total
        if due and not self.run.grid(self.iteration).exists():
            self.run.save_grid(self.iteration, to_uint8(self.game.imagine(self.game.fixed_noise(SAMPLES))))
        if self.iteration:
            self.portable.set_weights(self.game.averaged.get_weights())
            self.run.save_generator(self.portable)
            plots.losses(self.run.log, self.run.folder / "loss.png")

    def fail(self, iteration: int) -> None:
        """Ends a run that has lost its way."""
        raise RunError(
            f"a loss or a weight is NaN or infinite after iteration {iteration:,}. The checkpoint of iteration"
            f" {self.saved:,} and the pictures up to it are in {self.run.folder}. Try a smaller learning rate,"
            " --precision float32 or another --seed, under another --run."
        )

    def farewell(self) -> int:
        """Collects the samples, says what there is and what to do next. Returns the exit code."""
        self.run.save_samples(self.config.image_size, SAMPLES)
        images, seconds = self.iteration * self.config.images_per_iteration, max(self.seconds, 1e-9)
        print(
            f"{self.iteration:,} iterations, {images:,} images in {seconds:,.0f} s of training"
            f" ({images / seconds:,.0f} images/s), {100 * self.waited / seconds:.1f}% of it waiting for data."
        )
        print(f"Pictures, losses and generator.keras are in {self.run.folder}.")
        if self.stopped_by:
            print("Stopped and saved. The same command goes on from here.")
            return 128 + self.stopped_by
        return 0
