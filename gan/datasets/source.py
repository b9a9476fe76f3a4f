"""The interface of data sources: `Request` says what to open, `Source` lists its images and reads one by its number.

def open_grays(request: Request) -> Source:
    names = [f"gray {i}" for i in range(256)]
    return Source("grays", "grays, version 1", names, read=lambda i: ..., passed_over=[])
"""

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gan import images

SUFFIXES = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".pnm"}

# Folders in which file servers and desktops keep thumbnails, snapshots and deleted files, in lower case; hidden folders
# are passed over as well.
LEFTOVER_FOLDERS = {
    *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot"),  # Synology, QNAP
    *("$recycle.bin", "recycler", "system volume information", "lost+found"),
}


def no_progress(title: str) -> contextlib.AbstractContextManager:
    """A `Request.progress` that displays nothing."""
    return contextlib.nullcontext(lambda done, total: None)


@dataclass(frozen=True)
class Request:
    """What to open, and how.

    Arguments:
        data: the value of --data: a path, or the name of a built-in dataset.
        size: side of the decoded images in pixels, for sources that generate theirs at any size.
        limit: number of images, for sources that generate as many as needed; 0: their default.
        seed: random seed, for sources that generate images.
        cache_dir: folder for downloads.
        progress: a function (title) -> context manager that yields tick(done, total).
    """

    data: str
    size: int
    limit: int = 0
    seed: int = 0
    cache_dir: Path = Path(".")
    progress: Callable[[str], contextlib.AbstractContextManager] = no_progress


@dataclass(frozen=True)
class Source:
    """A list of images, each of which is read by its number.

    Arguments:
        title: the name of the source, for people.
        identity: a string that changes whenever the images do; decoded images are cached under it.
        names: the name of each image.
        read: a function (i) -> RGB image, `ImageInfo`, and bytes that identify the image on any machine, such as the
            content of its file. Several threads call it at once. Raises `images.UnreadableImage`.
        passed_over: (name, reason) of each file that is not an image.
        labels: float32 (len(names), k), a row for each image, which training batches carry; None: no labels. The
            networks use them where gan/experiment.py passes `classes` to `DCGAN`.
        prepare: a function () -> attributes, as attribute -> the value of each image, or {} where there are none. It
            is called once before the first `read`, and never if the images are in the cache.
    """

    title: str
    identity: str
    names: list[str]
    read: Callable[[int], tuple[Image.Image, images.ImageInfo, bytes]]
    passed_over: list[tuple[str, str]]
    prepare: Callable[[], dict[str, list[str]]] = dict
    labels: np.ndarray | None = None


def digest(*parts: object) -> str:
    """Hashes the repr of some values to 40 hexadecimal digits."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=20).hexdigest()


def reason_to_pass_over(name: str) -> str:
    """Returns why a file is passed over without being opened, or "" if its name is that of an image."""
    *folders, file = name.split("/")
    if file == ".DS_Store" or file.startswith("._") or "__MACOSX" in folders:
        return "left behind by macOS"
    if leftover := next((name for name in folders if name.startswith(".") or name.lower() in LEFTOVER_FOLDERS), ""):
        return f"in {leftover}, a folder of thumbnails, caches or deleted files"
    suffix = os.path.splitext(file)[1]
    return "" if suffix.lower() in SUFFIXES else f"{suffix or 'no extension'} is not a format read here"
