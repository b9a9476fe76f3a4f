"""How the faces came about: a run's pictures one after the other, each with its iteration.

python -m tools.timelapse output/RUN                         # timelapse.gif, 8 MB at most
python -m tools.timelapse output/RUN --out faces.webp --megabytes 2
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np

from gan import cli, images
from gan.config import Config
from gan.errors import UsageError
from gan.files import atomic_write
from gan.generation import animation
from gan.runs.run_directory import Run

ACROSS = (8, 6, 4)  # faces in a row of a frame: as many of these as the size allows; then fewer frames
LAST = 10  # how many frames long the last picture stays


def main(argv: list[str] | None = None) -> int:
    """Makes the animation. Returns the exit code."""
    parser = cli.run_parser("timelapse", __doc__, "timelapse.gif", generates=False)
    parser.add_argument(
        "--fps", type=cli.in_range(float, 0.1, 50), default=5.0, metavar="X", help="pictures a second (5)"
    )
    parser.add_argument(
        "--megabytes", type=cli.in_range(float, 0.01, 1000), default=8.0, metavar="X", help="its size at most (8)"
    )
    arguments = parser.parse_args(argv)
    return cli.run_command("timelapse", lambda: timelapse(arguments))


def timelapse(arguments: argparse.Namespace) -> None:
    """Writes the animation, with as many faces and frames as its size allows."""
    run = Run(arguments.run)
    config, most = run.load_config(), int(1e6 * arguments.megabytes)
    path = Path(arguments.out) if arguments.out else run.folder / "timelapse.gif"
    animation.require(path)
    pictures = readable(run, config)
    if not pictures:
        raise UsageError(
            f"{run.folder} has no pictures. Its training goes on and makes some with: {run.resume_command()}"
        )
    for across in ACROSS:
        shown = frames(pictures, config, across)
        content = encoded(shown, len(shown), arguments.fps, path)
        if len(content) <= most:
            break
    count = len(shown)
    while len(content) > most and count > 2:
        count = max(2, min(count - 1, count * most // len(content)))
        content = encoded(shown, count, arguments.fps, path)
    with atomic_write(path) as file:
        file.write(content)
    which = f"{count} of {len(shown)} pictures" if count < len(shown) else f"{count} pictures"
    over = "" if len(content) <= most else f", which is more than {arguments.megabytes:g} MB: two frames are the least"
    print(f"{which}, {across} x {across} faces each, {len(content) / 1e6:.1f} MB{over}: {path}")


def readable(run: Run, config: Config) -> dict[int, np.ndarray]:
    """A run's pictures by iteration; warns of each that is damaged, or none of this run's."""
    found, side = {}, width(config, ACROSS[0])
    for path in run.list_grids():
        try:
            picture = images.read_png(path)
        except images.UnreadableImage as error:
            warnings.warn(f"left out {path}: {error}", stacklevel=2)
            continue
        if picture.shape == (side, side, 3):
            found[int(path.stem)] = picture
        else:
            warnings.warn(f"left out {path}: not {side} x {side} pixels, as this run's pictures are", stacklevel=2)
    return found


def width(config: Config, across: int) -> int:
    """Of so many faces of a picture, in pixels."""
    return across * (config.image_size * images.display_scale(config.image_size) + 2) - 2


def frames(pictures: dict[int, np.ndarray], config: Config, across: int) -> np.ndarray:
    """The corner of each picture that has `across` faces a row, with its iteration below, uint8 (t, h, w, 3)."""
    side, shown = width(config, across), []
    for iteration, picture in pictures.items():
        text = f"iteration {iteration:,}: {iteration * config.images_per_iteration:,} images"
        shown.append(animation.add_caption(picture[:side, :side], text))
    return np.stack(shown)


def encoded(shown: np.ndarray, count: int, fps: float, path: Path) -> bytes:
    """An animation of `count` frames from the first to the last, which stays, in as much time as all would take."""
    kept = shown[np.linspace(0, len(shown) - 1, count).round().astype(int)]
    kept = np.concatenate([kept, *[kept[-1:]] * (LAST - 1)])
    return animation.encode(kept, path.suffix.lower(), len(shown) / count / fps)


if __name__ == "__main__":
    sys.exit(main())
