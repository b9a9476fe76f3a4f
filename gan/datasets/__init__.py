"""Data sources: where images come from.

    source = open_source(Request("photos.zip", size=64))  # lists what is there, without decoding any of it

To add a source, write its file, with a function (Request) -> Source, and a row of `SOURCES`.
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

# What --data names -> how it is opened: a folder, a file by its suffix, or a built-in name.
SOURCES = {
    "folder": open_folder,
    ".zip": open_zip,
    ".npz": open_array,
    ".npy": open_array,
    "avatars": open_avatars,
    "orl": open_orl,
    "celeba": open_celeba,
}


def built_in_names() -> list[str]:
    """The names that --data takes beside folders and files."""
    return [name for name in SOURCES if name != "folder" and not name.startswith(".")]


def open_source(request: Request) -> Source:
    """The source that `request.data` names. Raises UsageError where there is no such thing."""
    return SOURCES[find_kind(request.data)](request)


def find_kind(data: str) -> str:
    """A key of `SOURCES`. Built-in names win over files of that name, which are reached as `./name`."""
    path = Path(data).expanduser()
    built_in = built_in_names()
    if data in built_in:
        return data
    if path.is_dir():
        return "folder"
    if path.is_file() and path.suffix.lower() in SOURCES:
        return path.suffix.lower()
    allowed = f"a folder of images, a .zip, .npz or .npy file, or one of {', '.join(built_in)}"
    if path.exists():
        raise UsageError(f"--data {data}: this kind of file is not known; give {allowed}.")
    close = difflib.get_close_matches(data, built_in, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise UsageError(f"--data {data}: there is no such file or folder.{hint} Give {allowed}.")
