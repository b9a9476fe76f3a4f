"""Read all files of a folder of runs as values that are equal for equal runs, whenever those were trained.

assert read_folder(one) == read_folder(other)

Reading is also the test that each file is whole: one that is not raises ValueError with its name.
"""

import csv
import hashlib
import io
import json
import os
import re
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

# Columns, keys and arrays that depend on the time.
CLOCK = {
    *("seconds", "images_per_second", "eval_seconds", "data_seconds", "validation", "created", "modified"),
    *("begun", "nearest", "audit"),  # in the gallery: when pictures were written
}
TEMPORARY = re.compile(r"\..*\.part(\.keras)?")  # what a killed process was writing


def read_folder(folder: Path) -> dict[str, object]:
    """The content of every file, by its path from the folder on; None for a temporary one.

    Raises ValueError where a file is damaged, or of a kind that no run has.
    """
    contents = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            try:
                contents[name] = None if TEMPORARY.fullmatch(path.name) else READERS[path.suffix](path)
            except Exception as error:  # each format has errors of its own
                raise ValueError(f"{name} is not whole: {type(error).__name__}: {error}") from error
    return contents


def list_differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """The names of files that only one of two folders has, or whose contents differ."""
    missing = object()
    return sorted(name for name in {**one, **other} if one.get(name, missing) != other.get(name, missing))


def read_table(path: Path) -> list[list[str]]:
    """The header and rows of a table. A last row that was not written completely is left out."""
    text = path.read_text("utf-8")
    header, *rows = csv.reader(io.StringIO(text[: text.rfind("\n") + 1]))
    if any(len(row) != len(header) for row in rows):
        raise ValueError("a row is not complete")
    kept = [i for i, name in enumerate(header) if name not in CLOCK]
    return [[row[i] for i in kept] for row in [header, *rows]]


def read_arrays(path: Path) -> dict[str, str]:
    """The digests of the arrays of an .npz."""
    with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
        return {name: digest(file[name]) for name in file.files if name not in CLOCK}


def read_generator(path: Path) -> dict[str, str]:
    """The digests of the parts of a .keras file, but for metadata.json, which has the time."""
    with zipfile.ZipFile(path) as file:
        return {name: digest(file.read(name)) for name in file.namelist() if name != "metadata.json"}


def read_image(path: Path) -> str:
    """The digest of a PNG file, all of whose pixels can be read."""
    with Image.open(path) as image:
        image.load()
    return digest(path.read_bytes())


def read_page(path: Path) -> object:
    """The data of a gallery page."""
    text = path.read_text("utf-8")
    if not text.rstrip().endswith("</html>"):
        raise ValueError("its end is missing")
    return drop_clock(json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1]))


def drop_clock(value: object) -> object:
    """A JSON value without what depends on the time, at any depth."""
    if isinstance(value, dict):
        return {name: drop_clock(each) for name, each in value.items() if name not in CLOCK}
    return [drop_clock(each) for each in value] if isinstance(value, list) else value


def digest(content: bytes | np.ndarray) -> str:
    """16 hexadecimal digits of bytes, or of an array's values, shape and type."""
    if isinstance(content, np.ndarray):
        content = repr((content.shape, content.dtype.str)).encode() + content.tobytes()
    return hashlib.blake2b(content, digest_size=8).hexdigest()


READERS = {
    ".csv": read_table,
    ".npz": read_arrays,
    ".npy": lambda path: digest(np.load(path, allow_pickle=False)),
    ".keras": read_generator,
    ".png": read_image,
    ".json": lambda path: drop_clock(json.loads(path.read_bytes())),
    ".html": read_page,
    "": lambda path: os.path.getsize(path),  # .lock
}
