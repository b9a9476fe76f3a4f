"""Few images: trains recipes on the first N images of a data set, and scores them against images that none has seen.

    python -m benchmarks.few_images --data celeba.zip --out FOLDER --limit 500 2000 \\
        --recipes default,augment=none:3 default,augment=ada:3 default,augment=diffaugment:1
    python -m benchmarks.few_images ... --half report    # the scores to publish, of the same runs

--recipes are those of tools.compare, with their numbers of seeds; images are 32 x 32 unless image_size=N. The images
beyond the largest N are split in two halves, FOLDER/choose-*.npy and FOLDER/report-*.npy: settings are chosen by
scores against the first, and what is reported is measured against the second. Ctrl-C saves and stops; the same command
goes on, and repeats nothing. The table is the last thing printed, and in FOLDER/few-images-HALF.md.
"""

import argparse
import dataclasses
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

import numpy as np

from gan import experiment
from gan.cli import in_range, parse_arguments, path_argument, run_command
from gan.comparison.runner import Stopped, require_success, run_process
from gan.comparison.variants import Variant, parse_variants
from gan.config import Config
from gan.errors import UsageError
from gan.files import atomic_write
from gan.metrics.evaluation import HALVES
from gan.metrics.report import format_number
from gan.runs.run_directory import Run

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = {  # of the table, beside the fd
    "kid": "kid-{}", "precision": "precision-{}", "recall": "recall-{}", "face rate": "face_rate",
}  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    arguments = parse(argv)
    try:
        return run_command("few_images", lambda: benchmark(arguments))
    except Stopped as stopped:
        print("few_images: stopped. The same command goes on from here.", file=sys.stderr)
        return stopped.args[0]


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.few_images", description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=path_argument, required=True, metavar="DATA", help="as for train.py")
    parser.add_argument("--out", type=path_argument, required=True, metavar="FOLDER", help="folder of runs and results")
    parser.add_argument(
        "--recipes", nargs="+", required=True, metavar="RECIPE[,SETTING=VALUE]...[:SEEDS]",
        help="what to compare, or @FILE with one a line; the first is what the others are divided by",
    )  # fmt: skip
    parser.add_argument(
        "--limit", nargs="+", type=in_range(int, 60), default=[500, 2000], metavar="N",
        help="numbers of images to train on, a tenth of them held out to choose the best generator (default: 500 2000)",
    )  # fmt: skip
    parser.add_argument(
        "--seen", type=in_range(int, 1), default=300_000, metavar="N",
        help="images that each run sees, some many times (default: 300,000)",
    )  # fmt: skip
    parser.add_argument(
        "--minutes", type=in_range(float, 0.01), metavar="X", help="minutes that each run trains, instead of --seen"
    )
    parser.add_argument("--half", choices=HALVES, default="choose", help="images to score against (default: choose)")
    parser.add_argument("--network", choices=("onet", "vgg"), default="vgg", help="feature extractor (default: vgg)")
    parser.add_argument("--cache-dir", type=path_argument, metavar="NAME", help="folder of decoded images and features")
    arguments = parser.parse_args(argv)
    arguments.out = Path(arguments.out)
    return arguments


def benchmark(arguments: argparse.Namespace) -> None:
    """Trains and scores what is not done yet, and prints the table."""
    counts = parse_variants(arguments.recipes)
    trials = [
        (limit, variant, seed)
        for seed in range(max(counts.values()))
        for limit in arguments.limit
        for variant, count in counts.items()
        if seed < count
    ]
    configs = [parse_arguments(training_flags(arguments, *trial))[0] for trial in trials]
    sizes = {config.image_size: config for config in configs}
    references = {size: write_references(arguments, config) for size, config in sizes.items()}
    results = {}
    for number, (trial, config) in enumerate(zip(trials, configs, strict=True), 1):
        run, reference = Run(arguments.out / config.run), references[config.image_size]
        if not find_scores(run, reference, arguments.network):
            print(f"few_images: {number} of {len(trials)}: {run.folder.name}", flush=True)
            train = [sys.executable, str(ROOT / "train.py"), *training_flags(arguments, *trial)]
            require_success(run_process(train), "training", run)
            require_success(run_process(evaluation_command(arguments, run, reference)), "evaluation", run)
        results[trial] = find_scores(run, reference, arguments.network)
    table = "\n".join(format_table(results, arguments.network))
    print(table)
    with atomic_write(arguments.out / f"few-images-{arguments.half}.md") as file:
        file.write(f"{table}\n".encode())


