"""Experiment: builds from a Config what training and tools need: data set, GAN, validator, trainer, generator.

    dataset = load_data(config)
    gan = build_gan(config)
    generator = load_generator(Run("output/RUN"))

What needs TensorFlow is imported where it is used, so that --help and a mistyped flag are answered at once.
"""

import contextlib
import dataclasses
import inspect
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gan.cluster import Cluster
from gan.config import (
    ALIGNMENTS,
    DISCRIMINATOR_AUGMENTATIONS,
    DISTRIBUTIONS,
    LOCAL,
    PRECISIONS,
    Config,
    build_config,
    follows_images,
)
from gan.errors import RunError, UsageError, summarize
from gan.files import expand_path
from gan.recipes import RECIPES, find_settings

VARIANCE_IMAGES = 4000  # real images whose pixel variance is measured
LARGE = 64  # side of the images, in pixels, from which --image-size is that if it is not given


def open_run(config: Config):
    """The folder of a configuration's run, a `Run`; under its former default name where only that exists."""
    from gan.runs.legacy import find_run
    from gan.runs.run_directory import Run

    output = expand_path(config.output)
    return Run(output / config.run if config.run else find_run(output, config))


def load_data(config: Config, opened: dict | None = None):
    """The images of a configuration, a `data.Faces`; sources in `opened`, by their names, are not opened again.

    Raises UsageError, and RunError, as `data.load` does.
    """
    import data

    return data.load(
        config.data, config.image_size, limit=config.limit, sample=config.sample, crop=config.crop, seed=config.seed,
        cache_dir=config.cache_dir or None, allow_bad=config.allow_bad, allow_truncated=config.allow_truncated,
        max_pixels=config.max_pixels, seconds_between_frames=config.seconds_between_frames, align=config.align,
        min_face=config.min_face, keep_duplicates=config.keep_duplicates, labels=config.labels,
        attributes=config.attributes, unlabelled=config.unlabelled, opened=opened,
    )  # fmt: skip


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
    return faces


def resolve_align(config: Config, run) -> Config:
    """The configuration with --align auto as the run has had it; in older versions, runs had none."""
    earlier = run.read_choice("align", ALIGNMENTS[1:]) if config.align == "auto" else ""
    return dataclasses.replace(config, align=earlier or config.align)


def record_align(config: Config, run, report: dict) -> Config:
    """The configuration with what --align auto came to, by the report of the data: the run goes on with it.

    It stays auto where some sources are aligned and others not, and in runs of older versions, which did not record it.
    """
    undecided = run.read_choice("align", ALIGNMENTS[:1])
    return config if undecided else dataclasses.replace(config, align=report["align"])


def resolve_settings(given: dict, distribution=None):
    """Completes the settings that are given by those of the recipe at the image size, or of a run that is continued.

    Arguments:
        given: fields of Config by their names.
        distribution: the processes for all of which the chief decides; None: there is one.

    Returns:
        The configuration, its run, and the data sources that were opened to measure their images, by their names.

    Raises UsageError and RunError where these cannot be opened.
    """
    decided, opened = {}, {}
    if distribution is None or distribution.is_chief:
        size, reason, opened = resolve_image_size(given)
        if reason:
            print(f"{reason}, so --image-size is {size}", flush=True)
        config = build_config({**given, "image_size": size})
        decided = {**open_run(config).find_former_recipe(given, config), "image_size": size}
    if distribution:
        decided = distribution.broadcast_object(decided)
    config = build_config({**decided, **given})
    run = open_run(config)
    return resolve_align(config, run), run, opened


