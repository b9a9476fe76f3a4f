"""The grids of a run: the samples of an iteration as a PNG, all of them as an array, and some training images.

grids = Grids(folder)
grids.save(150, samples)  # <folder>/000150.png
grids.list_paths()
"""

import warnings
import zipfile
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
        paths, scale = [], images.display_scale(size)
        for path in self.list_paths():
            try:
                images.split_grid(images.read_png(path), size, count, scale=scale)
                paths.append(path)
            except (images.UnreadableImage, ValueError) as error:
                warnings.warn(f"samples.npz is without {path}: {error}", stacklevel=2)
        if not paths:
            return
        with (
            atomic_write(self.folder / "samples.npz") as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            with archive.open("iterations.npy", "w") as entry:
                np.lib.format.write_array(entry, np.array([int(path.stem) for path in paths]))
            # As np.savez_compressed does, but a grid at a time: all of them may be larger than the memory.
            with archive.open("images.npy", "w", force_zip64=True) as entry:
                shape = len(paths), count, size, size, 3
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(entry, header)
                for path in paths:
                    entry.write(images.split_grid(images.read_png(path), size, count, scale=scale).tobytes())
