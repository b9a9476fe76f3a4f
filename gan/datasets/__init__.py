"""Data sources: where images come from.

    source = open_source(Request("photos.zip", size=64))  # lists what is there, without decoding any of it

To add a source, write its file, with a function (Request) -> Source, and a row of `BUILT_IN` or `FILES`.
"""

import difflib
from pathlib import Path

from gan.datasets.arrays import open_array
from gan.datasets.avatars import open_avatars
from gan.datasets.celeba import open_celeba
from gan.datasets.folder import open_folder
from gan.datasets.orl import open_orl
from gan.datasets.source import Request, Source
from gan.datasets.zip_archive import open_zip
from gan.errors import UsageError

BUILT_IN = {"avatars": open_avatars, "orl": open_orl, "celeba": open_celeba}
FILES = {"folder": open_folder, ".zip": open_zip, ".npz": open_array, ".npy": open_array}
SOURCES = FILES | BUILT_IN


def open_source(request: Request) -> Source:
    """The source that `request.data` names. Raises UsageError where there is no such thing."""
    return SOURCES[find_kind(request.data)](request)


def find_kind(data: str) -> str:
    """A key of `SOURCES`. Built-in names win over files of that name, which are reached as `./name`."""
    path = Path(data).expanduser()
    if data in BUILT_IN:
        return data
    if path.is_dir():
        return "folder"
    if path.is_file() and path.suffix.lower() in SOURCES:
        return path.suffix.lower()
    allowed = f"a folder of images, a .zip, .npz or .npy file, or one of {', '.join(BUILT_IN)}"
    if path.exists():
        raise UsageError(f"--data {data}: this kind of file is not known; give {allowed}.")
    close = difflib.get_close_matches(data, BUILT_IN, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise UsageError(f"--data {data}: there is no such file or folder.{hint} Give {allowed}.")
