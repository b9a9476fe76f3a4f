"""The run folder: everything a run leaves behind, and what the same command needs to go on.

output/<run>/000150.png      samples at iteration 150, always of the same noise
             loss.png        both losses, and the scores below them
             log.csv         a row an iteration
             config.json     what decides the run
             data.json       what was trained on; left-out.csv names what was not, and why
             checkpoints/    the two newest
             generator.keras the generator, to be loaded by Keras alone
             samples.npz     the samples of all grids: iterations (t,), images (t, n, h, w, 3) uint8
             metrics.csv     a row a score
             best.keras      the generator of the best score, best.json which one that is and how it was measured
             health.csv      what went wrong with the game, since when, and what to do about it
             scores.json     what tools.evaluate found; nearest.png are the samples nearest to training faces
             sittings.json   when tools.compare trained it, and on what
"""

import contextlib
import csv
import dataclasses
import json
import os
import warnings
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
from gan.files import atomic_write, damaged_file_error, read_csv, read_json, write_csv, write_json

LOG_COLUMNS = ["iteration", "images", "seconds", "d_loss", "g_loss", "d_real", "d_fake", "images_per_second"]
SCORE_COLUMNS = [
    *("iteration", "images", "seconds", "network", "samples", "kid", "error", "face_rate"),
    *("diversity", "memorisation", "copied", "copying", "cost"),
]
DIAGNOSTIC_COLUMNS = ["iteration", "ailment", "state", "advice"]


