"""Command lines: train.py's parser, what the tools share, and how errors become exit codes.

given, dry_run = parse_settings(["--noise", "image"])             # train.py's flags, those that are given
arguments = run_parser("generate", __doc__, "generated.png").parse_args(argv)  # a tool that takes a run
return run_command("generate", lambda: generate(arguments))

The flags of train.py, with their choices, limits and help, are the fields of `Config` in gan/config.py.
"""

import argparse
import dataclasses
import errno
import itertools
import math
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from gan.config import IMAGE_SIZES, Config, build_config, format_flag, one_or_several, steps
from gan.console import prepare_streams
from gan.devices import require_valid_keras_settings
from gan.errors import RunError, UsageError, summarize
from gan.files import expand_path
from gan.runs import legacy

# The titles of --help, each before its first field.
GROUPS = {"data": "data", "noise": "networks", "augment": "training", "holdout": "scores", "batch_size": "run"}
# Flags of other programs, or their values, and what they are here.
ELSEWHERE = {
    **dict.fromkeys(("--lr", "--learning-rate"), "--generator-learning-rate and --discriminator-learning-rate"),
    **dict.fromkeys(("--size", "--img-size", "--resolution"), "--image-size"),
    **dict.fromkeys(("--kimg", "--steps", "--iterations"), "--epochs or --minutes"),
    **dict.fromkeys(("--dataset", "--dataroot"), "--data"),
    **dict.fromkeys(("--latent-dim", "--nz"), "--noise-size"),
    "--optimizer adam": "--generator-optimizer adam and --discriminator-optimizer adam",
    "--augment flip": "--augmentation flip", "--augmentation ada": "--augment ada",
    "--augmentation diffaugment": "--augment diffaugment", "--mirror": "--augmentation flip", "--aug": "--augment",
    "--gpus": "--devices", "--batch": "--batch-size", "--outdir": "--output", "--gamma": "--penalty-weight",
    "--cond": "--labels", "--freezed": "--freeze-discriminator", "--snap": "--sample-every",
    "--resume": "the same command again, or --start-from for a new run",
}  # fmt: skip


def parse_arguments(argv: list[str] | None = None) -> tuple[Config, bool]:
    """Parses train.py's command line: defaults, overridden by the recipe, overridden by flags; and --dry-run.

    Where no image size is given, it is the recipe's, or 32, also where train.py would look at the images. Exits as
    `parse_settings`.
    """
    given, dry_run = parse_settings(argv)
    return build_config(given), dry_run


def parse_settings(argv: list[str] | None = None) -> tuple[dict, bool]:
    """Parses the settings that train.py's command line gives, fields of Config by their names, and --dry-run.

    Exits with code 2, as argparse does, where a flag or its value is not one of those that `--help` shows.
    """
    parser = build_parser()
    given = vars(parser.parse_args(argv))
    dry_run = given.pop("dry_run", False)
    if half_lives := given.get("ema_half_life"):
        require_distinct(parser, "--ema-half-life", half_lives)
        given["ema_half_life"] = one_or_several(half_lives)
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    config = build_config(given)
    for name in ("epochs", "steps_per_epoch"):
        if config.minutes and name in given:
            parser.error(f"argument {format_flag(name)}: --minutes says how long to train: give one of them")
    if config.palette == 1:
        parser.error("argument --palette: 1 is not 0, or at least 2")
    if config.image_size not in IMAGE_SIZES:
        parser.error(f"argument --image-size: {config.image_size} is not a multiple of 4 from 16 to 128")
    if config.discriminator_width == 1:
        parser.error("argument --discriminator-width: 1 is not 0, or at least 2")
    if 0 < config.score_samples < 64:
        parser.error(f"argument --score-samples: {config.score_samples} is not 0, or at least 64")
    if not re.fullmatch(r"auto|all|[1-9]\d{0,3}|cpu:[1-9]\d{0,2}", config.devices):
        parser.error(f"argument --devices: {config.devices!r} is not auto, all, a number of GPUs, or cpu:N")
    if config.labels == "none" and not config.attributes:
        for name in ("unlabelled", "balance", "auxiliary_weight"):
            if getattr(config, name) not in ("drop", False, 0):
                parser.error(f"argument {format_flag(name)}: it needs labels: add --labels auto, folders or a file")
    if Path(config.name).name != config.name or config.name in (".", ".."):
        parser.error(f"argument --run: {config.name!r} is not the name of a folder")
    return given, dry_run


