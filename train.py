"""Trains a GAN on faces.

    python train.py                                   # drawn faces, our own recipe
    python train.py --noise image --epochs 3000
    python train.py --data ~/faces --generator dense
    python train.py --recipe udacity-128 --data celeba
    python train.py --help

Everything lands in output/<run>/ (see gan/runs.py). To resume, run the same command again.
"""

import dataclasses
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from gan.config import Config, parse
from gan.errors import RunError, UsageError

SAMPLES = 64  # faces in a grid
OUTPUT = Path("output")


def main(argv: list[str] | None = None) -> int:
    """Parses, trains, and turns errors into one message and an exit code."""
    config, dry_run = parse(argv)
    warnings.showwarning = lambda message, *_: print(f"train.py: warning: {message}", file=sys.stderr)
    try:
        return train(config, dry_run)
    except (UsageError, RunError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("train.py: stopped before training began; nothing is lost", file=sys.stderr)
        return 128 + signal.SIGINT


def train(config: Config, dry_run: bool = False) -> int:
    """Data, then networks, then the loop. Returns the exit code."""
    # Imported here, so that --help and a mistyped flag are answered at once.
    from gan import devices

    device, precision = devices.prepare(config.precision)

    import data
    from gan.runs import Run

    config = dataclasses.replace(config, precision=precision)
    faces = data.load(
        config.data, config.image_size, limit=config.limit, crop=config.crop, seed=config.seed,
        cache_dir=config.cache_dir or None, allow_bad=config.allow_bad,
    )  # fmt: skip
    print(*data.describe(faces), sep="\n")
    total = config.iterations(len(faces.images))
    game = build(config)
    run = Run(OUTPUT / config.name)
    print(*header(config, game, len(faces.images), total, device, run.folder), sep="\n")
    if dry_run:
        return 0
    run.claim({**dataclasses.asdict(config), "data_key": faces.report["key"]})
    run.describe_data(faces.report, faces.left_out)
    return Session(config, game, run, faces.images, total).play()


def build(config: Config):
    """The game that a configuration describes, its first weights fixed by the seed."""
    import keras

    from dcgan import DCGAN, NOISES
    from gan.losses import LOSSES
    from gan.optimizers import adam
    from gan.penalties import PENALTIES
    from models import DISCRIMINATORS, GENERATORS

    keras.utils.set_random_seed(config.seed)
    keras.mixed_precision.set_global_policy(config.precision)
    image_shape = (config.image_size, config.image_size, 3)
    noise_shape = image_shape if config.noise == "image" else (config.noise_size,)
    scaled = config.precision == "mixed_float16"
    return DCGAN(
        GENERATORS[config.generator](noise_shape, image_shape, config.width),
        DISCRIMINATORS[config.discriminator](image_shape, config.discriminator_width or config.width),
        g_optimizer=adam(config.generator_learning_rate, *config.generator_betas, scaled=scaled),
        d_optimizer=adam(config.discriminator_learning_rate, *config.discriminator_betas, scaled=scaled),
        loss=LOSSES[config.loss],
        penalty=PENALTIES[config.penalty],
        noise=NOISES[config.noise_distribution],
        penalty_weight=0.0 if config.penalty == "none" else config.penalty_weight,
        penalty_every=config.penalty_every,
        label_smoothing=config.label_smoothing,
        discriminator_steps=config.discriminator_steps,
        average_half_life=config.average_half_life,
        seed=config.seed,
    )


def header(config: Config, game, faces: int, total: int, device: str, folder: Path) -> list[str]:
    """What is about to happen, in words."""
    seen = total * config.images_per_iteration
    return [
        f"{config.recipe}: {config.noise} noise, {config.generator} generator of {game.generator.count_params():,}"
        f" weights, {config.discriminator} discriminator of {game.discriminator.count_params():,}",
        f"{total:,} iterations of {config.images_per_iteration} = {seen:,} images"
        f" = {seen / faces:.1f} passes over {faces:,} faces",
        f"{device}, {config.precision}, into {folder}",
    ]


class Session:
    """One sitting of a run: from its last checkpoint, or its start, to its end or a stop."""

    def __init__(self, config: Config, game, run, faces, total: int):
        self.config, self.game, self.run, self.faces, self.total = config, game, run, faces, total
        self.state = game.state()
        self.sample_every = config.sample_every or max(1, total // 20)
        self.rows, self.seconds, self.waited = (
            [],
            0.0,
            0.0,
        )  # steps not yet logged; training time; its data wait
        self.stopped_by = 0  # a signal's number

    def play(self) -> int:
        """Trains to the end. Returns 0, or 128 + the signal that stopped it."""
        from gan import checkpoints, progress

        kept = checkpoints.restore(self.run.checkpoints, self.state)
        self.seconds, self.waited = float(kept.get("seconds", 0)), float(kept.get("waited", 0))
        first = self.iteration = int(self.game.iteration)
        self.run.keep_rows(first)
        self.publish()  # also what a killed run still owed
        if first >= self.total:
            print(f"Done already: {first:,} iterations. A larger --epochs goes on from there.")
            return 0
        if first:
            print(f"Going on after iteration {first:,}.")
        handlers = {number: signal.signal(number, self.stop) for number in (signal.SIGINT, signal.SIGTERM)}
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
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def loop(self) -> None:
        """Steps, and every now and then a log entry, a checkpoint and a picture."""
        import data

        batches = iter(
            data.batches(
                self.faces, self.config.images_per_iteration, seed=self.config.seed, start=self.iteration,
                flip=self.config.flip,
            )
        )  # fmt: skip
        self.clock = time.perf_counter()
        while self.iteration < self.total and not self.stopped_by:
            before = time.perf_counter()
            real = next(batches)
            self.waited += time.perf_counter() - before
            self.rows.append(self.game.train_step(real))
            self.iteration += 1
            if self.iteration % self.sample_every == 0:
                self.save()
            elif time.perf_counter() - self.clock > 0.5:
                self.write_log()
        if self.rows:
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
            f"{rate:,.0f} images/s  loss D {d_loss:.3f} G {g_loss:.3f}  D(x) {d_real:.2f} D(G(z)) {d_fake:.2f}",
        )

    def save(self) -> None:
        """The log, a checkpoint, and what people look at; none of it counts as training time."""
        from gan import checkpoints

        self.write_log()
        arrays = {name: variable.numpy() for name, variable in self.state.items()}
        if not all(np.isfinite(array).all() for array in arrays.values()):
            self.fail(self.iteration)
        arrays |= {"seconds": np.float64(self.seconds), "waited": np.float64(self.waited)}
        checkpoints.save(self.run.checkpoints, self.iteration, arrays)
        self.publish()
        self.clock = time.perf_counter()

    def publish(self) -> None:
        """This iteration's picture, if it is due, the loss chart and the generator."""
        from gan import plots
        from gan.images import to_uint8
        from models.layers import portable

        due = self.iteration % self.sample_every == 0 or self.iteration >= self.total
        if due and not self.run.grid(self.iteration).exists():
            self.run.save_grid(self.iteration, to_uint8(self.game.imagine(self.game.fixed_noise(SAMPLES))))
        if self.iteration:
            self.run.save_generator(portable(self.game.averaged))
            plots.losses(self.run.log, self.run.folder / "loss.png")
        if self.iteration >= self.total or self.stopped_by:
            self.run.save_samples(self.config.image_size, SAMPLES)

    def fail(self, iteration: int) -> None:
        """Ends a run that has lost its way."""
        raise RunError(
            f"a loss or a weight is NaN or infinite after iteration {iteration:,}. The pictures and the checkpoint"
            f" before it stand in {self.run.folder}. Try a smaller learning rate, --precision float32 or another"
            " --seed, under another --run."
        )

    def farewell(self) -> int:
        """Says what there is and what to do next. Returns the exit code."""
        images = self.iteration * self.config.images_per_iteration
        print(
            f"{self.iteration:,} iterations, {images:,} images in {self.seconds:,.0f} s of training"
            f" ({images / self.seconds:,.0f} images/s), {100 * self.waited / self.seconds:.1f}% of it waiting for data."
        )
        print(f"Pictures, losses and generator.keras are in {self.run.folder}.")
        if self.stopped_by:
            print("Stopped and saved. The same command goes on from here.")
            return 128 + self.stopped_by
        return 0


if __name__ == "__main__":
    sys.exit(main())
