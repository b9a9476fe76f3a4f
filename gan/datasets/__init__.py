"""Data sources: folders, zip files, NumPy files and built-in datasets, all opened by one function.

    source = open_source(Request("photos.zip", size=64))  # lists the images without decoding them
    source.prepare()
    image, info, content = source.read(0)

To add a source, write a file with a function (Request) -> Source, add a row to `SOURCES`, and name it in gan/config.py.
"""

import functools

from gan.config import SUFFIXES_SHOWN
from gan.datasets.arrays import open_array
from gan.datasets.avatars import open_avatars
from gan.datasets.celeba import open_celeba
from gan.datasets.folder import open_folder, read_head
from gan.datasets.orl import open_orl
from gan.datasets.parquet import open_parquet
from gan.datasets.pixel_table import is_pixel_table, open_pixel_table, read_columns
from gan.datasets.source import Request, Source, may_be_zip
from gan.datasets.tar_archive import open_tar
from gan.datasets.tfrecord import is_tfrecord, open_tfrecord
from gan.datasets.video import open_video
from gan.datasets.zip_archive import open_zip
from gan.errors import UsageError, suggest
from gan.files import expand_path
from gan.image_files import file_kinds

# Beside images, arrays are features, landmarks or masks of them.
ARRAYS = {".npz": open_array, ".npy": open_array}


def open_within_folder(request: Request) -> Source | None:
    """Opens a file in a folder; returns None if its kind is not read within one. Raises UsageError or OSError."""
    with open(request.data, "rb") as file:
        head = file.read(file_kinds.HEAD)
    suffix = find_suffix(request.data, head)
    if suffix in ("", *ARRAYS) or (suffix == ".csv" and not is_pixel_table(read_columns(head))):
        return None
    if suffix == ".zip" and not may_be_zip(request.data):
        return None
    return SOURCES[suffix](request)


# "folder", a suffix of files, or a built-in name that --data takes -> the function that opens it.
SOURCES = {
    "folder": functools.partial(open_folder, open_file=open_within_folder),
    ".zip": open_zip,
    ".tar": open_tar,
    ".tar.gz": open_tar,
    ".tgz": open_tar,
    **ARRAYS,
    ".csv": open_pixel_table,
    ".parquet": open_parquet,
    ".tfrecord": open_tfrecord,
    ".tfrecords": open_tfrecord,
    ".mp4": open_video,
    ".mov": open_video,
    ".mkv": open_video,
    ".webm": open_video,
    ".avi": open_video,
    "avatars": open_avatars,
    "orl": open_orl,
    "celeba": open_celeba,
}


def built_in_names() -> list[str]:
    """Lists the built-in datasets, which --data takes by name."""
    return [name for name in SOURCES if name != "folder" and not name.startswith(".")]


def open_source(request: Request) -> Source:
    """Opens the folder, file or built-in dataset that `request.data` names. Raises UsageError if there is none."""
    return SOURCES[find_kind(request.data)](request)


def find_kind(data: str) -> str:
    """Returns the key of `SOURCES` for a value of --data.

    Built-in names come before files: a folder called "avatars" is given as "./avatars". The first bytes decide where
    the suffix of a file is none of these.
    """
    path = expand_path(data)
    built_in = built_in_names()
    if data in built_in:
        return data
    if path.is_dir():
        return "folder"
    head = read_head(path) if path.is_file() else b""
    if suffix := find_suffix(path.name, head):
        return suffix
    allowed = f"a folder of images, a {SUFFIXES_SHOWN} file, or one of {', '.join(built_in)}"
    if path.exists():
        kind = file_kinds.identify(head)
        known = "this kind of file is not known" if kind == file_kinds.UNKNOWN else f"it is {file_kinds.describe(kind)}"
        raise UsageError(f"--data {data}: {known}; give {allowed}.")
    raise UsageError(f"--data {data}: there is no such file or folder.{suggest(data, built_in)} Give {allowed}.")


def find_suffix(name: str, head: bytes) -> str:
    """Returns the key of `SOURCES` of a file by the end of its name, or else by its first bytes; "" for others."""
    name = name.lower()
    if suffix := next((key for key in SOURCES if key.startswith(".") and name.endswith(key)), ""):
        return suffix
    return ".tfrecord" if is_tfrecord(head) else file_kinds.identify(head).suffix
