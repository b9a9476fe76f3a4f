"""Everything that decides a run: one flat Config, and the command line made from it."""

import argparse
import dataclasses
import json
import math
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from gan.recipes import RECIPES


def option(default, help, *, choices=None, least=None, most=None, kind=None):
    """A field whose one line owns its default, its meaning on the command line and its limits."""
    metadata = {"help": help, "choices": choices, "least": least, "most": most, "kind": kind or type(default)}
    return dataclasses.field(default=default, metadata=metadata)


def steps(text: str) -> int | str:
    """The type of --steps-per-epoch: a number of batches, or 'all' for a whole pass."""
    return "all" if text == "all" else int(text)


@dataclass(frozen=True)
class Config:
    """Everything that decides a run, saved as config.json beside its results. The defaults are our best recipe."""

    # data
    data: str = option("avatars", "a folder, a .zip, .npz or .npy file, or built in: avatars, orl, celeba")
    limit: int = option(0, "use the first N images; of avatars draw N (0: all, or 10,000 avatars)", least=0)
    crop: int = option(0, "cut the centre N x N first (0: largest square, and 108 of 178x218)", least=0)
    image_size: int = option(32, "side of a face in pixels, a multiple of 4", least=16, most=128)
    flip: bool = option(True, "mirror half of the faces")
    allow_bad: bool = option(False, "train even if more than 5%% of the images cannot be read")
    cache_dir: str = option("", "where decoded faces are kept (default: the user's cache folder)")
    # networks
    noise: str = option("vector", "what a face grows from", choices=("vector", "image"))
    noise_size: int = option(128, "length of the noise, where it is a vector", least=1)
    noise_distribution: str = option("normal", "the noise's law", choices=("normal", "uniform"))
    generator: str = option(
        "compact",
        "network that makes faces",
        choices=("compact", "conv", "conv-2x2", "upsample", "dense", "conv-dense"),
    )
    discriminator: str = option(
        "compact", "network that judges them", choices=("compact", "conv", "upsample", "dense", "conv-dense")
    )
    width: int = option(32, "channels of the generator's narrowest layers; everything scales with it", least=2)
    discriminator_width: int = option(0, "the same for the discriminator (0: --width)", least=0)
    # game
    loss: str = option("cross-entropy", "what the players descend", choices=("cross-entropy", "least-squares"))
    label_smoothing: float = option(0.0, "targets of real faces are 1 - this", least=0.0, most=0.5)
    penalty: str = option("r1", "penalty on the discriminator", choices=("none", "r1"))
    penalty_weight: float = option(0.05, "the penalty's weight (R1's gamma)", least=0.0)
    penalty_every: int = option(16, "iterations from one penalty to the next", least=1)
    discriminator_steps: int = option(1, "discriminator updates an iteration", least=1)
    reuse_fakes: bool = option(True, "let the generator learn from the very fakes that the discriminator saw")
    generator_learning_rate: float = option(5e-4, "Adam's step size for the generator", least=0.0)
    discriminator_learning_rate: float = option(5e-4, "Adam's step size for the discriminator", least=0.0)
    generator_betas: tuple = option((0.0, 0.999), "Adam's two decays for the generator", least=0.0, most=0.9999)
    discriminator_betas: tuple = option((0.0, 0.999), "Adam's two decays for the discriminator", least=0.0, most=0.9999)
    ema_half_life: float = option(
        20_000.0,
        "half-life, in images, of the generator's moving average (EMA), which makes the pictures (0: none)",
        least=0.0,
    )
    # scores
    holdout: float = option(0.1, "share of the faces that never train, for scores to be against", least=0.0, most=0.5)
    score_every: int = option(
        0, "iterations from one score to the next (0: about twenty a run, in at most 5%% of its time)", least=0
    )
    score_samples: int = option(0, "faces made for one score (0: as many as that time allows)", least=0, most=2048)
    patience: int = option(0, "stop after this many scores without a lower one (0: never)", least=0)
    # run
    batch_size: int = option(64, "images in one update", least=1)
    epochs: int = option(4000, "how many epochs", least=1)
    steps_per_epoch: int | str = option(
        1, "iterations an epoch: a number, or 'all' for a pass over the data", kind=steps
    )
    minutes: float = option(0.0, "train for this long instead of --epochs (0: --epochs)", least=0.0)
    sample_every: int = option(0, "iterations from one picture and checkpoint to the next (0: a twentieth)", least=0)
    seed: int = option(0, "fixes data order, first weights, noise and drawn faces", least=0, most=2**32 - 1)
    precision: str = option(
        "auto",
        "auto: bfloat16 where the hardware multiplies it natively",
        choices=("auto", "float32", "mixed_bfloat16", "mixed_float16"),
    )
    recipe: str = option("default", "a whole set of the above, which flags override")
    run: str = option("", "the run's folder in output/ (default: recipe, noise, generator, size, data)")

    @classmethod
    def of(cls, saved: dict) -> "Config":
        """What a config.json holds, other settings being as by default; ValueError where these are no settings."""
        kinds = {float: int | float, tuple: list, steps: int | str}  # as JSON has them
        fields = {field.name: kinds.get(kind := field.metadata["kind"], kind) for field in dataclasses.fields(cls)}
        if not fields.keys() & saved.keys():
            raise ValueError("it has none of a run's settings")
        known = {name: value for name, value in {**LEGACY_DEFAULTS, **saved}.items() if name in fields}
        for name, value in known.items():
            if not isinstance(value, fields[name]):
                raise ValueError(f"{name} is {value!r}"[:200])
        return cls(**{name: tuple(value) if fields[name] is list else value for name, value in known.items()})

    @property
    def name(self) -> str:
        """The run's folder in output/; data that is not the default is in it, so that runs do not collide."""
        if self.run:
            return self.run
        parts = [self.recipe, self.noise, self.generator, str(self.image_size)]
        path = Path(self.data)
        data = path.stem if path.suffix in (".zip", ".npz", ".npy") else path.name
        return "-".join(parts if self.data == "avatars" else [*parts, data or "data"])

    def iterations(self, faces: int) -> int:
        """How long the run is: epochs x steps, where 'all' steps are a pass over this many faces."""
        if self.steps_per_epoch == "all":
            return -(-self.epochs * faces // self.images_per_iteration)
        return self.epochs * self.steps_per_epoch

    @property
    def images_per_iteration(self) -> int:
        """Real images that one iteration uses."""
        return self.batch_size * self.discriminator_steps


def parse_arguments(argv: list[str] | None = None) -> tuple[Config, bool]:
    """Defaults, overridden by the recipe, overridden by flags; and whether this is a dry run.

    Exits with 2, as argparse does, where a flag or its value is not one of those that `--help` shows.
    """
    parser = build_parser()
    given = vars(parser.parse_args(argv))
    dry_run = given.pop("dry_run", False)
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    config = Config(**{**RECIPES[given.get("recipe", "default")], **given})
    if config.image_size % 4:
        parser.error(f"argument --image-size: {config.image_size} is not a multiple of 4 from 16 to 128")
    if 0 < config.score_samples < 64:
        parser.error(f"argument --score-samples: {config.score_samples} is not 0, or at least 64")
    if Path(config.name).name != config.name or config.name in (".", ".."):
        parser.error(f"argument --run: {config.name!r} is not the name of a folder")
    return config, dry_run


def overrides(config: Config) -> dict:
    """The settings of a configuration that are not as its recipe has them."""
    usual = {**dataclasses.asdict(Config()), **RECIPES.get(config.recipe, {}), "recipe": config.recipe}
    return {name: value for name, value in dataclasses.asdict(config).items() if value != usual[name]}


def format_command(config: Config) -> str:
    """The command line that gives a configuration: its recipe and what departs from that, quoted for a shell."""
    if config.recipe not in RECIPES:  # an older version's
        config = dataclasses.replace(config, recipe="default", run=config.name)
    words = [] if config.recipe == "default" else ["--recipe", config.recipe]
    for name, value in overrides(config).items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif str(value).startswith("-"):
            words.append(f"{flag}={value}")  # else it looks like a flag itself
        else:
            words += [flag, *map(str, value if isinstance(value, tuple) else [value])]
    return shlex.join(["python", "train.py", *words])


# The titles of --help, each before its first field.
GROUPS = {"data": "data", "noise": "networks", "loss": "game", "holdout": "scores", "batch_size": "run"}


def build_parser() -> argparse.ArgumentParser:
    """One flag a field; a flag that is not typed leaves no trace, so that the recipe's value stands."""
    parser = argparse.ArgumentParser(
        prog="train.py",
        description="Trains a GAN on faces; pictures and the generator go to output/. To resume, run it again.",
        epilog="Defaults are those of --recipe default; `--recipe NAME --dry-run` shows another's.",
        usage="python train.py [--flag value ...]",
        argument_default=argparse.SUPPRESS,
    )
    group = parser
    for field in dataclasses.fields(Config):
        if field.name in GROUPS:
            group = parser.add_argument_group(GROUPS[field.name])
        flag = "--" + field.name.replace("_", "-")
        choices = tuple(RECIPES) if field.name == "recipe" else field.metadata["choices"]
        group.add_argument(flag, **argument(field, choices))
    parser.add_argument("--dry-run", action="store_true", help="say what would happen, and stop there")
    return parser


def argument(field: dataclasses.Field, choices) -> dict:
    """What argparse must know of a field."""
    kind, default = field.metadata["kind"], field.default
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction, "help": f"{field.metadata['help']} ({default})"}
    if kind is tuple:
        return {"type": limited(float, field), "nargs": 2, "metavar": ("BETA1", "BETA2"),
                "help": f"{field.metadata['help']} ({default[0]} {default[1]})"}  # fmt: skip
    shown = f"{field.metadata['help']} ({default})" if default != "" else field.metadata["help"]
    metavar = None if choices else {int: "N", float: "X", str: "NAME"}.get(kind, "N|all")
    return {"type": limited(kind, field), "choices": choices, "metavar": metavar, "help": shown}


