"""The interface of targets, and the writing and reading of their files.

Target(make=make_images, enter=read_image)
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from gan.errors import RunError, UsageError

SIZE = 16  # side of the images that are read


@dataclass(frozen=True)
class Target:
    """A kind of file.

    Arguments:
        make: a function (random) -> the content of valid files by name, of which one or two are then damaged.
        enter: a function (folder) that reads them through the product's own entry, and asserts what it returns.
        allowed: the errors that the entry's docstring names.
        victims: the end of the names of the files that are damaged.
    """

    make: Callable[[Random], dict[str, bytes]]
    enter: Callable[[Path], None]
    allowed: tuple[type[Exception], ...] = (UsageError, RunError)
    victims: tuple[str, ...] = ("",)


def write_files(folder: Path, content: dict[str, bytes]) -> None:
    """Writes files by their names in a folder."""
    for name, data_ in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data_)


def read_files(folder: Path, pattern: str) -> dict[str, bytes]:
    """The files of a folder by their names in it."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.glob(pattern)) if p.is_file()}
