"""Experiment: builds from a Config what training and tools need: data set, GAN, validator, trainer, generator.

    dataset = load_data(config)
    gan = build_gan(config)
    generator = load_generator(Run("output/RUN"))

What needs TensorFlow is imported where it is used, so that --help and a mistyped flag are answered at once.
"""

import dataclasses
import math
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from gan.cluster import Cluster
from gan.combinations import (
    require_layers_to_train,
    require_possible,
    require_smooth,
)
from gan.config import NOISE_DISTRIBUTIONS, Config
from gan.errors import RunError, UsageError, summarize
from gan.files import expand_path
from gan.networks import build_uninitialized_networks, initialize_weights

VARIANCE_IMAGES = 4000  # real images whose pixel variance is measured


def load_data(config: Config, opened: dict | None = None):
    """The images of a configuration, a `data.Faces`; sources in `opened`, by their names, are not opened again.

    Raises UsageError, and RunError, as `data.load` does.
    """
    import data

    settings = {field.name: getattr(config, field.name) for field in dataclasses.fields(data.DataSettings)}
    return data.load(config.data, config.image_size, opened=opened, **settings)


def reload_data(run, cache_dir: Path | str = "", **changes):
    """The images that a run was trained on. Raises UsageError, with what to type, where they are gone or others.

    `changes` replace settings of the run, such as its labels.
    """
    from gan.datasets import built_in_names

    config = run.load_config()
    for data in config.data:
        if data not in built_in_names() and not expand_path(data).exists():
            moved = tuple("WHERE" if each == data else each for each in config.data)
            raise UsageError(
                f"{run.folder} was trained on {data}, which is not there."
                f" Put it back, or tell the run where it is now: {run.resume_command(data=moved)}"
            )
    labels = changes.get("labels", config.labels)
    if labels == config.labels and labels not in ("auto", "folders", "none") and not expand_path(labels).is_file():
        raise UsageError(
            f"{run.folder} was trained with labels from {labels}, which is not there."
            f" Put it back, or tell the run where it is now: {run.resume_command(labels='WHERE')}"
        )
    try:
        where = {"cache_dir": str(cache_dir) or config.cache_dir}
        faces = load_data(dataclasses.replace(config, **where, **changes))
    except (UsageError, RunError) as error:
        raise type(error)(f"{run.folder} was trained on {config.data_title}: {error}") from error
    if (known := run.trained_on()) and faces.digest not in known:
        raise UsageError(f"{run.folder} was trained on {known}; {config.data_title} holds other images now.")
    digest = run.read_config().get("label_digest")  # of the labels of every image
    if digest and not changes and (faces.labels is None or faces.labels.digest != digest):
        raise UsageError(
            f"{run.folder} was trained with other labels of {config.data_title} than --labels {labels} gives now. Put"
            " those back that were there."
        )
    return faces


def connect(config: Config, cluster: Cluster | None = None):
    """Finds the devices of this process, and connects it to the others of a cluster, if any.

    Must precede all other uses of TensorFlow, but for what finds faces. In processes that are not the chief, nothing is
    printed from here on but errors.

    Returns:
        A `gan.training.distribution.Distribution`, the devices in words, and the precision that is best on them.

    Raises UsageError where devices are not there, and RunError where processes are not.
    """
    from gan import devices

    device, precision = devices.setup_devices(config.precision, cpu=config.devices.startswith("cpu:"))
    from gan.training.distribution import distribute

    distribution = distribute(config.devices, cluster, config.connect_seconds)
    if not distribution.is_chief:
        sys.stdout = open(os.devnull, "w", encoding="utf-8", errors="replace")  # noqa: SIM115 (until the process ends)
        warnings.showwarning = lambda *given: None
    return distribution, device, precision