def resolve_image_size(given: dict) -> tuple[int, str, dict]:
    """The image size of the settings that are given, the reason for it, and the data sources that were opened for that.

    Where none is given, it is that of the recipe, of the run that is continued, or of the run of --start-from. Else it
    is 64 where images are at least that large, and 32 where they are smaller or built in. The reason is "" where the
    settings alone decide, and sources are by their names.
    """
    config = build_config(given)
    if "image_size" in {**RECIPES[config.recipe], **given}:
        return config.image_size, "", {}
    sizes = find_earlier_sizes(config)
    if len(sizes) == 1:
        ((size, folder),) = sizes.items()
        return size, f"{folder} has images of {size} pixels" if size != config.image_size else "", {}
    if size := find_size_of_start(config):
        return size, f"--start-from {config.start_from} has images of {size} pixels", {}
    if not follows_images(config):
        return config.image_size, "", {}
    import data
    from gan.datasets.joined import join

    opened = data.open_files(
        config.data, cache_dir=config.cache_dir or None, max_pixels=config.max_pixels,
        seconds_between_frames=config.seconds_between_frames,
    )  # fmt: skip
    source = join(list(opened.values())) if len(opened) > 1 else next(iter(opened.values()))
    side = data.measure_side(
        source, limit=config.limit, crop=config.crop, allow_truncated=config.allow_truncated,
        cache_dir=config.cache_dir or None,
    )  # fmt: skip
    size = LARGE if side >= LARGE else config.image_size
    return size, f"The images have some {side} pixels on a side" if side else "", opened


def find_earlier_sizes(config: Config) -> dict[int, Path]:
    """The image sizes of the runs that are there already under the name of this configuration, and their folders.

    Raises UsageError where the settings of the run that --run names are damaged.
    """
    run = open_run(config)
    if config.run:
        there = (run.folder / "config.json").exists()
        return {run.load_config().image_size: run.folder} if there else {}
    if not (follows_images(config) or config.start_from):
        return {}  # built-in data have one size unless another is given
    runs = {size: open_run(dataclasses.replace(config, image_size=size)) for size in range(16, 129, 4)}
    return {size: run.folder for size, run in runs.items() if (run.folder / "config.json").exists()}


def find_size_of_start(config: Config) -> int:
    """The image size of the run that --start-from names, or a file in it; 0 where there is none."""
    from gan.runs.run_directory import Run

    if not config.start_from:
        return 0
    start = expand_path(config.start_from)
    with contextlib.suppress(UsageError):  # which `load_start` raises
        return Run(start if start.is_dir() else start.parent).load_config().image_size
    return 0


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
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (until the process ends)
    return distribution, device, precision


def agree(config: Config, run, distribution, device: str, precision: str) -> tuple[Config, str]:
    """Makes sure that all processes train alike. The chief decides what is left to `auto`.

    Arguments are as from `connect`. Returns the configuration with these decisions, and the devices in words.

    Raises UsageError where the processes have other settings, or replicas cannot share a batch.
    """
    distribution.require_divisible(config.batch_size)
    if config.jit and distribution.replicas > 1:
        raise UsageError("--jit: XLA cannot compile a step of several replicas. Leave it out, or use one device.")
    # This machine may prefer another precision than the one on which the run began.
    earlier = run.read_choice("precision", PRECISIONS[1:]) if config.precision == "auto" else ""
    decided = {"precision": earlier or precision, "align": config.align}
    same = {name: value for name, value in dataclasses.asdict(config).items() if name not in {*LOCAL, *decided}}
    distribution.require_same("settings", same)
    config = dataclasses.replace(config, **distribution.broadcast_object(decided))
    return config, f"{distribution.describe(device)}, {config.precision}{' as before' if earlier else ''}"


def resolve_augment(config: Config, run, images: int) -> Config:
    """The configuration with --augment auto decided: as the run has had it, or by the number of training images.

    The choice is recorded, so that a run goes on with it although it has more images now.
    """
    earlier = run.read_choice("augment", DISCRIMINATOR_AUGMENTATIONS) if config.augment == "auto" else ""
    return dataclasses.replace(config, augment=earlier or config.choose_augment(images))