def training_flags(arguments: argparse.Namespace, limit: int, variant: Variant, seed: int) -> list[str]:
    """The flags of train.py for one run, at 32 x 32 where the variant has no size, whatever the images are."""
    config, _ = parse_arguments([*variant.flags, "--data", arguments.data])
    epochs = ["--epochs", f"{math.ceil(arguments.seen / config.images_per_iteration)}", "--steps-per-epoch", "1"]
    length = ["--minutes", f"{arguments.minutes:g}"] if arguments.minutes else epochs
    extent = f"{arguments.minutes:g}min" if arguments.minutes else f"{arguments.seen}"
    return [
        *(*variant.flags, "--image-size", f"{config.image_size}"),
        *("--data", arguments.data, "--limit", f"{limit}", *length, "--seed", f"{seed}", "--holdout", "0.1"),
        *("--output", str(arguments.out), "--run", f"{limit}-{extent}-{variant.file_name}-{seed}"),
        *cache_flags(arguments),
    ]


def evaluation_command(arguments: argparse.Namespace, run: Run, reference: Path) -> list[str]:
    """The command that scores one run's best generator."""
    return [
        *(sys.executable, str(ROOT / "tools" / "evaluate.py"), str(run.folder), "--reference", str(reference)),
        *("--network", arguments.network, *cache_flags(arguments)),
    ]


def cache_flags(arguments: argparse.Namespace) -> list[str]:
    """--cache-dir, where it is given."""
    return ["--cache-dir", arguments.cache_dir] if arguments.cache_dir else []


def write_references(arguments: argparse.Namespace, config: Config) -> Path:
    """Writes both halves of the images that no run trains on, unless they are there, and returns the wanted one's path.

    They have the size of `config`; every second image is in the same half. Raises UsageError where they are fewer than
    1,000 each.
    """
    most = max(arguments.limit)
    whole, trained = (experiment.load_data(dataclasses.replace(config, limit=limit)) for limit in (0, most))
    first = len(trained.images)  # more than --limit, where photographs have several faces
    if (left := (len(whole.images) - first) // 2) < 1000:
        raise UsageError(
            f"--data {arguments.data} leaves {max(0, left):,} images a half to score against, and 1,000 are needed:"
            " give a smaller --limit."
        )
    size = config.image_size
    paths = {half: arguments.out / f"{half}-beyond-{most}-{size}-{whole.digest}.npy" for half in HALVES}
    for i, path in enumerate(paths.values()):
        if not path.exists():
            with atomic_write(path) as file:
                np.save(file, whole.images[first + i :: 2])
    return paths[arguments.half]


def find_scores(run: Run, reference: Path, network: str) -> dict | None:
    """The newest scores of a run's best generator against a reference, with its speed; None where there are none."""
    if not (run.folder / "generator.keras").exists():
        return None
    found = [
        result["scores"]
        for result in run.read_evaluations()
        if result["generator"]["iteration"] == run.find_generator()[1]
        and result["protocol"]["reference"]["data"] == str(reference)
        and f"fd-{network}" in result["scores"]
    ]
    if not found:
        return None
    log = run.tables.read_log()
    return found[-1] | {"images": log["images"][-1], "seconds": log["seconds"][-1]}


def format_table(results: dict[tuple, dict], network: str) -> list[str]:
    """Formats a Markdown table: means over seeds, with the lowest and the highest fd, and its ratio to the first's."""
    groups = {}
    for (limit, variant, _), scores in results.items():
        groups.setdefault((limit, variant.label), []).append(scores)
    head = ["images", "recipe", "seeds", f"fd-{network}", "of the first", *COLUMNS, "copying", "seen", "images/s"]
    lines = [head, ["---:", "---", *["---:"] * (len(head) - 2)]]
    for (limit, label), rows in sorted(groups.items(), key=lambda group: group[0][0]):
        first = next(others for (other, _), others in groups.items() if other == limit)
        values, base = ([row[f"fd-{network}"] for row in some] for some in (rows, first))
        lines.append([
            f"{limit:,}", label, str(len(rows)),
            f"{format_number(fmean(values))} ({format_number(min(values))} to {format_number(max(values))})",
            f"{fmean(values) / fmean(base):.2f}",
            *(format_mean(row.get(name.format(network)) for row in rows) for name in COLUMNS.values()),
            f"{sum(row['memorization']['copying'] for row in rows)} of {len(rows)}",
            format_mean(row["images"] for row in rows), format_mean(row["images"] / row["seconds"] for row in rows),
        ])  # fmt: skip
    return [f"| {' | '.join(line)} |" for line in lines]


def format_mean(values: Iterable[float | None]) -> str:
    """Formats a mean; "-" where a value is None."""
    values = list(values)
    return "-" if None in values else format_number(fmean(values))


if __name__ == "__main__":
    sys.exit(main())