def build_gan(config: Config, check: Callable | None = None, strategy=None, labels=None):
    """The GAN of a configuration, a `dcgan.DCGAN`, its initial weights fixed by the seed.

    It takes `labels`, a `gan.labels.Labels`, where these are not None. Its variables are made for the replicas of
    `strategy`, a `tf.distribute.Strategy`; None: one device.
    `check(config, generator, discriminator)` is called before weights get memory; what it raises is passed on. Where
    --augment auto is not decided yet, nothing is augmented. Raises UsageError where settings exclude each other.
    """
    import tensorflow as tf

    import dcgan
    from gan.training.ada import Adaptation
    from gan.training.discriminator_augmentation import DISCRIMINATOR_AUGMENTATIONS
    from gan.training.losses import LOSSES
    from models.heads import split_logits

    strategy = strategy or tf.distribute.get_strategy()
    require_possible(config, strategy.num_replicas_in_sync)
    augmentation = DISCRIMINATOR_AUGMENTATIONS["none" if config.augment == "auto" else config.augment]
    # strategy.scope() is the inner one: it has to end before the outer one, on an error, clears Keras's session.
    networks = build_uninitialized_networks(config, labels.width if labels else 0)
    with networks as (generator, discriminator), strategy.scope():
        require_layers_to_train(config, len(dcgan.list_freezable_layers(discriminator)))
        if config.penalty_method == "finite-difference":
            require_smooth(config, discriminator)
        if check:
            check(config, generator, discriminator)
        initialize_weights()
        g_optimizer, d_optimizer = build_optimizers(config)
        adaptation = Adaptation() if augmentation.adaptive else None
        split = split_logits(discriminator) if config.head == "san" else None
        noise = tf.Variable(config.discriminator_noise, trainable=False) if config.discriminator_noise else None
        penalty = build_penalty(config)
    return dcgan.DCGAN(
        generator,
        discriminator,
        g_optimizer=g_optimizer,
        d_optimizer=d_optimizer,
        loss=LOSSES[config.loss].smoothed(config.label_smoothing),
        noise=dcgan.NOISE_DISTRIBUTIONS[config.noise_distribution],
        penalty=penalty,
        augment=augmentation.function,
        adaptation=adaptation,
        discriminator_noise=noise,
        discriminator_steps=config.discriminator_steps,
        reuse_fakes=config.reuse_fakes,
        ema_half_lives=config.ema_half_lives,
        ema_ramp_up=not config.start_from,  # its average starts with that of another run, not with first weights
        frozen_layers=config.freeze_discriminator,
        strategy=strategy,
        jit=config.jit,
        labels=labels,
        auxiliary_weight=config.auxiliary_weight,
        split_logits=split,
        seed=config.seed,
    )  # fmt: skip


def build_penalty(config: Config):
    """Builds the penalty on the discriminator, a `gan.training.regularizers.Penalty`; None where there is none."""
    import tensorflow as tf

    from gan.training.regularizers import ESTIMATED_AT, MIXED_STEP, REGULARIZERS, STEP, FiniteDifference, Penalty

    if not config.penalized:
        return None
    regularizer = REGULARIZERS[config.penalty]
    if config.penalty_method == "finite-difference":
        step = STEP if config.precision == "float32" else MIXED_STEP
        regularizer = FiniteDifference(ESTIMATED_AT[config.penalty], step)
    changes = config.penalty_schedule != "constant"
    weight = tf.Variable(config.penalty_weight, trainable=False) if changes else config.penalty_weight
    return Penalty(regularizer, weight, config.penalty_every, config.penalty_batch)


def build_optimizers(config: Config) -> tuple:
    """Builds the optimizers of the generator and of the discriminator."""
    from gan.training.acgd import SecondMoments
    from gan.training.optimizers import build_optimizer, make_beta2_variable

    names = config.generator_optimizer, config.discriminator_optimizer
    rates = config.generator_learning_rate, config.discriminator_learning_rate
    betas = config.generator_betas, config.discriminator_betas
    if config.optimizer == "acgd":
        return tuple(SecondMoments(rate, beta2) for rate, (_, beta2) in zip(rates, betas, strict=True))
    scaled = config.precision == "mixed_float16"
    optimizers = tuple(build_optimizer(*each, scale_loss=scaled) for each in zip(names, rates, betas, strict=True))
    if config.beta_schedule != "constant":
        for optimizer, (_, beta2) in zip(optimizers, betas, strict=True):
            make_beta2_variable(optimizer, beta2)
    return optimizers