class TrainParser(argparse.ArgumentParser):
    """A parser whose errors also say what the flags of other programs are here."""

    def parse_known_args(self, args=None, namespace=None):
        """As argparse's; remembers the words, for `error`."""
        self.words = [word for each in (sys.argv[1:] if args is None else args) for word in each.split("=", 1)]
        return super().parse_known_args(args, namespace)

    def error(self, message: str):
        """Prints what is wrong and what to type instead, and exits with code 2."""
        given = [*self.words, *map(" ".join, itertools.pairwise(self.words))]
        advice = [f"for {each}, give {ELSEWHERE[each]}" for each in dict.fromkeys(given) if each in ELSEWHERE]
        if re.match(r"unrecognized arguments: [^-\s]", message):
            advice.append("each value needs its flag, as in --data A --data B")
        super().error("; ".join([message, *advice]))


def build_parser() -> argparse.ArgumentParser:
    """The parser of train.py: a flag a field. A flag that is not given leaves no value, so the recipe's applies."""
    parser = TrainParser(
        prog="train.py",
        description="Train a GAN on images of faces. Sample grids, scores and the generator are written to --output;"
        " the same command continues a run that was stopped. The defaults below are for photographs of 32 x 32. The"
        " built-in avatars, larger images and other recipes have others: --dry-run shows those of a command.",
        usage="python train.py [--flag value ...]",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,  # --learning-rate would otherwise be --learning-rate-schedule
    )
    group = parser
    for field in dataclasses.fields(Config):
        if field.name in GROUPS:
            group = parser.add_argument_group(GROUPS[field.name])
        group.add_argument(format_flag(field.name), **argument_options(field))
        # Flags of older versions go on working; --help does not show them.
        for alias in [format_flag(old) for old, new in legacy.SETTINGS.items() if new == field.name]:
            group.add_argument(alias, dest=field.name, **argument_options(field) | {"help": argparse.SUPPRESS})
        if field.name == "augmentation":
            for alias, value in (("--flip", "flip"), ("--no-flip", "none")):
                group.add_argument(
                    alias, dest=field.name, action="store_const", const=value, default=argparse.SUPPRESS,
                    help=argparse.SUPPRESS,
                )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="load the data, write faces.png and skipped.csv, print the settings"
    )
    return parser


def require_distinct(parser: argparse.ArgumentParser, flag: str, values: list[float]) -> None:
    """Ends with exit code 2 where one of several values is 0, which means none, or is given twice."""
    possible = [f"{value:.15g}" for value in dict.fromkeys(values) if value]
    if 1 < len(values) != len(possible):
        lines = [" ".join([flag, *some]) for some in (possible, ["0"] if 0 in values else []) if some]
        parser.error(f"argument {flag}: several values have to differ, and none is 0: give {', or '.join(lines)}")


def argument_options(field: dataclasses.Field) -> dict:
    """The options of argparse's add_argument for a field of Config."""
    kind, default, help = field.metadata["kind"], field.default, field.metadata["help"]
    choices, limits = field.metadata["choices"], (field.metadata["least"], field.metadata["most"])
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction, "help": f"{help} (default: {'yes' if default else 'no'})"}
    if kind is list:
        return {
            "type": in_range(str), "action": "append", "metavar": "NAME", "help": f"{help} (default: {default[0]})"
        }  # fmt: skip
    if kind is one_or_several:
        return {
            "type": in_range(float, *limits), "nargs": "+", "metavar": "X", "help": f"{help} (default: {default})"
        }  # fmt: skip
    if kind is tuple:
        return {
            "type": in_range(float, *limits), "nargs": 2, "metavar": ("BETA1", "BETA2"),
            "help": f"{help} (default: {default[0]} {default[1]})",
        }  # fmt: skip
    if choices:
        former = {old: new for old, new in legacy.NETWORKS.items() if new in choices}
        convert = lambda text: former.get(text, text)  # noqa: E731
    else:
        convert = in_range(kind, 1, None) if kind is steps else in_range(kind, *limits)
    metavar = None if choices else {int: "N", float: "X", str: "NAME"}.get(kind, "N|all")
    shown = help if default == "" or "(default:" in help else f"{help} (default: {default})"
    return {"type": convert, "choices": choices, "metavar": metavar, "help": shown}


def in_range(kind: Callable, least: float | None = None, most: float | None = None) -> Callable:
    """The type of an argument: a function from text to `kind`, which refuses numbers outside least..most.

    A limit that is None is open, but for infinity, which is refused.
    """
    wanted = {int: "a whole number", float: "a number"}.get(kind, "a number, or 'all'")

    def convert(text: str):
        if not text.strip():
            raise argparse.ArgumentTypeError("it is empty")
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None
        if not isinstance(value, int | float):
            return value
        low = -math.inf if least is None else least
        high = most if most is not None else sys.maxsize if isinstance(value, int) else sys.float_info.max
        if not low <= value <= high:
            limits = f"at least {least:,}" if most is None else f"from {least:,} to {most:,}"
            if most is None and value > high:
                limits += ", and finite" if math.isinf(value) else f", and at most {high:,}"
            raise argparse.ArgumentTypeError(f"{text} is not {limits}")
        return value

    return convert


