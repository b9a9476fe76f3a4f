"""Images in NumPy files, .npz and .npy: which array holds them, and what its numbers mean.

source = open_array(Request("faces.npz", size=32))
name, shape, dtype = find(path)   # reads the headers alone
array, values = load(path, name)  # reads the numbers
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from gan import images
from gan.datasets.source import Request, Source, digest
from gan.errors import UsageError

NAMES = ("images", "x", "arr_0")
RANGES = {  # what the numbers of an array lie in -> how a row of it becomes uint8
    "0..255": np.asarray,
    "[0, 1]": lambda row: images.to_uint8(row * 2.0 - 1),
    "[-1, 1]": images.to_uint8,
}
NEEDED = (
    f"needed is one array of images, called {', '.join(NAMES)} if there are more: uint8, or float in [0, 1] "
    "or [-1, 1], of shape (n, h, w), (n, h, w, 1) or (n, h, w, 3)"
)


def open_array(request: Request) -> Source:
    """The images of a .npz or .npy. Raises UsageError where no array of it can be images."""
    path = Path(request.data).expanduser()
    name, (count, *_), dtype = find(path)
    loaded = []  # the array and how its numbers read, once `prepare` has run

    def prepare() -> dict[str, list[str]]:
        loaded[:] = load(path, name)
        return {}

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        array, values = loaded
        image = images.from_array(RANGES[values](array[i]))
        mode = "L" if array.ndim == 3 or array.shape[-1] == 1 else "RGB"
        return image, images.ImageInfo(f"{mode} of {dtype} in {values}", image.size), image.tobytes()

    status = path.stat()
    identity = digest(str(path.resolve()), status.st_size, status.st_mtime_ns)
    return Source(path.name, identity, [f"{path.name}[{i}]" for i in range(count)], read, [], prepare)


def find(path: Path) -> tuple[str, tuple[int, ...], np.dtype]:
    """The array that can be images, by a usual name or because no other fits: its name, shape and type.

    The one array of a .npy is named "". Raises `UsageError`, which lists what the file holds.
    """
    try:
        headers = _headers(path)
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise UsageError(f"--data {path}: not a NumPy file that can be read ({error}).") from error
    fit = [name for name, header in headers.items() if _fits(*header)]
    named = [name for name in NAMES if name in fit]
    if named or len(fit) == 1:
        name = (named or fit)[0]
        return name, *headers[name]
    there = "; ".join(f"{name} {_type(dtype)} {shape}".strip() for name, (shape, dtype) in headers.items())
    raise UsageError(f"--data {path}: it holds {there or 'nothing'}; {NEEDED}.")


def load(path: Path, name: str) -> tuple[np.ndarray, str]:
    """The array (that of a .npy stays on disk), and the key of `RANGES` that its numbers lie in.

    Raises `UsageError` when it is damaged, or its numbers lie in none of them.
    """
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        array = loaded[name] if name else loaded
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"--data {path}: damaged ({error}).") from error
    if array.dtype == np.uint8:
        return array, "0..255"
    low, high = float(array.min(initial=0)), float(array.max(initial=0))
    if not (low >= -1 and high <= 1):  # and not (low < -1 or high > 1), which nan would pass
        raise UsageError(f"--data {path}: its numbers run from {low:g} to {high:g}; {NEEDED}.")
    return array, "[-1, 1]" if low < 0 else "[0, 1]"


def _headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    if path.suffix.lower() == ".npy":
        with open(path, "rb") as file:
            return {"": _header(file)}
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy"): _header(archive.open(name)) for name in archive.namelist()}


def _header(file) -> tuple[tuple[int, ...], np.dtype]:
    formats = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with file:
        shape, _, dtype = formats[np.lib.format.read_magic(file)](file)
    return shape, dtype


def _fits(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    shaped = len(shape) == 3 or (len(shape) == 4 and shape[-1] in (1, 3))
    return shaped and (dtype == np.uint8 or dtype.kind == "f")


def _type(dtype: np.dtype) -> str:
    return "Python objects" if dtype.hasobject else str(dtype)