def build_validator(config: Config, gan, faces, split):
    """The validator that scores the averaged generator against the held-out images."""
    import numpy as np

    from dcgan import NoiseStream
    from gan.images import to_uint8
    from gan.metrics.evaluation import ImageSubset
    from gan.training.augmentation import AUGMENTATIONS
    from gan.training.validation import Scorer, Validator

    # Labels as the data have them, also where --balance trains with others: else a score would have the difference.
    shares = build_label_distribution(dataclasses.replace(config, balance=False), faces, split.training)

    def generate(count: int):
        noise = gan.fixed_noise(count, NoiseStream.VALIDATION)
        labels = gan.fixed_labels(count, NoiseStream.VALIDATION, shares)
        parts = [slice(i, i + 64) for i in range(0, count, 64)]
        batches = [gan.pair_with_labels(noise[part], None if labels is None else labels[part]) for part in parts]
        return np.concatenate([to_uint8(gan.generate_images(batch)) for batch in batches])

    scorer = Scorer(
        ImageSubset(faces.images, split.held_out),
        ImageSubset(faces.images, split.training),
        generate,
        photographs=not faces.avatars,
        mirrors=AUGMENTATIONS[config.augmentation].mirrors,
        protocol={
            "weights": "averaged" if config.ema_half_lives else "raw",
            "size": config.image_size,
            "crop": faces.report["crop"],
            "seed": config.seed,
        },
    )
    return Validator(scorer, samples=config.score_samples, forced=config.score_every > 0, patience=config.patience)


def build_trainer(config: Config, gan, run, faces, split, length, distribution=None):
    """The trainer of a run on the training images of a `data.Split`, ready to train.

    In a process that is not the chief, it is the loop alone.
    """
    import data
    from gan.metrics.evaluation import ImageSubset
    from gan.training.augmentation import AUGMENTATIONS
    from gan.training.device_batches import device_batches
    from gan.training.distribution import Distribution
    from gan.training.ema import dataset_variance
    from gan.training.loop import Loop
    from gan.training.trainer import Trainer

    augmentation, distribution = AUGMENTATIONS[config.augmentation], distribution or Distribution()
    places = distribution.places(config.batch_size, config.discriminator_steps)
    labels, rows = faces.labels if gan.labels else None, choose_rows(config, faces, split.training)
    settings = {"rows": rows, "labels": labels, "seed": config.seed, "places": places}

    def batches(start: int):
        known = augmentation.on_device or not augmentation.pipeline
        each = faces.images[:1].nbytes + (4 * labels.width if labels else 0)
        if known and fits_on_devices(config, each * len(split.training)):
            return device_batches(
                faces.images, config.images_per_iteration, augmentation=augmentation, distribution=distribution,
                start=start, **settings,
            )  # fmt: skip
        prepared = data.batches(
            faces.images, config.images_per_iteration, start=start, augment=augmentation.pipeline, **settings,
        )  # fmt: skip
        return distribution.distribute_batches(prepared)

    if not distribution.is_chief:
        return Loop(config, gan, batches, length, distribution)
    validator = build_validator(config, gan, faces, split)
    variance = 0.0
    if config.ema_half_lives:
        some = ImageSubset(faces.images, rows).subsample(VARIANCE_IMAGES).load()
        variance = dataset_variance(some, mirrored=augmentation.mirrors)
    return Trainer(config, gan, run, batches, length, validator, variance, distribution)


def choose_rows(config: Config, faces, training_rows):
    """The numbers of the images that batches are drawn from; with --balance, images of rare labels several times."""
    from gan.labels import balance

    return balance(faces.labels.codes, training_rows, config.seed) if config.balance else training_rows


def build_label_distribution(config: Config, faces, training_rows):
    """The labels that a GAN is asked for, as often as batches have them, a `gan.labels.Labels`; None: no labels.

    Raises UsageError where no training image has one, as those few that have are held out.
    """
    if faces.labels is None:
        return None
    counted = faces.labels.take(choose_rows(config, faces, training_rows)).count_combinations(config.seed)
    if not len(counted.codes):
        raise UsageError("The images with a label are all held out: give --holdout 0, or labels for more of them.")
    return counted


def fits_on_devices(config: Config, size: int) -> bool:
    """Whether images of so many bytes are kept in the memory of GPUs, of which each has a copy."""
    from gan.training.memory_estimate import available_gpu_memory

    available = None if config.devices.startswith("cpu:") else available_gpu_memory(min)
    return available is not None and size <= config.device_data * available


