"""The interface of data sources: `Request` says what to open, `Source` lists its images and reads one by its number.

def open_grays(request: Request) -> Source:
    names = [f"gray {i}" for i in range(256)]
    return Source("grays", "grays, version 1", names, read=lambda i: ..., passed_over=[])
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from gan import images
from gan.errors import RunError, UsageError, summarize
from gan.image_files import file_kinds
from gan.labels import Labels

SUFFIXES = {
    *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif", ".pbm", ".pgm", ".ppm", ".pnm"),
}
# Of files that lie beside images in thousands; these are not opened to see what they are.
TEXT_SUFFIXES = {
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".log", ".pts", ".py", ".ipynb"),
    *(".html", ".htm", ".ini", ".aae"),
}

NO_CONTAINERS = SUFFIXES | TEXT_SUFFIXES - {".csv"}

# Raw photos have the first bytes of a TIFF, and often only a thumbnail that Pillow reads.
RAW_SUFFIXES = {
    *(".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf"),
    *(".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
}
# Of thumbnails, backups, and downloads that are not complete, whatever they hold.
LEFTOVER_SUFFIXES = (".thm", ".bak", "~", "_original", ".tmp", ".part", ".crdownload", ".download")

# Folders of a library of Apple's Photos with its smaller or edited copies of the originals, in lower case.
PHOTOS_LIBRARY, PHOTOS_COPIES = ".photoslibrary", {"derivatives", "renders", "thumbnails", "thumbs"}

# Errors of the system that say something of the file itself. Others, as of a network share that went away, may pass.
LASTING = {
    *(errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG),
    errno.EINVAL,
}

LARGEST = 256 << 20  # bytes of one image in an archive or a table
MOST_IMAGES = 5_000_000  # in a file whose header says how many there are

DETAIL = re.compile(r"\d[\d.,e+-]*|'.*'")  # what reasons of one kind differ in
MACOS = "left behind by macOS"  # a reason to pass over a file, which nobody needs to know of
# Folders in which file servers and desktops keep thumbnails, snapshots and deleted files, in lower case; hidden folders
# are passed over as well.
LEFTOVER_FOLDERS = {
    *("@eadir", "@tmp", "#recycle", "#snapshot"),  # Synology
    *("@recycle", "@recently-snapshot", "@__thumb"),  # QNAP
    *("$recycle.bin", "recycler", "recycled", "system volume information"),  # Windows
    *("network trash folder", "temporary items", "lost+found", "~snapshot"),
}


@dataclass(frozen=True)
class Request:
    """What to open, and how.

    Arguments:
        data: the value of --data: a path, or the name of a built-in dataset.
        size: side of the decoded images in pixels, for sources that generate theirs at any size.
        limit: number of images, for sources that generate as many as needed; 0: their default.
        seed: random seed, for sources that generate images.
        cache_dir: folder for downloads.
        max_pixels: the most pixels that an image file may have.
        seconds_between_frames: of videos.
    """

    data: str
    size: int
    limit: int = 0
    seed: int = 0
    cache_dir: Path = Path(".")
    max_pixels: int = images.MAX_PIXELS
    seconds_between_frames: float = 1.0


@dataclass(frozen=True)
class Source:
    """A list of images, each of which is read by its number.

    Arguments:
        title: the name of the source, for people.
        identity: a string that changes whenever the images do; decoded images are cached under it.
        names: the name of each image.
        read: a function (i) -> image, `ImageInfo`, and bytes that identify the image on any machine, such as the
            content of its file. The image is RGB, or of one of `images.WIDE_MODES`: then all images of that mode are
            scaled alike. Several threads call it at once. Raises `images.UnreadableImage`, from the error of
            the system where there is one, by which `stop_at_failures` tells what may pass.
        passed_over: (name, reason) of each file that is not an image.
        labels: a function () -> `gan.labels.Labels` with a row for each image, for data that have labels with them;
            None: no such. It raises UsageError where these cannot be used.
        origins: of images that are cut out of others, for each the number of the image in the source that was opened;
            None: they are these images themselves.
        prepare: a function () that is called before the first `read`, and may be called again: it has to be quick then.
        parts: (title, number of images) of the sources that this one joins; empty: it is one.
        left_out: (name, reason) of what is in images and is not used, such as faces that are too small.
        crop: what has been cut out of the images, for people; empty: nothing yet.
        avatars: whether all images are avatars, which a face detector does not find.
        groups: of each image, what it has in common with images that are much like it, such as a part of a film;
            None: it is in no group. None: no image is in one.
    """

    title: str
    identity: str
    names: list[str]
    read: Callable[[int], tuple[Image.Image, images.ImageInfo, bytes]]
    passed_over: list[tuple[str, str]]
    prepare: Callable[[], None] = lambda: None
    labels: Callable[[], Labels] | None = None
    origins: list[int] | None = None
    parts: tuple[tuple[str, int], ...] = ()
    left_out: list[tuple[str, str]] = field(default_factory=list)
    crop: str = ""
    avatars: bool = False
    groups: list[str | None] | None = None


def stop_at_failures(source: Source) -> Source:
    """Returns a source whose `read` raises RunError where an image cannot be read for a reason that may pass.

    Such an image would be remembered as unreadable, and be missing when it can be read again.
    """

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        try:
            return source.read(i)
        except (images.UnreadableImage, OSError, MemoryError) as error:
            cause = error.__cause__ if isinstance(error, images.UnreadableImage) else error
            if not may_pass(cause):
                raise
            memory = isinstance(cause, MemoryError)
            reason = "there is too little memory for it" if memory else summarize(cause.strerror or cause).lower()
            raise RunError(
                f"{_make_printable(source.names[i])} in {source.title} cannot be read now ({reason}). It is not left"
                " out, as this may pass: the same command starts again. If it never can be read, move it away."
            ) from error

    return replace(source, read=read)


def may_pass(error: BaseException | None) -> bool:
    """Tests for too little memory, and for errors of the system that are no property of a file.

    Decoders raise an OSError without a number for damaged images.
    """
    failed = isinstance(error, OSError) and error.errno is not None and error.errno not in LASTING
    return failed or isinstance(error, MemoryError)


def digest(*parts: object) -> str:
    """Hashes the repr of some values to 40 hexadecimal digits."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=20).hexdigest()