def build_gan(config: Config, check: Callable | None = None, strategy=None, labels=None):
    """The GAN of a configuration, a `dcgan.DCGAN`, its initial weights fixed by the seed.

    It takes `labels`, a `gan.labels.Labels`, where these are not None. Its variables are made for the replicas of
    `strategy`, a `tf.distribute.Strategy`; None: one device.
    `check(config, generator, discriminator)` is called before weights get memory; what it raises is passed on. Where
    --augment auto is not decided yet, nothing is augmented. Raises UsageError where settings exclude each other.
    """
    import keras
    import tensorflow as tf

    import dcgan
    from gan.training.ada import Adaptation
    from gan.training.competitive import SecondMoments
    from gan.training.discriminator_augmentation import DISCRIMINATOR_AUGMENTATIONS
    from gan.training.losses import LOSSES
    from gan.training.optimizers import build_optimizer, make_beta2_variable
    from gan.training.regularizers import MIXED_STEP, PLACES, REGULARIZERS, STEP, FiniteDifference

    strategy = strategy or tf.distribute.get_strategy()
    require_possible_training(config, strategy.num_replicas_in_sync)
    try:
        loss = LOSSES[config.loss].smoothed(config.label_smoothing)
    except ValueError:
        smoothable = " and ".join(name for name, loss in LOSSES.items() if loss.smoothable)
        raise UsageError(
            f"--label-smoothing {config.label_smoothing:g}: --loss {config.loss} has no targets to smooth; {smoothable}"
            " have. Leave it out, or use one of those."
        ) from None
    require_possible_head(config, loss)
    scaled = config.precision == "mixed_float16"
    augmentation = DISCRIMINATOR_AUGMENTATIONS["none" if config.augment == "auto" else config.augment]
    regularizer = REGULARIZERS[config.penalty]
    if config.penalty_method == "finite-difference":
        step = STEP if config.precision == "float32" else MIXED_STEP
        regularizer = FiniteDifference(PLACES[config.penalty], step)
    # The scope inside: where the other raises, it clears Keras's session, in which the scope has to end before.
    networks = build_uninitialized_networks(config, labels.width if labels else 0)
    with networks as (generator, discriminator), strategy.scope():
        layers = len(dcgan.layers_of_images(discriminator))
        if config.freeze_discriminator >= layers:
            raise UsageError(
                f"--freeze-discriminator {config.freeze_discriminator}: the discriminator has {layers} layers with"
                f" weights, of which at least one is to be trained: give at most {layers - 1}."
            )
        if config.penalty_method == "finite-difference":
            require_smooth(config, discriminator)
        if check:
            check(config, generator, discriminator)
        with keras.StatelessScope():
            pass  # at its end, Keras gives the weights their values
        acgd = config.optimizer == "acgd"
        g_optimizer = build_optimizer(
            config.generator_optimizer, config.generator_learning_rate, config.generator_betas, scale_loss=scaled
        )
        d_optimizer = build_optimizer(
            config.discriminator_optimizer,
            config.discriminator_learning_rate,
            config.discriminator_betas,
            scale_loss=scaled,
        )
        if acgd:
            g_optimizer = SecondMoments(config.generator_learning_rate, config.generator_betas[1])
            d_optimizer = SecondMoments(config.discriminator_learning_rate, config.discriminator_betas[1])
        elif config.beta_schedule != "constant":
            make_beta2_variable(g_optimizer, config.generator_betas[1])
            make_beta2_variable(d_optimizer, config.discriminator_betas[1])
        adaptation = Adaptation() if augmentation.adaptive else None
        split = split_logits_of(config, discriminator) if config.head == "san" else None
        noise = tf.Variable(config.discriminator_noise, trainable=False) if config.discriminator_noise else None
        weight = config.penalty_weight
        if config.penalized and config.penalty_schedule != "constant":
            weight = tf.Variable(weight, trainable=False)
    return dcgan.DCGAN(
        generator,
        discriminator,
        g_optimizer=g_optimizer,
        d_optimizer=d_optimizer,
        loss=loss,
        noise=dcgan.DISTRIBUTIONS[config.noise_distribution],
        regularizer=regularizer,
        penalty_weight=weight,
        penalty_every=config.penalty_every,
        penalty_batch=config.penalty_batch,
        augment=augmentation.function,
        adaptation=adaptation,
        discriminator_noise=noise,
        discriminator_steps=config.discriminator_steps,
        competitive=acgd,
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


def require_possible_head(config: Config, loss) -> None:
    """Raises UsageError where --head does not go with the loss, or --minibatch-stddev with the size of batches."""
    from gan.training.losses import LOSSES

    if config.head == "san" and not loss.slope:
        possible = ", ".join(name for name, other in LOSSES.items() if other.slope)
        raise UsageError(
            f"--head san needs a generator's loss that falls with the logit of each fake, which --loss {config.loss} is"
            f" not. Use one of these for --loss: {possible}; or --head linear."
        )
    if config.minibatch_stddev and config.batch_size % 4:
        raise UsageError(
            f"--minibatch-stddev compares groups of 4 images: --batch-size {config.batch_size} is no multiple of 4."
            f" Use --batch-size {-(-config.batch_size // 4) * 4}."
        )


def split_logits_of(config: Config, discriminator):
    """The parts of a discriminator's logits for --head san. Raises UsageError where it has no last dense layer."""
    from models.heads import split_logits

    try:
        return split_logits(discriminator)
    except ValueError as error:
        raise UsageError(f"--head san does not go with this --discriminator {config.discriminator}: {error}.") from None


def require_possible_training(config: Config, replicas: int) -> None:
    """Raises UsageError where the penalty does not go with its method, the loss, or so many replicas; and the like."""
    require_used(config)
    estimated = config.penalty_method == "finite-difference"
    if estimated and config.penalty not in ("r1", "r2", "r1+r2"):
        raise UsageError(
            f"--penalty-method finite-difference estimates r1, r2 and r1+r2, not --penalty {config.penalty}: use one of"
            " those, or --penalty-method exact."
        )
    if config.optimizer == "acgd":
        require_competitive(config, replicas)
    elif config.loss == "wasserstein" and not config.penalized:
        raise UsageError(
            "--loss wasserstein has no least value without a penalty on the slope of the discriminator: add --penalty"
            " gradient --penalty-weight 10 --penalty-every 1."
        )
    for flag in ("generator_optimizer", "discriminator_optimizer"):
        if config.beta_schedule != "constant" and (name := getattr(config, flag)) not in ("adam", "adamw"):
            raise UsageError(
                f"--beta-schedule {config.beta_schedule}: --{flag.replace('_', '-')} {name} has no second decay rate as"
                " adam and adamw have it. Leave it out, or use one of these."
            )
    count = max(1, round(config.penalty_batch * config.batch_size))
    if config.penalty_batch < 1 and count % replicas:
        raise UsageError(
            f"--penalty-batch {config.penalty_batch:g} of --batch-size {config.batch_size} are {count} images, which"
            f" {replicas} replicas cannot share equally: give a share that is a multiple of {replicas} images."
        )


def require_used(config: Config) -> None:
    """Raises UsageError where a setting of a penalty, of noise or of a schedule would change nothing."""
    penalty = "there is no penalty. Add --penalty r1 and a --penalty-weight"
    none = config.penalty == "none"
    unused = {
        "penalty_weight": (none, "there is no penalty. Add --penalty r1"),
        "penalty_every": (none, "there is no penalty. Add --penalty r1"),
        "penalty_method": (not config.penalized, penalty),
        "penalty_schedule": (not config.penalized, penalty),
        "penalty_batch": (not config.penalized, penalty),
        "final_penalty_weight": (config.penalty_schedule == "constant", "it is fixed. Add --penalty-schedule linear"),
        "final_beta2": (config.beta_schedule == "constant", "they are fixed. Add --beta-schedule linear"),
        "discriminator_noise_schedule": (
            not config.discriminator_noise,
            "there is none. Add --discriminator-noise 0.1",
        ),
    }
    usual = {**dataclasses.asdict(Config()), **find_settings(config.recipe, config.image_size)}
    for name, (is_unused, why) in unused.items():
        if is_unused and (value := getattr(config, name)) != usual[name]:
            raise UsageError(f"--{name.replace('_', '-')} {value} changes nothing: {why}, or leave it out.")


def require_competitive(config: Config, replicas: int) -> None:
    """Raises UsageError where settings have no place in the game of --optimizer acgd."""
    wanted = {
        "--penalty none": not config.penalized,
        "--head linear": config.head == "linear",
        "--precision float32": config.precision == "float32",
        "--discriminator-steps 1": config.discriminator_steps == 1,
        "--auxiliary-weight 0": not config.auxiliary_weight,
        "--reuse-fakes": config.reuse_fakes,
        "--generator-optimizer adam": config.generator_optimizer == "adam",
        "--discriminator-optimizer adam": config.discriminator_optimizer == "adam",
        "--beta-schedule constant": config.beta_schedule == "constant",
        "--devices auto": replicas == 1,
        "--no-jit": not config.jit,
    }
    if missing := [flag for flag, is_met in wanted.items() if not is_met]:
        raise UsageError(f"--optimizer acgd is for one plain game of both networks: add {', '.join(missing)}.")


def require_smooth(config: Config, discriminator) -> None:
    """Raises UsageError where logits differ at an image and near it for other reasons than the discriminator's slope.

    A dropout layer drops others in each pass, a spectral norm is estimated better in each, and what depends on other
    images differs where those are a part of the batch.
    """
    kinds = {type(layer).__name__ for layer in discriminator.layers}
    for kind, name in (("Dropout", "dropout"), ("SpectralNormalization", "spectral norm")):
        if kind in kinds:
            raise UsageError(
                f"--penalty-method finite-difference: --discriminator {config.discriminator} has {name}, which differs"
                f" from pass to pass. Use --penalty-method exact, or a discriminator without {name}."
            )
    grouped = {"BatchNormalization": "batch norm", "MinibatchStddev": "--minibatch-stddev"}
    if config.penalty_batch < 1 and (found := [name for kind, name in grouped.items() if kind in kinds]):
        raise UsageError(
            f"--penalty-method finite-difference --penalty-batch {config.penalty_batch:g}: --discriminator"
            f" {config.discriminator} has {' and '.join(found)}, and its logits for a part of the batch differ. Leave"
            " out --penalty-batch, or use --penalty-method exact."
        )


def load_start(config: Config, run):
    """What --start-from names, a `gan.training.warm_start.Start`.

    None where nothing is named, or where the run has a checkpoint from which it goes on: what it started from may be
    gone by then. Warns where a generator alone is named. Raises UsageError where there is no run or no generator, no
    whole checkpoint, or another pair of networks, and where layers are to be frozen without a start.
    """
    from gan.runs import checkpoints
    from gan.runs.run_directory import Run

    if config.freeze_discriminator and not config.start_from:
        raise UsageError("--freeze-discriminator needs --start-from: new layers know nothing that should stay.")
    if not config.start_from or checkpoints.list_paths(run.checkpoints):
        return None
    path, other = expand_path(config.start_from), Run(expand_path(config.start_from))
    try:
        if path.suffix == ".keras" and not path.is_dir():
            return load_start_generator(path)
        saved = other.load_config()
    except UsageError as error:
        raise UsageError(f"--start-from {config.start_from}: {error}") from error
    for name in ("generator", "discriminator"):
        if (there := getattr(saved, name)) != (here := getattr(config, name)):
            raise UsageError(
                f"--start-from {config.start_from}: its {name} is {there}, and here it is {here}. Add --{name} {there}."
            )
    return load_start_checkpoint(config, other, saved)


def load_start_generator(path: Path):
    """A generator alone, in a .keras file, to start from. Warns that the discriminator starts anew."""
    from gan.generation.generator import load_model
    from gan.training.warm_start import Start, layers_with_weights

    if not path.exists():
        raise UsageError("there is no such file.")
    network = load_model(path)
    warnings.warn(
        f"--start-from {path} is a generator alone: the discriminator starts anew. The folder of a run has both",
        stacklevel=2,
    )
    return Start(str(path), {"generator": [layer.get_weights() for layer in layers_with_weights(network)]})


def load_start_checkpoint(config: Config, other, saved: Config):
    """The newest whole checkpoint of another run, whose configuration is `saved`, to start from."""
    from gan.runs import checkpoints
    from gan.training.ema import name_average
    from gan.training.warm_start import Start, layers_with_weights

    def list_variables() -> tuple[dict, dict]:
        """The variables of its networks, by their names in a checkpoint, and the names of each layer's weights."""
        variables, layers = {}, {}
        labels = other.load_labels()
        width, in_float32 = labels.width if labels else 0, dataclasses.replace(saved, precision="float32")
        with build_uninitialized_networks(in_float32, width) as networks:
            for part, network in zip(("generator", "discriminator"), networks, strict=True):
                names = {id(variable): f"{part}/{i:03d}" for i, variable in enumerate(network.variables)}
                variables |= {names[id(variable)]: variable for variable in network.variables}
                layers[part] = [[names[id(w)] for w in layer.weights] for layer in layers_with_weights(network)]
        return variables, layers

    with ThreadPoolExecutor(1) as pool:  # in a thread, for which alone Keras notes that variables have no values yet
        variables, layers = pool.submit(list_variables).result()
    generator = {name: variable for name, variable in variables.items() if name.startswith("generator/")}
    for average in map(name_average, range(len(saved.ema_half_lives))):
        variables |= {name.replace("generator", average): variable for name, variable in generator.items()}
    path, arrays = checkpoints.load_newest(other.checkpoints, variables)
    if path is None:
        keras_file = next((f for name in ("best", "generator") if (f := other.folder / f"{name}.keras").exists()), None)
        advice = f" Its generator alone is left: --start-from {keras_file}" if keras_file else ""
        raise UsageError(f"--start-from {config.start_from}: it has no checkpoint that can be read.{advice}")
    by_number = sorted(arrays, key=lambda name: (len(name), name))  # which has three digits, or more
    optimizers = {
        part: [arrays[name] for name in by_number if name.startswith(f"{part}/")]
        for part, name in (("g_optimizer", "generator_optimizer"), ("d_optimizer", "discriminator_optimizer"))
        if getattr(saved, name) == getattr(config, name) and saved.optimizer == config.optimizer
    }
    if saved.ema_half_lives:
        average = name_average(int(arrays.get("shown_average", 0)))
        layers["ema_generator"] = [[name.replace("generator", average) for name in one] for one in layers["generator"]]
    taken = {part: [[arrays[name] for name in names] for names in parts] for part, parts in layers.items()}
    return Start(str(path), taken, optimizers)


@contextlib.contextmanager
def build_uninitialized_networks(config: Config, labels: int = 0) -> Iterator[tuple]:
    """Builds generator and discriminator whose weights have shapes and no values yet: none is too large for that.

    They take labels (n, labels), unless that is 0. They get their values, which the seed fixes, when a
    `keras.StatelessScope` ends within the block, and are forgotten where the block raises.
    """
    import keras

    from models import DISCRIMINATORS, GENERATORS

    keras.utils.set_random_seed(config.seed)
    keras.mixed_precision.set_global_policy(config.precision)
    image_shape = (config.image_size, config.image_size, 3)
    noise_shape = image_shape if config.noise == "image" else (config.noise_size,)
    try:
        with keras.StatelessScope(initialize_variables=False):
            # Networks of one's own need not know labels.
            more = {"labels": labels} if labels else {}
            options = choose_options(config, "generator", GENERATORS)
            generator = GENERATORS[config.generator](noise_shape, image_shape, config.width, **more, **options)
            more |= {"auxiliary": True} if labels and config.auxiliary_weight else {}
            options, width = choose_options(config, "discriminator", DISCRIMINATORS), config.discriminator_width
            discriminator = DISCRIMINATORS[config.discriminator](
                image_shape, width or config.width, config.dropout, **more, **options
            )
        yield generator, discriminator
    except BaseException:
        keras.utils.clear_session()  # else Keras would give them values when another scope ends
        raise


def choose_options(config: Config, network: str, table: dict[str, Callable]) -> dict:
    """The settings of a "generator" or "discriminator" that are not its own, as arguments of its function in `table`.

    Raises UsageError where it has no such argument.
    """
    settings = {"depth": "depth", f"{network}_normalization": "normalization"}
    settings |= {"upsampling": "upsampling"} if network == "generator" else {"minibatch_stddev": "stddev"}
    takes = {name: inspect.signature(build).parameters for name, build in table.items()}
    chosen, options = getattr(config, network), {}
    for name, argument in settings.items():
        value = getattr(config, name)
        if value in (0, "own"):
            continue
        if argument not in takes[chosen]:
            given = f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}")
            possible = ", ".join(each for each in table if argument in takes[each])
            raise UsageError(
                f"{given}: the {network} {chosen} has no such setting. Leave it out, or use another --{network}:"
                f" {possible}."
            )
        options[argument] = value
    return options


