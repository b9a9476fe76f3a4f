"""Measure whom a generator draws: the share of each attribute among its samples, compared with the data.

python -m tools.audit output/RUN                              # of a run with labels: those
python -m tools.audit output/RUN --labels list_attr_celeba.txt  # of any run: all attributes of a file
python -m tools.audit output/RUN --labels auto --attributes Male,Eyeglasses --truncation 0.7 --out ordinary.md

A small classifier is trained on the labelled images, once, and predicts both sides. The report is audit.md in the run's
folder, with audit.csv and the chart audit.png. For a run with labels it also says how often samples are as asked for.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np

if not __package__:  # run as a file: python tools/audit.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from gan import cli, experiment
from gan.errors import UsageError
from gan.files import atomic_write, cache_folder
from gan.generation.generator import NOISE_BATCH
from gan.runs.run_directory import Run

SAMPLES = 10_000
ASKED = 1000  # samples for each value that is asked for
FEWEST = 100  # real images that a comparison needs


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    arguments = parse_arguments(argv)
    return cli.run_command("audit", lambda: audit(arguments))


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = cli.run_parser("audit", __doc__, "audit.md, audit.csv and audit.png")
    parser.add_argument(
        "--labels", type=cli.in_range(str), metavar="NAME",
        help="labels of the run's images: auto, folders or a file (default: those of the run, or auto)",
    )  # fmt: skip
    parser.add_argument("--attributes", type=cli.in_range(str), metavar="NAME", help="those to audit, as A,B,C")
    parser.add_argument(
        "--samples", type=cli.in_range(int, 100, 1_000_000), default=SAMPLES, metavar="N",
        help=f"samples (default: {SAMPLES:,})",
    )  # fmt: skip
    cli.add_truncation_argument(parser)
    cli.add_cache_argument(parser)
    parser.add_argument(
        "--raw", action="store_true", help="the generator as it was trained, not averaged, in place of --weights"
    )
    arguments = parser.parse_args(argv)
    if arguments.raw and arguments.weights == "last":
        parser.error("argument --raw: leave out --weights last, whose place it takes")
    return arguments


def audit(arguments: argparse.Namespace) -> None:
    """Writes the report, and prints what is amplified or reduced."""
    run, path = Run(arguments.run), cli.output_path(arguments, "audit.md")
    config = run.load_config()
    cache = cache_folder(arguments.cache_dir or config.cache_dir)
    own = not arguments.labels
    labels = arguments.labels or (config.labels if config.labels != "none" else "auto")
    attributes = arguments.attributes or (config.attributes if own else "")
    # A run may have been trained on images without labels, too; nothing can be compared with these.
    faces = experiment.reload_data(run, cache, labels=labels, attributes=attributes, unlabelled="drop")
    training, held_out = faces.split(config.holdout)
    if len(held_out) < FEWEST:
        raise UsageError(
            f"{run.folder} held out {len(held_out)} labelled images; an audit needs {FEWEST} or more:"
            f" some {round(FEWEST / (config.holdout or 0.1)):,} labelled images, or a new run with a larger --holdout."
        )
    if arguments.raw:
        generator = experiment.rebuild_generator(run, dataclasses.replace(config, ema_half_life=0.0))
    else:
        generator = experiment.load_generator(run, arguments.weights == "best")
    from gan.metrics import attribute_classifier, audit

    classifier = attribute_classifier.load_for_faces(faces, training, held_out, cache)

    seeds = np.arange(arguments.samples)
    print(f"Generating {len(seeds):,} samples with {generator.description} ...", flush=True)
    asked = generator.draw_codes(seeds)
    sampled = predict(generator, classifier, seeds, asked, arguments.truncation)
    real = np.concatenate([classifier.predict(faces.images[part]) for part in split_into_parts(held_out)])
    rows = audit.compare_shares(faces.labels.take(training), real, sampled, classifier.accuracy)
    pairs = match_attributes(generator, classifier)
    drawn = measure_as_drawn(generator, pairs, asked, sampled)
    evenly = measure_as_asked(generator, classifier, pairs, arguments.truncation)
    notes = describe(arguments, config, generator, faces, len(rows), len(held_out))
    if generator.labels:
        notes += describe_asked(config, generator, {i for i, _ in pairs})
    with atomic_write(path) as file:
        agreements = {
            "Asked for as drawn": drawn,
            "Asked for equally often": evenly,
            "The classifier, on held-out images": audit.measure_agreement(
                faces.labels.attributes, faces.labels.codes[held_out], real
            ),
        }
        report = audit.format_report(rows, agreements, f"Whom {run.folder.name} draws", notes)
        file.write(report.encode("utf-8", "replace"))
    audit.write_csv(path.with_suffix(".csv"), rows)
    title = f"{run.folder.name}, {len(seeds):,} samples{describe_changes(arguments)}"
    audit.draw_chart(rows, path.with_suffix(".png"), title)
    for row in audit.sort_rows(rows):
        if row.verdict:
            print(f"{row.name}: {row.data.value:.1%} in the data, {row.samples} drawn: {row.verdict}")
    for each in evenly:
        print(f"asked for {each.name} ({each.asked}): {each.share} of {each.count:,} samples have it")
    print(f"{path}, with a .csv and a chart beside it")


def describe_changes(arguments: argparse.Namespace) -> str:
    """Says how samples differ from those that the other tools generate."""
    averaged = ", not averaged" if arguments.raw else ""
    return averaged + (f", truncation {arguments.truncation:g}" if arguments.truncation != 1 else "")


def describe(arguments: argparse.Namespace, config, generator, faces, rows: int, held_out: int) -> list[str]:
    """Says what is compared, and what the columns mean."""
    return [
        f"{arguments.samples:,} samples by {generator.description}{describe_changes(arguments)}, and"
        f" {held_out:,} held-out images of {config.data_title}. Labels: {faces.report['labels']['from']}.",
        "",
        "`labelled` is the share among the training images by their labels; the other two are what one classifier sees,"
        " so that its mistakes are on both sides, though it may make others on samples than on real images. Intervals"
        f" are of 95%: by chance alone, about {0.05 * rows:.1f} of {rows} rows would be called amplified or reduced."
        " `classifier right` is its accuracy on held-out images; the last table has it for each label.",
    ]


def describe_asked(config, generator, measured: set[int]) -> list[str]:
    """Says for which labels samples are asked, of a generator with labels, and which attributes are not measured."""
    from gan.metrics.audit import MOST_ASKED

    drawn = "in all combinations equally often, as --balance trains" if config.balance else "as the data have them"
    others = [each.name for i, each in enumerate(generator.labels.attributes) if i not in measured]
    return [
        "",
        f"The generator is asked for labels {drawn}; where a table says so, for each value equally often, of which"
        f" there are {MOST_ASKED} at most, the most frequent ones.",
        *(["", f"Not known to the classifier, so not measured as asked for: {', '.join(others)}."] if others else []),
    ]


def match_attributes(generator, classifier) -> list[tuple[int, int]]:
    """The attributes that generator and classifier both know: pairs of their numbers."""
    if generator.labels is None:
        return []
    known = classifier.labels.attributes
    return [(i, known.index(each)) for i, each in enumerate(generator.labels.attributes) if each in known]


def measure_as_drawn(generator, pairs: list[tuple[int, int]], asked: np.ndarray, predicted: np.ndarray) -> list:
    """How often samples with labels as in the data have these, of each attribute of `match_attributes`."""
    from gan.metrics import audit

    found = []
    for i, j in pairs:
        found += audit.measure_agreement([generator.labels.attributes[i]], asked[:, [i]], predicted[:, [j]])
    return found


def measure_as_asked(generator, classifier, pairs: list[tuple[int, int]], truncation: float) -> list:
    """How often samples have a value that was asked for, each equally often, of each attribute of the pairs."""
    from gan.generation.noise import LABEL_STREAM, uniform
    from gan.metrics import audit

    found = []
    for i, j in pairs:
        attribute = generator.labels.attributes[i]
        seeds = np.arange(ASKED * min(audit.MOST_ASKED, len(attribute.codes)))
        codes = audit.ask_evenly(generator.labels, uniform(seeds, 1, LABEL_STREAM)[:, 0], i)
        predicted = predict(generator, classifier, seeds, codes, truncation)
        found += audit.measure_agreement([attribute], codes[:, [i]], predicted[:, [j]])
    return found


def predict(generator, classifier, seeds: np.ndarray, codes: np.ndarray | None, truncation: float) -> np.ndarray:
    """The codes that the classifier predicts of samples of `seeds`, 0 to n - 1, with labels of `codes` (n, k)."""
    samples = (
        generator(generator.sample_noise(part, truncation), None if codes is None else codes[part])
        for part in split_into_parts(seeds)
    )
    return np.concatenate([classifier.predict(images) for images in samples])


def split_into_parts(rows: np.ndarray) -> list[np.ndarray]:
    """Splits the numbers of images into parts that fit into memory."""
    return [rows[i : i + NOISE_BATCH] for i in range(0, len(rows), NOISE_BATCH)]


if __name__ == "__main__":
    sys.exit(main())
