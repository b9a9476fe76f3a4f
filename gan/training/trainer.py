"""One sitting of a run, from its last checkpoint, or its start, to its end or a stop: Session(...).play()."""

import signal
import time
from collections import deque
from collections.abc import Callable
from functools import partial

import numpy as np

from gan import progress
from gan.config import Config
from gan.errors import RunError
from gan.gallery.page import Page
from gan.images import to_uint8
from gan.runs import checkpoints
from gan.runs.run_directory import Run
from gan.training import diagnostics, ema, loss_chart
from models.layers import to_stock_keras

SAMPLES = 64  # faces in a picture
SAVE_EVERY = 300.0  # seconds of training that a killed process may cost, where pictures are further apart
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Trainer:
    """The loop. `batches(start)` gives real faces from iteration `start` on; they vary by `spread` (gan/training/ema)."""

    def __init__(
        self, config: Config, game, run: Run, batches: Callable, pace: progress.RunLength, judge, spread: float
    ):
        self.config, self.game, self.run, self.batches, self.pace = config, game, run, batches, pace
        self.judge, self.spread = judge, spread
        self.state = game.state()
        self.rows, self.ailing = [], {}  # steps that are not logged yet; what is wrong with the game now
        self.recent = deque(maxlen=diagnostics.WINDOW)  # losses and opinions of the last steps
        self.seconds = self.waited = self.each = 0.0  # of training, of that for data, of an iteration as it is now
        self.stopped_by = 0  # a signal's number
        self.page = Page(run.folder.parent)  # of this run and those beside it
        self.portable = to_stock_keras(game.shown)  # made once: Keras keeps a part of every model it ever made

    def play(self) -> int:
        """Trains to the end. Returns 0, or 128 + the signal that stopped it."""
        kept = checkpoints.restore(self.run.checkpoints, self.state)
        self.seconds, self.waited = float(kept.get("seconds", 0)), float(kept.get("waited", 0))
        first = self.iteration = self.saved = int(self.game.iteration)
        self.resume(kept)
        self.rest()
        self.publish(*self.owed(kept))  # the first picture, or what a killed run still owed
        if self.over():
            self.run.save_samples(self.config.image_size, SAMPLES)
            print(f"Done already: {first:,} iterations. {self.how_to_go_on()}")
            return 0
        if first:
            print(f"Going on after iteration {first:,}.")
        handlers = {number: signal.signal(number, self.stop) for number in SIGNALS if not ignored(number)}
        try:
            with progress.show_progress(*self.distance(), self.pace.unit) as self.show:
                self.loop()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return self.farewell()

    def resume(self, kept: dict) -> None:
        """Takes up the run's tables where the checkpoint left them."""
        self.run.truncate_tables(self.iteration)
        self.judge.resume(self.run.read_scores(), kept.get("scoring"))
        if self.run.best_iteration() not in [row["iteration"] for row in self.judge.rows]:
            self.run.remove_best()
        self.recent.extend(self.run.last_losses(diagnostics.WINDOW))
        self.ailing = self.run.active_failures()
        self.pictures = progress.Milestones(self.pace, self.config.sample_every, self.share())
        self.scores = progress.Milestones(self.pace, self.config.score_every, self.share())

    def owed(self, kept: dict) -> tuple[bool, bool]:
        """Whether the checkpoint's picture is due, and whether its generator is the best and was not kept."""
        every = self.pictures.every
        picture = bool(kept.get("picture", False)) or (every > 0 and self.iteration % every == 0)
        return picture or self.over() or not self.iteration, self.judge.prefers(
            self.iteration, self.run.best_iteration()
        )

    def rest(self) -> None:
        """Readies the generator for whoever looks at it."""
        self.game.rest(partial(ema.calibrate, real=self.spread))

    def share(self) -> float:
        """How much of the run is done."""
        return self.pace.share(self.iteration, self.seconds)

    def over(self) -> bool:
        """Whether there is nothing left to do."""
        return self.share() >= 1 or self.judge.exhausted

    def stop(self, number, frame) -> None:
        """Asks the loop to end after this step; a second Ctrl-C ends it at once."""
        self.stopped_by = number
        print("\nFinishing this step and saving; Ctrl-C again stops without saving.", flush=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def loop(self) -> None:
        """Steps, and every now and then a log entry, a score, a checkpoint and a picture."""
        batches = iter(self.batches(self.iteration))
        self.clock = self.saved_at = time.perf_counter()
        while not self.over() and not self.stopped_by:
            before = time.perf_counter()
            real = next(batches)
            self.waited += time.perf_counter() - before
            self.rows.append(self.game.train_step(real))
            self.iteration += 1
            now = time.perf_counter()
            trained = self.seconds + (now - self.clock)
            last = self.pace.share(self.iteration, trained) >= 1
            picture = self.pictures.reached(self.iteration, trained) or last
            score = (self.scores.reached(self.iteration, trained) or last) and self.judge.able(
                self.planned(), self.left()
            )
            if picture or score or now - self.saved_at > SAVE_EVERY:
                self.save(picture, score)
            elif now - self.clock > 0.5:
                self.write_log()
        if self.iteration > self.saved:
            self.save(score=self.share() >= 1)  # the clock may have passed the end since the loop asked

    def write_log(self) -> None:
        """Logs the steps since the last call; raises RunError at the first loss that is not finite."""
        values = np.stack([row.numpy() for row in self.rows])  # waits for a GPU to finish them
        now = time.perf_counter()
        elapsed, self.clock, self.rows = now - self.clock, now, []
        self.each = elapsed / len(values)
        size, first = self.config.images_per_iteration, self.iteration - len(values) + 1
        rate = len(values) * size / elapsed
        times = self.seconds + elapsed * np.arange(1, len(values) + 1) / len(values)
        rows = [
            (i, i * size, f"{seconds:.3f}", *(f"{value:.9g}" for value in row), f"{rate:.1f}")
            for i, (seconds, row) in enumerate(zip(times, values, strict=True), first)
        ]
        self.run.append_rows(self.run.log, rows)
        self.recent.extend(tuple(float(text) for text in row[3:7]) for row in rows)
        self.seconds += elapsed
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            self.fail(first + int(np.argmin(finite)))
        d_loss, g_loss, d_real, d_fake = values.mean(axis=0)
        text = f"{rate:,.0f} img/s loss D {d_loss:.2f} G {g_loss:.2f} D(x) {d_real:.2f} D(G(z)) {d_fake:.2f}"
        self.show(self.distance()[1], "; ".join([text, *self.ailing]))

    def distance(self) -> tuple[float, float]:
        """How far it is to the end, and how far it was to here, in the unit of the run's pace."""
        return self.pace.limit or self.pace.total, self.seconds if self.pace.limit else self.iteration

    def save(self, picture: bool = False, score: bool = False) -> None:
        """The log, a score, a checkpoint, and what people look at; none of it counts as training time."""
        if self.rows:
            self.write_log()
        self.rest()
        arrays = {name: variable.numpy() for name, variable in self.state.items()}
        if not all(np.isfinite(array).all() for array in [*arrays.values(), *self.game.shown.get_weights()]):
            self.fail(self.iteration)
        best = score and self.score()
        picture = picture or self.over()
        if picture or score:
            self.examine()
        arrays |= {"seconds": np.float64(self.seconds), "waited": np.float64(self.waited), "picture": np.bool_(picture)}
        arrays |= {"scoring": self.judge.state, "spread": np.float64(self.spread)}
        checkpoints.save(self.run.checkpoints, self.iteration, arrays)
        self.publish(picture, best)
        self.saved = self.iteration
        self.clock = self.saved_at = time.perf_counter()

    def planned(self) -> float:
        """Seconds of training that the whole run is going to have had, at today's pace: a first step is a slow one."""
        if self.pace.limit:
            return max(self.pace.limit, self.seconds)
        return self.seconds + self.each * max(0, self.pace.total - self.iteration)

    def left(self) -> int:
        """How many scores are still to come, the one that is due now included."""
        if self.scores.every and not self.pace.limit:
            return 1 - (self.iteration - self.pace.total) // self.scores.every  # the end has one of its own
        return 1 + int(progress.MILESTONES * max(0.0, 1 - self.share()))

    def score(self) -> bool:
        """Scores the averaged generator, if there is time for it; whether it is to be best.keras."""
        found = self.judge.look(self.iteration, self.planned(), self.left())
        if found is None:
            return False
        found |= {"images": self.iteration * self.config.images_per_iteration, "seconds": round(self.seconds, 3)}
        self.run.append_score(found)
        return self.judge.prefers(self.iteration, self.run.best_iteration())

    def examine(self) -> None:
        """Says what goes wrong with the game, once when it begins, and once when it is over."""
        fake = to_uint8(self.game.imagine(self.game.fixed_noise(SAMPLES)))
        ends, known = diagnostics.saturated_share(fake) - self.judge.ends, [] if self.judge.failed else self.judge.rows
        has = {"smoothing": self.config.label_smoothing, "penalised": self.config.penalty != "none"}
        found = diagnostics.diagnose(np.array(self.recent), ends, known[-1] if known else None, **has)
        rows = [(self.iteration, name, "began", found[name]) for name in found if name not in self.ailing]
        rows += [(self.iteration, name, "over", "") for name in self.ailing if name not in found]
        self.run.append_rows(self.run.health, rows)
        for iteration, name, state, advice in rows:
            print(f"iteration {iteration:,}: {name} {state}{'. ' + advice if advice else ''}.", flush=True)
        self.ailing = found

    def publish(self, picture: bool, best: bool) -> None:
        """The charts, the generator, and, where they are due, this iteration's picture and the best generator."""
        if picture and not self.run.grid_path(self.iteration).exists():
            self.run.save_grid(self.iteration, to_uint8(self.game.imagine(self.game.fixed_noise(SAMPLES))))
        if self.iteration:
            self.portable.set_weights(self.game.shown.get_weights())
            self.run.save_generator(self.portable)
            if best:
                self.run.save_best(self.portable, self.judge.rows[-1], self.judge.protocol)
            loss_chart.draw_chart(self.run.log, self.judge.rows, self.run.folder / "loss.png")
        if picture:
            self.page.refresh()

    def fail(self, iteration: int) -> None:
        """Ends a run that has lost its way."""
        advice = diagnostics.suggest_after_nan(self.config.precision)
        self.run.append_rows(self.run.health, [(iteration, "NaN", "began", advice)])
        self.page.refresh()
        raise RunError(
            f"a loss or a weight is NaN or infinite after iteration {iteration:,}. The checkpoint of iteration"
            f" {self.saved:,} and the pictures up to it are in {self.run.folder}. {advice}."
        )

    def farewell(self) -> int:
        """Collects the samples, says what there is and what to do next. Returns the exit code."""
        self.run.save_samples(self.config.image_size, SAMPLES)
        self.page.refresh()
        images, seconds = self.iteration * self.config.images_per_iteration, max(self.seconds, 1e-9)
        print(
            f"{self.iteration:,} iterations, {images:,} images in {seconds:,.0f} s of training"
            f" ({images / seconds:,.0f} images/s), {100 * self.waited / seconds:.1f}% of it waiting for data."
        )
        print(self.judge.describe(seconds, self.planned(), self.run.best_iteration()))
        print(f"Pictures, losses and generator.keras are in {self.run.folder}; {self.page.path} shows all runs.")
        if self.stopped_by:
            print("Stopped and saved. The same command goes on from here.")
            return 128 + self.stopped_by
        if self.share() < 1:
            print(f"Stopped early: {self.config.patience} scores without a lower one. {self.how_to_go_on()}")
        return 0

    def how_to_go_on(self) -> str:
        """What to type to train longer."""
        flags = ["--minutes" if self.pace.limit else "--epochs"] if self.share() >= 1 else []
        flags += ["--patience"] if self.judge.exhausted else []
        return f"A larger {' and a larger '.join(flags)} goes on from there."


def ignored(number: int) -> bool:
    """Whether whoever started us wants a signal to pass us by: nohup's SIGHUP. Ctrl-C we always hear."""
    return number != signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN
