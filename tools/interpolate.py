"""Animate an interpolation between images of a run's generator: an endless loop, and its steps as a grid.

python -m tools.interpolate output/RUN                         # through seeds 0 to 7: walk.gif and walk.png
python -m tools.interpolate output/RUN --seeds 7 12 40 --out faces.webp
python -m tools.interpolate output/RUN --around 7              # stays near seed 7
python -m tools.interpolate output/RUN --out faces.mp4         # after pip install av
"""

import argparse
import sys
from pathlib import Path

import numpy as np

if not __package__:  # run as a file: python tools/interpolate.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from gan import cli, experiment, images
from gan.generation import animation, noise
from gan.generation.generator import Generator
from gan.runs.run_directory import Run

FRAME_SIZE = 192  # pixels that a frame has at most, unless --scale is given
GRID_COLUMNS, GRID_SIZE = 8, 64  # of the grid: images from one seed to the next, and their pixels
AROUND = 8  # neighbors of the seed of --around
SEED = cli.in_range(int, 0, noise.SEEDS - 1)


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    arguments = parse_arguments(argv)
    return cli.run_command("interpolate", lambda: interpolate(arguments))


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = cli.run_parser("interpolate", __doc__, "walk.gif")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--seeds", type=SEED, nargs="+", default=list(range(8)), metavar="N", help="seeds (default: 0 to 7)"
    )
    which.add_argument("--around", type=SEED, metavar="N", help="stay near this seed")
    parser.add_argument(
        "--distance", type=cli.in_range(float, 0, 1), default=0.35, metavar="X",
        help="with --around: how near, 0 to 1 (default: 0.35)",
    )  # fmt: skip
    parser.add_argument(
        "--frames",
        type=cli.in_range(int, 1, 1000),
        default=20,
        metavar="N",
        help="frames from seed to seed (default: 20)",
    )
    parser.add_argument(
        "--fps", type=cli.in_range(float, 0.1, 50), default=20.0, metavar="X", help="frames a second (default: 20)"
    )
    parser.add_argument(
        "--scale", type=cli.in_range(int, 1, 64), metavar="N", help=f"enlargement (default: to {FRAME_SIZE} pixels)"
    )
    parser.add_argument(
        "--truncation",
        type=cli.in_range(float, 0, 1),
        default=1.0,
        metavar="X",
        help="as in tools.generate (default: 1)",
    )
    arguments = parser.parse_args(argv)
    if arguments.around is None and len(arguments.seeds) < 2:
        parser.error("argument --seeds: two seeds or more are needed; --around N stays near one")
    return arguments


def interpolate(arguments: argparse.Namespace) -> None:
    """Writes the animation, and beside it a grid with one row from each seed to the next."""
    run = Run(arguments.run)
    path = Path(arguments.out) if arguments.out else run.folder / "walk.gif"
    animation.check_suffix(path)
    generator = experiment.load_generator(run, arguments.weights == "best")
    points, distribution = sample_points(arguments, generator), generator.noise_distribution
    frames = generator(noise.interpolation_loop(points, arguments.frames * len(points), distribution))
    scale = arguments.scale or max(1, FRAME_SIZE // generator.size)
    animation.save(path, animation.enlarge(frames, scale, smooth=True), 1 / arguments.fps)
    rows = generator(noise.interpolation_rows(points, GRID_COLUMNS, distribution))
    grid = path.with_name(f"{path.stem}-faces.png") if arguments.out else path.with_suffix(".png")
    images.write_png(grid, images.make_grid(rows, GRID_COLUMNS, scale=max(1, GRID_SIZE // generator.size)))
    which = f"around face {arguments.around}"
    if arguments.around is None:
        which = f"through faces {', '.join(map(str, arguments.seeds))}"
    print(f"Interpolation {which} by {generator.description}: {path} and {grid}")


def sample_points(arguments: argparse.Namespace, generator: Generator) -> np.ndarray:
    """Computes the noise that the loop passes through, (n, *noise_shape): that of the seeds, or near one seed."""
    if arguments.around is None:
        return generator.sample_noise(arguments.seeds, arguments.truncation)
    [center] = generator.sample_noise([arguments.around], arguments.truncation)
    others = generator.sample_noise((arguments.around + np.arange(1, AROUND + 1)) % noise.SEEDS, arguments.truncation)
    return noise.neighbors(center, others, arguments.distance, generator.noise_distribution)


if __name__ == "__main__":
    sys.exit(main())
