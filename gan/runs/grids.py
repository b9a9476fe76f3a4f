"""The grids of a run: the samples of an iteration as a PNG, all of them as an array, and some training images.

grids = Grids(folder)
grids.save(150, samples)  # <folder>/000150.png
grids.list_paths()
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gan import images
from gan.files import MOST_DIGITS, atomic_write

CONTACTS = 100  # training images in faces.png


class Grids:
    """The grids in the folder of a run.

    Arguments:
        folder: that of the run.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.contact_sheet = self.folder / "faces.png"

    def path(self, iteration: int) -> Path:
        """The path of the grid of an iteration."""
        return self.folder / f"{iteration:06d}.png"

    def save_contact_sheet(self, faces: np.ndarray, rows: np.ndarray, seed: int) -> None:
        """Writes up to `CONTACTS` of the images uint8 (n, h, h, 3) with the numbers `rows`, chosen at random."""
        chosen = np.random.default_rng(seed).permutation(rows)[:CONTACTS]
        sheet = images.make_grid(np.stack([faces[row] for row in chosen]), scale=images.display_scale(faces.shape[1]))
        self.folder.mkdir(parents=True, exist_ok=True)
        images.write_png(self.contact_sheet, sheet)

    def list_paths(self) -> list[Path]:
        """The paths of all grids, by iteration."""
        found = (p for p in self.folder.glob("*.png") if p.stem.isdecimal() and len(p.stem) <= MOST_DIGITS)
        return sorted((p for p in found if p == self.path(int(p.stem))), key=lambda p: int(p.stem))

    def save(self, iteration: int, samples: np.ndarray, names: Sequence[str] = ()) -> np.ndarray:
        """Writes samples, uint8 (n, h, w, 3), as <iteration>.png, small ones enlarged; returns the picture.

        `names` are those of the rows, which are written beside them.
        """
        picture = images.name_rows(images.make_grid(samples, scale=images.display_scale(samples.shape[1])), names)
        images.write_png(self.path(iteration), picture)
        return picture

    def save_samples(self, size: int, count: int) -> None:
        """Collects the samples of all grids in samples.npz; warns of each file that is damaged, or no grid."""
        found, scale = {}, images.display_scale(size)
        for path in self.list_paths():
            try:
                found[int(path.stem)] = images.split_grid(images.read_png(path), size, count, scale=scale)
            except (images.UnreadableImage, ValueError) as error:
                warnings.warn(f"samples.npz is without {path}: {error}", stacklevel=2)
        if not found:
            return
        with atomic_write(self.folder / "samples.npz") as file:
            np.savez_compressed(file, iterations=[*found], images=np.stack([*found.values()]))
