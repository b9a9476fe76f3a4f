"""Reading and atomic writing of files: written under a temporary name, flushed, renamed, so whole or absent."""

import contextlib
import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from gan.errors import UsageError


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Opens a binary file that appears at `path` only if the block ends without an exception.

    The bytes reach the disk before the name does (fsync, then rename, then fsync of the folder), so a
    crash at any moment leaves the old file or the new one, never a part. Missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def write_json(path: Path, content: dict) -> None:
    """Writes a dictionary, indented."""
    with atomic_write(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def read_json(path: Path, kind: type = dict, names: Iterable[str] = ()) -> dict | list:
    """A dictionary, or a list of dictionaries, that have these names; raises UsageError where the file is damaged."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        raise damaged_file_error(path) from None
    parts = found if kind is list and isinstance(found, list) else [found]
    if not isinstance(found, kind) or not all(isinstance(one, dict) and set(names) <= set(one) for one in parts):
        raise damaged_file_error(path)
    return found


def damaged_file_error(path: Path) -> UsageError:
    """The error for a file that is not as it was written."""
    return UsageError(f"{path} is damaged: move it away, and the same command goes on without it.")


def read_csv(path: Path, columns: int) -> list[list[str]]:
    """The rows of a table whose first column is a number; without the header, and without a torn last row.

    Raises UsageError where it is not valid UTF-8.
    """
    try:
        lines = csv.reader(path.read_text("utf-8").splitlines()) if path.exists() else []
    except UnicodeDecodeError:
        raise damaged_file_error(path) from None
    return [row for row in lines if len(row) == columns and row[0].isdecimal()]


def write_csv(path: Path, rows: list) -> None:
    """Writes rows, the header first."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))


def _umask() -> int:
    mask = os.umask(0)  # the only way to read it is to set it
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself durable, where the system lets a folder be opened (not on Windows)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