def build_validator(config: Config, gan, faces, training_rows, held_out_rows):
    """The validator that scores the averaged generator against the held-out images."""
    import numpy as np

    from dcgan import NoiseStream
    from gan.images import to_uint8
    from gan.metrics.evaluation import ImageSubset
    from gan.training.augmentation import AUGMENTATIONS
    from gan.training.validation import Scorer, Validator

    # Labels as the data have them, also where --balance trains with others: else a score would have the difference.
    shares = count_labels(dataclasses.replace(config, balance=False), faces, training_rows)

    def generate(count: int):
        noise = gan.fixed_noise(count, NoiseStream.VALIDATION)
        labels = gan.fixed_labels(count, NoiseStream.VALIDATION, shares)
        parts = [slice(i, i + 64) for i in range(0, count, 64)]
        batches = [gan.join(noise[part], None if labels is None else labels[part]) for part in parts]
        return np.concatenate([to_uint8(gan.generate_images(batch)) for batch in batches])

    scorer = Scorer(
        ImageSubset(faces.images, held_out_rows),
        ImageSubset(faces.images, training_rows),
        generate,
        photographs=not faces.attributes,
        mirrors=AUGMENTATIONS[config.augmentation].mirrors,
        protocol={
            "weights": "averaged" if config.ema_half_lives else "raw",
            "size": config.image_size,
            "crop": faces.report["crop"],
            "seed": config.seed,
        },
    )
    return Validator(scorer, samples=config.score_samples, forced=config.score_every > 0, patience=config.patience)