def file_identity(path: Path) -> str:
    """Returns a string that changes whenever the file is written or moved."""
    status = path.stat()
    return digest(str(path.resolve()), status.st_size, status.st_mtime_ns)


def number_names(path: Path, count: int) -> list[str]:
    """Names images that have none: "faces.npy[0]", "faces.npy[1]"... Raises UsageError for a number that cannot be."""
    if count > MOST_IMAGES:
        raise UsageError(f"--data {path}: it says that it has {count:,} images; {MOST_IMAGES:,} is the maximum.")
    return [f"{path.name}[{i}]" for i in range(count)]


def read_bytes(path: Path, start: int, length: int) -> bytes:
    """Reads a part of a file; opens it each time, so that threads do not wait for each other.

    Raises UnreadableImage where it cannot be read, where there are fewer bytes, or where it is above `LARGEST`.
    """
    if length > LARGEST:
        raise images.UnreadableImage(f"more than {LARGEST >> 20} MB")
    try:
        with open(path, "rb") as file:
            file.seek(start)
            content = file.read(length)
    except OSError as error:
        raise images.UnreadableImage((error.strerror or str(error)).lower()) from error
    if len(content) < length:
        raise images.UnreadableImage(f"{path.name} is shorter than before")
    return content


def reason_to_pass_over(name: str, read_head: Callable[[], bytes]) -> str:
    """Returns why a file is passed over, or "" if it is an image.

    The name decides, where it is that of an image or of text; otherwise the first bytes do.

    Arguments:
        name: the path in the data set, with slashes.
        read_head: a function () -> the first `file_kinds.HEAD` bytes, or b"" if it cannot be read.
    """
    if reason := _why_unwanted(name):
        return reason
    suffix = os.path.splitext(name)[1].lower()
    if suffix in SUFFIXES:
        return ""
    if suffix == ".csv":
        return "a .csv that is not a table of pixels"
    unknown = f"{suffix} is not a format read here" if suffix else "of no format read here"
    if suffix in TEXT_SUFFIXES:
        return unknown
    if not (head := read_head()):
        return "empty, or cannot be read"
    kind = file_kinds.identify(head)
    if images.can_read(kind):
        return ""
    if kind == file_kinds.UNKNOWN or (kind.suffix == ".zip" and not may_be_zip(name)):
        return unknown
    return file_kinds.describe(kind)


