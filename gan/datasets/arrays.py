"""Images in NumPy files, .npz and .npy: finds the array that holds them, and the range of its values.

source = open_array(Request("faces.npz", size=32))
name, shape, dtype = find_array(path)        # reads only the headers
array, found, description = load_array(path, name)  # reads the values
"""

import functools
import math
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from gan import images
from gan.datasets.folder import read_head
from gan.datasets.label_files import label_array
from gan.datasets.source import Request, Source, file_identity, number_names
from gan.errors import UsageError, summarize
from gan.files import damage_as_value_error, expand_path, map_array, read_array_header
from gan.image_files import file_kinds, value_range
from gan.labels import Labels
from gan.memory import available_memory

NAMES = ("images", "x", "arr_0")
LABEL_NAMES = ("labels", "y")
COUNTED = 10_000  # images, evenly spread over the array, whose values decide the range
MOST_DEFLATED = 1032  # bytes that one compressed byte can stand for, https://zlib.net/zlib_tech.html
NEEDED = (
    "give an array of images, of shape (n, h, w), (n, h, w, 1) or (n, h, w, 3), uint8 from 0 to 255, or of another"
    f" number type; if there are several, the name of one must be {', '.join(NAMES[:-1])} or {NAMES[-1]}"
)


def open_array(request: Request) -> Source:
    """Opens the images of a .npz or .npy file. Raises UsageError if it has no array of images."""
    path = expand_path(request.data)
    name, (count, *_), dtype = find_array(path)
    loaded = []  # the array, its range of values and how it is described, once `prepare` was called

    def prepare() -> None:
        if not loaded:
            loaded[:] = load_array(path, name)

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        array, found, description = loaded
        values = array[i]
        images.require_finite(values)
        image = images.from_array(value_range.scale_to_uint8(values, found) if found else values)
        mode = "L" if array.ndim == 3 or array.shape[-1] == 1 else "RGB"
        return image, images.ImageInfo(f"{mode} of {dtype}, {description}", image.size), image.tobytes()

    labels = functools.partial(load_label_array, path, count) if has_label_array(path) else None
    return Source(path.name, file_identity(path), number_names(path, count), read, [], prepare, labels)


def find_array(path: Path) -> tuple[str, tuple[int, ...], np.dtype]:
    """Finds the array of images: that of a name in `NAMES`, or the only one whose shape and type are possible.

    Raises UsageError, which lists the arrays of the file.

    Returns:
        Its name ("" in a .npy), shape and dtype.
    """
    try:
        headers = _read_headers(path)
    except (ValueError, OSError) as error:
        kind = file_kinds.identify(read_head(path))
        other = kind != file_kinds.UNKNOWN and kind.suffix not in (".npy", ".npz", ".zip")
        reason = file_kinds.describe(kind) if other else error
        raise UsageError(f"--data {path}: not a NumPy file that can be read ({reason}).") from error
    possible = [name for name, header in headers.items() if _can_be_images(*header)]
    named = [name for name in NAMES if name in possible]
    usual = [name for name in possible if headers[name][1] == np.uint8 or headers[name][1].kind == "f"]
    if named or 1 in (len(usual), len(possible)):
        name = (named or usual or possible)[0]
        if 0 in headers[name][0]:
            raise UsageError(f"--data {path}: its array has no images, as its shape is {headers[name][0]}.")
        return name, *headers[name]
    shapes = [shape for shape, _ in headers.values() if len(shape) == 4]
    advice = " Move the channels last: np.moveaxis(x, 1, -1)." if any(s[1] in (1, 3) for s in shapes) else ""
    advice += " Add an axis: x[None]." if any(len(s) == 3 and s[-1] in (1, 3, 4) for s, _ in headers.values()) else ""
    advice += " Leave out the fourth channel: x[..., :3]." if any(s[-1] == 4 for s in shapes) else ""
    content = "; ".join(f"{name} {_describe(dtype)} {shape}".strip() for name, (shape, dtype) in headers.items())
    raise UsageError(f"--data {path}: it holds {summarize(content, 1000) if content else 'nothing'}; {NEEDED}.{advice}")


