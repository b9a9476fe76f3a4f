"""Animate an interpolation between images of a run's generator: an endless loop, and its steps as a grid.

python -m tools.interpolate output/RUN                         # through seeds 0 to 7: walk.gif and walk.png
python -m tools.interpolate output/RUN --seeds 7 12 40 --out faces.webp
python -m tools.interpolate output/RUN --around 7              # stays near seed 7
python -m tools.interpolate output/RUN --out faces.mp4         # after pip install av
python -m tools.interpolate output/RUN --label Smiling=1       # of a run with labels
python -m tools.interpolate output/RUN --from-label Smiling=0 --to-label Smiling=1  # the same noise, other labels
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
AROUND, DISTANCE = 8, 0.35  # neighbors of the seed of --around, and how near they are
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
        "--distance", type=cli.in_range(float, 0, 1), metavar="X",
        help=f"with --around: how near, 0 to 1 (default: {DISTANCE:g})",
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
    cli.add_truncation_argument(parser)
    cli.add_label_argument(parser, "--label", "labels to ask for", "as in training")
    cli.add_label_argument(parser, "--from-label", "labels at the start of the walk", "as in training")
    cli.add_label_argument(parser, "--to-label", "labels at its end", "those of --from-label")
    arguments = parser.parse_args(argv)
    if bool(arguments.from_label) != bool(arguments.to_label) or (arguments.from_label and arguments.label):
        parser.error("argument --from-label: it goes together with --to-label, and without --label")
    if arguments.from_label and arguments.around is not None:
        parser.error("argument --around: with --from-label, the noise is that of --seeds")
    if arguments.around is None and arguments.distance is not None:
        parser.error("argument --distance: it needs --around N, from whose seed it is measured")
    if arguments.around is None and len(arguments.seeds) < 2 and not arguments.from_label:
        parser.error("argument --seeds: two seeds or more are needed; --around N stays near one")
    return arguments


def interpolate(arguments: argparse.Namespace) -> None:
    """Writes the animation, and beside it a grid with one row from each seed to the next."""
    run = Run(arguments.run)
    path = Path(arguments.out) if arguments.out else run.folder / "walk.gif"
    animation.check_suffix(path)
    generator = experiment.load_generator(run, arguments.weights == "best")
    requests = [generator.parse_labels(text) for text in (arguments.label, arguments.from_label, arguments.to_label)]
    if arguments.from_label:
        change_labels(arguments, generator, requests[1:], path)
        return
    points, distribution = sample_points(arguments, generator), generator.noise_distribution
    vectors = sample_labels(arguments, generator, requests[0])
    count = arguments.frames * len(points)
    labels = None if vectors is None else noise.interpolation_loop(vectors, count, "uniform")
    frames = generator(noise.interpolation_loop(points, count, distribution), labels)
    scale = arguments.scale or max(1, FRAME_SIZE // generator.size)
    animation.save(path, animation.enlarge(frames, scale, smooth=True), 1 / arguments.fps)
    labels = None if vectors is None else noise.interpolation_rows(vectors, GRID_COLUMNS, "uniform")
    rows = generator(noise.interpolation_rows(points, GRID_COLUMNS, distribution), labels)
    which = f"around face {arguments.around}"
    if arguments.around is None:
        which = f"through faces {', '.join(map(str, arguments.seeds))}"
    write_steps(arguments, generator, path, rows, which)


def change_labels(arguments: argparse.Namespace, generator: Generator, requests: list[dict], path: Path) -> None:
    """Writes an animation in which the labels of all seeds change, to and fro, and a grid with a row for each seed."""
    points = generator.sample_noise(arguments.seeds, arguments.truncation)
    codes = generator.draw_codes(arguments.seeds, requests[0])
    others = codes.copy()
    for number, code in requests[1].items():
        others[:, number] = code
    ends = np.stack([generator.labels.encode(each) for each in (codes, others)])  # (2, seeds, width)
    size = generator.size * len(points)
    scale = arguments.scale or max(1, FRAME_SIZE // generator.size if len(points) == 1 else 3 * FRAME_SIZE // size)
    frames = [
        images.make_grid(generator(points, vectors), len(points), scale=scale)
        for vectors in noise.interpolation_loop(ends, 2 * arguments.frames, "uniform")
    ]
    animation.save(path, np.stack(frames), 1 / arguments.fps)
    steps = [
        generator(points, vectors) for vectors in noise.interpolate(*ends, np.linspace(0, 1, GRID_COLUMNS), "uniform")
    ]
    rows = np.stack(steps, axis=1).reshape(-1, *steps[0].shape[1:])
    which = f"of faces {', '.join(map(str, arguments.seeds))} from {arguments.from_label} to {arguments.to_label}"
    write_steps(arguments, generator, path, rows, which)


def write_steps(arguments: argparse.Namespace, generator: Generator, path: Path, rows: np.ndarray, which: str) -> None:
    """Writes a grid of some steps of an animation beside it, and prints where both are."""
    grid = path.with_name(f"{path.stem}-faces.png") if arguments.out else path.with_suffix(".png")
    images.write_png(grid, images.make_grid(rows, GRID_COLUMNS, scale=max(1, GRID_SIZE // generator.size)))
    print(f"Interpolation {which} by {generator.description}: {path} and {grid}")


def sample_labels(arguments: argparse.Namespace, generator: Generator, requested: dict[int, int]) -> np.ndarray | None:
    """The labels of the points of the loop, float32 (n, width): those of each seed; None without labels."""
    if generator.labels is None:
        return None
    seeds = arguments.seeds if arguments.around is None else [arguments.around] * AROUND
    return generator.labels.encode(generator.draw_codes(seeds, requested))


def sample_points(arguments: argparse.Namespace, generator: Generator) -> np.ndarray:
    """Computes the noise that the loop passes through, (n, *noise_shape): that of the seeds, or near one seed."""
    if arguments.around is None:
        return generator.sample_noise(arguments.seeds, arguments.truncation)
    [center] = generator.sample_noise([arguments.around], arguments.truncation)
    others = generator.sample_noise((arguments.around + np.arange(1, AROUND + 1)) % noise.SEEDS, arguments.truncation)
    return noise.neighbors(
        center, others, DISTANCE if arguments.distance is None else arguments.distance, generator.noise_distribution
    )


if __name__ == "__main__":
    sys.exit(main())
