"""Download of one large file over HTTP, which resumes where it ended, and is checked before it gets its name.

fetch("https://example.org/faces.zip", Path("faces.zip"), check=require_images)
"""

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from gan.errors import RunError

BLOCK = 1 << 20
PATIENCE = 30  # seconds without a byte


def fetch(
    url: str,
    path: Path,
    check: Callable[[Path], None],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Downloads `url` to `path`. `check` raises ValueError unless the file is what it should be.

    What has arrived is kept in `path` + ".part" for the next try. Raises `RunError`, which says what to
    download by hand and where to put it.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        _receive(url, part, progress)
        _accept(part, check)
        os.replace(part, path)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise RunError(
            f"Could not download {url}: {error}. Run the same command to go on from there, "
            f"or download it by hand and save it as {path}"
        ) from error


def _accept(part: Path, check: Callable[[Path], None]) -> None:
    try:
        check(part)
    except ValueError:
        part.unlink()  # whole, and wrong: there is nothing to go on from
        raise


def _receive(url: str, part: Path, progress: Callable[[int, int], None]) -> None:
    """Completes `part`, from its end when the server can, and from the start when it cannot."""
    have = part.stat().st_size if part.exists() else 0
    try:
        response = _ask(url, have)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not have:
            raise
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return  # there is no more to send: the last try ended between the last byte and the check
        have, response = 0, _ask(url, 0)
    with response:
        resumed = response.status == 206  # a server that ignores Range answers 200 and starts over
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise ConnectionError("the server sent another part of the file than it was asked for")
        _write(response, part, have if resumed else 0, progress)


def _ask(url: str, have: int) -> http.client.HTTPResponse:
    headers = {"Range": f"bytes={have}-"} if have else {}
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=PATIENCE)


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
        file.flush()
        os.fsync(file.fileno())
    if total and done != total:
        raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")