def load_generator(run, best: bool = True):
    """The generator of a run, a `gan.generation.generator.Generator`: of its best score, or the last.

    It comes from best.keras or generator.keras, or from its newest checkpoint, where there is no such file. Raises
    UsageError where the folder is not a run's, or there is no generator that can be opened.
    """
    from gan.devices import setup_devices
    from gan.generation.generator import Generator, load_model
    from gan.labels import FILE
    from gan.runs import checkpoints

    config = run.load_config()
    if config.noise_distribution not in NOISE_DISTRIBUTIONS:
        known = " and ".join(NOISE_DISTRIBUTIONS)
        raise UsageError(f"{run.folder}'s noise is {config.noise_distribution!r}: this version has {known}")
    setup_devices("float32")
    if not best or run.best_iteration() is None:
        missing = not (run.folder / "generator.keras").exists()
        if missing and checkpoints.list_paths(run.checkpoints):
            return rebuild_generator(run, config)
    path, iteration = run.find_generator(best)
    network, labels = load_model(path), run.load_labels()
    if [tensor.shape[-1] for tensor in network.inputs[1:]] != ([labels.width] if labels else []):
        raise UsageError(f"{path} takes other labels than {run.folder / FILE} has.")
    return Generator(network, config, path, iteration, labels)


def rebuild_generator(run, config: Config):
    """The averaged generator of a run's newest whole checkpoint, calibrated as training would have.

    Where `config.ema_half_life` is 0, the generator itself, whatever the run's was.

    Nothing else of the checkpoint is read, so it may be of a version that trained differently.
    """
    from gan.devices import setup_devices

    setup_devices("float32")
    from gan.generation.generator import Generator
    from gan.runs import checkpoints
    from gan.training.ema import Calibrator
    from models.portable import to_stock_keras

    labels = run.load_labels()
    try:
        gan = build_gan(dataclasses.replace(config, precision="float32"), labels=labels)
    except (KeyError, ValueError) as error:  # a network that another version has
        reason = summarize(error)
        raise UsageError(f"{run.folder}/config.json asks for what this version does not have: {reason}") from None
    part = "ema_generator" if config.ema_half_lives else "generator/"  # all averages
    variables = {name: variable for name, variable in gan.state().items() if name.startswith(part)}
    path, arrays = checkpoints.load_newest(run.checkpoints, variables)
    if path is None:
        raise RunError(
            f"No checkpoint in {run.checkpoints} holds a generator as {run.folder}/config.json describes it."
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])
    if config.ema_half_lives:
        gan.selected = int(arrays.get("shown_average", 0))
        gan.calibrate_ema(Calibrator(gan.calibrated_ema, float(arrays.get("pixel_variance", 0.0))))
    return Generator(to_stock_keras(gan.calibrated_ema), config, path, int(path.stem), labels)


def header(config: Config, gan, split, length, device: str, folder: Path, processes: int = 1) -> list[str]:
    """Lines that say what is about to be trained, on what, for how long, and on which device.

    The memory is that of one of `processes`.
    """
    from gan.training.memory_estimate import describe_memory

    images, seen = len(split.training), length.total * config.images_per_iteration
    extent = (
        f"{config.minutes:g} minutes of iterations of {config.images_per_iteration} over {images:,} images"
        if config.minutes
        else f"{length.total:,} iterations of {config.images_per_iteration} = {seen:,} images"
        f" = {seen / images:.1f} passes over {images:,} images"
    )
    lines = []
    if config.augment not in ("auto", "none"):
        lines.append(f"{config.augment} augments all that the discriminator sees; --augment none trains without")
    if config.freeze_discriminator:
        everything, trained = (
            sum(math.prod(weight.shape) for weight in weights)
            for weights in (gan.discriminator.trainable_variables, gan.d_variables)
        )
        layers = f"its first {config.freeze_discriminator} layers with weights"
        lines.append(f"{everything - trained:,} weights of the discriminator are frozen, those of {layers}")
    return [
        f"{config.recipe}: {config.noise} noise, {config.generator} generator of {gan.generator.count_params():,}"
        f" weights, {config.discriminator} discriminator of {gan.discriminator.count_params():,}",
        f"{extent}, {len(split.held_out):,} more held out for scores",
        *lines,
        f"{device}, {describe_memory(config, gan.generator, gan.discriminator, processes)}, into {folder}",
    ]