def may_hold_images(name: str) -> bool:
    """Tests whether a file of this name may be an archive, a table or a video, which is opened to see."""
    return os.path.splitext(name)[1].lower() not in NO_CONTAINERS and not _why_unwanted(name)


def may_be_zip(name: str) -> bool:
    """Tests the name of a zip: documents and programs are zips, too, whose pictures are no data."""
    return os.path.splitext(name)[1].lower() in (".zip", "")


def _why_unwanted(name: str) -> str:
    *folders, file = name.split("/")
    if file == ".DS_Store" or file.startswith("._") or "__MACOSX" in folders:
        return MACOS
    if leftover := next((name for name in folders if _is_hidden(name) or name.lower() in LEFTOVER_FOLDERS), ""):
        return f"in {leftover}, a folder of thumbnails, caches or deleted files"
    if _is_copy_of_photos(folders):
        return "a copy that Photos made of an original in its library"
    if _is_hidden(file):
        return "a hidden file"
    suffix = os.path.splitext(file)[1].lower()
    if file.lower().endswith(LEFTOVER_SUFFIXES) or file.startswith("~$"):
        return "a thumbnail, backup or incomplete download"
    if suffix in RAW_SUFFIXES:
        return "a raw photo: convert it to JPEG or PNG"
    return ""


def is_run_config(content: bytes) -> bool:
    """Tests whether the content of a config.json is that of a training run."""
    try:
        settings = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(settings, dict) and {"noise", "batch_size", "image_size"} <= settings.keys()


def _is_hidden(name: str) -> bool:
    return name.startswith(".") and name not in (".", "..")


def _is_copy_of_photos(folders: list[str]) -> bool:
    """Tests whether a file is in one of `PHOTOS_COPIES`, at any depth of a library."""
    names = [name.lower() for name in folders]
    library = next((i for i, name in enumerate(names) if name.endswith(PHOTOS_LIBRARY)), len(names))
    return not PHOTOS_COPIES.isdisjoint(names[library + 1 :])


def _make_printable(name: str) -> str:
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in name)


def summarize_skipped(skipped: list[tuple[str, str]], count: int = 5) -> str:
    """Summarizes (name, reason) in one line: for each kind of reason the number of files, and the first one.

    Reasons that differ in numbers and quoted names are of one kind. Those that say what to install come first, then the
    most frequent ones.
    """
    kinds = {}
    for name, reason in skipped:
        kinds.setdefault(DETAIL.sub("", reason), []).append((_make_printable(name), reason))
    groups = sorted(kinds.values(), key=lambda group: ("pip install" not in group[0][1], -len(group)))
    words = []
    for group in groups[:count]:
        (first, reason), same = group[0], len({reason for _, reason in group}) == 1
        names = ", ".join(name for name, _ in group)
        words.append(f"{names if len(group) <= 3 and same else f'{len(group):,} such as {first}'} ({reason})")
    rest = sum(len(group) for group in groups[count:])
    return ", ".join([*words, f"and {rest:,} more"] if rest else words)