def build_trainer(config: Config, gan, run, faces, training_rows, held_out_rows, length, distribution=None):
    """The trainer of a run, ready to train; in a process that is not the chief, the loop alone."""
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
    labels, rows = faces.labels if gan.labels else None, choose_rows(config, faces, training_rows)
    settings = {"rows": rows, "labels": labels, "seed": config.seed, "places": places}

    def batches(start: int):
        known = augmentation.on_device or not augmentation.pipeline
        each = faces.images[:1].nbytes + (4 * labels.width if labels else 0)
        if known and fits_on_devices(config, each * len(training_rows)):
            return device_batches(
                faces.images, config.images_per_iteration, augmentation=augmentation, distribution=distribution,
                start=start, **settings,
            )  # fmt: skip
        prepared = data.batches(
            faces.images, config.images_per_iteration, start=start, augment=augmentation.pipeline, **settings,
        )  # fmt: skip
        return distribution.spread(prepared)

    if not distribution.is_chief:
        return Loop(config, gan, batches, length, distribution)
    validator = build_validator(config, gan, faces, training_rows, held_out_rows)
    variance = 0.0
    if config.ema_half_lives:
        some = ImageSubset(faces.images, rows).subsample(VARIANCE_IMAGES).load()
        variance = dataset_variance(some, mirrored=augmentation.mirrors)
    return Trainer(config, gan, run, batches, length, validator, variance, distribution)


