"""Downloads of large files over HTTP, which resume after an interruption and are verified before they get their name.

Where two processes want one file at once, the second waits for the first, and then uses its file.

fetch("https://example.org/faces.zip", Path("faces.zip"), check=require_images)
"""

import contextlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from gan.errors import RunError
from gan.files import flush_to_disk

BLOCK = 1 << 20  # bytes
TIMEOUT = 30  # seconds without a byte


def fetch(
    url: str,
    path: Path,
    check: Callable[[Path], None],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Downloads a file; if that is interrupted, the next call resumes from `path` + ".part".

    Arguments:
        check: a function (path) that raises ValueError unless the file is the right one.
        progress: a function (bytes done, total bytes or 0), called after each block.

    Raises:
        RunError: if it fails; the message says what to download by hand, and where to save it.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with _lock(part):
            if path.exists():  # another process has downloaded it meanwhile
                return
            _complete(url, part, progress)
            _check(part, check)
            os.replace(part, path)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise RunError(
            f"Could not download {url}: {error}. Run the same command to go on from there, "
            f"or download it by hand and save it as {path}"
        ) from error


@contextlib.contextmanager
def _lock(part: Path) -> Iterator[None]:
    """Waits until no other process downloads to `part`, and keeps others waiting, where there are locks."""
    if fcntl is None:
        yield
        return
    while True:
        with open(part, "ab") as file:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if not (part.exists() and os.path.samestat(part.stat(), os.fstat(file.fileno()))):
                continue  # another process has finished with it, or removed it
            try:
                yield
            finally:
                if part.exists() and not part.stat().st_size:  # nothing has arrived
                    part.unlink()
            return


def _check(part: Path, check: Callable[[Path], None]) -> None:
    try:
        check(part)
    except ValueError:
        part.unlink()  # complete but wrong: nothing to resume from
        raise


def _complete(url: str, part: Path, progress: Callable[[int, int], None]) -> None:
    """Completes `part`: from its end if the server supports ranges, else from the start."""
    size = part.stat().st_size if part.exists() else 0
    try:
        response = _request(url, size)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not size:
            raise
        if error.headers.get("Content-Range") == f"bytes */{size}":
            return  # `part` is complete: the last attempt ended before the check
        size, response = 0, _request(url, 0)
    with response:
        resumed = response.status == 206  # a server that ignores Range answers 200, with the whole file
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {size}-"):
            raise ConnectionError("the server sent another part of the file than was requested")
        _write(response, part, size if resumed else 0, progress)


def _request(url: str, size: int) -> http.client.HTTPResponse:
    headers = {"Range": f"bytes={size}-"} if size else {}
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)


def _write(response, part: Path, done: int, progress: Callable[[int, int], None]) -> None:
    length = response.headers.get("Content-Length")
    total = done + int(length) if length else 0
    with open(part, "r+b" if part.exists() else "wb") as file:
        file.truncate(done)
        file.seek(done)
        while block := response.read(BLOCK):
            file.write(block)
            done += len(block)
            progress(done, total)
        flush_to_disk(file)
    if total and done != total:
        raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")
