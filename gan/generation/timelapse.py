"""Time-lapse of a run: its sample grids as frames of one animation that stays under a given size.

lapse = build_timelapse(load_grids(run), run.load_config(), ".gif", fps=5, max_bytes=8_000_000)
"""

import warnings
from typing import NamedTuple

import numpy as np

from gan import images
from gan.config import Config
from gan.generation import animation
from gan.runs.run_directory import Run

COLUMNS = (8, 6, 4)  # columns of a frame to try, until the animation is small enough; then frames are dropped
LAST_FRAMES = 10  # frames for which the last grid stays


class Timelapse(NamedTuple):
    """An encoded animation, the number of its grids, and of the columns and rows of samples in each."""

    content: bytes
    grids: int
    columns: int


def build_timelapse(grids: dict[int, np.ndarray], config: Config, suffix: str, fps: float, max_bytes: int) -> Timelapse:
    """Encodes grids with as many samples, and then as many frames, as `max_bytes` allows.

    It keeps two frames at least, even where these are larger.

    Arguments:
        grids: iteration -> grid, as `load_grids` returns them.
        suffix: one of `animation.SUFFIXES`.
        fps: grids a second, where none is dropped; fewer last as long.
    """
    for columns in COLUMNS:
        frames = build_frames(grids, config, columns)
        content = encode_evenly(frames, len(frames), suffix, fps)
        if len(content) <= max_bytes:
            break
    count = len(frames)
    while len(content) > max_bytes and count > 2:
        count = max(2, min(count - 1, count * max_bytes // len(content)))
        content = encode_evenly(frames, count, suffix, fps)
    return Timelapse(content, count, columns)


def load_grids(run: Run) -> dict[int, np.ndarray]:
    """Reads the grids of a run, uint8 (h, w, 3), by iteration; warns of files that are damaged or of another size.

    Those of a run with labels have the names of their rows in a margin at the left, of which each gets the widest.
    """
    grids, width, labelled = {}, grid_width(run.load_config(), COLUMNS[0]), run.load_labels() is not None
    for path in run.grids.list_paths():
        try:
            grid = images.read_png(path)
        except images.UnreadableImage as error:
            warnings.warn(f"skipped {path}: {error}", stacklevel=2)
            continue
        if len(grid) == width <= grid.shape[1] and (labelled or grid.shape[1] == width):
            grids[int(path.stem)] = grid
        else:
            warnings.warn(f"skipped {path}: not {width} x {width} pixels as the grids of this run", stacklevel=2)
    widest = max((grid.shape[1] for grid in grids.values()), default=0)
    return {
        iteration: np.pad(grid, ((0, 0), (widest - grid.shape[1], 0), (0, 0)), constant_values=255)
        for iteration, grid in grids.items()
    }


def build_frames(grids: dict[int, np.ndarray], config: Config, columns: int) -> np.ndarray:
    """Cuts `columns` columns and rows from the corner of each grid, with their names and a caption: (t, h, w, 3)."""
    width, whole, frames = grid_width(config, columns), grid_width(config, COLUMNS[0]), []
    for iteration, grid in grids.items():
        text = f"iteration {iteration:,}: {iteration * config.images_per_iteration:,} images"
        frames.append(animation.add_caption(grid[:width, : width + grid.shape[1] - whole], text))
    return np.stack(frames)


def encode_evenly(frames: np.ndarray, count: int, suffix: str, fps: float) -> bytes:
    """Encodes `count` of the frames, evenly from the first to the last, in the time that all would take."""
    chosen = frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]
    chosen = np.concatenate([chosen, *[chosen[-1:]] * (LAST_FRAMES - 1)])
    return animation.encode(chosen, suffix, len(frames) / count / fps)


def grid_width(config: Config, columns: int) -> int:
    """Computes the width in pixels of so many columns of a grid."""
    return columns * (config.image_size * images.display_scale(config.image_size) + images.GRID_GAP) - images.GRID_GAP
