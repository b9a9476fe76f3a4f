"""Generate images with the generator of a run: one grid, a file each, or an array. A seed always gives the same image.

python -m tools.generate output/RUN                            # seeds 0 to 63 in one grid, generated.png
python -m tools.generate output/RUN --seed 7 --count 1 --scale 8 --smooth
python -m tools.generate output/RUN --count 10000 --separate   # a folder of PNG files
python -m tools.generate output/RUN --count 10000 --npz        # one array
python -m tools.generate output/RUN --label Smiling=1,Male=0   # of a run with labels
"""

import argparse
import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image

if not __package__:  # run as a file: python tools/generate.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from gan import cli, experiment, images
from gan.errors import UsageError
from gan.files import atomic_write
from gan.generation.animation import enlarge
from gan.generation.generator import NOISE_BATCH, Generator
from gan.generation.noise import SEEDS
from gan.runs.run_directory import Run

MAX_PIXELS = 200_000_000  # of a grid, which are 600 MB


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    arguments = parse_arguments(argv)
    return cli.run_command("generate", lambda: generate(arguments))


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = cli.run_parser("generate", __doc__, "generated.png, generated.npz or generated/")
    parser.add_argument(
        "--seed", type=cli.in_range(int, 0, SEEDS - 1), default=0, metavar="N", help="first seed (default: 0)"
    )
    parser.add_argument(
        "--count", type=cli.in_range(int, 1, 1_000_000), default=64, metavar="N", help="images (default: 64)"
    )
    parser.add_argument(
        "--columns", type=cli.in_range(int, 1, 1000), metavar="N", help="columns of the grid (default: square)"
    )
    parser.add_argument(
        "--scale", type=cli.in_range(int, 1, 64), metavar="N", help="enlargement (default: to at least 48 pixels)"
    )
    parser.add_argument("--smooth", action="store_true", help="enlarge smoothly, not each pixel to a square")
    cli.add_truncation_argument(parser)
    cli.add_label_argument(parser, "--label", "labels to ask for", "as in training")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--separate", action="store_true", help="a PNG file for each image, in a folder, not enlarged")
    form.add_argument("--npz", action="store_true", help="arrays: images (n, h, w, 3) uint8, seeds (n,), labels")
    arguments = parser.parse_args(argv)
    if arguments.seed + arguments.count > SEEDS:
        parser.error(f"argument --seed: with --count {arguments.count:,}, {SEEDS - arguments.count:,} is the largest")
    if arguments.npz and (arguments.scale or arguments.smooth):
        parser.error("argument --npz: arrays are not enlarged; leave out --scale and --smooth")
    if arguments.columns and (arguments.npz or arguments.separate):
        parser.error("argument --columns: only a grid has columns; leave out --npz and --separate")
    return arguments


def generate(arguments: argparse.Namespace) -> None:
    """Generates the images of seeds `seed` to `seed + count - 1`, and prints where they are."""
    suffix = ".npz" if arguments.npz else "" if arguments.separate else ".png"
    run, path = Run(arguments.run), cli.output_path(arguments, f"generated{suffix}")
    generator = experiment.load_generator(run, arguments.weights == "best")
    seeds = np.arange(arguments.seed, arguments.seed + arguments.count)
    arguments.requested = generator.parse_labels(arguments.label)
    note = ""
    if arguments.separate:
        earlier = len({*path.glob("face-*.png")} - {path / file_name(seed, arguments.label) for seed in seeds})
        note = f", beside {earlier:,} of earlier calls" if earlier else ""
        for i in range(0, len(seeds), NOISE_BATCH):
            write_separately(path, generator, seeds[i : i + NOISE_BATCH], arguments)
    elif arguments.npz:
        samples = generator.generate_seeds(seeds, arguments.truncation, arguments.requested)
        labels = {}
        if generator.labels:
            encoded = generator.labels.encode(generator.draw_codes(seeds, arguments.requested))
            labels = {"labels": encoded, "columns": np.array(generator.labels.columns)}
        with atomic_write(path) as file:
            np.savez_compressed(file, images=samples, seeds=seeds, **labels)
    else:
        write_grid(path, generator, seeds, arguments)
    print(f"Faces {seeds[0]:,} to {seeds[-1]:,} by {generator.description}: {path}{note}")


def write_grid(path: Path, generator: Generator, seeds: np.ndarray, arguments: argparse.Namespace) -> None:
    """Writes one picture of all images. Raises UsageError where it would have more than `MAX_PIXELS`."""
    scale = arguments.scale or images.display_scale(generator.size)
    if len(seeds) * (scale * generator.size) ** 2 > MAX_PIXELS:
        fits = scale > 1 and len(seeds) * generator.size**2 <= MAX_PIXELS
        smaller = "--scale 1 or --separate" if fits else "--separate or --npz"
        raise UsageError(f"{len(seeds):,} faces are too many for one grid at --scale {scale}: {smaller}")
    samples = generator.generate_seeds(seeds, arguments.truncation, arguments.requested)
    samples = enlarge(samples, scale, arguments.smooth)
    images.write_png(path, images.make_grid(samples, arguments.columns and min(arguments.columns, len(samples))))


def write_separately(folder: Path, generator: Generator, seeds: np.ndarray, arguments: argparse.Namespace) -> None:
    """Writes a PNG file for each seed; not atomically, as forcing each file to the disk takes most of the time."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = generator.generate_seeds(seeds, arguments.truncation, arguments.requested)
    for seed, sample in zip(seeds, enlarge(samples, arguments.scale or 1, arguments.smooth), strict=True):
        Image.fromarray(sample).save(folder / file_name(seed, arguments.label))


def file_name(seed: int, label: str | None = None) -> str:
    """The file name of one image with the labels that were asked for, unlike those of a run's grids."""
    words = "-" + re.sub(r"[^\w=,.-]", "_", label).encode()[:150].decode(errors="ignore") if label else ""
    return f"face-{seed:06d}{words}.png"


if __name__ == "__main__":
    sys.exit(main())
