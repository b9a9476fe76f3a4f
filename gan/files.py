"""Files: atomic writing, JSON, CSV, and the headers of NumPy arrays.

with atomic_write("samples.npy") as file:
    np.save(file, samples)
"""

import contextlib
import csv
import errno
import io
import json
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
import platformdirs

from gan.errors import UsageError

# Errors of file systems that cannot do what is asked, such as network and FUSE ones: nothing was lost.
UNSUPPORTED = {
    getattr(errno, name)
    for name in ("EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EPERM", "EACCES", "EBADF", "EISDIR")
    if hasattr(errno, name)
}  # fmt: skip


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Opens a binary file that appears at `path` when the block ends, unless it raises.

    It is written under a temporary name, flushed to disk and renamed, so a crash at any moment leaves the old file or
    the new one, never a part. Missing folders are created.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            flush_to_disk(file)
        with ignore_unsupported():
            os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def flush_to_disk(file: BinaryIO | TextIO) -> None:
    """Flushes a file to the disk, where its file system can. Raises OSError where that fails, as on a full disk."""
    file.flush()
    with ignore_unsupported():
        os.fsync(file.fileno())


@contextlib.contextmanager
def ignore_unsupported() -> Iterator[None]:
    """Goes on where a file system does not support a call; all other errors are raised."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def expand_path(path: str | os.PathLike) -> Path:
    """Expands ~ and ~user at the start of a path. Raises UsageError where there is no such home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(f"{path}: there is no home folder of that name. Give the whole path.") from None


def cache_folder(chosen: str | os.PathLike | None = None) -> Path:
    """The folder of caches and downloads: the chosen one, or the user's cache folder.

    Warns where the user has no home, and returns a folder among the system's temporary files.
    """
    if chosen:
        return expand_path(chosen)
    with contextlib.suppress(RuntimeError):  # as recent versions of platformdirs raise; older ones return the ~
        if not (folder := platformdirs.user_cache_dir("dcgan-faces")).startswith("~"):
            return Path(folder)
    folder = Path(tempfile.gettempdir(), f"dcgan-faces-{os.getuid()}")
    warnings.warn(f"there is no home folder (HOME), so decoded images go to {folder}", stacklevel=2)
    return folder


def write_json(path: Path, content: dict) -> None:
    """Writes a dictionary as indented JSON, atomically."""
    with atomic_write(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def read_json(path: Path, kind: type = dict, names: Iterable[str] = ()) -> dict | list:
    """Reads a dictionary, or a list of dictionaries.

    Arguments:
        kind: dict or list.
        names: keys that each dictionary must have.

    Raises:
        UsageError: if the file is damaged, which includes content of another kind.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        raise damaged_file_error(path) from None
    entries = found if kind is list and isinstance(found, list) else [found]
    if not isinstance(found, kind) or not all(isinstance(e, dict) and set(names) <= set(e) for e in entries):
        raise damaged_file_error(path)
    return found


def damaged_file_error(path: Path) -> UsageError:
    """Makes the error for a file whose content is not what this program wrote."""
    return UsageError(f"{path} is damaged: move it away, or put back a whole copy, and repeat the command.")


def read_csv(path: Path, columns: int) -> list[list[str]]:
    """Reads the rows of a table whose first column is a number: [] if there is no file.

    The header is left out, and so is a last row that was not written completely. Raises UsageError if the file is not
    UTF-8.

    Arguments:
        columns: how many columns a row has; other rows are left out.
    """
    try:
        lines = csv.reader(path.read_text("utf-8").splitlines()) if path.exists() else []
    except UnicodeDecodeError:
        raise damaged_file_error(path) from None
    return [row for row in lines if len(row) == columns and row[0].isdecimal()]


def write_csv(path: Path, rows: list) -> None:
    """Writes rows, of which the first is the header, atomically."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))


def read_array_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    """Reads the shape and dtype of an array in NumPy's .npy format, without its values, and closes the file.

    Raises ValueError where it is not in that format, and KeyError where it is in a later version of it than 2.0.
    """
    formats = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with file:
        shape, _, dtype = formats[np.lib.format.read_magic(file)](file)
    return shape, dtype


def _umask() -> int:
    mask = os.umask(0)  # it can only be read by setting it
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Flushes the rename to disk, where the system can; Windows cannot open a folder."""
    with ignore_unsupported():
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