def limited(kind, field: dataclasses.Field):
    """The type of an argument whose value must lie within the field's limits."""
    least, most = field.metadata["least"], field.metadata["most"]

    def convert(text: str):
        try:
            value = kind(text)
        except ValueError:
            wanted = {int: "a whole number", float: "a number"}.get(kind, "a number, or 'all'")
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None
        number = isinstance(value, int | float)
        if number and not (-math.inf if least is None else least) <= value <= (
            sys.float_info.max if most is None else most
        ):
            open_ended = f"at least {least}{', and finite' if math.isinf(value) else ''}"
            raise argparse.ArgumentTypeError(
                f"{text} is not {open_ended if most is None else f'from {least} to {most}'}"
            )
        if kind is steps and number and value < 1:
            raise argparse.ArgumentTypeError(f"{text} is not a number from 1, or 'all'")
        return value

    return convert


# What may differ between a run and the command that goes on with it: its length, its looks, and where things lie.
MUTABLE = {
    "epochs", "steps_per_epoch", "minutes", "sample_every", "score_every", "score_samples", "patience",
    "allow_bad", "cache_dir", "run", "recipe", "data",
}  # fmt: skip
LEGACY_DEFAULTS = {"holdout": 0.0, "reuse_fakes": False}  # what every run was like before there was the setting


def differences(saved: dict, config: dict) -> list[str]:
    """The settings, one line each, in which two runs' dictionaries differ, apart from those that may.

    A setting that the older one does not know had the value that is the default now, but for those in `BEFORE`.
    """
    defaults = json.loads(json.dumps(dataclasses.asdict(Config()))) | LEGACY_DEFAULTS
    saved, config = {**defaults, **saved}, {**defaults, **config}
    both = [(name, saved.get(name), config.get(name)) for name in {**saved, **config} if name not in MUTABLE]
    digests = (str(one.get("faces")).rpartition("(")[2] for one in (saved, config))
    moved = len(set(digests)) == 1  # the same faces are the same wherever they lie
    other = [found for found in both if found[1] != found[2] and not (moved and found[0] == "faces")]
    return [f"{name.replace('_', '-')}: {there} there, {here} here" for name, there, here in other]
