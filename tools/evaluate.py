"""Score finished runs against images that they were not trained on.

python -m tools.evaluate output/RUN                       # all networks that are installed
python -m tools.evaluate output/RUN --network onet        # the quickest, in seconds
python -m tools.evaluate output/RUN --network inception   # FID and KID; downloads 90 MB once
python -m tools.evaluate output/A output/B                # one table, if they were measured in the same way

The scores are added to scores.json in the run's folder. nearest.png there shows the samples that are nearest to
training images, each beside its nearest training image and its nearest held-out image.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np

if not __package__:  # run as a file: python tools/evaluate.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from gan import cli, experiment
from gan.devices import setup_devices
from gan.errors import RunError, UsageError
from gan.files import cache_folder
from gan.metrics import report, run_evaluation
from gan.metrics.evaluation import HALVES
from gan.runs import checkpoints
from gan.runs.run_directory import Run
from gan.training.augmentation import AUGMENTATIONS

SAMPLES, MIN_SAMPLES = 2000, 64


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    arguments = parse_arguments(argv)
    return cli.run_command(
        "evaluate", lambda: evaluate(arguments), stopped="stopped. Runs that were finished have their scores.json."
    )


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=cli.path_argument, nargs="+", metavar="output/RUN", help="folders of runs")
    parser.add_argument(
        "--samples", type=cli.in_range(int, MIN_SAMPLES), default=SAMPLES, metavar="N",
        help=f"number of samples to score (default: {SAMPLES:,})",
    )  # fmt: skip
    parser.add_argument(
        "--network", nargs="+", choices=("onet", "vgg", "inception"),
        help="networks whose features are compared (default: onet, and vgg if it is installed)",
    )  # fmt: skip
    parser.add_argument(
        "--inception",
        type=cli.path_argument,
        metavar="PATH",
        help="file of the Inception graph (default: downloaded)",
    )
    parser.add_argument(
        "--reference",
        type=cli.in_range(str),
        action="append",
        metavar="DATA",
        help="images to compare with, as for --data; several are joined (default: held-out images)",
    )
    parser.add_argument(
        "--half", choices=HALVES, default="",
        help="compare with every second of these images: choose settings by one half, report the other (default: all)",
    )  # fmt: skip
    cli.add_weights_argument(parser)
    parser.add_argument(
        "--seed",
        type=cli.in_range(int, 0, 2**32 - 1),
        default=0,
        metavar="N",
        help="seed of the samples' noise (default: 0)",
    )
    cli.add_cache_argument(parser)
    parser.add_argument("--anyway", action="store_true", help="print one table even of runs measured differently")
    arguments = parser.parse_args(argv)
    if arguments.inception and "inception" not in (arguments.network or ()):
        parser.error("argument --inception: it needs --network inception")
    return arguments


def evaluate(arguments: argparse.Namespace) -> None:
    """Scores each run and prints the table. Whatever may be missing raises an error before the first run is scored."""
    best = arguments.weights == "best"
    for run in map(Run, arguments.runs):
        run.load_config()
        if not checkpoints.list_paths(run.checkpoints):  # a generator can be rebuilt from one
            run.find_generator(best)
    setup_devices("float32")
    cases = {name: load_case(Run(name), arguments) for name in arguments.runs}
    extractors = load_extractors(arguments, next(iter(cases.values())).cache)
    results = {}
    for name, case in cases.items():
        generator = experiment.load_generator(case.run, best)
        case.announce(f"generating {arguments.samples:,} samples with {generator.source.name}")
        fake, codes = generate_samples(generator, arguments.samples, arguments.seed, case.shares)
        source = {"file": generator.source.name, "iteration": generator.iteration}
        results[name] = run_evaluation.evaluate_run(case, fake, source, extractors, arguments.seed, codes)
    report.print_scores(results, arguments.anyway)


def load_case(run: Run, arguments: argparse.Namespace) -> run_evaluation.EvaluationCase:
    """Loads the images of a run and, with --reference, those to compare with."""
    config, reference = run.load_config(), None
    if config.augmentation not in AUGMENTATIONS:
        raise UsageError(f"{run.folder} has the augmentation {config.augmentation}, which this version does not have.")
    cache = cache_folder(arguments.cache_dir or config.cache_dir)
    run.read_evaluations()  # a damaged scores.json is reported before the work
    dataset = experiment.reload_data(run, cache)
    name = " + ".join(arguments.reference or [])
    if arguments.reference:
        other = dataclasses.replace(  # what the images of the run were chosen by does not apply to others
            config, data=tuple(arguments.reference), limit=0, sample=0, align="auto", labels="none", attributes="",
            cache_dir=str(cache),
        )  # fmt: skip
        try:
            reference = experiment.load_data(other)
        except (UsageError, RunError) as error:
            message = str(error)
            for data in arguments.reference:
                message = message.removeprefix(f"--data {data}: ")
            raise type(error)(f"--reference {name}: {message}") from error
    mirrors = AUGMENTATIONS[config.augmentation].mirrors
    return run_evaluation.build_case(run, dataset, cache, mirrors, reference, name, arguments.half)


def load_extractors(arguments: argparse.Namespace, cache: Path) -> list:
    """Loads the networks of --network, or all that are installed. Raises UsageError where one is missing."""
    from gan.metrics import feature_extractors, inception

    if not feature_extractors.is_installed("onet"):  # whose package has the face detector
        raise feature_extractors.missing_package_error("onet")
    graph, extractors = Path(arguments.inception) if arguments.inception else None, []
    for name in dict.fromkeys(arguments.network or feature_extractors.installed_extractors()):
        if name == "inception":
            graph = graph or inception.fetch(cache)
        extractors.append(feature_extractors.load_extractor(name, graph))
    return extractors


def generate_samples(generator, count: int, seed: int, shares=None) -> tuple[np.ndarray, np.ndarray | None]:
    """Generates samples, uint8 (count, h, w, 3), from noise that training does not use; and draws their labels.

    After --balance these are drawn as real images have them, whose labels are `shares`: else scores would have the
    difference.
    """
    from dcgan import NOISE_DISTRIBUTIONS, NoiseStream

    sample_noise = NOISE_DISTRIBUTIONS[generator.noise_distribution]
    balanced = generator.config.balance and shares is not None and shares.known.any()
    codes = generator.draw_codes(np.arange(count), labels=shares if balanced else None)
    noise = sample_noise((count, *generator.noise_shape), (seed, NoiseStream.EVALUATION)).numpy()
    return generator(noise, codes), codes


if __name__ == "__main__":
    sys.exit(main())
