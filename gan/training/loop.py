"""The training loop of one process: batches, rates, steps, and what the processes of a run agree on.

    loop = Loop(config, gan, batches, length, distribution)
    exit_code = loop.train()

`gan.training.trainer.Trainer` is the loop of the process that writes, the chief. With one process, that is the only
one; the others, where there are some, run this one.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator

import tensorflow as tf

from gan.config import Config
from gan.errors import RunError, summarize
from gan.signals import handle_signals, heeded_stops
from gan.training import ada
from gan.training.clock import clock
from gan.training.distribution import CONTINUE, ENDED, LOST, Distribution, describe_loss
from gan.training.optimizers import unwrap_optimizer
from gan.training.schedule import RunLength, interpolate

AGREE_SECONDS = 0.25  # of steps, after which processes agree again


class Loop:
    """Trains a GAN until the chief says that the run is done, or any process is told to stop.

    Arguments:
        batches: a function (start) -> iterable of (images, labels), from iteration `start` on.
    """

    def __init__(
        self, config: Config, gan, batches: Callable[[int], Iterator], length: RunLength, distribution: Distribution
    ):
        self.config, self.gan, self.batches = config, gan, batches
        self.length, self.distribution = length, distribution
        self.state = gan.state()
        self.iteration = 0
        self.seconds = 0.0  # of training, up to the last log entry
        self.data_seconds = 0.0  # of that, spent waiting for data
        self.step_seconds = 0.0  # that an iteration takes at present
        self.stopped_by = 0  # the number of a signal, which this process received or another
        self.rates = [(one, float(one.learning_rate.numpy())) for one in (gan.g_optimizer, gan.d_optimizer)]
        # What all processes have agreed on:
        self.ended = False  # whether the run is done, or to be stopped
        self.agreed_iteration = self.next_agreement = 0
        self.agreed_seconds = 0.0  # of training, at the last agreement
        self.agreed_step_seconds = 0.0  # of an iteration, between the last two agreements

    def train(self) -> int:
        """Trains to the end. Returns the exit code: 0, or 128 + the number of the signal that stopped it."""
        with self.explain_failures():
            self.distribution.broadcast_state(self.state)
            self.iteration = int(self.gan.iteration)
            with self.handle_stops():
                self.run_steps()
        self.distribution.finish()
        return 128 + self.stopped_by if self.stopped_by else 0

    def handle_stops(self):
        """A context in which signals end the loop after a step, and a pause, as by Ctrl-Z, takes no time."""
        resources = contextlib.ExitStack()
        resources.enter_context(handle_signals(heeded_stops(), self.stop))
        resources.enter_context(handle_signals(clock.SIGNALS, clock.skip_pause))
        return resources

    def stop(self, number, frame) -> None:
        """Handles a signal: the loop ends after this step; a second Ctrl-C ends it at once."""
        self.stopped_by = number
        with contextlib.suppress(RuntimeError):  # the signal came while something was printed
            print("\nFinishing this step and saving; Ctrl-C again stops without saving.", flush=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def run_steps(self) -> None:
        """Trains step by step."""
        batches = iter(self.batches(self.iteration))
        while True:
            if self.iteration >= self.next_agreement:
                self.agree()
            if self.ended:
                break
            self.after_step(self.step(batches))

    def step(self, batches: Iterator) -> dict[str, tf.Tensor]:
        """Waits for a batch, trains on it, and returns the step's scalars."""
        start = clock.read()
        try:
            batch = next(batches)
        except tf.errors.OpError as error:
            lost = LOST if self.distribution.count > 1 else ()
            if isinstance(error, (tf.errors.ResourceExhaustedError, *lost)):
                raise  # `explain_failures` says what to do
            # A fault of the program's, such as a mistake in an augmentation
            raise RuntimeError("the input pipeline failed") from error
        self.data_seconds += clock.read() - start
        self.set_scheduled()
        self.set_adaptation_speed()
        scalars = self.gan.train_step(batch)
        self.iteration += 1
        return scalars

    def after_step(self, scalars: dict[str, tf.Tensor]) -> None:
        """What a process does after each step. There is nothing to do where the chief writes."""

    def set_scheduled(self) -> None:
        """Sets what changes by a schedule: learning rates, the discriminator's noise, the penalty, decay rates."""
        config, progress = self.config, min(1.0, self.length.progress(self.iteration, self.agreed_seconds))
        if config.learning_rate_schedule != "constant":
            for optimizer, rate in self.rates:
                optimizer.learning_rate = interpolate(config.learning_rate_schedule, rate, 0.0, progress)
        if config.discriminator_noise:
            schedule, start = config.discriminator_noise_schedule, config.discriminator_noise
            self.gan.discriminator_noise.assign(interpolate(schedule, start, 0.0, progress))
        if config.penalty_schedule != "constant" and self.gan.penalty:
            weight = interpolate(config.penalty_schedule, config.penalty_weight, config.final_penalty_weight, progress)
            self.gan.penalty.weight.assign(weight)
        if config.beta_schedule != "constant":
            for optimizer, start in ((self.gan.g_optimizer, config.generator_betas[1]),
                                     (self.gan.d_optimizer, config.discriminator_betas[1])):  # fmt: skip
                beta2 = interpolate(config.beta_schedule, start, config.final_beta2, progress)
                unwrap_optimizer(optimizer).beta_2.assign(beta2)

    def set_adaptation_speed(self) -> None:
        """Lets the probability of --augment ada go from 0 to 1 in no less than a fixed share of the run."""
        if self.gan.adaptation:
            share = self.length.progress(1, self.agreed_step_seconds)  # of one iteration
            self.gan.adaptation.speed.assign(share / ada.SPAN)

    # Agreement

    def agree(self) -> None:
        """Tells the other processes of a signal, and learns from the chief whether the run is over.

        With one process that is after each iteration. Others agree several times a second, because each has to wait
        for the last of them, and so a signal may be heard some iterations later.
        """
        rows = self.distribution.gather([self.stopped_by, *self.decide()])
        done, seconds, interval = rows[0, 1:].tolist()
        heard = int(rows[:, 0].max())  # a signal that came since then is heard the next time, by all
        self.stopped_by = self.stopped_by or heard
        self.ended = bool(done or heard)
        iterations = self.iteration - self.agreed_iteration
        self.agreed_step_seconds = (seconds - self.agreed_seconds) / iterations if self.next_agreement else 0.0
        self.agreed_iteration, self.agreed_seconds = self.iteration, seconds
        self.next_agreement = self.iteration + int(interval)

    def decide(self) -> tuple[bool, float, int]:
        """What the chief says: whether the run is done, seconds of training so far, iterations to the next agreement.

        Only the chief's answer counts.
        """
        return False, 0.0, 0

    # Failures

    @contextlib.contextmanager
    def explain_failures(self) -> Iterator[None]:
        """Raises RunError in place of TensorFlow's errors."""
        try:
            yield
        except tf.errors.OpError as error:
            raise self.step_failure(error) from error

    def step_failure(self, error: tf.errors.OpError) -> RunError:
        """What to raise where TensorFlow itself fails in a step: what failed, when, what is saved, what to try."""
        if self.distribution.count > 1 and isinstance(error, LOST):
            return RunError(
                f"{ENDED}, in iteration {self.iteration + 1:,} ({describe_loss(error)}). {self.describe_saved()}."
                f" {CONTINUE}"
            )
        if isinstance(error, tf.errors.ResourceExhaustedError):
            half = self.config.batch_size // 2
            smaller = f"--batch-size {half}, or a smaller" if half else "a smaller"
            advice = f"It is out of memory: try {smaller} --width or --image-size"
        else:
            advice = "Try --precision float32, another --image-size or --batch-size"
        return RunError(
            f"TensorFlow failed in iteration {self.iteration + 1:,} ({type(error).__name__}:"
            f" {summarize(error.message or error)}). {self.describe_saved()}. {advice}, under another --run."
        )

    def describe_saved(self) -> str:
        """What is left of the run after a failure."""
        return "The chief has its checkpoints"
