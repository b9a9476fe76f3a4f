"""The run folder: everything a run leaves behind, and what the same command needs to go on.

output/<run>/000150.png      samples at iteration 150, always of the same noise
             loss.png        both losses
             log.csv         a row an iteration
             config.json     what decides the run
             data.json       what was trained on; left-out.csv names what was not, and why
             checkpoints/    the two newest
             generator.keras the generator, to be loaded by Keras alone
             samples.npz     the samples of all grids: iterations (t,), images (t, n, h, w, 3) uint8
"""

import contextlib
import csv
import io
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from gan import config as configs
from gan import images
from gan.errors import UsageError
from gan.files import atomic

COLUMNS = ["iteration", "images", "seconds", "d_loss", "g_loss", "d_real", "d_fake", "images_per_second"]


class Run:
    """A folder that one configuration owns."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.checkpoints = self.folder / "checkpoints"
        self.log = self.folder / "log.csv"

    def claim(self, config: dict) -> None:
        """Makes the folder and writes its config.json; raises UsageError where another configuration owns it."""
        path = self.folder / "config.json"
        if path.exists():
            try:
                saved = dict(json.loads(path.read_text("utf-8")))
            except (ValueError, TypeError):
                saved = {}  # it is written whole or not at all, so somebody else wrote this one
            if different := configs.differences(saved, json.loads(json.dumps(config))):
                raise UsageError(
                    f"{self.folder} holds a run of another configuration:\n  "
                    + "\n  ".join(different)
                    + "\nGive --run another name, or remove that folder."
                )
        for part in [*self.folder.glob(".*.part*"), *self.checkpoints.glob(".*.part")]:
            part.unlink(missing_ok=True)  # what a killed process was writing
        write_json(path, config)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes out of the folder meanwhile; raises UsageError where one is in it.

        The system lets go of the lock however the process ends. Windows has no such lock, and none is kept there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".lock", "w") as file:
            try:
                if fcntl:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"Another process is training in {self.folder}. Give --run another name.") from None
            yield

    def describe_data(self, report: dict, left_out: list[tuple[str, str]]) -> None:
        """Writes what was trained on, and the name and reason of each file that was not."""
        write_json(self.folder / "data.json", report)
        write_csv(self.folder / "left-out.csv", [("file", "reason"), *left_out])

    def keep_rows(self, last: int) -> None:
        """Cuts the log after iteration `last`: rows that a killed process wrote after its last checkpoint."""
        rows = []
        if self.log.exists():
            lines = csv.reader(self.log.read_text().splitlines())
            rows = [r for r in lines if len(r) == len(COLUMNS) and r[0].isdigit() and int(r[0]) <= last]
        write_csv(self.log, [COLUMNS, *rows])

    def append_rows(self, rows: list[tuple]) -> None:
        """Adds rows to the log."""
        with open(self.log, "a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
            file.flush()
            os.fsync(file.fileno())  # the checkpoint that follows must not outlive these rows

    def grid(self, iteration: int) -> Path:
        """Where the picture of an iteration is, or will be."""
        return self.folder / f"{iteration:06d}.png"

    def save_grid(self, iteration: int, faces: np.ndarray) -> None:
        """Writes faces (n, h, w, 3), uint8, as <iteration>.png; small ones twice as large."""
        images.write_png(self.grid(iteration), images.grid(faces, scale=enlargement(faces.shape[1])))

    def save_samples(self, size: int, count: int) -> None:
        """Collects all grids' faces in samples.npz."""
        grids = sorted((p for p in self.folder.glob("*.png") if p.stem.isdigit()), key=lambda p: int(p.stem))
        faces = [images.ungrid(images.read_png(p), size, count, scale=enlargement(size)) for p in grids]
        with atomic(self.folder / "samples.npz") as file:
            np.savez_compressed(file, iterations=[int(p.stem) for p in grids], images=np.stack(faces))

    def save_generator(self, generator) -> None:
        """Writes generator.keras."""
        temporary = self.folder / ".generator.part.keras"  # Keras writes to a path that ends so, not to a file
        generator.save(temporary)
        with atomic(self.folder / "generator.keras") as file:
            file.write(temporary.read_bytes())
        temporary.unlink()


def enlargement(size: int) -> int:
    """How many pixels a face's pixel takes a side, in a grid."""
    return max(1, math.ceil(48 / size))


def write_json(path: Path, content: dict) -> None:
    """Writes a dictionary, indented."""
    with atomic(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def write_csv(path: Path, rows: list) -> None:
    """Writes rows, the header first."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    with atomic(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))