def has_label_array(path: Path) -> bool:
    """Tests for an array of labels in a .npz, by its name."""
    return any(name in _read_headers(path) for name in LABEL_NAMES)


def load_label_array(path: Path, count: int) -> Labels:
    """Loads the labels of `count` images in a .npz. Raises UsageError where there are others than for these."""
    headers = _read_headers(path)
    name = next(name for name in LABEL_NAMES if name in headers)
    shape, dtype = headers[name]
    try:
        if not shape or shape[0] != count or dtype.hasobject:
            raise ValueError(f"its shape is {shape}, of {_describe(dtype)}, for {count:,} images")
        with damage_as_value_error(), np.load(path, allow_pickle=False) as content:
            return label_array(content[name])
    except (ValueError, OSError) as error:
        raise UsageError(f"--data {path}: its array {name} cannot be used as labels ({error}).") from error


def load_array(path: Path, name: str) -> tuple[np.ndarray, value_range.ValueRange | None, str]:
    """Loads an array; that of a .npy is mapped from disk.

    Raises UsageError if it is damaged, too large for the memory, or if its values are in no range that is known.

    Returns:
        The array; the range of its values, or None for uint8; a description of both.
    """
    try:
        if read_head(path).startswith(b"PK"):  # a .npz, which is read whole
            _require_memory(path, name)
        with damage_as_value_error():
            content = map_array(path)
            array = content if isinstance(content, np.ndarray) else content[name]
    except (ValueError, OSError) as error:
        raise UsageError(f"--data {path}: damaged ({error}).") from error
    if array.dtype == np.uint8:
        return array, None, "read as 0 to 255"
    if array.dtype == bool:
        array = array.view(np.uint8)
    counts = None
    for image in array[:: -(-len(array) // COUNTED)]:
        if np.isfinite(image).all():
            more = value_range.count_values(image)
            counts = counts + more if counts else more
    if counts is None:
        raise UsageError(f"--data {path}: all its images have NaN or infinity among their values.")
    found = value_range.find_range(counts)
    if found is None:
        raise UsageError(
            f"--data {path}: its values range from {counts.low:g} to {counts.high:g}. Scale them to 0..255, [0, 1] or"
            " [-1, 1]."
        )
    return array, found, value_range.describe_range(counts, found)


def _require_memory(path: Path, name: str) -> None:
    """Raises UsageError where an array takes more memory than there is."""
    shape, dtype = _read_headers(path)[name]
    needed, available = math.prod(shape) * dtype.itemsize, available_memory()
    if available is not None and needed > available:
        raise UsageError(
            f"--data {path}: its array {name} takes {needed / 1e6:,.0f} MB of memory, of {available / 1e6:,.0f} MB that"
            f" are available. A .npz is a zip: unpack it, and give its {name}.npy, which is mapped from disk."
        )


def _read_headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Reads the shape and dtype of each array, without its values. Raises ValueError or OSError."""
    length = path.stat().st_size
    if not read_head(path).startswith(b"PK"):
        with open(path, "rb") as file:
            headers, lengths = {"": read_array_header(file)}, {"": length}
    else:
        headers, lengths = {}, {}
        with damage_as_value_error(), zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name = entry.filename.removesuffix(".npy")
                headers[name] = read_array_header(archive.open(entry))
                lengths[name] = min(entry.file_size, MOST_DEFLATED * length)
    for name, (shape, dtype) in headers.items():
        if math.prod(shape) * dtype.itemsize > lengths[name]:
            raise ValueError(f"it is shorter than the {_describe(dtype)} {shape} that its header says")
    return headers


def _can_be_images(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Tests for n images, and not for one image with its channels."""
    fits = (len(shape) == 3 and shape[-1] not in (1, 2, 3, 4)) or (len(shape) == 4 and shape[-1] in (1, 3))
    return fits and dtype.kind in "iufb"


def _describe(dtype: np.dtype) -> str:
    return "Python objects" if dtype.hasobject else str(dtype)
