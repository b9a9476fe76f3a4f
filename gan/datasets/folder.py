"""Image files in a folder and its subfolders.

source = open_folder(Request("photos", size=64))
"""

import contextlib
import errno
import functools
import os
import stat
from collections.abc import Iterator

from PIL import Image

from gan import images
from gan.datasets.source import Request, Source, digest, is_run_config, reason_to_pass_over
from gan.errors import UsageError
from gan.file_kinds import HEAD
from gan.files import expand_path


def open_folder(request: Request) -> Source:
    """Opens the images of a folder and its subfolders, sorted by path.

    Folders of training runs, and subfolders that cannot be read, are passed over. Raises UsageError if the folder
    itself cannot be read.
    """
    root = expand_path(request.data).resolve()
    found, passed_over, states = [], [], []
    for path, status, reason in sorted(_walk(str(root)), key=lambda entry: entry[0]):
        name = os.fsencode(path[len(str(root)) :]).decode(errors="replace").replace(os.sep, "/").lstrip("/")
        head = functools.partial(read_head, path)
        if reason := reason or _why_not_a_file(status) or reason_to_pass_over(name, head):
            passed_over.append((name, reason))
            continue
        found.append((name, path))
        states.append((name, status and (status.st_size, status.st_mtime_ns, status.st_mode)))
    names, paths = [name for name, _ in found], [path for _, path in found]

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        return images.open_image(paths[i], request.max_pixels)

    return Source(root.name, digest(states), names, read, passed_over)


def read_head(path: str | os.PathLike, length: int = HEAD) -> bytes:
    """Reads the first bytes of a file, as many as `gan.file_kinds.identify` needs; b"" if it cannot be read."""
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