class Run:
    """A folder that one configuration owns."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.checkpoints = self.folder / "checkpoints"
        self.log = self.folder / "log.csv"
        self.metrics = self.folder / "metrics.csv"
        self.health = self.folder / "health.csv"

    def claim(self, config: dict) -> None:
        """Makes the folder and writes its config.json; raises UsageError where another configuration owns it."""
        path = self.folder / "config.json"
        if path.exists():
            try:
                saved = self.read_config()
            except UsageError:
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

    def read_config(self) -> dict:
        """What is in config.json; raises UsageError where it is damaged."""
        return read_json(self.folder / "config.json")

    def load_config(self) -> configs.Config:
        """The configuration that owns the folder; raises UsageError where it is not a run's, or does not tell."""
        path = self.folder / "config.json"
        if not os.path.exists(path):
            around = self.folder if self.folder.is_dir() else self.folder.parent
            there = {p.parent for at in (around, self.folder.parent, Path("output")) for p in at.glob("*/config.json")}
            found = f"There are: {', '.join(sorted(map(str, there)))}"
            found = found if there else f"There is none in {around}; python train.py makes one."
            raise UsageError(f"{self.folder} is not the folder of a run. {found}")
        try:
            return configs.Config.of(self.read_config())
        except (OSError, UsageError, ValueError, TypeError) as error:
            reason = "it is damaged" if isinstance(error, UsageError) else getattr(error, "strerror", None) or error
            raise UsageError(f"{path} does not tell what run this is: {reason}") from None

    def resume_command(self, **changes) -> str:
        """What to type for the run to go on, wherever its data are now if `data` is given."""
        return configs.format_command(dataclasses.replace(self.load_config(), run=self.folder.name, **changes))

    def trained_on(self) -> str:
        """What the run was trained on, as train.py put it; empty where that is not known."""
        return self.read_config().get("faces", "")

    def find_generator(self, best: bool = True) -> tuple[Path, int | None]:
        """The file of the generator with the best score, or of the last one, and the iteration it is of.

        Where nothing was scored, the last is all there is; where nothing else is left of the run, None is its
        iteration. Raises UsageError where there is none yet.
        """
        if best and (iteration := self.best_iteration()) is not None:
            return self.folder / "best.keras", iteration
        if not (self.folder / "generator.keras").exists():
            raise UsageError(f"{self.folder} has no generator yet. Its training goes on with: {self.resume_command()}")
        saved = [int(path.stem) for path in self.checkpoints.glob("*.npz") if path.stem.isdecimal()]
        saved = saved or [int(row[0]) for row in read_csv(self.log, len(LOG_COLUMNS))]  # which may be ahead of it
        return self.folder / "generator.keras", max(saved, default=None)

    def best_iteration(self) -> int | None:
        """The iteration that best.keras is of, or None where there is none."""
        path = self.folder / "best.json"  # the later of the two
        whole = path.exists() and (self.folder / "best.keras").exists()
        return read_json(path, names={"iteration"})["iteration"] if whole else None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
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

    def write_data_report(self, report: dict, left_out: list[tuple[str, str]]) -> None:
        """Writes what was trained on, and the name and reason of each file that was not."""
        write_json(self.folder / "data.json", report)
        write_csv(self.folder / "left-out.csv", [("file", "reason"), *left_out])

    def truncate_tables(self, last: int) -> None:
        """Cuts all tables after iteration `last`: rows that a killed process wrote after its last checkpoint.

        Raises UsageError, all tables being as they were, where one has other columns.
        """
        tables = [(self.log, LOG_COLUMNS), (self.metrics, SCORE_COLUMNS), (self.health, DIAGNOSTIC_COLUMNS)]
        for path, columns in tables:
            first = path.read_text("utf-8", "replace").partition("\n")[0] if path.exists() else ""
            if first and first.split(",") != columns:
                raise UsageError(
                    f"{path} is of another version of this program, or damaged: its columns are not"
                    f" {', '.join(columns)}. Give --run another name to start anew."
                )
        for path, columns in tables:
            write_csv(path, [columns, *(row for row in read_csv(path, len(columns)) if int(row[0]) <= last)])

    def append_rows(self, path: Path, rows: list[tuple]) -> None:
        """Adds rows to one of the tables."""
        with open(path, "a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
            file.flush()
            os.fsync(file.fileno())  # the checkpoint that follows must not outlive these rows

    def append_score(self, score: dict) -> None:
        """Adds a score to metrics.csv, so that it reads back the same; what is None is left empty."""
        self.append_rows(
            self.metrics, [tuple("" if score[name] is None else str(score[name]) for name in SCORE_COLUMNS)]
        )

    def read_scores(self) -> list[dict]:
        """The rows of metrics.csv; raises UsageError where it is damaged."""
        kinds = dict.fromkeys(("iteration", "images", "samples", "copying"), int) | {
            "network": str,
            "face_rate": lambda text: float(text) if text else None,
        }
        try:
            return [
                {name: kinds.get(name, float)(text) for name, text in zip(SCORE_COLUMNS, row, strict=True)}
                for row in read_csv(self.metrics, len(SCORE_COLUMNS))
            ]
        except ValueError:
            raise damaged_file_error(self.metrics) from None

    def read_log(self, last: int = 0) -> np.ndarray:
        """So many of the log's last rows, 0: all of them, (n, 8); raises UsageError where it is damaged."""
        try:
            return np.array(read_csv(self.log, len(LOG_COLUMNS))[-last:], float).reshape(-1, len(LOG_COLUMNS))
        except ValueError:
            raise damaged_file_error(self.log) from None

    def last_losses(self, count: int) -> list[tuple[float, ...]]:
        """Both losses, D(x) and D(G(z)) of the last rows of the log, as they are written there."""
        return [tuple(row[3:7]) for row in self.read_log(count).tolist()]

    def active_failures(self) -> dict[str, str]:
        """The ailments of health.csv that are not over, each with its advice."""
        state = {}
        for _, name, what, advice in read_csv(self.health, len(DIAGNOSTIC_COLUMNS)):
            state.pop(name, None)
            if what == "began":
                state[name] = advice
        return state

    def grid_path(self, iteration: int) -> Path:
        """Where the picture of an iteration is, or will be."""
        return self.folder / f"{iteration:06d}.png"

    def list_grids(self) -> list[Path]:
        """The pictures that there are, by iteration."""
        return sorted((p for p in self.folder.glob("*.png") if p.stem.isdecimal()), key=lambda p: int(p.stem))

    def save_grid(self, iteration: int, faces: np.ndarray) -> None:
        """Writes faces (n, h, w, 3), uint8, as <iteration>.png; small ones twice as large."""
        images.write_png(self.grid_path(iteration), images.make_grid(faces, scale=images.display_scale(faces.shape[1])))

    def save_samples(self, size: int, count: int) -> None:
        """Collects the grids' faces in samples.npz, if there are any; warns of each that is damaged, or no grid."""
        found, scale = {}, images.display_scale(size)
        for path in self.list_grids():
            try:
                found[int(path.stem)] = images.split_grid(images.read_png(path), size, count, scale=scale)
            except (images.UnreadableImage, ValueError) as error:
                warnings.warn(f"samples.npz is without {path}: {error}", stacklevel=2)
        if not found:
            return
        with atomic_write(self.folder / "samples.npz") as file:
            np.savez_compressed(file, iterations=[*found], images=np.stack([*found.values()]))

    def save_generator(self, generator, name: str = "generator.keras") -> None:
        """Writes generator.keras, or another file of that kind."""
        temporary = self.folder / ".generator.part.keras"  # Keras writes to a path that ends so, not to a file
        generator.save(temporary)
        with atomic_write(self.folder / name) as file:
            file.write(temporary.read_bytes())
        temporary.unlink()

    def save_best(self, generator, score: dict, protocol: dict) -> None:
        """Writes best.keras, and best.json with its score and how that was measured."""
        self.save_generator(generator, "best.keras")
        write_json(self.folder / "best.json", {**{name: score[name] for name in SCORE_COLUMNS}, "protocol": protocol})

    def remove_best(self) -> None:
        """Removes best.json and best.keras, of an iteration that the run has not come to (again)."""
        for name in ("best.json", "best.keras"):  # the first tells of the second
            (self.folder / name).unlink(missing_ok=True)


def format_iteration(iteration: int | None) -> str:
    """An iteration, or that nothing tells it."""
    return "unknown" if iteration is None else f"{iteration:,}"
