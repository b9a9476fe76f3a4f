"""A walk between faces that ends where it began, as an animation, and its in-betweens as a picture.

python -m tools.interpolate output/RUN                       # through 8 faces: walk.gif and walk.png
python -m tools.interpolate output/RUN --seeds 7 12 40 --out faces.webp
python -m tools.interpolate output/RUN --around 7            # stays near face 7
python -m tools.interpolate output/RUN --out faces.mp4        # after pip install av
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from gan import cli, experiment, images
from gan.generation import animation, noise
from gan.generation.generator import Generator
from gan.runs.run_directory import Run

SHOWN = 192  # pixels that a face has, about, in an animation
BETWEEN = 8  # faces of a leg in the picture
SEED = cli.in_range(int, 0, 2**32 - 1)


def main(argv: list[str] | None = None) -> int:
    """Draws the walk. Returns the exit code."""
    arguments = parse(argv)
    return cli.run_command("interpolate", lambda: interpolate(arguments))


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = cli.run_parser("interpolate", __doc__, "walk.gif")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seeds", type=SEED, nargs="+", default=list(range(8)), metavar="N", help="faces (0 to 7)")
    which.add_argument("--around", type=SEED, metavar="N", help="stay near this face")
    parser.add_argument(
        "--distance", type=cli.in_range(float, 0, 1), default=0.35, metavar="X", help="with --around: how far (0.35)"
    )
    parser.add_argument("--frames", type=cli.in_range(int, 1, 1000), default=20, metavar="N", help="of a leg (20)")
    parser.add_argument("--fps", type=cli.in_range(float, 0.1, 50), default=20.0, metavar="X", help="frames a second")
    parser.add_argument("--scale", type=cli.in_range(int, 1, 64), metavar="N", help=f"enlargement (to {SHOWN} pixels)")
    parser.add_argument("--truncation", type=cli.in_range(float, 0, 1), default=1.0, metavar="X", help="as in generate")
    arguments = parser.parse_args(argv)
    if arguments.around is None and len(arguments.seeds) < 2:
        parser.error("argument --seeds: a walk needs two faces or more; --around N stays near one")
    return arguments


def interpolate(arguments: argparse.Namespace) -> None:
    """Writes the animation, and beside it a PNG with a row a leg."""
    run = Run(arguments.run)
    path = Path(arguments.out) if arguments.out else run.folder / "walk.gif"
    animation.require(path)
    generator = experiment.load_generator(run, arguments.weights == "best")
    points = corners(arguments, generator)
    faces = generator(noise.interpolation_loop(points, arguments.frames * len(points), generator.noise_distribution))
    scale = arguments.scale or max(1, SHOWN // generator.size)
    animation.save(path, animation.enlarge(faces, scale, smooth=True), 1 / arguments.fps)
    legs = generator(np.concatenate([row(points, i, generator.noise_distribution) for i in range(len(points))]))
    picture = path.with_name(f"{path.stem}-faces.png") if arguments.out else path.with_suffix(".png")
    images.write_png(picture, images.make_grid(legs, BETWEEN, scale=max(1, 64 // generator.size)))
    print(f"{generator.description} walked past {named(arguments)}: {path} and {picture}")


def corners(arguments: argparse.Namespace, generator: Generator) -> np.ndarray:
    """The noise of the faces that the walk goes through."""
    law, shape, truncation = generator.noise_distribution, generator.noise_shape, arguments.truncation
    if arguments.around is None:
        return noise.sample_noise(arguments.seeds, shape, law, truncation)
    [centre] = noise.sample_noise([arguments.around], shape, law, truncation)
    others = (arguments.around + np.arange(1, 9)) % 2**32
    return noise.neighbors(centre, noise.sample_noise(others, shape, law, truncation), arguments.distance, law)


def row(points: np.ndarray, i: int, law: str) -> np.ndarray:
    """Evenly from one face to the next, that one left to the next row."""
    return noise.interpolate(points[i], points[(i + 1) % len(points)], np.arange(BETWEEN) / BETWEEN, law)


def named(arguments: argparse.Namespace) -> str:
    """Whose faces they are, for a person."""
    return (
        f"face {arguments.around}" if arguments.around is not None else f"faces {', '.join(map(str, arguments.seeds))}"
    )


if __name__ == "__main__":
    sys.exit(main())
