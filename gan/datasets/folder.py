"""Images in a folder, searched to its depths."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gan import images
from gan.datasets.source import Request, Source, digest, reason_to_pass_over
from gan.errors import UsageError


def open_folder(request: Request) -> Source:
    """The images of a folder and its subfolders, in order of name. Raises UsageError where one cannot be read."""
    root = Path(request.data).expanduser().resolve()
    found, passed_over, marks = [], [], []
    for path, status in sorted(_walk(str(root))):
        name = os.fsencode(path[len(str(root)) :]).decode(errors="replace").replace(os.sep, "/").lstrip("/")
        if reason := _not_a_file(status) or reason_to_pass_over(name):
            passed_over.append((name, reason))
            continue
        found.append((name, path))
        marks.append((name, status and (status.st_size, status.st_mtime_ns, status.st_mode)))
    names, paths = [name for name, _ in found], [path for _, path in found]
    return Source(root.name, digest(marks), names, lambda i: images.read_image(paths[i]), passed_over)


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
        for name in names + [folder for folder in folders if not reason_to_pass_over(folder)]:
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
