"""Checkpoints: one .npz file each, written atomically; the newest two are kept, so that a damaged one costs little.

    save(run.checkpoints, iteration, {"generator/000": array, ...})
    others = restore(run.checkpoints, {"generator/000": variable, ...})

The zip archive has a checksum for each array, and holds nothing that can execute code. `Trainer.resume` restores the
rest of a run: tables, scores, diagnostics.
"""

import contextlib
import math
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np

from gan.errors import RunError, UsageError
from gan.files import atomic_write, damage_as_value_error, read_array_header
from gan.runs import legacy

MAX_TO_KEEP = 2
# What a training saves beside its variables, and the shapes; older versions lack some, as do runs of one average.
OTHERS = {
    "seconds": (), "data_seconds": (), "grid_due": (), "pixel_variance": (), "validation": (3,), "shown_average": (),
}  # fmt: skip


def save(folder: Path, iteration: int, arrays: dict[str, np.ndarray]) -> None:
    """Writes `arrays` as folder/<iteration>.npz, then removes all but the newest two."""
    with atomic_write(folder / f"{iteration:09d}.npz") as file:
        np.savez(file, **arrays)
    remove_old(folder)


def remove_old(folder: Path) -> None:
    """Removes all checkpoints but the newest two."""
    for old in list_paths(folder)[:-MAX_TO_KEEP]:
        with contextlib.suppress(PermissionError):  # on Windows, where another program reads it: the next save does it
            old.unlink(missing_ok=True)


def list_paths(folder: Path) -> list[Path]:
    """A folder's checkpoints, oldest first."""
    return sorted(p for p in Path(folder).glob("*.npz") if re.fullmatch(r"\d{9}\.npz", p.name))


def restore(folder: Path, variables: dict) -> dict[str, np.ndarray]:
    """Assigns the newest whole checkpoint to `variables`; returns the other arrays.

    Returns {} where there is no checkpoint. Warns of each damaged one that is passed over, and renames it.
    Raises RunError where all are damaged, and UsageError where a run's were removed, before any variable is changed.
    """
    paths = list_paths(folder)
    generators = (folder.parent / name for name in ("generator.keras", "best.keras"))  # written after a checkpoint
    if not paths and (made := next((path for path in generators if path.exists()), None)):
        raise UsageError(
            f"{folder} no longer has a checkpoint to resume from, and a new start would overwrite {made}. Give --run"
            f" another name, or remove {folder.parent}."
        )
    if not paths:
        return {}
    path, arrays = load_newest(folder, variables)
    if path is None:
        raise RunError(
            f"No checkpoint in {folder} can be read. Start anew: remove {folder.parent}, or give --run another name."
        )
    for damaged in paths[paths.index(path) + 1 :]:  # out of the way, so that it is not one of the two that are kept
        damaged.replace(damaged.with_suffix(".damaged"))
    remove_old(folder)  # a process that was killed after it saved may have left a third
    for name, variable in variables.items():
        variable.assign(arrays.pop(name))
    return arrays


def load_newest(folder: Path, variables: dict) -> tuple[Path | None, dict[str, np.ndarray]]:
    """The newest checkpoint that holds all `variables`, and its arrays; None and {} where there is none.

    Warns of each that does not, and is passed over.
    """
    for path in reversed(list_paths(folder)):
        try:
            return path, load(path, variables)
        except (OSError, ValueError) as error:
            warnings.warn(f"{path} is damaged, or of another version ({error}); passed over", stacklevel=3)
    return None, {}


def load(path: Path, variables: dict) -> dict[str, np.ndarray]:
    """All arrays of a checkpoint, checked against their checksums and against the variables' names and shapes.

    Raises OSError or ValueError where it cannot be read, or holds others.
    """
    with damage_as_value_error():
        _require_whole(path)
        with np.load(path, allow_pickle=False) as file:
            arrays = legacy.translate_arrays({name: file[name] for name in file.files})
    for name in variables:
        if name not in arrays:
            raise ValueError(f"it has no {name}")
    for name, shape in {**OTHERS, **{name: tuple(variable.shape) for name, variable in variables.items()}}.items():
        if name in arrays and arrays[name].shape != shape:
            raise ValueError(f"{name} has shape {arrays[name].shape}, not {shape}")
    averages = {name.split("/")[0] for name in arrays if name.startswith("ema_generator")}
    if averages and not 0 <= (shown := int(arrays.get("shown_average", 0))) < len(averages):
        raise ValueError(f"shown_average is {shown}, and there are {len(averages)} averages")
    return arrays


def _require_whole(path: Path) -> None:
    """Raises an error unless all arrays of a file are numbers, as many as their headers say, and pass their checksums.

    NumPy alone would allocate what a header says, and read no further, so that damage may keep it from the checksum.
    """
    with zipfile.ZipFile(path) as file:
        for entry in file.infolist():
            shape, dtype = read_array_header(file.open(entry))
            if entry.compress_type != zipfile.ZIP_STORED or dtype.kind not in "fiub":
                raise ValueError(f"{entry.filename} is not as it is saved")
            if math.prod(shape) * dtype.itemsize > entry.file_size:
                raise ValueError(f"{entry.filename} is shorter than its header says")
        if damaged := file.testzip():
            raise ValueError(f"{damaged} fails its checksum")


def count_weights(path: Path) -> dict[str, int]:
    """The number of weights of each network, from the headers of a checkpoint; random states do not count.

    Raises OSError or ValueError where it cannot be read.
    """
    counts = {"generator": 0, "discriminator": 0}
    with damage_as_value_error(), zipfile.ZipFile(path) as file:
        for name in file.namelist():
            if (part := name.split("/")[0]) in counts:
                shape, dtype = read_array_header(file.open(name))
                counts[part] += math.prod(shape) if dtype.kind == "f" else 0
    return counts