def choose_rows(config: Config, faces, training_rows):
    """The numbers of the images that batches are drawn from; with --balance, images of rare labels several times."""
    from gan.labels import balance

    return balance(faces.labels.codes, training_rows, config.seed) if config.balance else training_rows


def count_labels(config: Config, faces, training_rows):
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

    It comes from best.keras or generator.keras, or, where a run has neither, from its newest checkpoint. Raises
    UsageError where the folder is not a run's, or there is no generator that can be opened.
    """
    from gan.devices import setup_devices
    from gan.generation.generator import Generator, load_model
    from gan.labels import FILE
    from gan.runs import checkpoints

    config = run.load_config()
    if config.noise_distribution not in DISTRIBUTIONS:
        known = " and ".join(DISTRIBUTIONS)
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
        gan.shown = int(arrays.get("shown_average", 0))
        gan.calibrate_ema(Calibrator(gan.calibrated_ema, float(arrays.get("pixel_variance", 0.0))))
    return Generator(to_stock_keras(gan.calibrated_ema), config, path, int(path.stem), labels)


def header(
    config: Config, gan, images: int, held_out: int, length, device: str, folder: Path, processes: int = 1
) -> list[str]:
    """Lines that say what is about to be trained, on what, for how long, and on which device.

    The memory is that of one of `processes`.
    """
    from gan.training.memory_estimate import describe_memory

    seen = length.total * config.images_per_iteration
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
        f"{extent}, {held_out:,} more held out for scores",
        *lines,
        f"{device}, {describe_memory(config, gan.generator, gan.discriminator, processes)}, into {folder}",
    ]