def path_argument(text: str) -> str:
    """The type of an argument that is a path: ~ is the home folder, and it is not empty."""
    text = in_range(str)(text)
    try:
        return str(expand_path(text))
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run_parser(name: str, text: str, out: str, generates: bool = True) -> argparse.ArgumentParser:
    """The parser of a tool that takes a run: its folder, --weights if it generates samples, and --out (`out`)."""
    parser = argparse.ArgumentParser(
        prog=f"python -m tools.{name}", description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=path_argument, metavar="output/RUN", help="folder of a run")
    if generates:
        add_weights_argument(parser)
    parser.add_argument(
        "--out", type=path_argument, metavar="PATH", help=f"what to write (default: {out} in its folder)"
    )
    return parser


def add_weights_argument(parser: argparse.ArgumentParser) -> None:
    """Adds --weights, which says whose generator a tool uses."""
    help = "generator of the best score, or the last (default: best)"
    parser.add_argument("--weights", choices=("best", "last"), default="best", help=help)


def add_cache_argument(parser: argparse.ArgumentParser) -> None:
    """Adds --cache-dir, in place of that of the run or of the user."""
    help = "folder of decoded images, features and classifiers"
    parser.add_argument("--cache-dir", type=path_argument, metavar="NAME", help=help)


def add_truncation_argument(parser: argparse.ArgumentParser) -> None:
    """Adds --truncation, a factor of the noise."""
    help = "factor of the noise; less gives more ordinary images, 0 always the same one (default: 1)"
    parser.add_argument("--truncation", type=in_range(float, 0, 1), default=1.0, metavar="X", help=help)


class JoinLabels(argparse.Action):
    """Joins what a flag that is given several times says: --label Male --label Smiling is --label Male,Smiling."""

    def __call__(self, parser, namespace, values, option_string=None):
        """Stores the text so far and `values`, with a comma between them."""
        earlier = getattr(namespace, self.dest)
        setattr(namespace, self.dest, f"{earlier},{values}" if earlier else values)


def add_label_argument(parser: argparse.ArgumentParser, flag: str, purpose: str, others: str) -> None:
    """Adds a flag for labels that a generator is asked for, and says what they are for, and what `others` are."""
    help = f"{purpose}, such as Smiling=1,Male=0, or a class; other labels are {others}"
    parser.add_argument(flag, type=in_range(str), action=JoinLabels, metavar="NAME", help=help)


def output_path(arguments: argparse.Namespace, name: str) -> Path:
    """The path of a result: --out, or `name` in the run's folder. Raises UsageError where the suffix is another."""
    path, suffix = Path(arguments.out or Path(arguments.run, name)), Path(name).suffix
    if suffix and path.suffix.lower() != suffix:
        raise UsageError(f"--out {path}: its name must end in {suffix}")
    return path


def run_command(name: str, work: Callable[[], int | None], stopped: str = "stopped.", failed: str = "") -> int:
    """Does the work of a command and returns its exit code; an error or Ctrl-C becomes one line on standard error.

    Exit codes: 0, or what `work` returns; 2 for a UsageError, 1 for a RunError, an OSError or where memory is
    exhausted, 130 for Ctrl-C, or 128 and the number of a signal that `interrupt` handles. `stopped` is printed after
    these, `failed` after the message of an OSError.
    """
    prepare_streams()
    with warnings.catch_warnings():  # which restores, at the end, how warnings are shown
        warnings.showwarning = lambda message, *_: print(f"{name}: warning: {message}", file=sys.stderr)
        try:
            require_valid_keras_settings()
            return work() or 0
        except (UsageError, RunError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return error.exit_code
        except OSError as error:
            print(f"{name}: {error}{failed}", file=sys.stderr)
            return 1
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            print(f"{name}: out of memory ({summarize(error)}){failed}", file=sys.stderr)
            return 1
        except KeyboardInterrupt as error:
            print(f"{name}: {stopped}", file=sys.stderr)
            return 128 + (error.args[0] if error.args else signal.SIGINT)


def is_out_of_memory(error: Exception) -> bool:
    """Tests whether an error says that memory, perhaps a GPU's, is exhausted, without importing TensorFlow."""
    if isinstance(error, ImportError):  # of a library that the system cannot load
        return "failed to map segment" in str(error) or os.strerror(errno.ENOMEM) in str(error)
    errors = getattr(sys.modules.get("tensorflow"), "errors", None)  # None while it is being imported
    return isinstance(error, MemoryError) or bool(errors and isinstance(error, errors.ResourceExhaustedError))
