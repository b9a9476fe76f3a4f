"""Trains a GAN on faces.

    python train.py                                   # drawn faces, our own recipe
    python train.py --noise image --epochs 3000
    python train.py --data ~/faces --generator dense
    python train.py --recipe udacity-128 --data celeba
    python train.py --help

Everything lands in output/<run>/ (see gan/runs/run_directory.py). To resume, run the same command again.
"""

import dataclasses
import math
import signal
import sys
import warnings
from functools import partial
from pathlib import Path

from gan.cli import allow_undecodable_names
from gan.config import Config, parse_arguments
from gan.errors import RunError, UsageError

OUTPUT = Path("output")
SPREAD = 4000  # faces that tell how much faces vary


def main(argv: list[str] | None = None) -> int:
    """Parses, trains, and turns errors into one message and an exit code."""
    allow_undecodable_names()
    config, dry_run = parse_arguments(argv)
    # Until the loop has its own: as Ctrl-C, so that a half-written cache is cleared away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    warnings.showwarning = lambda message, *_: print(f"train.py: warning: {message}", file=sys.stderr)
    try:
        return train(config, dry_run)
    except (UsageError, RunError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(
            f"train.py: {error}. What was saved before is whole; the same command goes on from there.", file=sys.stderr
        )
        return 1
    except KeyboardInterrupt:
        print("train.py: stopped at once. The same command goes on from the last checkpoint, if any.", file=sys.stderr)
        return 128 + signal.SIGINT


def train(config: Config, dry_run: bool = False) -> int:
    """Data, then networks, then the loop. Returns the exit code."""
    faces = load(config)
    from gan import devices  # after the data: a path that is not there need not wait for TensorFlow

    device, precision = devices.setup_devices(config.precision)

    import data
    from gan.progress import RunLength
    from gan.runs.run_directory import Run
    from gan.training import ema
    from gan.training.trainer import Trainer

    config = dataclasses.replace(config, precision=precision)
    rows, held = faces.split(config.holdout)
    print(*data.describe(faces), sep="\n")
    game = build(config)
    run = Run(OUTPUT / config.name)
    pace = RunLength(config.iterations(len(rows)), config.minutes)
    print(*header(config, game, len(rows), len(held), pace, device, run.folder), sep="\n", flush=True)
    if dry_run:
        print(*(f"{name.replace('_', '-')}: {value}" for name, value in dataclasses.asdict(config).items()), sep="\n")
        return 0
    batches = partial(
        data.batches, faces.images, config.images_per_iteration, rows=rows, seed=config.seed, flip=config.flip
    )
    with run.lock():
        run.claim({**dataclasses.asdict(config), "faces": faces.title})
        run.write_data_report(faces.report | {"held_out": len(held)}, faces.left_out)
        judge = build_judge(config, game, faces, rows, held)
        if config.patience and not judge.able(pace.limit or math.inf):
            print(f"--patience {config.patience} never stops this run. {judge.description(0, pace.limit)}", flush=True)
        spread = ema.dataset_variance(judge.train.subsample(SPREAD).load(), config.flip)
        return Trainer(config, game, run, lambda start: batches(start=start), pace, judge, spread).play()


def load(config: Config):
    """The faces that a configuration names (see data.load)."""
    import data  # here, as all that follows, so that --help and a mistyped flag are answered at once

    return data.load(
        config.data, config.image_size, limit=config.limit, crop=config.crop, seed=config.seed,
        cache_dir=config.cache_dir or None, allow_bad=config.allow_bad,
    )  # fmt: skip


def load_again(run, cache_dir: Path | str = ""):
    """The faces that a run was trained on; raises UsageError, with what to type, where they are gone or others."""
    from gan.datasets.sources import BUILT_IN

    config = run.load_config()
    if config.data not in BUILT_IN and not Path(config.data).expanduser().exists():
        raise UsageError(
            f"{run.folder} was trained on {config.data}, which is not there."
            f" Put it back, or tell the run where it is now: {run.resume_command(data='WHERE')}"
        )
    try:
        faces = load(dataclasses.replace(config, cache_dir=str(cache_dir) or config.cache_dir))
    except (UsageError, RunError) as error:
        told = str(error).removeprefix(f"--data {config.data}: ")
        raise type(error)(f"{run.folder} was trained on {config.data}: {told}") from error
    if (known := run.trained_on()) and faces.digest not in known:
        raise UsageError(f"{run.folder} was trained on {known}; {config.data} holds other faces now.")
    return faces


def build(config: Config):
    """The game that a configuration describes, its first weights fixed by the seed."""
    import keras

    from dcgan import DCGAN, NOISES
    from gan.training.losses import LOSSES
    from gan.training.optimizers import adam
    from gan.training.regularizers import REGULARIZERS
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
        penalty=REGULARIZERS[config.penalty],
        noise=NOISES[config.noise_distribution],
        penalty_weight=0.0 if config.penalty == "none" else config.penalty_weight,
        penalty_every=config.penalty_every,
        label_smoothing=config.label_smoothing,
        discriminator_steps=config.discriminator_steps,
        reuse_fakes=config.reuse_fakes,
        ema_half_life=config.ema_half_life,
        seed=config.seed,
    )


def build_judge(config: Config, game, faces, rows, held):
    """Who scores the game's averaged generator against the faces held out."""
    import numpy as np

    from gan.images import to_uint8
    from gan.metrics.evaluation import ImageSubset
    from gan.training.validation import Validator

    def make(count: int):
        noise = game.fixed_noise(count, stream=-2)
        return np.concatenate([to_uint8(game.imagine(noise[i : i + 64])) for i in range(0, count, 64)])

    return Validator(
        ImageSubset(faces.images, held),
        ImageSubset(faces.images, rows),
        make,
        samples=config.score_samples,
        forced=config.score_every > 0,
        patience=config.patience,
        photographs=not faces.attributes,
        flip=config.flip,
        how={
            "weights": "averaged" if config.ema_half_life else "raw",
            "size": config.image_size,
            "crop": faces.report["crop"],
            "seed": config.seed,
        },
    )


def header(config: Config, game, faces: int, held: int, pace, device: str, folder: Path) -> list[str]:
    """What is about to happen, in words."""
    seen = pace.total * config.images_per_iteration
    length = (
        f"{config.minutes:g} minutes of iterations of {config.images_per_iteration} over {faces:,} faces"
        if config.minutes
        else f"{pace.total:,} iterations of {config.images_per_iteration} = {seen:,} images"
        f" = {seen / faces:.1f} passes over {faces:,} faces"
    )
    return [
        f"{config.recipe}: {config.noise} noise, {config.generator} generator of {game.generator.count_params():,}"
        f" weights, {config.discriminator} discriminator of {game.discriminator.count_params():,}",
        f"{length}, {held:,} more held out for scores",
        f"{device}, {config.precision}, into {folder}",
    ]


if __name__ == "__main__":
    sys.exit(main())
