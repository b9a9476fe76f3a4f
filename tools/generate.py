"""New faces from a run's generator: one picture of many, or a file each. A face has a number, and keeps it.

python -m tools.generate output/RUN                          # 64 faces, number 0 to 63, in faces.png
python -m tools.generate output/RUN --seed 7 --count 1 --scale 8 --smooth
python -m tools.generate output/RUN --count 10000 --separate # a folder of PNGs
python -m tools.generate output/RUN --count 10000 --npz      # one array
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from gan import cli, experiment, images
from gan.errors import UsageError
from gan.files import atomic_write
from gan.generation import noise
from gan.generation.animation import enlarge
from gan.generation.generator import BATCH_SIZE, Generator
from gan.runs.run_directory import Run

SEEDS = 2**32  # how many faces there are
BATCH, PIXELS = 10 * BATCH_SIZE, 200_000_000  # faces drawn at once; of a picture, 600 MB


def main(argv: list[str] | None = None) -> int:
    """Draws the faces. Returns the exit code."""
    arguments = parse(argv)
    return cli.run_command("generate", lambda: generate(arguments))


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = cli.run_parser("generate", __doc__, "faces.png, faces.npz or faces/")
    parser.add_argument("--seed", type=cli.in_range(int, 0, SEEDS - 1), default=0, metavar="N", help="first face (0)")
    parser.add_argument("--count", type=cli.in_range(int, 1, 1_000_000), default=64, metavar="N", help="faces (64)")
    parser.add_argument("--columns", type=cli.in_range(int, 1, 1000), metavar="N", help="of the picture (square)")
    parser.add_argument("--scale", type=cli.in_range(int, 1, 64), metavar="N", help="enlargement (to 48 pixels)")
    parser.add_argument("--smooth", action="store_true", help="enlarge smoothly, not to squares")
    parser.add_argument(
        "--truncation", type=cli.in_range(float, 0, 1), default=1.0, metavar="X",
        help="pull noise towards its mean: 1 not at all, 0 to the one face there (1)",
    )  # fmt: skip
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--separate", action="store_true", help="a PNG each, in a folder, at its own size")
    form.add_argument("--npz", action="store_true", help="an array: images (n, h, w, 3) uint8, seeds (n,)")
    arguments = parser.parse_args(argv)
    if arguments.seed + arguments.count > SEEDS:
        parser.error(f"argument --seed: with {arguments.count:,} faces it is {SEEDS - arguments.count:,} at most")
    if arguments.npz and (arguments.scale or arguments.smooth):
        parser.error("argument --npz: an array is of faces as they are drawn: without --scale and --smooth")
    if arguments.columns and (arguments.npz or arguments.separate):
        parser.error("argument --columns: only one picture of all faces has columns")
    return arguments


def generate(arguments: argparse.Namespace) -> None:
    """Draws faces number `seed` to `seed + count - 1`, and says what with and where they are."""
    ending = ".npz" if arguments.npz else "" if arguments.separate else ".png"
    run, path = Run(arguments.run), cli.output_path(arguments, f"faces{ending}")
    generator = experiment.load_generator(run, arguments.weights == "best")
    seeds = np.arange(arguments.seed, arguments.seed + arguments.count)
    beside = 0
    if arguments.separate:
        beside = len({*path.glob("face-*.png")} - {path / name(seed) for seed in seeds})
        for part in batches(seeds):
            faces = draw(generator, part, arguments.truncation)
            write_each(path, part, enlarge(faces, arguments.scale or 1, arguments.smooth))
    elif arguments.npz:
        faces = draw(generator, seeds, arguments.truncation)
        with atomic_write(path) as file:
            np.savez_compressed(file, images=faces, seeds=seeds)
    else:
        scale = arguments.scale or images.display_scale(generator.size)
        if len(seeds) * (scale * generator.size) ** 2 > PIXELS:
            raise UsageError(f"{len(seeds):,} faces are too many for one picture so large: --scale 1, or --separate")
        faces = enlarge(draw(generator, seeds, arguments.truncation), scale, arguments.smooth)
        images.write_png(path, images.make_grid(faces, arguments.columns and min(arguments.columns, len(faces))))
    others = f", beside {beside:,} of earlier calls" if beside else ""
    print(f"{generator.description} drew faces {seeds[0]:,} to {seeds[-1]:,}: {path}{others}")


def batches(seeds: np.ndarray) -> list[np.ndarray]:
    """Seeds, so many at a time that their noise needs little memory."""
    return [seeds[i : i + BATCH] for i in range(0, len(seeds), BATCH)]


def draw(generator: Generator, seeds: np.ndarray, truncation: float) -> np.ndarray:
    """The faces with these numbers, uint8 (n, size, size, 3)."""
    parts = (
        noise.sample_noise(part, generator.noise_shape, generator.noise_distribution, truncation)
        for part in batches(seeds)
    )
    return np.concatenate([generator(part) for part in parts])


def write_each(folder: Path, seeds: np.ndarray, faces: np.ndarray) -> None:
    """A PNG each, by number, unlike a run's pictures; not each forced to the disk, which takes most of the time."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, face in zip(seeds, faces, strict=True):
        Image.fromarray(face).save(folder / name(seed))


def name(seed: int) -> str:
    """The file of a face that has one to itself."""
    return f"face-{seed:06d}.png"


if __name__ == "__main__":
    sys.exit(main())
