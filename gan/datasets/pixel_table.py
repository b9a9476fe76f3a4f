"""Gray images in a .csv of pixels, a row each, as FER2013 has them: columns emotion, pixels and Usage.

source = open_pixel_table(Request("fer2013.csv", size=48))
"""

import math
from pathlib import Path

import numpy as np
from PIL import Image

from gan import images
from gan.datasets.folder import read_head
from gan.datasets.source import Request, Source, file_identity, number_names, read_bytes
from gan.errors import UsageError, summarize
from gan.files import expand_path

PIXELS, COLUMNS = "pixels", {"pixels", "emotion", "usage"}
LONGEST = 1 << 20  # bytes of a row


def open_pixel_table(request: Request) -> Source:
    """Opens the images of a .csv. Raises UsageError if its columns are others, or if a row is too long."""
    path = expand_path(request.data)
    columns = read_columns(read_head(path))
    if not is_pixel_table(columns):
        raise UsageError(
            f"--data {request.data}: a table of images has the columns emotion, pixels and Usage, as FER2013; this one"
            f" has {summarize(', '.join(columns)) or 'none'}."
        )
    column = columns.index(PIXELS)
    try:
        rows = _find_rows(path)
    except (ValueError, OSError) as error:
        raise UsageError(f"--data {request.data}: a table that cannot be read ({summarize(error)}).") from error

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        values = read_bytes(path, *rows[i]).split(b",")
        pixels = _parse_pixels(values[column] if column < len(values) else b"")
        image = images.from_array(pixels)
        return image, images.ImageInfo("L", image.size), pixels.tobytes()

    return Source(path.name, file_identity(path), number_names(path, len(rows)), read, [])


def read_columns(head: bytes) -> list[str]:
    """Reads the names of the columns of a .csv, in lower case, from its first bytes."""
    line = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0].decode(errors="replace")
    return [name.strip(' "\r').lower() for name in line.split(",")]


def is_pixel_table(columns: list[str]) -> bool:
    """Tests whether these are the columns of a table of images; some parts of FER2013 lack one or two of them."""
    return PIXELS in columns and COLUMNS.issuperset(columns)


def _find_rows(path: Path) -> list[tuple[int, int]]:
    """Finds the start and the length of each row below the first. Raises ValueError for one above `LONGEST`."""
    rows, position = [], 0
    with open(path, "rb") as file:
        while line := file.readline(LONGEST):
            if len(line) == LONGEST:
                raise ValueError(f"row {len(rows) + 1} has more than {LONGEST:,} bytes")
            if position and line.strip():
                rows.append((position, len(line)))
            position += len(line)
    return rows


def _parse_pixels(text: bytes) -> np.ndarray:
    """Parses numbers that are separated by spaces to a square image, uint8 (h, w). Raises UnreadableImage."""
    try:
        pixels = np.frombuffer(bytes(map(int, text.strip(b'" \r\n').split())), np.uint8)
    except ValueError as error:
        raise images.UnreadableImage("its pixels are not numbers from 0 to 255") from error
    side = math.isqrt(len(pixels))
    if side**2 != len(pixels):
        raise images.UnreadableImage(f"{len(pixels):,} pixels, which are not a square")
    return pixels.reshape(side, side)
