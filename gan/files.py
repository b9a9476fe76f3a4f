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
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import BinaryIO, TextIO

import numpy as np
import platformdirs

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from gan.errors import UsageError, summarize

MOST_DIGITS = 18  # of an iteration, in tables and in names of files

# Seconds for which a file is waited for that another program has open. Windows alone refuses to replace it meanwhile.
BUSY = 2.0 if os.name == "nt" else 0.0
ABANDONED = 3600.0  # seconds without a change after which a temporary file is a leftover, where there are no locks

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
    handle, temporary, lock = _open_temporary(path)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            flush_to_disk(file)
        with ignore_unsupported():
            os.chmod(temporary, 0o666 & ~_umask())
        wait_while_busy(lambda: os.replace(temporary, path))
    except BaseException:
        with contextlib.suppress(FileNotFoundError, PermissionError):  # the error that is raised says more
            os.unlink(temporary)
        raise
    finally:
        if lock is not None:
            os.close(lock)
    _sync_folder(path.parent)


def wait_while_busy(change: Callable[[], None]) -> None:
    """Calls a function that changes a file, again for `BUSY` seconds where another program has that file open.

    Raises PermissionError where it is still open after that.
    """
    end = None
    while True:
        try:
            return change()
        except PermissionError:
            now = time.monotonic()
            end = now + BUSY if end is None else end
            if now >= end:
                raise
        time.sleep(0.05)


def remove_leftovers(path: str | os.PathLike) -> None:
    """Removes temporary files that `atomic_write(path)` left in processes that were killed; others stay.

    The name in `path` may be a pattern, as for `Path.glob`. Where there are no file locks to tell, on Windows and some
    network file systems, only files are removed that nobody has written to for an hour.
    """
    for part in Path(path).parent.glob(f".{Path(path).name}.*.part"):
        with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
            if time.time() - part.stat().st_mtime < ABANDONED or _has_locks(part):
                if fcntl is None:
                    continue
                file = opened.enter_context(open(part, "r+b"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where a process is writing it
            part.unlink()


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
    with contextlib.suppress(RuntimeError, OSError):  # platformdirs raises the first, or returns the ~
        if not (folder := platformdirs.user_cache_dir("dcgan-faces")).startswith("~"):
            os.makedirs(folder, exist_ok=True)
            return Path(folder)
    folder = Path(tempfile.gettempdir(), f"dcgan-faces-{os.getuid() if hasattr(os, 'getuid') else ''}")
    warnings.warn(f"there is no home folder (HOME) to write to, so decoded images go to {folder}", stacklevel=2)
    return folder


def write_json(path: Path, content: dict | list) -> None:
    """Writes a dictionary or a list as indented JSON, atomically."""
    with atomic_write(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def read_json(path: Path, kind: type = dict, kinds: Mapping[str, type | UnionType] | None = None) -> dict | list:
    """Reads a dictionary, or a list of dictionaries.

    Arguments:
        kind: dict or list.
        kinds: keys that each dictionary must have, and the types of their values.

    Raises:
        UsageError: if the file is damaged, which includes content of another kind.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        raise damaged_file_error(path) from None
    entries = found if kind is list and isinstance(found, list) else [found]
    if not isinstance(found, kind) or not all(has_values(entry, kinds or {}) for entry in entries):
        raise damaged_file_error(path)
    return found


def has_values(entry: object, kinds: Mapping[str, type | UnionType]) -> bool:
    """Tests whether something is a dictionary that has all these keys, with values of these types."""
    return isinstance(entry, dict) and all(name in entry and isinstance(entry[name], kinds[name]) for name in kinds)


def damaged_file_error(path: Path) -> UsageError:
    """Makes the error for a file whose content is not what this program wrote."""
    return UsageError(f"{path} is damaged: move it away, or put back a whole copy, and repeat the command.")


def read_csv(path: Path, columns: int) -> list[list[str]]:
    """Reads the rows of a table whose first column is a number: [] if there is no file.

    The header is left out, and so is a last row that was not written completely. Raises UsageError if the file is not
    UTF-8, or not CSV.

    Arguments:
        columns: how many columns a row has; other rows are left out.
    """
    try:
        lines = csv.reader(path.read_text("utf-8").splitlines()) if path.exists() else []
        return [row for row in lines if is_row(row, columns)]
    except (UnicodeDecodeError, csv.Error):
        raise damaged_file_error(path) from None


def is_row(row: list[str], columns: int) -> bool:
    """Tests whether a row of a table has so many cells, of which the first is a number."""
    return len(row) == columns and row[0].isdecimal() and len(row[0]) <= MOST_DIGITS


def parse_numbers(lines: list[str], columns: int) -> np.ndarray:
    """Parses lines of numbers between commas, float64 (len(lines), columns); an empty cell is NaN.

    Raises ValueError where a cell is something else, or a line has more or fewer columns.
    """
    if not lines:
        return np.empty((0, columns))
    text = re.sub("(?m)(?:^|(?<=,))(?=,|$)", "nan", "\n".join(lines))
    numbers = np.loadtxt(io.StringIO(text), delimiter=",", ndmin=2, comments=None)
    if numbers.shape != (len(lines), columns):
        raise ValueError(f"{numbers.shape} instead of {(len(lines), columns)} numbers")
    return numbers


def write_csv(path: Path, rows: list) -> None:
    """Writes rows, of which the first is the header, atomically."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))


def map_array(path: Path) -> np.ndarray:
    """Opens the array of a .npy file, or a .npz: mapped from disk, or read where the file system cannot map files."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        if error.errno not in UNSUPPORTED | {errno.ENODEV}:
            raise
    return np.load(path, allow_pickle=False)


def read_array_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    """Reads the shape and dtype of an array in NumPy's .npy format, without its values, and closes the file.

    Raises ValueError where it is not in version 1.0 or 2.0 of that format.
    """
    formats = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with file, damage_as_value_error():
        shape, _, dtype = formats[np.lib.format.read_magic(file)](file)
        if any(side < 0 for side in shape):
            raise ValueError(f"its shape is {shape}")
    return shape, dtype


@contextlib.contextmanager
def damage_as_value_error() -> Iterator[None]:
    """Turns whatever a library raises for the content of a damaged file into a ValueError with one line of text.

    Errors of the file system, and of too little memory, stay what they are.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly every kind of exception for damaged files
        if isinstance(error, OSError) and error.errno:
            raise
        raise ValueError(summarize(error)) from error


def _open_temporary(path: Path) -> tuple[int, str, int | None]:
    """Opens a new file beside `path`. Returns its descriptor, its path, and a second descriptor, or None on Windows.

    The file is locked until both are closed, so that `remove_leftovers` leaves it. The second one is for the time when
    it is complete and does not have its name yet.
    """
    while True:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        if fcntl is None:
            return handle, temporary, None
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.exists(temporary):
            return handle, temporary, os.dup(handle)
        os.close(handle)  # another process removed it before it was locked


def _has_locks(path: Path) -> bool:
    """Tests whether a file can be opened and locked, or is locked by another process."""
    if fcntl is None:
        return False
    try:
        with open(path, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    return True


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
