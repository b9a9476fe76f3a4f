"""The interface of a data source: images that can be read by their number."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from gan import images

SUFFIXES = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".pnm"}


def no_progress(title: str) -> contextlib.AbstractContextManager:
    """A `progress` that shows nothing."""
    return contextlib.nullcontext(lambda done, total: None)


@dataclass(frozen=True)
class Request:
    """What is asked of a source.

    Arguments:
        data: the value of --data.
        size: the side of the images in pixels.
        limit: how many images, 0: all of them.
        seed: of images that are drawn.
        cache_dir: the folder for what a source downloads.
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
    """Images that can be read by their number, from several threads at once.

    Arguments:
        title: its name, for a person.
        identity: two sources of one identity hold the same images.
        names: a name for each image.
        read: a function (i) -> RGB image, its `ImageInfo`, and bytes that identify it on any machine (a file's
            content). Raises `images.UnreadableImage`.
        passed_over: (name, reason) of files that are no images.
        prepare: called once before the first read, and not at all where the cache has the images. Returns the
            attributes of the images, if any.
    """

    title: str
    identity: str
    names: list[str]
    read: Callable[[int], tuple[Image.Image, images.ImageInfo, bytes]]
    passed_over: list[tuple[str, str]]
    prepare: Callable[[], dict[str, list[str]]] = dict


def digest(*parts: object) -> str:
    """40 hexadecimal digits of anything whose repr identifies it."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=20).hexdigest()


def reason_to_pass_over(name: str) -> str:
    """Why a file is passed over without being opened; "" where its name is that of an image."""
    *folders, file = name.split("/")
    if file == ".DS_Store" or file.startswith("._") or "__MACOSX" in folders:
        return "left behind by macOS"
    suffix = os.path.splitext(file)[1]
    return "" if suffix.lower() in SUFFIXES else f"{suffix or 'no extension'} is not a format read here"
