"""Train a GAN on images of faces.

    python train.py                                   # built-in avatars
    python train.py --noise image --epochs 3000
    python train.py --data ~/faces --generator dense
    python train.py --recipe udacity-128 --data celeba
    python train.py --help

Everything is written to output/<run>/ (see gan/runs/run_directory.py). To resume, run the same command again.
"""

import contextlib
import dataclasses
import functools
import math
import signal
import sys
import warnings

from gan import experiment, settings
from gan.cli import parse_settings, run_command
from gan.cluster import find_cluster
from gan.combinations import require_possible, require_sound_penalty
from gan.config import Config, build_config
from gan.errors import UsageError
from gan.signals import handle_signals, interrupt
from gan.start_from import find_start, load_start


def main(argv: list[str] | None = None) -> int:
    """Parses the command line, trains, and turns errors into one message and an exit code."""
    given, dry_run = parse_settings(argv)
    # Until the trainer has its own handler: as Ctrl-C, so that a half-written cache is removed.
    with handle_signals([signal.SIGTERM], interrupt):
        return run_command(
            "train.py",
            lambda: train(given, dry_run),
            stopped="stopped at once. The same command goes on from the last checkpoint, if any.",
            failed=". Once that is put right, the same command goes on from the last checkpoint, if any.",
        )


def train(given: dict, dry_run: bool = False) -> int:
    """Loads the data, connects the processes if there are several, and trains. Returns the exit code.

    `given` are fields of Config by their names; the recipe, the run and the images decide about the others.
    """
    config = build_config(given)
    cluster = find_cluster(config.cluster)
    # Devices are set up before TensorFlow computes anything, as it does in a search for faces.
    if cluster or config.devices != "auto":
        distribution, device, precision = experiment.connect(config, cluster)
        config, run, opened = settings.resolve_settings(given, distribution)
        config, device = settings.agree_on_settings(config, run, distribution, device, precision)
        faces = distribution.chief_first(lambda: experiment.load_data(config, opened))
        distribution.require_same("images", faces.digest)
        distribution.require_same("labels", faces.labels.digest if faces.labels else "")
    else:  # the data first: a path that does not exist need not wait for TensorFlow
        config, run, opened = settings.resolve_settings(given)
        require_possible(config, replicas=1)  # images are searched and decoded only for what can be trained
        find_start(config, run)  # raises where --start-from names nothing that fits
        faces = experiment.load_data(config, opened)
        distribution, device, precision = experiment.connect(config)
        config, device = settings.agree_on_settings(config, run, distribution, device, precision)
    with distribution.explain_losses():
        return train_on(faces, config, run, distribution, device, dry_run)


def train_on(faces, config: Config, run, distribution, device: str, dry_run: bool) -> int:
    """Builds the networks and trains them on `faces`. Returns the exit code.

    Arguments:
        distribution, device: as from `gan.experiment.connect` and `gan.settings.agree_on_settings`.
    """
    from gan.training.memory_estimate import require_memory
    from gan.training.schedule import RunLength
    from gan.training.warm_start import warm_start

    split = faces.split(config.holdout)
    print(*faces.describe(), sep="\n")
    config = settings.apply_align(config, run, faces.report)
    augment = settings.decide_augment(config, run, len(split.training))
    config = dataclasses.replace(config, augment=distribution.broadcast_object(augment))
    start = load_start(config, run) if distribution.is_chief else None
    is_new = distribution.broadcast_object(not (run.folder / "config.json").exists())  # each machine has a folder

    def check(config, generator, discriminator):
        if is_new:
            require_sound_penalty(config, discriminator)
        parts = distribution.count, distribution.replicas, distribution.processes_here
        require_memory(config, generator, discriminator, *parts)

    labels = experiment.build_label_distribution(config, faces, split.training)
    gan = experiment.build_gan(config, check=check, strategy=distribution.strategy, labels=labels)
    if start:
        print(*warm_start(gan, start), sep="\n")
    length = RunLength(config.iterations(len(split.training)), config.minutes)
    lines = experiment.header(config, gan, split, length, device, run.folder, distribution.count)
    if config.balance:
        before = faces.labels.take(split.training).describe_shares()
        lines.append(f"balanced: {before}; drawn as {labels.describe_shares()}")
    print(*lines, sep="\n", flush=True)
    digest = {"label_digest": faces.labels.digest} if labels else {}
    recorded = {**dataclasses.asdict(config), "faces": faces.title, **digest}
    if dry_run:
        if distribution.is_chief and is_new:
            run.write_skipped(faces.skipped)
            save_contact_sheet(run, faces, split.training, config.seed)
        elif distribution.is_chief:
            run.require_same(recorded, labels)
        print(*(f"{name.replace('_', '-')}: {value}" for name, value in dataclasses.asdict(config).items()), sep="\n")
        return 0
    build_trainer = functools.partial(experiment.build_trainer, config, gan, run, faces, split, length, distribution)
    if not distribution.is_chief:
        return build_trainer().train()
    with run.lock():
        settings.require_steps_for_new_data(config, run, faces.title, length)
        claim_folder(run, faces, split, config=config, recorded=recorded, labels=labels, is_new=is_new)
        trainer = build_trainer()
        explain_missing_scores(config, trainer.validator, length)
        return trainer.train()


