"""Config: every setting of a run, with its default, its help and its limits."""

import dataclasses
import hashlib
import json
import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gan.errors import summarize
from gan.recipes import RECIPES, choose_recipe, find_settings


def option(default, help, *, choices=None, least=None, most=None, kind=None):
    """A field of Config: its default, help, choices or limits, and its type where the default has another."""
    metadata = {"help": help, "choices": choices, "least": least, "most": most, "kind": kind or type(default)}
    return dataclasses.field(default=default, metadata=metadata)


def steps(text: str) -> int | str:
    """The type of --steps-per-epoch: a number of batches, or 'all' for a whole pass over the data."""
    return "all" if text == "all" else int(text)


def one_or_several(values: list[float]) -> float | tuple[float, ...]:
    """The value of --ema-half-life: a number, as every config.json had once, or a tuple of several."""
    return tuple(values) if len(values) > 1 else values[0]


# Choices stand here by name, though the tables that hold them are elsewhere, so that --help needs no TensorFlow;
# tests compare them with the tables.
GENERATORS = ("self-modulated", "conv", "conv-2x2", "upsample", "dense", "conv-dense", "residual", "residual-free")
DISCRIMINATORS = ("self-modulated", "conv", "upsample", "dense", "conv-dense", "residual", "residual-free")
PALETTE_GENERATORS = ("self-modulated",)  # that take --palette; that of a recipe is for these alone
UPSAMPLINGS = ("transpose", "nearest", "bilinear", "pixel-shuffle")
NORMALIZATIONS = ("batch", "layer", "instance", "group", "spectral", "none")
NOISE_DISTRIBUTIONS = ("normal", "uniform")
ALIGNMENTS = ("auto", "yes", "no")
AUGMENTATIONS = ("none", "flip")
DISCRIMINATOR_AUGMENTATIONS = ("none", "diffaugment", "ada")
HEADS = ("linear", "san")
LOSSES = ("cross-entropy", "least-squares", "hinge", "relativistic", "wasserstein")
SMOOTHABLE_LOSSES = ("cross-entropy", "least-squares")  # whose targets --label-smoothing changes
SAN_LOSSES = ("cross-entropy", "hinge", "wasserstein")  # that fall with the logit of each fake, for --head san
REGULARIZERS = ("none", "r1", "r2", "r1+r2", "gradient")
PENALTY_METHODS = ("exact", "finite-difference")
OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd")
PAIRED_OPTIMIZERS = ("separate", "acgd")
SCHEDULES = ("constant", "linear", "cosine", "cooldown")
CLUSTERS = ("auto", "slurm", "none")
DATASETS = ("avatars", "orl", "celeba")  # built-in names that --data takes
FILE_SUFFIXES = (  # of files that --data takes
    *(".zip", ".tar", ".tar.gz", ".tgz", ".npz", ".npy", ".csv", ".parquet", ".tfrecord", ".tfrecords"),
    *(".mp4", ".mov", ".mkv", ".webm", ".avi"),
)
SUFFIXES_SHOWN = f"{', '.join(FILE_SUFFIXES[:-1])} or {FILE_SUFFIXES[-1]}"
IMAGE_SIZES = range(16, 129, 4)
LONGEST_NAME = 255  # bytes that file systems allow; a character has up to four
LOGGERS = ("none", "tensorboard")  # beside the console and the CSV tables
# Training images from which --augment auto is "none", and what it is for fewer, by the trials in docs/findings.md.
FEW_IMAGES, AUGMENT_FEW = 5000, "ada"
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class Config:
    """Every setting of a run, saved as config.json beside its results. The defaults are the recipe `default`."""

    # data
    data: tuple = option(
        ("avatars",), f"images: a folder, a {SUFFIXES_SHOWN} file, or built in: {', '.join(DATASETS)}; given several"
        " times, all of them", kind=list,
    )  # fmt: skip
    limit: int = option(0, "use the first N images, or draw N avatars; 0: all images, or 10,000 avatars", least=0)
    sample: int = option(0, "use N of these images, chosen at random by --seed; 0: all", least=0)
    crop: int = option(
        0, "cut out the central N x N first; 0: the largest square, or CelebA's 108 x 108 of 178 x 218", least=0
    )
    align: str = option(
        "auto", "cut faces out of photographs, with eyes and mouth at the same places; auto: if they are not there yet",
        choices=ALIGNMENTS,
    )  # fmt: skip
    min_face: int = option(
        48, "with --align, use faces whose cut is at least N pixels wide in the photograph", least=16
    )
    keep_duplicates: bool = option(False, "with --align, use copies of a face, such as those of a burst, as well")
    labels: str = option(
        "none", "train with labels: of folders (each a class), of a file, auto (what is there), or none"
    )
    attributes: str = option("", "the labels to use, as A,B,C; alone, it means --labels auto (default: all)")
    unlabelled: str = option(
        "drop", "images without a label: drop, or keep with the mean label", choices=("drop", "keep")
    )
    balance: bool = option(False, "draw classes, or combinations of attributes, evenly")
    image_size: int = option(
        32, "side of the images in pixels: 16 to 128, a multiple of 4 (default: that of the recipe or the run; else"
        " 64, or 32 for smaller images and built-in data)", least=16, most=128,
    )  # fmt: skip
    augmentation: str = option(
        "flip",
        "random change of the training images; flip mirrors half. DiffAugment and ADA are --augment",
        choices=AUGMENTATIONS,
    )
    allow_bad: bool = option(False, "train even if more than 5%% of the images cannot be read")
    allow_truncated: bool = option(False, "use images of files that are cut off; what is missing is gray or black")
    max_pixels: int = option(90_000_000, "leave out image files of more pixels than this", least=64)
    seconds_between_frames: float = option(1.0, "of a video, use one frame every X seconds", least=0.001)
    accept_new_data: bool = option(False, "continue a run although there are other images now, such as more of them")
    cache_dir: str = option("", "folder for decoded images (default: the user's cache folder)")
    # networks
    noise: str = option("vector", "shape of the generator's input: a vector, or an image", choices=("vector", "image"))
    noise_size: int = option(128, "length of the noise vector; not used with --noise image", least=1)
    noise_distribution: str = option("normal", "distribution of the noise", choices=NOISE_DISTRIBUTIONS)
    generator: str = option("self-modulated", "network that generates images", choices=GENERATORS)
    discriminator: str = option("self-modulated", "network that tells real from fake", choices=DISCRIMINATORS)
    width: int = option(32, "base number of channels; all layers scale with it", least=2)
    discriminator_width: int = option(0, "the same for the discriminator; 0: as --width", least=0)
    depth: int = option(
        0, "convolutions of stride 1 to add at each stage of both networks; in dense ones layers, in residual ones"
        " blocks", least=0,
    )  # fmt: skip
    upsampling: str = option("own", "how the generator upsamples", choices=("own", *UPSAMPLINGS))
    palette: int = option(
        0, "let the generator choose N colors for each image, at least 2, and mix every pixel of them, which suits"
        " drawings; 0: any color", least=0, most=256,
    )  # fmt: skip
    generator_normalization: str = option("own", "what normalizes the generator", choices=("own", *NORMALIZATIONS))
    discriminator_normalization: str = option("own", "the same for the discriminator", choices=("own", *NORMALIZATIONS))
    dropout: float = option(
        0.0, "dropout rate in the discriminator; 0: none, or 0.25 in upsample, which always has some", least=0.0,
        most=0.9,
    )  # fmt: skip
    minibatch_stddev: bool = option(False, "show the discriminator how much the images of a group of 4 differ")
    head: str = option(
        "linear", "the discriminator's last layer; san trains its direction by a loss of its own", choices=HEADS
    )
    # training
    augment: str = option(
        "auto", f"augmentation of all that the discriminator sees; auto: {AUGMENT_FEW} for fewer than {FEW_IMAGES:,}"
        " training images, else none", choices=("auto", *DISCRIMINATOR_AUGMENTATIONS),
    )  # fmt: skip
    discriminator_noise: float = option(
        0.0, "standard deviation of noise added to all that the discriminator sees; 0: none", least=0.0
    )
    discriminator_noise_schedule: str = option("linear", "how that noise goes to 0 until the end", choices=SCHEDULES)
    start_from: str = option(
        "", "start with the networks of another run, whose folder this is, or with a generator, a .keras file"
    )
    freeze_discriminator: int = option(
        0, "do not train the first N of the discriminator's layers with weights, for --start-from", least=0
    )
    loss: str = option("cross-entropy", "adversarial loss", choices=LOSSES)
    label_smoothing: float = option(
        0.0, "lowers the target of real images to 1 - X; for cross-entropy and least-squares", least=0.0, most=0.5
    )
    auxiliary_weight: float = option(
        0.0, "weight of the loss of a classifier of labels in the discriminator (AC-GAN); 0: none",
        least=0.0,
    )  # fmt: skip
    penalty: str = option(
        "r1", "gradient penalty on the discriminator; gradient is that of WGAN-GP", choices=REGULARIZERS
    )
    penalty_weight: float = option(
        0.05, "weight of the penalty: gamma of r1 and r2, which is halved, or lambda of gradient; 0: no penalty, or"
        " none at first", least=0.0,
    )  # fmt: skip
    penalty_every: int = option(16, "iterations from one penalty to the next, which then counts N times", least=1)
    penalty_method: str = option(
        "exact", "r1 and r2 by second derivatives, or estimated in random directions, which is faster",
        choices=PENALTY_METHODS,
    )  # fmt: skip
    penalty_schedule: str = option(
        "constant", "how the penalty's weight goes to --final-penalty-weight until the end", choices=SCHEDULES
    )
    final_penalty_weight: float = option(0.0, "the penalty's weight at the end, with --penalty-schedule", least=0.0)
    penalty_batch: float = option(1.0, "share of the batch that the penalty sees", least=0.01, most=1.0)
    discriminator_steps: int = option(1, "discriminator updates per iteration", least=1)
    reuse_fakes: bool = option(True, "train the generator on the fakes of the discriminator update")
    optimizer: str = option(
        "separate", "an optimizer for each network, or acgd: one step of both by second derivatives, many times slower,"
        " for small networks", choices=PAIRED_OPTIMIZERS,
    )  # fmt: skip
    generator_optimizer: str = option("adam", "optimizer of the generator", choices=OPTIMIZERS)
    discriminator_optimizer: str = option("adam", "optimizer of the discriminator", choices=OPTIMIZERS)
    generator_learning_rate: float = option(5e-4, "learning rate of the generator", least=0.0)
    discriminator_learning_rate: float = option(5e-4, "learning rate of the discriminator", least=0.0)
    generator_betas: tuple = option(
        (0.0, 0.999), "beta1 and beta2 of the generator's adam or adamw; momentum and rho of rmsprop; sgd uses only the"
        " first, as momentum, acgd only the second", least=0.0, most=0.9999,
    )  # fmt: skip
    discriminator_betas: tuple = option((0.0, 0.999), "the same for the discriminator", least=0.0, most=0.9999)
    beta_schedule: str = option(
        "constant", "how the second decay rates go to --final-beta2 until the end; for adam and adamw",
        choices=SCHEDULES,
    )  # fmt: skip
    final_beta2: float = option(
        0.99, "second decay rate of both optimizers at the end, with --beta-schedule", least=0.0, most=0.9999
    )
    learning_rate_schedule: str = option("constant", "how learning rates change until the end", choices=SCHEDULES)
    ema_half_life: float | tuple = option(
        20_000.0, "half-life, in images, of the generator's moving average (EMA), which generates all samples; of"
        " several, the one that was best at the last score; 0: no EMA", least=0.0, kind=one_or_several,
    )  # fmt: skip
    # scores
    holdout: float = option(0.1, "share of the images held out of training, to score against", least=0.0, most=0.5)
    score_every: int = option(0, "iterations between scores; 0: about twenty per run, in 5%% of its time", least=0)
    score_samples: int = option(0, "samples per score, 64 to 2048; 0: as many as that time allows", least=0, most=2048)
    patience: int = option(0, "stop after N scores in a row without improvement; 0: never", least=0)
    # run
    batch_size: int = option(64, "images in one update", least=1)
    epochs: int = option(4000, "number of epochs, each of --steps-per-epoch iterations", least=1)
    steps_per_epoch: int | str = option(
        1, "iterations per epoch: a number, or 'all' for a pass over the data", kind=steps
    )
    minutes: float = option(
        0.0, "train for X minutes instead of --epochs, not counting scores and saving; 0: for --epochs", least=0.0
    )
    sample_every: int = option(0, "iterations between sample grids and checkpoints; 0: a twentieth of the run", least=0)
    log: str = option("none", "log to this as well as to the console and CSV files", choices=LOGGERS)
    seed: int = option(0, "seed of data order, initial weights, noise and avatars", least=0, most=2**32 - 1)
    devices: str = option(
        "auto", "N or 'all' GPUs of this machine, or cpu:N, N replicas on its CPU; auto: a GPU, if there is one"
    )
    jit: bool = option(False, "compile the step by XLA, for a GPU; untried there")
    cluster: str = option(
        "auto", "processes to train with: slurm: those that srun started; auto: those that TF_CONFIG names, if any",
        choices=CLUSTERS,
    )  # fmt: skip
    device_data: float = option(
        0.5, "keep the images in the memory of each GPU, if they take at most this share of it; 0: never", least=0.0,
        most=0.9,
    )  # fmt: skip
    connect_seconds: int = option(600, "how long the processes of --cluster wait for each other at the start", least=1)
    precision: str = option("auto", "auto: mixed_bfloat16 where hardware has it, else float32", choices=PRECISIONS)
    recipe: str = option(
        "default", "a set of settings by name, which other flags override (default: default, or avatars for the"
        " built-in avatars)", choices=tuple(RECIPES),
    )  # fmt: skip
    output: str = option("output", "folder of all runs, each in a folder of its own")
    run: str = option("", "name of the run's folder in --output (default: recipe, noise, generator, size, data)")

    @classmethod
    def from_dict(cls, saved: dict, defaults: dict | None = None) -> "Config":
        """The configuration of a config.json; what it lacks comes from `defaults`, or is today's. Raises ValueError."""
        fields = {field.name: field.metadata for field in dataclasses.fields(cls)}
        if not fields.keys() & saved.keys():
            raise ValueError("it has none of a run's settings")
        known = {name: value for name, value in {**(defaults or {}), **saved}.items() if name in fields}
        for name, value in known.items():
            if not _is_allowed(value, fields[name]["kind"], fields[name]["least"], fields[name]["most"]):
                raise ValueError(f"{name} is {summarize(repr(value))}")
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in known.items()})

    @property
    def name(self) -> str:
        """The run's folder in --output. It names data that are not the default, so that runs do not collide."""
        if self.run:
            return self.run
        parts = [self.recipe, self.noise, self.generator, str(self.image_size)]
        paths = [Path(data) for data in self.data]
        data = "+".join(remove_data_suffix(path.name) for path in paths)
        if self.data != ("avatars",):
            parts.append(data or "data")
        elif self.recipe == "default":
            parts.append("built-in")  # without it, the name is that of runs of avatars by older versions
        name = "-".join(parts)
        if len(name.encode(errors="replace")) > LONGEST_NAME:
            digest = hashlib.blake2b("/".join(self.data).encode(errors="replace"), digest_size=4).hexdigest()
            name = f"{name[: LONGEST_NAME // 5]}-{digest}"
        return name

    @property
    def data_title(self) -> str:
        """The values of --data, for people."""
        return " + ".join(self.data)

    def choose_augment(self, images: int) -> str:
        """The value of --augment for that many training images: `auto` is decided here."""
        if self.augment != "auto":
            return self.augment
        return AUGMENT_FEW if images < FEW_IMAGES else "none"

    def iterations(self, images: int) -> int:
        """The number of iterations: epochs x steps, where 'all' steps are a pass over that many images."""
        if self.steps_per_epoch == "all":
            return -(-self.epochs * images // self.images_per_iteration)
        return self.epochs * self.steps_per_epoch

    @property
    def penalized(self) -> bool:
        """Whether the discriminator has a penalty at any time, also where its weight starts, or ends, at 0."""
        ends_at = self.final_penalty_weight if self.penalty_schedule != "constant" else 0.0
        return self.penalty != "none" and max(self.penalty_weight, ends_at) > 0

    @property
    def ema_half_lives(self) -> tuple[float, ...]:
        """The half-life of each averaged generator; none where there is no EMA."""
        value = self.ema_half_life
        return value if isinstance(value, tuple) else (value,) if value else ()

    @property
    def images_per_iteration(self) -> int:
        """Real images that one iteration uses."""
        return self.batch_size * self.discriminator_steps


def build_config(given: dict) -> Config:
    """The configuration of the settings that are given: what they lack comes from the recipe, at the image size."""
    given = {"recipe": choose_recipe(given.get("data", Config.data)), **given}
    config = Config(**{**RECIPES[given["recipe"]], **given})
    return Config(**{**_find_usual(config), **given})


def _find_usual(config: Config) -> dict:
    """What the recipe changes of the defaults, at the image size and for the generator of a configuration."""
    usual = dict(find_settings(config.recipe, config.image_size))
    if config.generator not in PALETTE_GENERATORS:
        usual.pop("palette", None)
    return usual


def choose_precision(config: Config, best: str) -> str:
    """The precision of a configuration on a machine where `best` is that of --precision auto. ACGD needs float32."""
    if config.precision != "auto":
        return config.precision
    return "float32" if config.optimizer == "acgd" else best


def follows_images(config: Config) -> bool:
    """Whether the images decide the image size where none is given: not if they are built in or the recipe has one."""
    return "image_size" not in RECIPES.get(config.recipe, {}) and not all(data in DATASETS for data in config.data)


def _is_allowed(value: object, kind: Callable, least: float | None, most: float | None) -> bool:
    """Tests the type and the limits of a setting as JSON has it; its choices may be those of another version."""
    if kind is list:
        return isinstance(value, list) and value != [] and all(isinstance(x, str) for x in value)
    if kind is tuple:
        return isinstance(value, list) and len(value) == 2 and all(_is_allowed(x, float, least, most) for x in value)
    if kind is steps:
        return value == "all" or _is_allowed(value, int, 1, None)
    if kind is one_or_several and isinstance(value, list):
        each = all(_is_allowed(x, float, least, most) and x for x in value)
        return each and len(set(value)) == len(value) > 1
    if kind is one_or_several:
        return _is_allowed(value, float, least, most)
    if kind not in (int, float):
        return isinstance(value, kind)
    is_number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    low = -math.inf if least is None else least
    high = most if most is not None else sys.maxsize if kind is int else sys.float_info.max
    return is_number and low <= value <= high  # which neither NaN nor infinity is


def overrides(config: Config) -> dict:
    """The settings of a configuration that differ from its recipe's; its image size, where the images may decide it."""
    usual = {**dataclasses.asdict(Config()), **_find_usual(config), "recipe": config.recipe}
    if follows_images(config) or config.start_from:
        usual.pop("image_size")
    return {name: value for name, value in dataclasses.asdict(config).items() if value != usual.get(name)}


def format_flag(name: str) -> str:
    """The flag of a setting: noise_size -> --noise-size."""
    return "--" + name.replace("_", "-")


def format_command(config: Config) -> str:
    """The command line that gives a configuration: its recipe and its overrides, quoted for a shell."""
    if config.recipe not in RECIPES:  # an older version's
        config = dataclasses.replace(config, recipe="default", run=config.name)
    words = [] if config.recipe == choose_recipe(config.data) else ["--recipe", config.recipe]
    settings = overrides(config)
    if config.minutes:
        settings = {name: value for name, value in settings.items() if name not in ("epochs", "steps_per_epoch")}
    return join_words(["python", "train.py", *words, *list_flags(settings)])


def list_flags(settings: dict) -> list[str]:
    """The words of a command line that give some settings, by their names."""
    words = []
    for name, value in settings.items():
        flag = format_flag(name)
        for each in value if name == "data" else [value]:
            if isinstance(each, bool):
                words.append(flag if each else flag.replace("--", "--no-", 1))
            elif str(each).startswith("-"):
                words.append(f"{flag}={each}")  # else it looks like a flag itself
            else:
                words += [flag, *map(str, each if isinstance(each, tuple) else [each])]
    return words


def join_words(words: Sequence[str], windows: bool = os.name == "nt") -> str:
    """Joins the words of a command, quoted as the shells of this system read them: on Windows, cmd and PowerShell.

    There, $ and % are not quoted, which these replace in different ways.
    """
    if not windows:
        return shlex.join(words)
    quoted = [subprocess.list2cmdline([word]) for word in words]
    special = re.compile(r"[,@&|<>^();'`{}]")  # to one of them, outside of quotes
    # A backslash before the last quote would be read with it.
    return " ".join(
        f'"{word}{word[len(word.rstrip(chr(92))) :]}"' if special.search(word) and not word.startswith('"') else word
        for word in quoted
    )


def remove_data_suffix(name: str) -> str:
    """The name of a file without one of `FILE_SUFFIXES`."""
    return name.removesuffix(next((suffix for suffix in FILE_SUFFIXES if name.endswith(suffix)), ""))


# Settings that may differ when a run is continued: its length, its outputs, and where things are.
MUTABLE = {
    "epochs", "steps_per_epoch", "minutes", "sample_every", "score_every", "score_samples", "patience", "log",
    "allow_bad", "allow_truncated", "max_pixels", "accept_new_data", "cache_dir", "output", "run", "recipe", "data",
    "devices", "jit", "device_data", "cluster", "connect_seconds", "labels",
}  # fmt: skip


# Settings in which the processes of a run may differ: they are of one machine.
LOCAL = {"data", "labels", "cache_dir", "output", "devices", "device_data", "cluster", "connect_seconds"}


def differences(saved: dict, config: dict, defaults: dict | None = None) -> list[str]:
    """The settings, one line each, that differ between two runs' dictionaries, apart from `MUTABLE` ones.

    A setting that a run does not have has the value of `defaults`, or today's default.
    """
    defaults = json.loads(json.dumps(dataclasses.asdict(Config()))) | (defaults or {})
    saved, config = {**defaults, **saved}, {**defaults, **config}
    ignored = MUTABLE | {"label_digest"}  # `Run.compare_labels` compares the labels
    digests = {str(one.get("faces")).rpartition("(")[2] for one in (saved, config)}
    if config["accept_new_data"] or len(digests) == 1:  # the same images are the same wherever they are
        ignored |= {"faces"}
    lines = []
    for name in {**saved, **config}:
        there, here = saved.get(name), config.get(name)
        if name not in ignored and there != here:
            there, here = (summarize("none" if value == "" else value) for value in (there, here))
            lines.append(f"{name.replace('_', '-')}: {there} there, {here} here")
    return lines
