"""Images in Parquet files, as Hugging Face stores data sets: a column with the bytes of image files.

source = open_parquet(Request("train-00000-of-00001.parquet", size=64))
"""

import importlib.util
import threading
import weakref
from bisect import bisect
from itertools import accumulate
from pathlib import Path

from PIL import Image

from gan import images
from gan.datasets.source import LARGEST, Request, Source, file_identity, number_names
from gan.errors import UsageError, summarize
from gan.files import expand_path

NAMES = ("image", "img")
LARGEST_GROUP = 2 << 30  # bytes of a group of rows, one or a few of which are in memory


def open_parquet(request: Request) -> Source:
    """Opens the images of a Parquet file: of the column `image` or `img`, or the only one that can hold images.

    Raises UsageError if pyarrow is not installed, if the file cannot be read, or if it has no such column.
    """
    path = expand_path(request.data)
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError(f"--data {request.data}: a Parquet file, which needs pyarrow: pip install pyarrow.")
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            column = _find_column(file.schema_arrow)
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            ends = list(accumulate((group.num_rows for group in groups), initial=0))
            largest = max((_count_bytes(group, column) for group in groups), default=0)
    except Exception as error:  # pyarrow raises several kinds of exception for damaged files
        raise UsageError(f"--data {request.data}: not a Parquet file of images ({summarize(error)}).") from error
    if largest > LARGEST_GROUP:
        raise UsageError(
            f"--data {request.data}: a group of rows takes {largest:,} bytes, more than {LARGEST_GROUP:,}; write the"
            " file again in groups of 100 rows."
        )

    identity = file_identity(path)

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        group = bisect(ends, i) - 1
        try:
            content = _read_value(path, identity, column, group, i - ends[group])
        except Exception as error:  # as above
            raise images.UnreadableImage(f"damaged in the Parquet file: {summarize(error)}") from error
        if not content:
            raise images.UnreadableImage("a row without the bytes of an image")
        if len(content) > LARGEST:
            raise images.UnreadableImage(f"more than {LARGEST >> 20} MB")
        return images.open_image(content, request.max_pixels)

    return Source(path.name, identity, number_names(path, ends[-1]), read, [])


def _find_column(schema) -> str:
    """Returns the path of the column of bytes, such as "image.bytes". Raises ValueError if there is none."""
    import pyarrow.types

    found = {}
    for field in schema:
        kind, path = field.type, field.name
        if pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind, path = kind.field("bytes").type, f"{path}.bytes"
        if pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind):
            found[field.name] = path
    named = [found[name] for name in NAMES if name in found]
    if not named and len(found) != 1:
        columns = ", ".join(f"{field.name} {field.type}" for field in schema)
        raise ValueError(
            f"it needs a column named {' or '.join(NAMES)}, of bytes, or of bytes and path; it has"
            f" {summarize(columns, 500) or 'none'}"
        )
    return (named or list(found.values()))[0]


def _count_bytes(group, path: str) -> int:
    """The bytes of a column in a group of rows, unpacked."""
    columns = [group.column(i) for i in range(group.num_columns)]
    return sum(column.total_uncompressed_size for column in columns if column.path_in_schema == path)


# The group of rows that a thread read last, which it goes on to read, and those of all threads: most read the same one.
_LOCAL, _GROUPS, _LOCK = threading.local(), weakref.WeakValueDictionary(), threading.Lock()


def _read_value(path: Path, identity: str, column: str, group: int, row: int) -> bytes | None:
    """Reads a value of a column."""
    place = identity, group
    if getattr(_LOCAL, "place", None) != place:
        _LOCAL.place = _LOCAL.values = None  # before the next one takes memory
        with _LOCK:
            if (values := _GROUPS.get(place)) is None:
                values = _GROUPS[place] = _read_group(path, column, group)
        _LOCAL.values, _LOCAL.place = values, place
    value = _LOCAL.values[row].as_py()
    return value["bytes"] if isinstance(value, dict) else value


def _read_group(path: Path, column: str, group: int):
    """Reads a column of a group of rows.

    Equal values that the file has once are in memory once, so a small file cannot become large.
    """
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path, read_dictionary=[column]) as file:
        return file.read_row_group(group, columns=[column], use_threads=False).column(0)