def claim_folder(run, faces, split, *, config: Config, recorded: dict, labels, is_new: bool) -> None:
    """Claims the run's folder for these settings and data, and sets scores aside that do not go with the data.

    Writes config.json, data.json, skipped.csv and faces.png. Raises UsageError where the folder has a run of other
    settings.

    Arguments:
        recorded: the content of config.json.
        is_new: whether the folder has no run yet.
    """
    if before := run.claim(recorded, labels):
        print(f"New data: so far the run was trained on {before}.{run.describe_earlier_scores()}")
        warn_of_new_data(config, run, faces, split)
    elif not is_new:
        begin_scores_anew(run, split)
    counts = {"trained": len(split.training), "held_out": len(split.held_out)}
    run.write_data_report(faces.report | counts, faces.skipped)
    save_contact_sheet(run, faces, split.training, config.seed)


def explain_missing_scores(config: Config, validator, length) -> None:
    """Prints what --patience and several averages come to in a run that is too short for scores, or may be."""
    from gan.training.validation import SHORTEST

    if validator.can_evaluate(length.seconds or math.inf):
        if length.seconds or validator.forced:
            return
        which = f"a training of less than {SHORTEST:g} s"
        reason = "It is not scored; --score-every N scores in any case."
    else:
        which, reason = "this run", validator.describe(0, length.seconds)
    if config.patience:
        print(f"--patience {config.patience} never stops {which}. {reason}", flush=True)
    if len(config.ema_half_lives) > 1:
        first = f"that with a half-life of {config.ema_half_lives[0]:g} images"
        print(f"No score chooses between the averages of {which}: {first} makes all samples. {reason}", flush=True)


def read_earlier_report(run) -> dict:
    """The content of data.json before it is written anew; {} where there is none, or it is damaged."""
    with contextlib.suppress(UsageError):
        return run.read_data_report() or {}
    return {}


def begin_scores_anew(run, split) -> None:
    """Sets the scores of a run aside where an older version has held out other images, and warns of that."""
    earlier = read_earlier_report(run)
    if earlier.get("held_out", len(split.held_out)) != len(split.held_out) and (folder := run.set_scores_aside()):
        warnings.warn(
            f"{len(split.held_out):,} of its images are held out, and {earlier['held_out']:,} were so far: it was"
            f" trained on some of those, and will score too well. Its earlier scores are in {folder}; --run NAME trains"
            " anew",
            stacklevel=2,
        )


def warn_of_new_data(config: Config, run, faces, split) -> None:
    """Warns of what a run with new images keeps from the earlier ones, whose data.json is still there."""
    earlier = read_earlier_report(run)
    if len(split.held_out) and earlier.get("held_out") == 0:
        warnings.warn(
            "none of its images were held out so far, so that it was trained on some that are now, and will score too"
            " well; --run NAME trains anew",
            stacklevel=2,
        )
    if config.align == "no" and not faces.avatars:
        print("As before, its images are used as they are, without a search for faces: --align no", flush=True)


def save_contact_sheet(run, faces, training, seed: int) -> None:
    """Saves a picture of some training images, before the training starts."""
    run.grids.save_contact_sheet(faces.images, training, seed)
    print(f"{run.grids.contact_sheet} shows some of what is trained on", flush=True)


if __name__ == "__main__":
    sys.exit(main())
