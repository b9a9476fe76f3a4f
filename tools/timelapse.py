"""How the faces came about: a run's pictures one after the other, each with its iteration.

python -m tools.timelapse output/RUN                         # timelapse.gif, 8 MB at most
python -m tools.timelapse output/RUN --out faces.webp --megabytes 2
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from gan import animations, doors, images
from gan.config import Config
from gan.errors import UsageError
from gan.runs import Run, enlargement

ACROSS = (8, 6, 4)  # faces in a row of a frame: as many of these as the size allows; then fewer frames
LAST = 10  # how many frames long the last picture stays


def main(argv: list[str] | None = None) -> int:
    """Makes the animation. Returns the exit code."""
    parser = doors.parser("timelapse", __doc__, "timelapse.gif", draws=False)
    parser.add_argument(
        "--fps", type=doors.number(float, 0.1, 50), default=5.0, metavar="X", help="pictures a second (5)"
    )
    parser.add_argument(
        "--megabytes", type=doors.number(float, 0.01, 1000), default=8.0, metavar="X", help="its size at most (8)"
    )
    arguments = parser.parse_args(argv)
    return doors.answer("timelapse", lambda: timelapse(arguments))


def timelapse(arguments: argparse.Namespace) -> None:
    """Writes the animation, with as many faces and frames as its size allows."""
    run = Run(arguments.run)
    config, most = run.config(), int(1e6 * arguments.megabytes)
    path = Path(arguments.out) if arguments.out else run.folder / "timelapse.gif"
    animations.require(path)
    pictures = run.pictures()
    if not pictures:
        raise UsageError(f"{run.folder} has no pictures yet: the first appears as its training begins.")
    for across in ACROSS:
        shown = frames(pictures, config, across)
        size = animations.save(path, shown, 1 / arguments.fps, most if across == ACROSS[-1] else 0)
        if size <= most:
            break
    over = "" if size <= most else f", which is more than {arguments.megabytes:g} MB: two frames are the least"
    print(f"{len(pictures)} pictures, {across} x {across} faces each, {size / 1e6:.1f} MB{over}: {path}")


def frames(pictures: list[Path], config: Config, across: int) -> np.ndarray:
    """The corner of each picture that has `across` faces a row, with its iteration below, uint8 (t, h, w, 3)."""
    side = across * (config.image_size * enlargement(config.image_size) + 2) - 2
    shown = []
    for path in pictures:
        iteration = int(path.stem)
        text = f"iteration {iteration:,}: {iteration * config.images_per_iteration:,} images"
        shown.append(animations.captioned(images.read_png(path)[:side, :side], text))
    return np.stack(shown + shown[-1:] * (LAST - 1))


if __name__ == "__main__":
    sys.exit(main())
