"""Animate the training of a run: its sample grids one after the other, each with its iteration.

python -m tools.timelapse output/RUN                         # timelapse.gif, 8 MB at most
python -m tools.timelapse output/RUN --out faces.webp --megabytes 2
"""

import argparse
import sys
from pathlib import Path

if not __package__:  # run as a file: python tools/timelapse.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from gan import cli
from gan.errors import UsageError
from gan.files import atomic_write
from gan.generation import animation
from gan.generation.timelapse import build_timelapse, load_grids
from gan.runs.run_directory import Run


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = cli.run_parser("timelapse", __doc__, "timelapse.gif", generates=False)
    parser.add_argument(
        "--fps", type=cli.in_range(float, 0.1, 50), default=5.0, metavar="X", help="grids a second (default: 5)"
    )
    parser.add_argument(
        "--megabytes",
        type=cli.in_range(float, 0.01, 1000),
        default=8.0,
        metavar="X",
        help="largest file size (default: 8)",
    )
    arguments = parser.parse_args(argv)
    return cli.run_command("timelapse", lambda: timelapse(arguments))


def timelapse(arguments: argparse.Namespace) -> None:
    """Writes the animation, with as many samples and frames as its size allows."""
    run, max_bytes = Run(arguments.run), int(1e6 * arguments.megabytes)
    config = run.load_config()
    path = Path(arguments.out) if arguments.out else run.folder / "timelapse.gif"
    animation.check_suffix(path)
    grids = load_grids(run)
    if not grids:
        raise UsageError(f"{run.folder} has no sample grids. Its training writes some with: {run.resume_command()}")
    lapse = build_timelapse(grids, config, path.suffix.lower(), arguments.fps, max_bytes)
    with atomic_write(path) as file:
        file.write(lapse.content)
    which = f"{lapse.grids} of {len(grids)} grids" if lapse.grids < len(grids) else f"{lapse.grids} grids"
    excess = ""
    if len(lapse.content) > max_bytes:
        excess = f" (more than --megabytes {arguments.megabytes:g}, even with two frames)"
    print(f"{which}, {lapse.columns} x {lapse.columns} faces each, {len(lapse.content) / 1e6:.1f} MB{excess}: {path}")


if __name__ == "__main__":
    sys.exit(main())
