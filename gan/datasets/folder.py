"""Image files in a folder and its subfolders.

source = open_folder(Request("photos", size=64))
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gan import images
from gan.datasets.source import Request, Source, digest, reason_to_pass_over
from gan.errors import UsageError


def open_folder(request: Request) -> Source:
    """Opens the images of a folder and its subfolders, sorted by path. Raises UsageError if a folder cannot be read."""
    root = Path(request.data).expanduser().resolve()
    found, passed_over, states = [], [], []
    for path, status in sorted(_walk(str(root))):
        name = os.fsencode(path[len(str(root)) :]).decode(errors="replace").replace(os.sep, "/").lstrip("/")
        if reason := _why_not_a_file(status) or reason_to_pass_over(name):
            passed_over.append((name, reason))
            continue
        found.append((name, path))
        states.append((name, status and (status.st_size, status.st_mtime_ns, status.st_mode)))
    names, paths = [name for name, _ in found], [path for _, path in found]
    return Source(root.name, digest(states), names, lambda i: images.read_image(paths[i]), passed_over)


def _walk(root: str) -> Iterator[tuple[str, os.stat_result | None]]:
    """Yields the path and status of each file below `root`, and of each folder that is named like an image.

    Links are followed, and a folder is visited once, however many links lead to it. The status of a broken link is
    None.
    """
    visited = set()
    for folder, folders, names in os.walk(root, onerror=_raise_usage_error, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders.sort()
        for name in names + [folder for folder in folders if not reason_to_pass_over(folder)]:
            path = os.path.join(folder, name)
            yield path, _status(path)


def _raise_usage_error(error: OSError) -> None:
    raise UsageError(f"--data: the folder {error.filename} cannot be read ({error.strerror}).") from error


def _status(path: str) -> os.stat_result | None:
    with contextlib.suppress(OSError):
        return os.stat(path)
    return None


def _why_not_a_file(status: os.stat_result | None) -> str:
    if status is None or stat.S_ISREG(status.st_mode):
        return ""  # a broken link is unreadable, not passed over: its name is that of an image
    return "a folder" if stat.S_ISDIR(status.st_mode) else "not a plain file"
