"""Image files in a folder and its subfolders.

source = open_folder(Request("photos", size=64))
"""

import contextlib
import errno
import functools
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby

from gan import images
from gan.datasets.joined import add_prefix, concatenate
from gan.datasets.source import (
    PHOTOS_LIBRARY,
    Request,
    Source,
    digest,
    is_run_config,
    may_hold_images,
    reason_to_pass_over,
)
from gan.errors import UsageError, summarize
from gan.files import expand_path
from gan.image_files.file_kinds import HEAD

# A live photo is a photo, and a video of three seconds with its name. A film, of more bytes, may have a picture, too.
# Programs that download films write an .mp4 beside a .jpg.
PHOTOS = {".mov": (".heic", ".heif", ".jpg", ".jpeg"), ".mp4": (".heic", ".heif")}
LARGEST_MOVING = 30 << 20
HASHED, START_HASHED = 16, 4096  # files of a folder, and bytes at the start of each, that are part of its identity


def open_folder(request: Request, open_file: Callable[[Request], Source | None] = lambda request: None) -> Source:
    """Opens the images of a folder and its subfolders, sorted by path.

    Folders of training runs, subfolders that cannot be read, and videos of live photos are passed over. Raises
    UsageError if the folder itself cannot be read.

    Arguments:
        open_file: opens a file that may hold images, such as an archive, whose images are joined to those of the
            folder; returns None for others, and raises UsageError or OSError for what cannot be opened, which is passed
            over.
    """
    root = expand_path(request.data).resolve()
    found, passed_over = [], []
    walked = sorted(_walk(str(root)), key=lambda entry: entry[0].replace(os.sep, "/"))  # the same on all systems
    moving = _find_moving_parts([(path, status) for path, status, _ in walked if status])
    library = f"{root.name}/" if root.name.lower().endswith(PHOTOS_LIBRARY) else ""
    for path, status, reason in walked:
        name = os.fsencode(path[len(str(root)) :]).decode(errors="replace").replace(os.sep, "/").lstrip("/")
        reason = reason or _why_not_a_file(status) or ("the moving part of a live photo" if path in moving else "")
        if not reason and may_hold_images(library + name):
            try:
                if source := open_file(replace(request, data=path)):
                    found.append(add_prefix(source, name))
                    continue
            except FileNotFoundError:
                reason = "a broken link"
            except OSError as error:
                reason = summarize(error.strerror or error).lower()
            except UsageError as error:
                reason = summarize(str(error).removeprefix(f"--data {path}: ").removesuffix("."))
        if reason := reason or reason_to_pass_over(library + name, functools.partial(read_head, path)):
            passed_over.append((name, reason))
        else:
            found.append((name, path, status and (status.st_size, status.st_mtime_ns, status.st_mode)))
    sources = []
    for is_file, group in groupby(found, key=lambda entry: isinstance(entry, tuple)):
        entries = list(group)
        sources += [_list_files(entries, request.max_pixels)] if is_file else entries
    joined = concatenate(root.name, sources)
    identity = digest(joined.identity, _read_some([entry[1] for entry in found if isinstance(entry, tuple)]))
    return replace(joined, identity=identity, passed_over=sorted(passed_over + joined.passed_over))


def _list_files(files: list[tuple[str, str, object]], max_pixels: int) -> Source:
    """A source of image files, of each of which the name, the path and the state are given."""
    paths = [path for _, path, _ in files]
    identity = digest([(name, state) for name, _, state in files])
    return Source("", identity, [name for name, *_ in files], lambda i: images.open_image(paths[i], max_pixels), [])


def _read_some(paths: list[str]) -> list[bytes]:
    """Reads the start of a few files, evenly spread, to tell apart folders with equal names, sizes and times."""
    return [read_head(path, START_HASHED) for path in paths[:: -(-len(paths) // HASHED) or 1]]


def _find_moving_parts(files: list[tuple[str, os.stat_result]]) -> set[str]:
    """Finds the short videos that were taken with a photo, of which they would repeat the face.

    Arguments:
        files: their paths and states.
    """
    found = set()
    for suffix, of_photos in PHOTOS.items():
        videos = [path for path, status in files if path.lower().endswith(suffix) and status.st_size <= LARGEST_MOVING]
        photos = {_find_stem(path) for path, _ in files if path.lower().endswith(of_photos)} if videos else set()
        found |= {path for path in videos if _find_stem(path) in photos}
    return found


def _find_stem(path: str) -> tuple[str, str]:
    folder, name = os.path.split(path)
    return folder, os.path.splitext(name)[0].lower()


def read_head(path: str | os.PathLike, length: int = HEAD) -> bytes:
    """Reads the first bytes of a file, as many as `file_kinds.identify` needs; b"" if it cannot be read."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(length)
    return b""


def _walk(root: str) -> Iterator[tuple[str, os.stat_result | None, str]]:
    """Yields what is below `root`: path, status, and why it is passed over whatever its name, or "".

    These are all files, folders that are named like an image, and folders that cannot be read. Links are followed, and
    a folder is visited once, however many links lead to it. The status of a broken link is None.
    """
    visited, runs, unreadable = set(), [], []

    def note(error: OSError) -> None:
        if error.filename == root:
            raise UsageError(f"--data: the folder {error.filename} cannot be read ({error.strerror}).") from error
        unreadable.append((error.filename, None, f"a folder that cannot be read ({error.strerror.lower()})"))

    for folder, folders, names in os.walk(root, onerror=note, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        if not os.access(folder, os.X_OK):  # its files are listed, and none can be opened
            note(PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder))
            folders.clear()
            continue
        folders.sort()
        if "config.json" in names and is_run_config(read_head(os.path.join(folder, "config.json"), 1 << 20)):
            runs.append(os.path.join(folder, ""))
        reason = "in the folder of a training run" if os.path.join(folder, "").startswith(tuple(runs)) else ""
        for name in names + [folder for folder in folders if not reason_to_pass_over(folder, bytes)]:
            path = os.path.join(folder, name)
            yield path, _status(path), reason
    yield from unreadable


def _status(path: str) -> os.stat_result | None:
    with contextlib.suppress(OSError):
        return os.stat(path)
    return None


def _why_not_a_file(status: os.stat_result | None) -> str:
    if status is None or stat.S_ISREG(status.st_mode):
        return ""  # a broken link is unreadable, not passed over: its name is that of an image
    return "a folder" if stat.S_ISDIR(status.st_mode) else "not a plain file"
